"""Which genotypes of a space are within the limits: figures from shapes alone, before any training."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Container
from functools import cached_property

import numpy as np

from pipeline.boards import Board
from pipeline.errors import DoesNotFitError
from pipeline.estimate.alike import Designs
from pipeline.estimate.estimator import Planned
from pipeline.estimate.model import Estimate, Limits
from pipeline.genotype import DataConfig, Fix, Genotype
from pipeline.graph.model import Graph
from pipeline.graph.skeleton import from_genotype
from pipeline.search.space import Space, holds, largest, smallest

Estimator = Callable[[Genotype], Estimate]

#: Designs drawn of a data configuration of a space that is not listed; equal ones are one.
SAMPLED = 256
#: Draws that are rejected before one is made smaller.
_REJECTED = 20
_SAMPLE = 12


def analytic(board: Board, classes: int, of: Callable[[Graph, Board], Estimate] | None = None) -> Estimator:
    """The estimator of a real search: a genotype's shapes on a board; no weights, no TensorFlow.

    Args:
        board: The board type.
        classes: Outputs of the network.
        of: Estimates a Graph; None: for the runtime ``aot``, as it is planned where nothing else is said.
    """
    of = of or Planned()
    if isinstance(of, Planned):
        return Designs(board, classes, of)
    return lambda genotype: of(from_genotype(genotype, classes), board)


class Feasibility:
    """Estimates of a space's genotypes against limits, each computed once.

    A space that is listed is gone through. Of another one samples are drawn, and what of its axes can be feasible at
    all is known from its corners: the smallest designs that have each value of each gene.

    Args:
        space: Where the genotypes come from.
        estimate: Genotype -> Estimate; asked only when needed, since a whole space has 37,520.
        limits: What a design may need.
        soft: Admit everything: limits then only lower the fitness. For comparison with the published method.
        fix: What of the data configuration must not change.
    """

    def __init__(
        self, space: Space, estimate: Estimator, limits: Limits, *, soft: bool = False, fix: Fix | None = None
    ) -> None:
        self.space = space
        self.limits = limits
        self.soft = soft
        self.fix = fix if fix is not None else Fix()
        self._estimate = estimate
        self._known: dict[Genotype, Estimate] = {}
        self._of: dict[DataConfig, tuple[Genotype, ...]] = {}
        self._envelopes: dict[DataConfig, tuple[Genotype, Genotype] | None] = {}

    def estimate(self, genotype: Genotype) -> Estimate:
        """The genotype's estimate."""
        if genotype not in self._known:
            self._known[genotype] = self._estimate(genotype)
        return self._known[genotype]

    def knows(self, genotype: Genotype) -> bool:
        """Whether the genotype has been estimated already."""
        return genotype in self._known

    def fits(self, genotype: Genotype) -> bool:
        """Whether every figure is within its limit, also in soft mode."""
        return self.limits.admits(self.estimate(genotype))

    def admits(self, genotype: Genotype) -> bool:
        """Whether the search may train the genotype: a slice of its data configuration's envelope that fits."""
        if not self.fix.holds(genotype.data):
            return False
        if not self.space.listed:
            envelope = self._envelope(genotype.data)
            if envelope is None or not holds(envelope[0], genotype):
                return False
        return self.soft or self.fits(genotype)

    def violation(self, genotype: Genotype) -> float:
        """How far beyond its limits a genotype is: the sum of what each limit is exceeded by, relative to it."""
        figures = self.estimate(genotype)
        known = ((bound.figure(figures), bound.limit) for bound in self.limits.bounds)
        return sum(max(0.0, math.inf if figure is None else figure / limit - 1) for figure, limit in known)

    def of(self, data: DataConfig) -> tuple[Genotype, ...]:
        """The admitted genotypes of a data configuration, in the space's order; of a space that is not listed a sample.

        The sample is always the same: what supernets are trained for does not depend on a search's seed.
        """
        if data not in self._of:
            if self.space.listed:
                self._of[data] = tuple(genotype for genotype in self.space.of(data) if self.admits(genotype))
            else:
                rng = np.random.default_rng([_SAMPLE, data.resolution, data.channels])
                drawn = (self.draw(data, rng) for _ in range(SAMPLED))
                self._of[data] = tuple(dict.fromkeys(genotype for genotype in drawn if genotype is not None))
        return self._of[data]

    def envelope(self, data: DataConfig) -> tuple[Genotype, Genotype]:
        """The largest network, which holds every admitted genotype of a data configuration as a slice; the smallest.

        Both may be infeasible: each gene alone is such as some admitted genotype can have it.

        Raises:
            ValueError: Nothing of the data configuration is admitted.
        """
        found = self._envelope(data)
        if found is None:
            raise ValueError(f"nothing is feasible at {data.id}")
        return found

    def _envelope(self, data: DataConfig) -> tuple[Genotype, Genotype] | None:
        if data not in self._envelopes:
            if self.space.listed:
                of = self.of(data)
            else:
                of = tuple(corner for corner in self.space.corners(data) if self.soft or self.fits(corner))
            self._envelopes[data] = (largest(of), smallest(of)) if of else None
        return self._envelopes[data]

    def draw(self, data: DataConfig, rng: np.random.Generator) -> Genotype | None:
        """An admitted genotype of a data configuration; None where there seems to be none.

        By rejection first, so that none is favoured where many fit; where few do, a design that does not fit is made
        smaller, step by step, until it does.
        """
        for _ in range(_REJECTED):
            genotype = self.space.random(rng, data)
            if self.admits(genotype):
                return genotype
        while not self.admits(genotype):
            steps = self.space.smaller(genotype)
            if not steps:
                return None
            genotype = steps[int(rng.integers(len(steps)))]
        return genotype

    def untried(self, data: DataConfig, tried: Container[Genotype], rng: np.random.Generator) -> Genotype | None:
        """An admitted genotype of a data configuration that was not tried; None where there is none left.

        Of a space that is not listed it is sought step by step from the cheapest designs and what was drawn, so that
        the end is known only where all that is feasible hangs together.
        """
        if self.space.listed:
            left = [genotype for genotype in self.of(data) if genotype not in tried]
            return left[int(rng.integers(len(left)))] if left else None
        waiting = deque(filter(self.admits, self.space.least(data)))
        drawn = self.draw(data, rng)
        if drawn is not None:
            waiting.appendleft(drawn)
        seen = set(waiting)
        while waiting:
            genotype = waiting.popleft()
            if genotype not in tried:
                return genotype
            for other in self.space.neighbours(genotype):
                if other not in seen and self.admits(other):
                    seen.add(other)
                    waiting.append(other)
        return None

    @cached_property
    def data(self) -> tuple[DataConfig, ...]:
        """The data configurations with an admitted genotype; only the cheapest designs are looked at."""
        held = (data for data in self.space.data if self.fix.holds(data))
        return tuple(data for data in held if any(map(self.admits, self.space.least(data))))

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
            f"none of the {len(self.space):,} designs fits" + (f" with {self.fix.id}" if self.fix != Fix() else ""),
            why="; ".join(line for _, line in lines),
            next=self._smallest_change() or "Choose another board.",
        )

    def _smallest_change(self) -> str:
        """The least that the limits have to be raised by, each in proportion, for a known design to fit."""
        best: tuple[float, str] | None = None
        for genotype, figures in self._known.items():
            known = [(bound, bound.figure(figures)) for bound in self.limits.bounds]
            over = [(bound, figure) for bound, figure in known if figure is not None and figure > bound.limit]
            worst = max((figure / max(bound.limit, 1e-9) for bound, figure in over), default=math.inf)
            if any(figure is None for _, figure in known) or (best is not None and worst >= best[0]):
                continue
            raised = " and ".join(f"{bound.title} to {_number(figure)} {bound.unit}" for bound, figure in over)
            best = (worst, f"The smallest change: raise {raised}, for {genotype.id}; or choose another board.")
        return "" if best is None else best[1]


def _number(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:,.4g}"
