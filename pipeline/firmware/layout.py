"""Where in the arena, or among the constants, a kernel call finds what it takes: its arguments as C++."""

from __future__ import annotations

from typing import Any

import numpy as np

from pipeline.errors import UsageError, printable
from pipeline.estimate.areas import ALIGNMENT
from pipeline.estimate.model import MemoryPlan, Placement
from pipeline.estimate.stages import image_rows
from pipeline.firmware import filters
from pipeline.firmware.filters import CText
from pipeline.firmware.lowering import Constant, ConstantPool, Enumerator, Float32, Value
from pipeline.graph.model import DType, Graph, Tensor

_EDGE_TYPES = {DType.INT8: "kInt8", DType.UINT8: "kUint8", DType.FLOAT32: "kFloat32"}


class Layout:
    """The places of a Graph's activations, after a check that the plan is whole and stays inside the arena.

    What calls name is gathered: Rows in ``rows``, by tensor, and constant operands in ``pool``.

    Attributes:
        streamed: The input whose rows come one by one; None where it is kept in whole.
    """

    def __init__(self, graph: Graph, plan: MemoryPlan, pool: ConstantPool) -> None:
        self.tensors = graph.tensors
        self.pool = pool
        self.rows: dict[int, dict[str, Any]] = {}
        self.streamed = graph.input.index if plan.streams(graph.input.index) else None
        self._placements: dict[int, Placement] = {}
        for placement in plan.placements:
            tensor = graph.tensors[placement.tensor]
            kept = image_rows(tensor) if placement.ring is None else placement.ring
            if placement.offset % ALIGNMENT or placement.size < tensor.nbytes // image_rows(tensor) * kept:
                raise ValueError(f"the plan misplaces tensor {tensor.index}")
            if not 0 <= placement.offset <= plan.arena_bytes - placement.size:
                raise ValueError(f"the plan puts tensor {tensor.index} outside the arena")
            self._placements[tensor.index] = placement
        for tensor in (graph.input, graph.output):
            if tensor.constant or tensor.dtype not in _EDGE_TYPES:
                raise UsageError(
                    "unsupported-tensor",
                    f"tensor {tensor.index} '{printable(tensor.name)}' cannot be the model's input or output",
                    why="It is a constant, or neither int8, uint8 nor float32.",
                    next="Export the model again.",
                )
            self._offset(tensor.index)

    def _offset(self, tensor: int) -> int:
        if tensor not in self._placements:
            raise ValueError(f"the plan leaves out tensor {tensor}")
        return self._placements[tensor].offset

    def edge(self, tensor: Tensor) -> dict[str, Any]:
        """What the template prints of the model's input or output."""
        quantization = None if tensor.dtype is DType.FLOAT32 else tensor.quantization
        return {
            "offset": self._offset(tensor.index),
            "bytes": tensor.nbytes,
            "type": CText(_EDGE_TYPES[tensor.dtype]),
            "scale": quantization.scale if quantization else 0.0,
            "zero_point": quantization.zero_point if quantization else 0,
        }

    def rows_of(self, tensor: int) -> CText:
        """The Rows of an activation, by name."""
        name = CText(f"kRows{filters.c_int(tensor)}")
        height = image_rows(self.tensors[tensor])
        offset, ring = self._offset(tensor), self._placements[tensor].ring
        self.rows[tensor] = {
            "name": name,
            "offset": offset,
            "bytes": self.tensors[tensor].nbytes // height,
            "kept": height if ring is None else ring,
        }
        return name

    def row_of(self, tensor: int) -> CText:
        """The row of an activation that belongs to the step."""
        return CText(f"row_of({self.rows_of(tensor)}, y)")

    def whole(self, index: int, dtype: DType) -> CText:
        """All of an activation."""
        function = "floats_at" if dtype is DType.FLOAT32 else "at"
        return CText(f"{function}({filters.c_int(self._offset(index))})")

    def operand(self, index: int, dtype: DType) -> CText:
        """All of an activation, or of a constant."""
        tensor = self.tensors[index]
        if index in self._placements or not tensor.constant:
            return self.whole(index, dtype)
        if tensor.data is None or tensor.dtype is not DType.INT8:
            raise UsageError(
                "unsupported-tensor",
                f"tensor {index} '{printable(tensor.name)}' is a constant where the aot runtime takes an activation",
                why=f"It has the type {tensor.dtype}.",
                next="Export the model again with constants folded.",
            )
        return value_text(self.pool.add(np.asarray(tensor.data, np.int8)))


def value_text(value: Value) -> CText:
    """A parameter as C++."""
    if isinstance(value, Constant):
        return CText(f"model::kConstant{filters.c_int(value.number)}")
    if isinstance(value, Enumerator):
        return CText(f"aot::{value.name}")
    if isinstance(value, Float32):
        return filters.c_float(value.value)
    if isinstance(value, tuple):
        return CText("{" + ", ".join(value_text(field.value) for field in value) + "}")
    return filters.c_int(value)
