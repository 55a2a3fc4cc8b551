"""What a model must compute: the outputs of LiteRT's reference kernels on the host.

The reference resolver is the oracle; the optimised kernels and XNNPACK differ from it by up to 6 steps. Where it
differs from TensorFlow Lite Micro, that decides: :mod:`pipeline.graph.micro` puts the model so that LiteRT follows.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import UsageError, printable
from pipeline.graph.micro import as_micro


class Reference:
    """A model on LiteRT's reference kernels.

    Args:
        path: A .tflite that :func:`pipeline.graph.reader.read` has accepted: LiteRT trusts what it reads, so a
            damaged file may end the process.

    Raises:
        UsageError: ``not-a-tflite`` where LiteRT refuses the model, or what the reader raises.
    """

    def __init__(self, path: Path) -> None:
        self._content = as_micro(path.read_bytes())
        self._keeping: Any = None
        self._plain = self._interpreter(keep=False)
        self._input = self._plain.get_input_details()[0]
        self._output = self._plain.get_output_details()[0]

    def _interpreter(self, *, keep: bool) -> Any:
        from ai_edge_litert.interpreter import Interpreter, OpResolverType

        try:
            with _quiet():
                made = Interpreter(
                    model_content=self._content,
                    experimental_op_resolver_type=OpResolverType.BUILTIN_REF,
                    experimental_preserve_all_tensors=keep,
                    num_threads=1,
                )
                made.allocate_tensors()
        except (ValueError, RuntimeError) as error:
            raise UsageError(
                "not-a-tflite",
                "LiteRT refuses the model",
                why=printable(error),
                next="Convert the model again.",
            ) from error
        return made

    def run(self, inputs: NDArray[Any]) -> NDArray[Any]:
        """Outputs for a batch, one by one.

        Args:
            inputs: [N, *shape without batch], of the input tensor's type.

        Returns:
            [N, *output shape without batch], of the output tensor's type.

        Raises:
            ValueError: Shape or type of ``inputs`` is not the model's.
        """
        self._check(inputs)
        outputs = np.empty((len(inputs), *self._output["shape"][1:]), self._output["dtype"])
        for index, single in enumerate(inputs):
            self._plain.set_tensor(self._input["index"], single[np.newaxis])
            self._plain.invoke()
            outputs[index] = self._plain.get_tensor(self._output["index"])[0]
        return outputs

    def intermediates(self, single: NDArray[Any]) -> dict[int, NDArray[Any]]:
        """Every tensor that one inference leaves, by its index in the file, which is its index in the Graph.

        Args:
            single: One input, [*shape without batch].
        """
        self._check(single[np.newaxis])
        if self._keeping is None:
            self._keeping = self._interpreter(keep=True)
        self._keeping.set_tensor(self._input["index"], single[np.newaxis])
        self._keeping.invoke()
        found: dict[int, NDArray[Any]] = {}
        for details in self._keeping.get_tensor_details():
            # Tensors that no operator touches, and scratch that has not been used, have no data to give.
            with contextlib.suppress(ValueError):
                found[details["index"]] = self._keeping.get_tensor(details["index"])
        return found

    def _check(self, inputs: NDArray[Any]) -> None:
        shape = tuple(int(size) for size in self._input["shape"][1:])
        if inputs.shape[1:] != shape or inputs.dtype != self._input["dtype"]:
            wanted = f"{np.dtype(self._input['dtype']).name} of shape (N, {', '.join(map(str, shape))})"
            raise ValueError(f"inputs are {inputs.dtype} of shape {inputs.shape}; the model takes {wanted}")


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep LiteRT's chatter, which C++ writes to file descriptor 2, off the user's terminal."""
    sys.stderr.flush()
    kept = os.dup(2)
    try:
        with Path(os.devnull).open("wb") as nothing:
            os.dup2(nothing.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
