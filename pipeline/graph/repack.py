"""A .tflite whose weights lie behind the flatbuffer, re-packed with its weights inside.

Some readers (TensorFlow Lite Micro) take such weights for zeros or garbage without an error.
"""

from __future__ import annotations

from pathlib import Path

from pipeline.graph.reader import read
from pipeline.graph.writer import write


def repack(path: Path, out: Path) -> Path:
    """Write the model at ``path`` to ``out``, its weights inside the flatbuffer, atomically.

    The Graph is what is kept: names, shapes, quantization, constants, operators and their order; metadata is not.

    Raises:
        UsageError: What :func:`pipeline.graph.reader.read` raises.
    """
    content = write(read(path))
    partial = out.with_name(out.name + ".partial")
    partial.write_bytes(content)
    partial.replace(out)
    return out
