"""What an inference of the ``aot`` runtime takes on a board, from the shapes of its stages and a cost table."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field

from pipeline.boards import Board
from pipeline.errors import UsageError, printable
from pipeline.estimate import profiles
from pipeline.estimate.cost.counts import NOT_NEGATIVE, Details, counts
from pipeline.estimate.cost.schedule import Run, runs
from pipeline.estimate.cost.table import CostTable, load
from pipeline.estimate.cost.terms import Terms
from pipeline.estimate.model import MemoryPlan
from pipeline.graph.model import ActivationOptions, DType, Graph, OpCode, Padding, WindowOptions

#: Stages of different shapes whose price is remembered.
_REMEMBERED = 100_000


@dataclass(frozen=True)
class StageCost:
    """What a stage takes, its part of the executor's work included.

    Attributes:
        index: Its place among the plan's stages.
        name: Its operators' names.
        count: In the prediction's unit.
    """

    index: int
    name: str
    count: float


@dataclass(frozen=True)
class Prediction:
    """What an inference takes, predicted.

    Attributes:
        total: Of the whole inference, as the firmware counts it.
        unit: ``instructions`` or ``cycles``.
        source: What the cost table was fitted to: ``emulated instructions``, or ``measured on serial …``.
        compiler: The compiler of the table's day.
        counts: Of each of the plan's stages.
        overhead: Of the whole beside its stages: copying the output, and the like.
    """

    total: int
    unit: str
    source: str
    compiler: str
    counts: tuple[float, ...]
    overhead: float
    plan: MemoryPlan = field(repr=False)

    @property
    def stages(self) -> tuple[StageCost, ...]:
        """What each stage takes, in the order of the plan."""
        pairs = zip(self.plan.stages, self.counts, strict=True)
        return tuple(StageCost(stage.index, stage.name, count) for stage, count in pairs)


class CostModel:
    """Prices of stages by one table; it remembers each shape that it has seen."""

    def __init__(self, table: CostTable) -> None:
        self.table = table
        self._terms = table.terms
        self._known: dict[Hashable, float] = {}

    def predict(self, graph: Graph, plan: MemoryPlan, details: Details | None = None) -> Prediction:
        """The prediction for a Graph that runs by a plan; see :func:`predict`."""
        known = {} if details is None else details
        source = graph.inputs[0]
        streamed = source if plan.streams(source) else None
        found: list[float] = []
        for number, segment in enumerate(plan.segments):
            found += [self._price(graph, run, known) for run in runs(segment, None if number else streamed)]
        overhead = self.price(around(graph, len(found) + (streamed is not None)))
        return Prediction(
            total=round(overhead + sum(found)),
            unit=self.table.unit,
            source=self.table.source,
            compiler=self.table.compiler,
            counts=tuple(found),
            overhead=overhead,
            plan=plan,
        )

    def price(self, runs_of: Mapping[str, int]) -> float:
        """What so many runs of each part take.

        Raises:
            UsageError: ``no-costs``: the table lacks a part.
        """
        try:
            return math.fsum(self._terms[name] * count for name, count in runs_of.items())
        except KeyError as error:
            raise UsageError(
                "no-costs",
                f"the cost table for {printable(self.table.cpu)} lacks {printable(error.args[0])}",
                why="It was written by another version, which did not know this part of a kernel.",
                next=profiles.WRITE_AGAIN,
            ) from error

    def _price(self, graph: Graph, run: Run, details: Details) -> float:
        key = _key(graph, run, details)
        price = self._known.get(key)
        if price is None:
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            price = self._known[key] = self.price(counts(graph, run, details))
        return price


def predict(graph: Graph, plan: MemoryPlan, board: Board, *, details: Details | None = None) -> Prediction:
    """What an inference takes on a board.

    Args:
        graph: Read from a .tflite, or a skeleton.
        plan: The memory plan that will run.
        board: The board type; its processor chooses the table.
        details: What weights decide of operators (:func:`pipeline.firmware.details.details`); None: what shapes and
            activations let expect.

    Raises:
        UsageError: ``no-costs`` or ``calibration-table``.
    """
    return _model(load(board.core.cpu)).predict(graph, plan, details)


def around(graph: Graph, stages: int) -> Terms:
    """The terms of an inference beside its stages; ``stages`` with that of a streamed input."""
    return Terms(
        {
            "inference.call": 1,
            "inference.output_byte": graph.tensors[graph.outputs[0]].nbytes,
            "inference.stage": stages,
        }
    )


_MODELS: dict[int, CostModel] = {}


def _model(table: CostTable) -> CostModel:
    """The one model of a table that is loaded; tables live as long as the program."""
    found = _MODELS.get(id(table))
    if found is None or found.table is not table:
        found = _MODELS[id(table)] = CostModel(table)
    return found


def _key(graph: Graph, run: Run, details: Details) -> Hashable:
    """All that the terms of a stage depend on; in few steps, since a search asks for thousands of stages a second."""
    stage, tensors = run.stage, graph.tensors
    key: list[Hashable] = [stage.kind.value, stage.block, stage.steps, run.flat, run.steps, run.hops, run.feeds]
    for operator in stage.operators:
        options = operator.options
        if isinstance(options, WindowOptions):
            # Enumerations hash slowly; padding and activation say one thing each.
            same, above = options.padding is Padding.SAME, options.activation in NOT_NEGATIVE
            key += (options.stride, options.pads, options.filter, same, above)
        elif isinstance(options, ActivationOptions):
            key.append(options.activation in NOT_NEGATIVE)
        else:
            key.append(options)
        key += (operator.code.value, tensors[operator.outputs[0]].shape, len(operator.inputs))
        key += [tensors[index].shape for index in operator.inputs if index is not None]
        if operator.code is OpCode.QUANTIZE:
            key.append(tensors[operator.inputs[0] or 0].dtype is DType.FLOAT32)
        if details:
            key.append(details.get(operator.index))
    return tuple(key)
