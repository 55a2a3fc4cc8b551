"""A .tflite whose weights lie behind the flatbuffer, re-packed with its weights inside.

Some readers (TensorFlow Lite Micro) take such weights for zeros or garbage without an error, so a run never keeps one.
"""

from __future__ import annotations

from pipeline.graph.flatfile import decode
from pipeline.graph.reader import parse
from pipeline.graph.writer import write


def self_contained(content: bytes) -> bytes:
    """The same bytes where all weights are inside the flatbuffer; else the model with its weights packed in.

    Of a re-packed model the Graph is kept: names, shapes, quantization, constants, operators and their order; metadata
    is not.

    Raises:
        UsageError: What :func:`pipeline.graph.reader.read` raises: a model that cannot be deployed.
    """
    graph = parse(content)
    return write(graph) if any(tensor.outside for tensor in decode(content).tensors) else content
