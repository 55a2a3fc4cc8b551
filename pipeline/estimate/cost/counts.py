"""What a stage does, as terms: which kernel it calls, and how often that one's parts run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod

from pipeline.estimate.cost import blocks, depthwise, others
from pipeline.estimate.cost.schedule import Run
from pipeline.estimate.cost.terms import Form, Terms
from pipeline.estimate.kernels import depthwise_short, kernel_name, window_elements
from pipeline.estimate.stages import StageKind
from pipeline.graph.model import (
    Activation,
    ActivationOptions,
    ConcatenationOptions,
    Graph,
    OpCode,
    Operator,
    PadOptions,
    SplitOptions,
    StridedSliceOptions,
    Tensor,
    WindowOptions,
)
from pipeline.graph.windows import Axis, window

#: Activations whose outputs are never below zero.
NOT_NEGATIVE = (Activation.RELU, Activation.RELU6)


@dataclass(frozen=True)
class Detail:
    """What weights and quantizations decide of an operator.

    Attributes:
        form: How a layer's sums become int8; None: as its activation lets expect.
        clamped: Whether its outputs are held between bounds narrower than int8.
        reference: An ADD that takes the reference's own arithmetic.
    """

    form: Form | None = None
    clamped: bool = False
    reference: bool = False


#: By the index of the operator; what is not in it is as shapes let expect.
Details = Mapping[int, Detail]
_PLAIN_DETAIL = Detail()


def counts(graph: Graph, run: Run, details: Details) -> Terms:
    """The terms of all steps of a stage, its kernel's and the executor's."""
    terms = Terms()
    terms.count("executor.hop", run.steps * run.hops)
    terms.count("executor.feed", run.steps * run.feeds)
    _Counter(graph, run, details, terms).count()
    return terms


class _Counter:
    def __init__(self, graph: Graph, run: Run, details: Details, terms: Terms) -> None:
        self.graph, self.run, self.details, self.terms = graph, run, details, terms
        self.operator = run.stage.operators[0]
        self.output = graph.tensors[self.operator.outputs[0]]

    def count(self) -> None:
        kernel = kernel_name(self.graph, self.run.stage)
        shape = self.output.shape
        if kernel in ("conv_2d", "depthwise_conv_2d", "separable_conv_2d"):
            self.convolution(kernel)
        elif kernel in ("average_pool_2d", "max_pool_2d"):
            self.pool(kernel)
        elif self.run.stage.kind is StageKind.SUMS:
            _, _, width, channels = self.source().shape
            others.sums(self.terms, kernel, width, channels, steps=self.run.steps)
        elif kernel in ("add", "add_broadcast", "mul"):
            self.elementwise(kernel)
        elif kernel == "softmax":
            others.softmax(self.terms, self.output.elements // shape[-1], shape[-1])
        elif kernel == "mean":
            others.mean(self.terms, self.output.elements, self.source().elements // self.output.elements)
        elif kernel in ("pad", "concatenation", "split", "strided_copy"):
            self.movement(kernel)
        else:
            others.elements(self.terms, kernel, self.elements(), steps=self.run.steps)

    def pool(self, kernel: str) -> None:
        rows, columns = self.window(self.operator)
        channels, clamped = self.source().shape[3], self.detail(self.operator).clamped
        others.pool(self.terms, kernel, rows, columns, channels, steps=self.run.steps, clamped=clamped)

    def movement(self, kernel: str) -> None:
        options, shape = self.operator.options, self.output.shape
        if isinstance(options, PadOptions):
            others.pad(self.terms, self.source().shape, options.paddings)
        elif isinstance(options, ConcatenationOptions):
            rows = prod(shape[: options.axis])
            widths = [self.source(position).elements // rows for position in range(len(self.operator.inputs))]
            others.copies(self.terms, kernel, widths, rows)
        elif isinstance(options, SplitOptions):
            rows = prod(shape[: options.axis])
            others.copies(self.terms, kernel, [self.output.elements // rows] * len(self.operator.outputs), rows)
        else:
            sizes = options.sizes if isinstance(options, StridedSliceOptions) else shape
            others.strided_copy(self.terms, sizes)

    def detail(self, operator: Operator) -> Detail:
        return self.details.get(operator.index, _PLAIN_DETAIL)

    def source(self, position: int = 0) -> Tensor:
        return self.graph.tensors[self.operator.inputs[position] or 0]

    def elements(self) -> int:
        """Elements of the output that one call makes."""
        by_rows = self.run.stage.kind is StageKind.ROWS and not self.run.flat
        return self.output.elements // (self.run.stage.steps if by_rows else 1)

    def window(self, operator: Operator) -> tuple[Axis, Axis]:
        found = window(self.graph.tensors, operator)
        rows, columns = found.rows, found.columns
        if self.run.flat:
            columns = Axis(rows.size * columns.size, 1, 1, 0, rows.output * columns.output)
            rows = Axis(1, 1, 1, 0, 1)
        return rows, columns

    def convolution(self, kernel: str) -> None:
        stage, steps, terms = self.run.stage, self.run.steps, self.terms
        if kernel == "conv_2d":
            if self.operator.code is OpCode.FULLY_CONNECTED:
                inputs = self.graph.tensors[self.operator.inputs[1] or 0].shape[1]
                vectors = self.output.elements // self.output.shape[-1]
                rows, columns = Axis(1, 1, 1, 0, 1), Axis(vectors, 1, 1, 0, vectors)
            else:
                rows, columns = self.window(self.operator)
                inputs = self.source().shape[3]
            filters = self.filters(self.operator)
            blocks.convolution(terms, filters, rows, columns, inputs, block=stage.block, steps=steps)
            return
        rows, columns = self.window(self.operator)
        channels, made = self.source().shape[3], self.output.shape[3]
        form, clamped = self.form(self.operator)
        if not depthwise_short(self.graph, self.operator):
            form = Form.PLAIN
        layer = depthwise.Depthwise(rows, columns, channels, made, form, clamped)
        if kernel == "depthwise_conv_2d":
            depthwise.depthwise(terms, layer, steps=steps)
            return
        depthwise.separable(terms, layer, self.filters(stage.operators[1]), block=stage.block, steps=steps)

    def filters(self, operator: Operator) -> blocks.Filters:
        weights = self.graph.tensors[operator.inputs[1] or 0]
        form, clamped = self.form(operator)
        return blocks.Filters(window_elements(weights) // 2, weights.shape[0], form, clamped)

    def form(self, operator: Operator) -> tuple[Form, bool]:
        detail = self.detail(operator)
        if detail.form is not None:
            return detail.form, detail.clamped
        options = operator.options
        fused = options.activation if isinstance(options, (WindowOptions, ActivationOptions)) else None
        return Form.RELU if fused in NOT_NEGATIVE else Form.LINEAR, detail.clamped

    def elementwise(self, kernel: str) -> None:
        steps, terms, detail = self.run.steps, self.terms, self.detail(self.operator)
        if kernel == "add" and not detail.reference:
            others.add(terms, self.elements(), steps=steps, clamped=detail.clamped)
            return
        if detail.reference:
            kernel = "add_reference"
        rows, width = _walk(
            self.output.shape, [self.graph.tensors[i].shape for i in self.operator.inputs if i is not None]
        )
        if rows == 1:
            width = self.elements()
        others.broadcast(terms, kernel, rows, width, steps=steps)


def _walk(shape: tuple[int, ...], operands: list[tuple[int, ...]]) -> tuple[int, int]:
    """Rows and columns of an elementwise operator with a repeated operand: broadcast.h.

    Neighbouring dimensions along which the same operand repeats are one, and the last of the two is walked through
    first.
    """
    padded = [(1,) * (len(shape) - len(one)) + one for one in operands]
    width, kind = 1, None
    for position in range(len(shape) - 1, -1, -1):
        if shape[position] == 1:
            continue
        repeats = tuple(one[position] == 1 for one in padded)
        if kind is not None and repeats != kind:
            break
        kind = repeats
        width *= shape[position]
    return prod(shape) // max(width, 1), width
