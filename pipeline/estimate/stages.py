"""From operators to stages: what the firmware runs as one step, and which rows of its inputs a step needs.

A stage is one operator, or a few that are never apart:

- RESHAPE and SQUEEZE move nothing; their output is their input's bytes, and they are no stage.
- PAD with zeros before a convolution is that convolution's padding.
- A depthwise convolution and the 1×1 convolution that alone reads it are one stage: between them there are never more
  than a few pixels.

A stage of kind ROWS makes one output row a step, one of kind SUMS takes one input row a step and makes its output at
the last, one of kind WHOLE has a single step. An elementwise stage may write over an input that nobody else reads.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import cached_property

from pipeline.estimate.roots import roots
from pipeline.estimate.shapes import Known, known_of, of_graph
from pipeline.graph.model import (
    ALIASES,
    DType,
    Graph,
    MeanOptions,
    OpCode,
    Operator,
    Padding,
    PadOptions,
    Tensor,
    WindowOptions,
)
from pipeline.graph.windows import Axis, window

#: Pixels of a convolution's block, unless it is made smaller.
BLOCK = 4


def blocks(width: int, most: int) -> Iterator[int]:
    """The pixels of each block that a row of ``width`` is made in, of ``most`` at most; block.h, block_pixels."""
    while width > 0:
        pixels = min(3 if width in (5, 6, 9) else width, most)
        yield pixels
        width -= pixels


class StageKind(StrEnum):
    """How a stage runs."""

    ROWS = "rows"
    SUMS = "sums"
    WHOLE = "whole"


@dataclass(frozen=True)
class Feed:
    """An activation that a stage reads by rows: step y needs rows [y · stride − pad, y · stride − pad + kernel)."""

    tensor: int
    kernel: int = 1
    stride: int = 1
    pad: int = 0

    def first(self, step: int) -> int:
        """First row that a step needs."""
        return max(0, step * self.stride - self.pad)

    def end(self, step: int, rows: int) -> int:
        """Row behind the last one that a step needs, of an image of ``rows``."""
        return min(rows, step * self.stride - self.pad + self.kernel)


@dataclass(frozen=True)
class Stage:
    """What runs as one step; ``index`` is its place among a model's stages.

    Attributes:
        operators: In order; inputs and options are what is left after folding.
        kind: How it runs.
        feeds: The activations that it reads, the one that is made last first; a WHOLE stage reads them whole.
        outputs: The activations that it writes.
        steps: Output rows of ROWS, input rows of SUMS, 1 of WHOLE.
        overwrites: The input whose bytes its output takes, None where it needs its own.
        pointwise: A ROWS stage whose pixels need no neighbours: it can take a whole image for one long row.
        reads_ahead: A pixel's input has been read before its output is written.
        block: Pixels that a convolution makes at a time: 4, or fewer where scratch or code must be small.
        known: What has been found out about stages of the same shapes (shapes.py).
    """

    index: int
    operators: tuple[Operator, ...]
    kind: StageKind
    feeds: tuple[Feed, ...]
    outputs: tuple[int, ...]
    steps: int
    overwrites: int | None = None
    pointwise: bool = False
    reads_ahead: bool = False
    block: int = BLOCK
    known: Known = field(default_factory=dict, repr=False, compare=False)

    @cached_property
    def name(self) -> str:
        """Its operators' names, joined by +."""
        return "+".join(operator.code.value for operator in self.operators)


_CONVOLUTIONS = (OpCode.CONV_2D, OpCode.DEPTHWISE_CONV_2D)
_POOLS = (OpCode.AVERAGE_POOL_2D, OpCode.MAX_POOL_2D)
#: Operators that make each element of their output from the same one of their inputs.
ELEMENTWISE = (
    OpCode.ADD,
    OpCode.SUB,
    OpCode.MUL,
    OpCode.RELU,
    OpCode.RELU6,
    OpCode.LOGISTIC,
    OpCode.HARD_SWISH,
)


def image_rows(tensor: Tensor) -> int:
    """Rows of an activation: those of an image, 1 of anything else."""
    return tensor.shape[1] if len(tensor.shape) == 4 and tensor.shape[0] == 1 else 1


def stages(graph: Graph, *, fuse: bool = True) -> tuple[Stage, ...]:
    """The stages of a Graph, in order.

    Args:
        graph: Read from a .tflite, or a skeleton.
        fuse: False: each operator with work to do is a stage of its own, and none writes over its input. For
            comparisons, tensor by tensor.

    Raises:
        UsageError: ``unsupported-tensor`` for an activation that is read before it is written.
    """
    return _fused(graph) if fuse else tuple(_Stages(graph, fuse=False).make([]))


@of_graph
def _fused(graph: Graph) -> tuple[Stage, ...]:
    return tuple(_Stages(graph, fuse=True).make([] if graph.trunk is None else list(_fused(graph.trunk))))


class _Stages:
    """Makes the stages of a Graph, or of what it has beyond its trunk where stages are fused."""

    def __init__(self, graph: Graph, *, fuse: bool) -> None:
        trunk = graph.trunk if fuse else None
        self.tensors = graph.tensors
        self.operators = graph.operators if trunk is None else graph.operators[len(trunk.operators) :]
        self.fuse = fuse
        self.roots = roots(graph)
        self.kept = frozenset(graph.outputs)
        self.readers: dict[int, list[Operator]] = {}
        self.made_at = dict.fromkeys(graph.inputs if trunk is None else trunk.outputs, -1)
        self.names: dict[int, list[int]] = {}
        for index in self.made_at:
            self.names.setdefault(self.roots[index], []).append(index)
        for position, operator in enumerate(self.operators):
            for given in dict.fromkeys(operator.inputs):
                if given is not None and not self.tensors[given].constant:
                    self.readers.setdefault(given, []).append(operator)
            for index in operator.outputs:
                self.made_at[index] = position
                self.names.setdefault(self.roots[index], []).append(index)

    def make(self, made: list[Stage]) -> list[Stage]:
        """Add stages to those of the trunk."""
        pads: dict[int, Operator] = {}  # by the tensor that a folded PAD would have made
        taken: set[int] = set()  # operators that are part of an earlier stage, by index
        for operator in self.operators:
            if operator.code in ALIASES or operator.index in taken:
                continue
            if self.fuse and self.folds(operator):
                pads[operator.outputs[0]] = operator
                continue
            folded = self.padded(operator, pads)
            parts = [folded]
            follower = self.follower(folded) if self.fuse else None
            if follower is not None:
                taken.add(follower.index)
                parts.append(follower)
            made.append(self.stage(len(made), tuple(parts)))
        return made

    def only_reader(self, tensor: int) -> Operator | None:
        """The one operator that reads a tensor which the model does not give out."""
        readers = self.readers.get(tensor, [])
        return readers[0] if len(readers) == 1 and tensor not in self.kept else None

    def folds(self, operator: Operator) -> bool:
        """A PAD of rows and columns with the value that stands for zero, before one convolution without pads."""
        if operator.code not in (OpCode.PAD, OpCode.PADV2) or not isinstance(operator.options, PadOptions):
            return False
        reader = self.only_reader(operator.outputs[0])
        if reader is None or reader.code not in _CONVOLUTIONS or not isinstance(reader.options, WindowOptions):
            return False
        source, padded = self.tensors[operator.inputs[0] or 0], self.tensors[operator.outputs[0]]
        paddings = operator.options.paddings
        if len(paddings) != 4 or paddings[0] != (0, 0) or paddings[3] != (0, 0) or min(map(min, paddings)) < 0:
            return False
        zero = padded.quantization.zero_point if padded.quantization else None
        if operator.options.value is not None and operator.options.value != zero:
            return False
        return source.quantization == padded.quantization and reader.options.padding is Padding.VALID

    def padded(self, operator: Operator, pads: dict[int, Operator]) -> Operator:
        """The operator with a folded PAD's input and pads."""
        pad = pads.get(operator.inputs[0] if operator.inputs and operator.inputs[0] is not None else -1)
        if pad is None or not isinstance(operator.options, WindowOptions) or not isinstance(pad.options, PadOptions):
            return operator
        (top, bottom), (left, right) = pad.options.paddings[1:3]
        options = replace(operator.options, pads=(top, bottom, left, right))
        return replace(operator, inputs=(pad.inputs[0], *operator.inputs[1:]), options=options)

    def follower(self, operator: Operator) -> Operator | None:
        """The 1×1 convolution that alone reads a depthwise convolution with one filter a channel."""
        if operator.code is not OpCode.DEPTHWISE_CONV_2D:
            return None
        reader = self.only_reader(operator.outputs[0])
        if reader is None or reader.code is not OpCode.CONV_2D or reader.inputs[0] != operator.outputs[0]:
            return None
        source, between = self.tensors[operator.inputs[0] or 0], self.tensors[operator.outputs[0]]
        try:
            over = window(self.tensors, reader)
            window(self.tensors, operator)
        except ValueError:
            return None  # Refused later, with what is wrong.
        alone = _is_plain(over.rows) and _is_plain(over.columns)
        return reader if alone and source.shape[3] == between.shape[3] and source.shape[0] == 1 else None

    def stage(self, index: int, parts: tuple[Operator, ...]) -> Stage:
        first, last = parts[0], parts[-1]
        outputs = tuple(self.roots[tensor] for tensor in last.outputs)
        known = known_of(self.tensors, parts)
        whole = Stage(index, parts, StageKind.WHOLE, tuple(map(Feed, self.sources(first))), outputs, 1, known=known)
        if first.code in (*_CONVOLUTIONS, *_POOLS):
            return self.windowed(whole)
        if first.code in ELEMENTWISE:
            return self.elementwise(whole)
        if first.code is OpCode.MEAN and isinstance(first.options, MeanOptions):
            source = self.tensors[first.inputs[0] or 0]
            if self.is_image(source) and set(first.options.axes) == {1, 2}:
                return replace(whole, kind=StageKind.SUMS, steps=source.shape[1])
        return whole

    def windowed(self, whole: Stage) -> Stage:
        first = whole.operators[0]
        try:
            over = window(self.tensors, first)
        except ValueError:
            return whole
        source, output = self.tensors[first.inputs[0] or 0], self.tensors[whole.operators[-1].outputs[0]]
        if not self.is_image(source) or not self.is_image(output):
            return whole
        rows, columns = over.rows, over.columns
        if first.code is OpCode.AVERAGE_POOL_2D and all(
            (axis.kernel, axis.before, axis.output) == (axis.size, 0, 1) for axis in (rows, columns)
        ):
            return replace(whole, kind=StageKind.SUMS, steps=rows.size)
        convolves = first.code is OpCode.CONV_2D
        feeds = (Feed(whole.feeds[0].tensor, rows.kernel, rows.stride, rows.before),)
        return Stage(
            whole.index,
            whole.operators,
            StageKind.ROWS,
            feeds,
            whole.outputs,
            rows.output,
            pointwise=convolves and _is_plain(rows) and _is_plain(columns),
            reads_ahead=convolves,
            known=whole.known,
        )

    def elementwise(self, whole: Stage) -> Stage:
        """By rows where operands and output are images of one shape; over an input that nobody else reads."""
        first = whole.operators[0]
        output = self.tensors[first.outputs[0]]
        operands = [self.tensors[index] for index in first.inputs if index is not None]
        if any(tensor.shape != output.shape or tensor.constant for tensor in operands) or not self.is_image(output):
            return whole
        feeds = sorted(whole.feeds, key=lambda feed: -self.made_at[feed.tensor])
        dying = [feed.tensor for feed in feeds if self.dies(feed.tensor, first)]
        return Stage(
            whole.index,
            whole.operators,
            StageKind.ROWS,
            tuple(feeds),
            whole.outputs,
            output.shape[1],
            overwrites=dying[0] if dying and self.fuse else None,
            pointwise=True,
            reads_ahead=True,
            known=whole.known,
        )

    def dies(self, root: int, reader: Operator) -> bool:
        """Whether only one operator reads a root, under any of its names, and the model does not give it out."""
        names = self.names[root]
        readers = {
            operator.index for name in names for operator in self.readers.get(name, []) if operator.code not in ALIASES
        }
        return readers == {reader.index} and not self.kept.intersection(names)

    def sources(self, operator: Operator) -> Iterator[int]:
        inputs = (index for index in operator.inputs if index is not None and not self.tensors[index].constant)
        yield from dict.fromkeys(self.roots[index] for index in inputs)

    @staticmethod
    def is_image(tensor: Tensor) -> bool:
        return len(tensor.shape) == 4 and tensor.shape[0] == 1 and tensor.dtype is DType.INT8


def _is_plain(axis: Axis) -> bool:
    """Whether each output sees the input at its own place, and nothing else."""
    return axis.kernel == axis.stride == 1 and axis.before == 0 and axis.output == axis.size
