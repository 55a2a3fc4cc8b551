"""One tensor of a file, checked, as the Graph's Tensor."""

from __future__ import annotations

import math
from typing import NoReturn

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from pipeline.errors import UsageError, printable
from pipeline.graph.flatfile import FileQuantization, FileTensor
from pipeline.graph.model import DType, Quantization, Tensor
from pipeline.graph.writer import TENSOR_TYPES

#: Names of the schema's tensor types, for messages.
TYPE_NAMES = {value: name for name, value in vars(schema.TensorType).items() if isinstance(value, int)}

_DTYPES = {value: dtype for dtype, value in TENSOR_TYPES.items()}
_MAX_RANK = 4
_MAX_ELEMENTS = 1 << 28
_ZERO_POINTS = {DType.INT8: (-128, 127), DType.UINT8: (0, 255)}
_FIXED = "Convert the model with a fixed input shape and batch size 1."


def unused(index: int, raw: FileTensor) -> Tensor:
    """A tensor that no operator touches: it keeps its place, so that indices stay the file's, without contents."""
    return Tensor(index, raw.name, (0,), DType.INT8, None, constant=True, data=np.zeros(0, np.int8))


def tensor(index: int, raw: FileTensor, *, user: str, edge: bool) -> Tensor:
    """The Graph's Tensor.

    Args:
        index: Its place in the file.
        raw: What the file says.
        user: The first operator that touches it, as messages show it.
        edge: True for the model's input and output.

    Raises:
        UsageError: ``unsupported-tensor``, ``unsupported-options``, ``dynamic-shape`` or ``not-a-tflite``.
    """
    return _Given(index, raw, user).tensor(edge)


class _Given:
    """A tensor under examination."""

    def __init__(self, index: int, raw: FileTensor, user: str) -> None:
        self.index = index
        self.raw = raw
        self.user = user

    def refuse(
        self,
        why: str,
        *,
        id: str = "unsupported-tensor",  # noqa: A002
        next: str = "Convert the model again to full int8.",  # noqa: A002
    ) -> NoReturn:
        what = f"tensor {self.index} {printable(self.raw.name, 80)!r}{self.user}: {printable(why)}"
        raise UsageError(id, what, next=next)

    def tensor(self, edge: bool) -> Tensor:
        dtype = self.dtype()
        self.check_shape(dtype)
        if edge:
            self.check_edge()
        return Tensor(
            self.index,
            self.raw.name,
            self.raw.shape,
            dtype,
            self.quantization(dtype),
            self.raw.data is not None,
            self.contents(dtype),
        )

    def dtype(self) -> DType:
        dtype = _DTYPES.get(self.raw.type)
        if dtype is None:
            self.refuse(f"type {TYPE_NAMES.get(self.raw.type, self.raw.type)} is not supported")
        if self.raw.variable:
            self.refuse("variables are not supported", next="Convert a model without state.")
        if self.raw.sparse:
            self.refuse("sparse tensors are not supported", id="unsupported-options", next="Convert it densely.")
        return dtype

    def check_shape(self, dtype: DType) -> None:
        shape, signature = self.raw.shape, self.raw.signature
        open_axes = [axis for axis, size in enumerate(signature) if size < 0]
        # Converters leave the batch open in the signature and write 1 into the shape: that is a fixed shape for us.
        if any(size < 0 for size in shape) or (open_axes and (open_axes != [0] or shape[:1] != (1,))):
            self.refuse(f"its shape {signature or shape} is not fixed", id="dynamic-shape", next=_FIXED)
        if 0 in shape or len(shape) > _MAX_RANK or math.prod(shape) > _MAX_ELEMENTS:
            self.refuse(f"its shape {shape} is not supported")
        if self.raw.data is None and (not shape or dtype is DType.INT32):
            self.refuse(f"an activation of type {dtype} and shape {shape} is not supported")

    def check_edge(self) -> None:
        if self.raw.data is not None:
            self.refuse("an input or output of the model with constant contents")
        if self.raw.shape[0] != 1:
            self.refuse(f"batch size {self.raw.shape[0]}", id="dynamic-shape", next=_FIXED)

    def contents(self, dtype: DType) -> np.ndarray | None:
        if self.raw.data is None:
            return None
        expected = math.prod(self.raw.shape) * dtype.size
        if len(self.raw.data) != expected:
            self.refuse(f"{len(self.raw.data)} bytes of contents for a shape of {expected}", id="not-a-tflite")
        elements = np.frombuffer(self.raw.data, np.dtype(dtype.value).newbyteorder("<"))
        return elements.reshape(self.raw.shape)

    def quantization(self, dtype: DType) -> Quantization | None:
        given = self.raw.quantization
        if given is None or not given.scales:
            if dtype in _ZERO_POINTS:
                self.refuse(f"an {dtype} tensor without a quantization")
            return None
        self.check_counts(given)
        if dtype is DType.FLOAT32:
            return None
        zero_points = given.zero_points
        if dtype is DType.INT32:
            # A bias or a list of axes. Kernels derive a bias's scale from input and weights; its own is kept as it is.
            if any(zero_points):
                self.refuse("an int32 tensor with a zero point other than 0")
            return Quantization(given.scales, zero_points, max(given.axis, 0))
        if not given.plain:
            self.refuse("only affine quantization is supported")
        if not all(math.isfinite(scale) and scale > 0 for scale in given.scales):
            self.refuse("a scale that is not a positive number")
        low, high = _ZERO_POINTS[dtype]
        if not all(low <= zero <= high for zero in zero_points):
            self.refuse(f"a zero point outside {low}..{high}")
        return Quantization(given.scales, zero_points, given.axis if len(given.scales) > 1 else 0)

    def check_counts(self, given: FileQuantization) -> None:
        """One scale and zero point, or as many as a constant's channels: LiteRT insists on it for every tensor."""
        count = len(given.scales)
        if len(given.zero_points) != count or (count > 1 and self.raw.data is None):
            self.refuse(f"{count} scales and {len(given.zero_points)} zero points")
        if count > 1 and not (0 <= given.axis < len(self.raw.shape) and self.raw.shape[given.axis] == count):
            self.refuse(f"{count} scales along dimension {given.axis} of shape {self.raw.shape}")
