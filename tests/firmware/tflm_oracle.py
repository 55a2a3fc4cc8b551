"""The second oracle: TensorFlow Lite Micro itself, with its reference kernels, from the ``tflite-micro`` package."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.graph.model import DType, Graph, OpCode
from pipeline.graph.writer import write

try:
    from tflite_micro.python.tflite_micro import runtime
except ImportError:  # pragma: no cover - there are wheels for Linux on x86-64 alone
    runtime = None

HAVE_TFLM = runtime is not None
needs_tflm = pytest.mark.skipif(not HAVE_TFLM, reason="the tflite-micro package is not installed")

#: Beside the activations: registrations, quantizations, scratch, and each tensor's record.
_SPARE = 1 << 17
_PER_TENSOR = 4096


class Tflm:
    """A model on TFLM's interpreter, one input after the other."""

    def __init__(self, graph: Graph, *, keep: bool = False) -> None:
        arena = 2 * sum(tensor.nbytes for tensor in graph.tensors) + _PER_TENSOR * len(graph.tensors) + _SPARE
        config = runtime.InterpreterConfig
        with quiet():
            self._interpreter = runtime.Interpreter.from_bytes(
                write(graph),
                arena_size=arena,
                intrepreter_config=config.kPreserveAllTensors if keep else config.kAllocationRecording,
            )
        self._graph = graph

    def run(self, values: NDArray[Any]) -> NDArray[Any]:
        """The output for one input of the model's shape.

        Raises:
            RuntimeError: TFLM has no kernel for it.
        """
        with quiet():
            self._interpreter.set_input(values, 0)
            self._interpreter.invoke()
        return np.array(self._interpreter.get_output(0)).reshape(self._graph.output.shape)

    def tensor(self, index: int) -> NDArray[Any]:
        """What the last inference left in a tensor; for a model that was made with ``keep``."""
        return np.array(self._interpreter.GetTensor(index, 0)["tensor_data"])


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep what the package prints, and its C++ writes to file descriptor 2, out of the tests' output."""
    sys.stderr.flush()
    kept = os.dup(2)
    try:
        with Path(os.devnull).open("wb") as nothing, contextlib.redirect_stdout(io.StringIO()):
            os.dup2(nothing.fileno(), 2)
            yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def without_tflm(graph: Graph) -> str:
    """Why TFLM has nothing to say about a model; empty where it has.

    What it refuses, LiteRT runs; and where it forgets a rescaling, LiteRT and the model's author agree.
    """
    for operator in graph.operators:
        source, output = graph.tensors[operator.inputs[0] or 0], graph.tensors[operator.outputs[0]]
        if operator.code is OpCode.QUANTIZE and output.dtype is DType.UINT8 and source.dtype is not DType.INT8:
            return f"it has no QUANTIZE from {source.dtype} to uint8"
        if operator.code is OpCode.DEPTHWISE_CONV_2D and len(operator.inputs) == 2:
            return "its DEPTHWISE_CONV_2D asserts that there is a bias, and ends the process"
        if operator.code is OpCode.RELU6 and source.quantization != output.quantization:
            return "its RELU6 takes the output's quantization for the input's"
    return ""
