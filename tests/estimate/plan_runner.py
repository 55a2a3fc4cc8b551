"""Runs a memory plan without arithmetic: one owner a byte of the arena, and every read asks for its owner.

Steps are taken as firmware_templates/runtime/aot/pipeline.h takes them. What a step reads and writes follows from the
operators alone, in the order of the kernels: windows pixel by pixel, convolutions in blocks that are read before they
are written, elementwise operators element by element. Nothing here asks the planner what it thinks is alive.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator

from pipeline.estimate.kernels import stage_needs
from pipeline.estimate.model import MemoryPlan, Placement, Segment
from pipeline.estimate.stages import ELEMENTWISE, Stage, StageKind, image_rows
from pipeline.graph.model import ALIASES, Graph, OpCode, Operator
from pipeline.graph.windows import Axis, window

_SHIFT = 24  # Owners are (number << _SHIFT) + position.
_SCRATCH, _SUMS = -1, -2


class Runner:
    """One inference of a plan; :meth:`run` fails where a byte is read that is not its owner's."""

    def __init__(self, graph: Graph, plan: MemoryPlan) -> None:
        self.graph, self.plan = graph, plan
        self.owner = array("q", [-1 << 60]) * plan.arena_bytes
        self.places: dict[int, Placement] = {placement.tensor: placement for placement in plan.placements}
        self.roots: dict[int, int] = {index: index for index in graph.inputs}
        for operator in graph.operators:
            for output in operator.outputs:
                source = operator.inputs[0]
                assert source is not None
                self.roots[output] = self.roots[source] if operator.code in ALIASES else output
        self.tags = {
            root: array("q", range(root << _SHIFT, (root << _SHIFT) + graph.tensors[root].nbytes))
            for root in set(self.roots.values())
        }
        self.streams = [index for index in graph.inputs if self.places[index].ring is not None]

    def run(self) -> None:
        for index in self.graph.inputs:
            if index not in self.streams:
                self.write(index, 0, self.graph.tensors[index].nbytes)
        for number, segment in enumerate(self.plan.segments):
            self.segment(segment, arriving=self.streams if number == 0 else [])
        for index in self.graph.outputs:
            self.read(index, 0, self.graph.tensors[index].nbytes)

    # The schedule.

    def segment(self, segment: Segment, *, arriving: list[int]) -> None:
        """Steps of the stages; rows of an input that arrives are made by a stage of its own."""
        sources = [self.arrival(index) for index in arriving]
        stages = [*sources, *segment.stages]
        steps = [1 if segment.flat else stage.steps for stage in stages]
        writer = {output: position for position, stage in enumerate(stages) for output in stage.outputs}
        feeds = [
            [(writer[f.tensor], f) for f in stage.feeds if f.tensor in writer and stage.kind is not StageKind.WHOLE]
            for stage in stages
        ]
        for position in range(len(stages)):
            assert steps[position] < 65_536
            assert len(feeds[position]) <= 2
            for source, feed in feeds[position]:
                assert 0 < position - source < 255 and feed.stride < 255
        done = [0] * len(stages)
        while done[-1] < steps[-1]:
            position = len(stages) - 1
            while True:
                lacking = None
                for source, feed in feeds[position]:
                    needed = done[position] * feed.stride + feed.kernel - feed.pad
                    if done[source] < min(needed, steps[source]):
                        lacking = source
                        break
                if lacking is None:
                    break
                position = lacking
            assert done[position] < steps[position], "a stage is asked for more steps than it has"
            self.step(stages[position], segment, done[position])
            done[position] += 1
        for position, arrival in enumerate(sources):  # Rows that no stage needs come all the same.
            for y in range(done[position], steps[position]):
                self.step(arrival, segment, y)

    def arrival(self, index: int) -> Stage:
        rows = image_rows(self.graph.tensors[index])
        return Stage(-1, (), StageKind.ROWS, (), (index,), rows)

    def step(self, stage: Stage, segment: Segment, y: int) -> None:
        if not stage.operators:
            (index,) = stage.outputs
            row = self.graph.tensors[index].nbytes // stage.steps
            self.write(index, y * row, row)
            return
        first, output = stage.operators[0], stage.operators[-1].outputs[0]
        if stage.kind is StageKind.WHOLE:
            self.whole(stage, segment)
        elif stage.kind is StageKind.SUMS:
            self.sums(stage, segment, y)
        elif first.code in ELEMENTWISE:
            size = self.graph.tensors[output].nbytes // (1 if segment.flat else stage.steps)
            for at in range(y * size, (y + 1) * size):
                for index in self.sources(first):
                    self.read(index, at, 1)
                self.write(output, at, 1)
        else:
            self.windowed(stage, segment, y)

    # Kernels.

    def windowed(self, stage: Stage, segment: Segment, y: int) -> None:
        first, output = stage.operators[0], stage.operators[-1].outputs[0]
        over = window(self.graph.tensors, first)
        rows, columns = over.rows, over.columns
        if segment.flat:
            rows, columns = Axis(1, 1, 1, 0, 1), Axis(rows.size * columns.size, 1, 1, 0, rows.output * columns.output)
            assert columns.size == columns.output
        source = next(self.sources(first))
        depth, pixel = (self.graph.tensors[index].shape[3] for index in (source, output))
        blocks = stage.block if first.code is OpCode.CONV_2D else 1
        taps = [rows.stride * y - rows.before + tap for tap in range(rows.kernel)]
        scratch = self.scratch(stage, segment)
        x = 0
        while x < columns.output:
            block = next(size for size in (4, 2, 1) if size <= blocks and size <= columns.output - x)
            for column in range(x, x + block):
                left = column * columns.stride - columns.before
                begin, end = max(0, left), min(columns.size, left + columns.kernel)
                for row in taps:
                    if 0 <= row < rows.size and begin < end:
                        self.read(source, (row * columns.size + begin) * depth, (end - begin) * depth)
                self.claim(segment.scratch, scratch, _SCRATCH)
            self.demand(segment.scratch, scratch, _SCRATCH)
            self.write(output, (y * columns.output + x) * pixel, block * pixel)
            x += block

    def scratch(self, stage: Stage, segment: Segment) -> int:
        """Bytes of scratch that a step writes over."""
        size = stage_needs(self.graph, stage).scratch
        assert size <= segment.scratch_bytes
        return size

    def sums(self, stage: Stage, segment: Segment, y: int) -> None:
        source, output = next(self.sources(stage.operators[0])), stage.operators[0].outputs[0]
        size = 4 * self.graph.tensors[output].shape[-1]
        assert size <= segment.sums_bytes
        self.claim(segment.scratch, self.scratch(stage, segment), _SCRATCH)
        if y == 0:
            self.claim(segment.sums, size, _SUMS)
        row = self.graph.tensors[source].nbytes // stage.steps
        self.read(source, y * row, row)
        self.demand(segment.sums, size, _SUMS)
        if y == stage.steps - 1:
            self.write(output, 0, self.graph.tensors[output].nbytes)

    def whole(self, stage: Stage, segment: Segment) -> None:
        """What is written must not touch what is read: the order of both is the kernel's."""
        (operator,) = stage.operators
        scratch = self.scratch(stage, segment)
        self.claim(segment.scratch, scratch, _SCRATCH)
        for index in self.sources(operator):
            self.read(index, 0, self.graph.tensors[index].nbytes)
        for output in operator.outputs:
            self.write(output, 0, self.graph.tensors[output].nbytes)
        for index in (*self.sources(operator), *operator.outputs):
            self.read(index, 0, self.graph.tensors[index].nbytes)
        self.demand(segment.scratch, scratch, _SCRATCH)

    def sources(self, operator: Operator) -> Iterator[int]:
        return (index for index in operator.inputs if index is not None and not self.graph.tensors[index].constant)

    # Bytes.

    def pieces(self, index: int, at: int, size: int) -> Iterator[tuple[int, int, int]]:
        """(offset in the arena, first byte of the tensor, bytes) of a range of a tensor's bytes."""
        place, tensor = self.places[index], self.graph.tensors[index]
        if place.ring is None:
            yield place.offset + at, at, size
            return
        row = tensor.nbytes // image_rows(tensor)
        while size > 0:
            number, inside = divmod(at, row)
            part = min(size, row - inside)
            yield place.offset + number % place.ring * row + inside, at, part
            at, size = at + part, size - part

    def read(self, index: int, at: int, size: int) -> None:
        tags = self.tags[self.roots[index]]
        for offset, first, part in self.pieces(index, at, size):
            assert self.owner[offset : offset + part] == tags[first : first + part], f"tensor {index} from byte {first}"

    def write(self, index: int, at: int, size: int) -> None:
        tags = self.tags[self.roots[index]]
        for offset, first, part in self.pieces(index, at, size):
            assert 0 <= offset <= offset + part <= len(self.owner), "outside the arena"
            self.owner[offset : offset + part] = tags[first : first + part]

    def claim(self, offset: int, size: int, owner: int) -> None:
        assert 0 <= offset <= offset + size <= len(self.owner), "outside the arena"
        self.owner[offset : offset + size] = array("q", [owner]) * size

    def demand(self, offset: int, size: int, owner: int) -> None:
        assert self.owner[offset : offset + size] == array("q", [owner]) * size, "scratch or sums are overwritten"
