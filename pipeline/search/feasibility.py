"""Which genotypes of a space are within the limits: figures from shapes alone, before any training."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cached_property

from pipeline.boards import Board
from pipeline.errors import DoesNotFitError
from pipeline.estimate import estimate, plan_for
from pipeline.estimate.model import Estimate, InputMode, Limits, Prefer
from pipeline.genotype import DataConfig, Genotype
from pipeline.graph.model import Graph
from pipeline.graph.skeleton import from_genotype
from pipeline.search.space import Space

Estimator = Callable[[Genotype], Estimate]


def analytic(board: Board, classes: int, of: Callable[[Graph, Board], Estimate] = estimate) -> Estimator:
    """The estimator of a real search: a genotype's shapes on a board; no weights, no TensorFlow.

    Args:
        board: The board type.
        classes: Outputs of the network.
        of: Estimates a Graph; that of the runtime ``aot`` where nothing else is said.
    """
    return lambda genotype: of(from_genotype(genotype, classes), board)


def planned(*, prefer: Prefer, ram_bytes: int, input_mode: InputMode) -> Callable[[Graph, Board], Estimate]:
    """What a network will need of the runtime ``aot``, with a plan as a run with these settings makes it."""

    def figures(graph: Graph, board: Board) -> Estimate:
        plan = plan_for(graph, board, prefer=prefer, ram_bytes=ram_bytes, input_mode=input_mode)
        return estimate(graph, board, plan=plan)

    return figures


class Feasibility:
    """Estimates of a space's genotypes against limits, each computed once.

    Args:
        space: Where the genotypes come from.
        estimate: Genotype -> Estimate; asked only when needed, since a whole space has 37,520.
        limits: What a design may need.
        soft: Admit everything: limits then only lower the fitness. For comparison with the published method.
    """

    def __init__(self, space: Space, estimate: Estimator, limits: Limits, *, soft: bool = False) -> None:
        self.space = space
        self.limits = limits
        self.soft = soft
        self._estimate = estimate
        self._known: dict[Genotype, Estimate] = {}
        self._of: dict[DataConfig, tuple[Genotype, ...]] = {}

    def estimate(self, genotype: Genotype) -> Estimate:
        """The genotype's estimate."""
        if genotype not in self._known:
            self._known[genotype] = self._estimate(genotype)
        return self._known[genotype]

    def fits(self, genotype: Genotype) -> bool:
        """Whether every figure is within its limit, also in soft mode."""
        return self.limits.admits(self.estimate(genotype))

    def admits(self, genotype: Genotype) -> bool:
        """Whether the search may train the genotype."""
        return self.soft or self.fits(genotype)

    def of(self, data: DataConfig) -> tuple[Genotype, ...]:
        """The admitted genotypes of a data configuration, in the space's order."""
        if data not in self._of:
            self._of[data] = tuple(genotype for genotype in self.space.of(data) if self.admits(genotype))
        return self._of[data]

    @cached_property
    def data(self) -> tuple[DataConfig, ...]:
        """The data configurations with an admitted genotype.

        Only the narrowest genotype of every depth is looked at: a wider one never needs less.
        """
        alpha = min(self.space.alphas)
        return tuple(
            data
            for data in self.space.data
            if any(self.admits(Genotype(data, depths, alpha)) for depths in self.space.depths)
        )

    def demand(self) -> None:
        """Make sure that something is feasible.

        Raises:
            DoesNotFitError: ``nothing-feasible``, with the smallest figures of the space beside the limits.
        """
        if self.data:
            return
        lines: list[tuple[float, str]] = []
        for bound in self.limits.bounds:
            figures = [
                (figure, genotype.id)
                for genotype, known in self._known.items()
                if (figure := bound.figure(known)) is not None
            ]
            needed, least = min(figures, default=(math.inf, ""))
            shown = f"least {_number(needed)} {bound.unit} ({least})" if least else "not estimated"
            lines.append((needed / max(bound.limit, 1e-9), f"{bound.title}: {shown}, limit {_number(bound.limit)}"))
        lines.sort(reverse=True)
        # Figures that some design meets are named only where every figure has one: then no design meets all at once.
        lines = [line for line in lines if line[0] > 1] or lines
        raise DoesNotFitError(
            "nothing-feasible",
            f"none of the {len(self.space):,} designs fits",
            why="; ".join(line for _, line in lines),
            next="Raise the limit named first, or choose another board.",
        )


def _number(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:,.4g}"
