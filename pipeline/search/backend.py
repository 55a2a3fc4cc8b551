"""TensorFlow, imported late, quietly and deterministically.

TensorFlow and its converter write to the process's own file descriptors 1 and 2, past Python's ``sys.stderr``;
:func:`captured` takes that text away from the user's terminal and keeps it for an error message.
"""

from __future__ import annotations

import os
import sys
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from functools import cache
from typing import Any


@dataclass
class Captured:
    """What was written while output was captured; ``text`` is filled when the capture ends."""

    text: str = ""


@contextmanager
def captured() -> Iterator[Captured]:
    """Take everything that native code and Python write to descriptors 1 and 2, or to ``sys.stdout``, in the block."""
    result = Captured()
    sys.stdout.flush()
    sys.stderr.flush()
    with tempfile.TemporaryFile() as sink, _python_output(sink.fileno()):
        kept = [(descriptor, os.dup(descriptor)) for descriptor in (1, 2)]
        try:
            for descriptor, _ in kept:
                os.dup2(sink.fileno(), descriptor)
            yield result
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            for descriptor, copy in kept:
                os.dup2(copy, descriptor)
                os.close(copy)
            sink.seek(0)
            result.text = sink.read().decode(errors="replace")


@contextmanager
def _python_output(descriptor: int) -> Iterator[None]:
    """``sys.stdout`` and ``sys.stderr`` need not be descriptors 1 and 2: a test may have replaced them."""
    with (
        open(os.dup(descriptor), "w", encoding="utf-8", errors="replace") as stream,  # noqa: PTH123 - a descriptor
        redirect_stdout(stream),
        redirect_stderr(stream),
    ):
        yield


@cache
def tensorflow() -> Any:
    """The TensorFlow module, set up so that the same inputs give the same bits on the same machine.

    Where it sees a GPU, that one is used, and bits may differ from run to run: the gradient of a depthwise convolution
    has no deterministic kernel there, and TensorFlow would refuse it. ``CUDA_VISIBLE_DEVICES=-1`` hides the GPU.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with captured(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import tensorflow

        tensorflow.get_logger().setLevel("ERROR")
        tensorflow.keras.utils.set_random_seed(0)
        gpus = tensorflow.config.list_physical_devices("GPU")
        for gpu in gpus:
            tensorflow.config.experimental.set_memory_growth(gpu, True)
        if not gpus:
            tensorflow.config.experimental.enable_op_determinism()
        tensorflow.constant(0.0)  # the first operation initialises the runtime, which announces itself
    return tensorflow


#: From this compute capability on a GPU has bfloat16, whose range is that of float32: no loss needs scaling.
_BFLOAT16_CAPABILITY = (8, 0)


@dataclass(frozen=True)
class Pace:
    """What makes training quick on the device at hand.

    Attributes:
        half: The type that convolutions are computed in, None for float32; weights and statistics stay float32.
        compiled: Whether subnets that every few steps have are compiled by XLA, in their own shapes.
    """

    half: Any = None
    compiled: bool = False


@cache
def pace() -> Pace:
    """Mixed precision and XLA where TensorFlow sees a GPU; neither on processors, where both are slower."""
    tf = tensorflow()
    gpus = tf.config.list_physical_devices("GPU")
    if not gpus:
        return Pace()
    capabilities = [tf.config.experimental.get_device_details(gpu).get("compute_capability", (0, 0)) for gpu in gpus]
    return Pace(half=tf.bfloat16 if min(capabilities) >= _BFLOAT16_CAPABILITY else None, compiled=True)
