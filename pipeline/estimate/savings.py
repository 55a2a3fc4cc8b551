"""What would lower a model's RAM, each worked out by planning anew, none of it guessed.

Two kinds: what the same network needs when it is made into a firmware otherwise (``--prefer``, ``--input``), and what
another network would need (an addition left out, whose operand is kept alive for it; a smaller input or width, where
the network comes from a genotype). A Saving's ``ram_bytes`` is what ``danas-deploy estimate`` says of that network with
those options.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from pipeline.boards import Board
from pipeline.errors import UsageError
from pipeline.estimate.cost import predict
from pipeline.estimate.estimator import estimate, plan_for
from pipeline.estimate.memory_map import memory_map
from pipeline.estimate.model import Estimate, InputMode, MemoryPlan, Prefer
from pipeline.estimate.regions import of_estimate
from pipeline.genotype import ALPHAS, RESOLUTIONS, Colour, DataConfig, Genotype
from pipeline.graph.model import Graph, OpCode, Operator
from pipeline.graph.skeleton import from_genotype

_SUMS = (OpCode.ADD, OpCode.SUB, OpCode.MUL)
#: What can be preferred for less RAM, and what that means.
_PREFERRED = {
    Prefer.RAM: "take the smallest arena, with smaller blocks of pixels where these save scratch",
    Prefer.BALANCED: "take a small arena rather than the fastest",
    Prefer.FLASH: "make three pixels at a time at most, which needs less scratch",
}


@dataclass(frozen=True)
class Saving:
    """A way to need other than now.

    Attributes:
        id: ``prefer-ram``, ``input-streamed``, ``without-operator-7`` …; unique.
        what: What to do, for a reader; nothing in it comes from the model.
        option: The options of the command line that do it; empty where it is another network.
        ram_bytes: RAM by estimate then.
        saved: Bytes less than now; negative: more.
        slow_bytes: Bytes that then lie outside the board's fastest RAM region (:mod:`pipeline.estimate.regions`).
        why_not: Why it cannot be done, else empty; the figures say nothing then.
        more_work: By how many percent the predicted work of an inference changes, instructions or cycles; None where
            the board's processor has no cost model.
    """

    id: str
    what: str
    option: str
    ram_bytes: int
    saved: int
    slow_bytes: int
    why_not: str = ""
    more_work: float | None = None


@dataclass(frozen=True)
class Recipe:
    """How the plan in question was made: as :func:`pipeline.estimate.estimator.plan_for` takes it."""

    prefer: Prefer = Prefer.BALANCED
    ram_bytes: int | None = None
    input_mode: InputMode = InputMode.RESIDENT

    def plan(self, graph: Graph, board: Board) -> MemoryPlan:
        """The plan."""
        return plan_for(graph, board, prefer=self.prefer, ram_bytes=self.ram_bytes, input_mode=self.input_mode)

    def estimate(self, graph: Graph, board: Board) -> Estimate:
        """The Estimate of the plan."""
        return estimate(graph, board, plan=self.plan(graph, board))


def work_of(graph: Graph, plan: MemoryPlan, board: Board) -> int | None:
    """The predicted work of an inference; None where the board's processor has no cost model."""
    try:
        return predict(graph, plan, board).total
    except UsageError as error:
        if error.id != "no-costs":
            raise
        return None


def savings(
    graph: Graph, board: Board, plan: MemoryPlan, recipe: Recipe, genotype: Genotype | None = None
) -> tuple[Saving, ...]:
    """What would lower the RAM of a Graph that runs ahead of time, the most first; what would not, last.

    Args:
        graph: The model; one without data will do.
        board: The board type.
        plan: The plan that ``recipe`` gives.
        recipe: How it is made now.
        genotype: What the network was made from, where that is known.

    Raises:
        UsageError: ``no-calibration``.
    """
    figures = estimate(graph, board, plan=plan)
    search = _Search(board, recipe, figures.ram_bytes, work_of(graph, plan, board))
    found = [
        *search.other_recipes(graph),
        *search.without_sums(graph, plan),
        *(search.other_data(graph, genotype) if genotype is not None else ()),
    ]
    return tuple(sorted(found, key=lambda one: (bool(one.why_not), -one.saved, one.id)))


@dataclass(frozen=True)
class _Search:
    """What is the same for each Saving: the board, how the plan is made now, the RAM that it needs and its work."""

    board: Board
    recipe: Recipe
    now: int
    work: int | None

    def other_recipes(self, graph: Graph) -> Iterator[Saving]:
        recipe, streamed = self.recipe, InputMode.STREAMED
        for prefer, what in _PREFERRED.items():
            if prefer is not recipe.prefer:
                other = replace(recipe, prefer=prefer)
                yield self.saving(f"prefer-{prefer}", what, graph, other, f"--prefer {prefer}")
        if recipe.input_mode is not streamed:
            what, other = "take the input row by row as it arrives", replace(recipe, input_mode=streamed)
            yield self.saving(f"input-{streamed}", what, graph, other, f"--input {streamed}")
            if recipe.prefer is not Prefer.RAM:
                what, other = "both: the smallest arena, and no input in whole", replace(other, prefer=Prefer.RAM)
                option = f"--prefer {Prefer.RAM} --input {streamed}"
                yield self.saving(f"prefer-ram-input-{streamed}", what, graph, other, option)

    def without_sums(self, graph: Graph, plan: MemoryPlan) -> Iterator[Saving]:
        """Of each addition for which an operand is kept alive at the peak: the network without it."""
        for operator, kept in kept_alive(graph, plan):
            shape = "×".join(map(str, graph.tensors[kept].shape[1:]))
            what = (
                f"leave out operator {operator.index}, {operator.code}: tensor {kept} ({shape}, "
                f"{graph.tensors[kept].nbytes:,} B) is kept alive for it at the peak"
            )
            yield self.saving(f"without-operator-{operator.index}", what, without(graph, operator), self.recipe)

    def other_data(self, graph: Graph, genotype: Genotype) -> Iterator[Saving]:
        """Of a genotype: the next smaller resolution, monochrome images, the next smaller width."""
        for number, what, other in neighbours(genotype):
            network = from_genotype(other, graph.output.elements)
            yield self.saving(number, f"{what}: {other.id}", network, self.recipe)

    def saving(self, number: str, what: str, graph: Graph, recipe: Recipe, option: str = "") -> Saving:
        try:
            plan = recipe.plan(graph, self.board)
        except UsageError as error:
            if error.id == "no-calibration":
                raise
            return Saving(number, what, option, 0, 0, 0, why_not=f"{error.what}: {error.why}".rstrip(": "))
        figures = estimate(graph, self.board, plan=plan)
        slow = of_estimate(self.board, figures).slow_bytes
        work = work_of(graph, plan, self.board) if self.work else None
        more = None if work is None or not self.work else round(100 * (work - self.work) / self.work, 2)
        saved = self.now - figures.ram_bytes
        return Saving(number, what, option, figures.ram_bytes, saved, slow, more_work=more)


def kept_alive(graph: Graph, plan: MemoryPlan) -> Iterator[tuple[Operator, int]]:
    """(operator, tensor): sums of two activations whose older operand is alive at the peak, not yet added."""
    found = memory_map(graph, plan)
    moment_of = {index: number for number, moment in enumerate(found.moments) for index, _ in moment.operators}
    alive = {index for buffer in found.alive(found.peak) for index in buffer.tensors}
    made_at = _made_at(graph)
    for operator in graph.operators:
        if operator.code in _SUMS and _is_sum(graph, operator):
            older = min((index for index in operator.inputs if index is not None), key=made_at.__getitem__)
            begins = moment_of.get(graph.operators[made_at[older]].index, 0) if made_at[older] >= 0 else 0
            if older in alive and begins <= found.peak <= moment_of.get(operator.index, -1):
                yield operator, older


def _made_at(graph: Graph) -> dict[int, int]:
    """The place of the operator that makes an activation, -1 for the input."""
    made = dict.fromkeys(graph.inputs, -1)
    for position, operator in enumerate(graph.operators):
        made.update(dict.fromkeys(operator.outputs, position))
    return made


def without(graph: Graph, operator: Operator) -> Graph:
    """The Graph without a sum of two activations: what its newer operand was goes on in its place. Without data."""
    made_at = _made_at(graph)
    newer = max((index for index in operator.inputs if index is not None), key=made_at.__getitem__)
    gone = operator.outputs[0]

    def kept(index: int | None) -> int | None:
        return newer if index == gone else index

    rest = [other for other in graph.operators if other.index != operator.index]
    operators = tuple(
        replace(other, index=number, inputs=tuple(map(kept, other.inputs))) for number, other in enumerate(rest)
    )
    outputs = tuple(newer if index == gone else index for index in graph.outputs)
    return Graph(graph.tensors, operators, graph.inputs, outputs)


def _is_sum(graph: Graph, operator: Operator) -> bool:
    """Two different activations of the output's shape, as :func:`without` needs them."""
    shape = graph.tensors[operator.outputs[0]].shape
    operands = {index for index in operator.inputs if index is not None}
    return len(operands) == 2 and all(
        not graph.tensors[index].constant and graph.tensors[index].shape == shape for index in operands
    )


def neighbours(genotype: Genotype) -> Iterator[tuple[str, str, Genotype]]:
    """(id, what it is, Genotype) of the networks one step smaller."""
    data = genotype.data
    smaller = [resolution for resolution in RESOLUTIONS if resolution < data.resolution]
    if smaller:
        other = DataConfig(max(smaller), data.colour)
        yield "smaller-input", f"search at {other.resolution}×{other.resolution} pixels", replace(genotype, data=other)
    if data.colour is not Colour.MONO:
        other = DataConfig(data.resolution, Colour.MONO)
        yield "mono", "search with monochrome images", replace(genotype, data=other)
    narrower = [alpha for alpha in ALPHAS if alpha < genotype.alpha]
    if narrower:
        yield "narrower", f"search with a width of {max(narrower)}", replace(genotype, alpha=max(narrower))
