"""The control: what chance finds."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from pipeline.genotype import Genotype
from pipeline.search.candidate import Candidate
from pipeline.search.feasibility import Feasibility
from pipeline.search.samplers import breeding


class RandomSampler:
    """Admitted genotypes at random, without repetition."""

    name = "random"

    def __init__(self, feasibility: Feasibility, *, seed: int) -> None:
        self._feasibility = feasibility
        self._seed = seed

    def propose(
        self, history: Sequence[Candidate], *, number: int | None = None, pending: Collection[Genotype] = ()
    ) -> Genotype | None:
        """See :class:`pipeline.search.samplers.Sampler`."""
        rng = breeding.generator(self._seed, history, number, pending)
        return breeding.at_random(self._feasibility, breeding.known(history, pending), rng)
