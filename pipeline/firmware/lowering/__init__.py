"""From the plan's stages to kernel calls: each stage becomes one call with its parameters worked out.

Nothing here writes C++. A :class:`Call` holds numbers and references to constants; the templates in
``firmware_templates/model/`` print them through the ``c_*`` filters. What a kernel cannot do is refused here, before
anything is built, with the operator's place in the model, its version and its tensor.
"""

from __future__ import annotations

from collections.abc import Callable

from pipeline.estimate.stages import Stage
from pipeline.firmware.lowering.activations import hard_swish, logistic, relu
from pipeline.firmware.lowering.dense import fully_connected, softmax
from pipeline.firmware.lowering.depthwise import depthwise_convolution
from pipeline.firmware.lowering.edges import dequantize, quantize
from pipeline.firmware.lowering.elementwise import add, multiply, subtract
from pipeline.firmware.lowering.maps import concatenation, mean, pad
from pipeline.firmware.lowering.moves import split, strided_slice, transpose
from pipeline.firmware.lowering.pools import pool_2d
from pipeline.firmware.lowering.site import Site
from pipeline.firmware.lowering.values import (
    Call,
    Constant,
    ConstantPool,
    Enumerator,
    Field,
    Float32,
    Form,
    Params,
    Value,
)
from pipeline.firmware.lowering.windows import convolution
from pipeline.graph.model import Graph, OpCode

__all__ = [
    "Call",
    "Constant",
    "ConstantPool",
    "Enumerator",
    "Field",
    "Float32",
    "Form",
    "Lowering",
    "Params",
    "Value",
]

_RULES: dict[OpCode, Callable[[Site], Call]] = {
    OpCode.CONV_2D: convolution,
    OpCode.DEPTHWISE_CONV_2D: depthwise_convolution,
    OpCode.FULLY_CONNECTED: fully_connected,
    OpCode.ADD: add,
    OpCode.SUB: subtract,
    OpCode.MUL: multiply,
    OpCode.AVERAGE_POOL_2D: pool_2d,
    OpCode.MAX_POOL_2D: pool_2d,
    OpCode.MEAN: mean,
    OpCode.PAD: pad,
    OpCode.PADV2: pad,
    OpCode.CONCATENATION: concatenation,
    OpCode.SPLIT: split,
    OpCode.STRIDED_SLICE: strided_slice,
    OpCode.TRANSPOSE: transpose,
    OpCode.RELU: relu,
    OpCode.RELU6: relu,
    OpCode.LOGISTIC: logistic,
    OpCode.HARD_SWISH: hard_swish,
    OpCode.SOFTMAX: softmax,
    OpCode.QUANTIZE: quantize,
    OpCode.DEQUANTIZE: dequantize,
}


class Lowering:
    """Turns the stages of one Graph into calls, and gathers their constants in ``pool``."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self.pool = ConstantPool()

    def call(self, stage: Stage, *, flat: bool = False) -> Call:
        """The kernel call of a stage; ``flat``: it takes its image for one long row.

        Raises:
            UsageError: The kernel does not cover these options (``unsupported-options``), these tensors
                (``unsupported-tensor``), shapes that do not fit together (``shape-mismatch``), or sums that may
                leave 32 bits (``accumulator-overflow``).
            ValueError: The Graph is a skeleton, whose constants have no data.
        """
        calls = [
            _RULES[operator.code](Site(self._graph, operator, self.pool, stage, flat)) for operator in stage.operators
        ]
        return calls[0] if len(calls) == 1 else _separable(*calls)


def _separable(depthwise: Call, pointwise: Call) -> Call:
    """A depthwise convolution and the 1×1 convolution of what it makes, in one kernel."""
    return Call(
        kernels=("separable_conv_2d", *depthwise.kernels, *pointwise.kernels),
        function="separable_conv_2d",
        params=(*depthwise.params, *pointwise.params),
        form=Form.BLOCKS,
        inputs=depthwise.inputs,
        input_type=depthwise.input_type,
        output=pointwise.output,
        output_type=pointwise.output_type,
    )
