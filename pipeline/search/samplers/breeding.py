"""What samplers have in common: designs at random, and children of two parents.

Source of the children: arXiv 2502.12690 and its authors' public description: 80 % by mutation and 20 % by crossover,
repaired so that no empty stage precedes a filled one. Here no genotype is evaluated twice, and an infeasible child is
thrown away and drawn again.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

import numpy as np

from pipeline.genotype import DataConfig, Genotype
from pipeline.search.candidate import Candidate
from pipeline.search.feasibility import Feasibility

#: Words of the seeds of a proposal's and of a tournament's random numbers.
PROPOSE, TOURNAMENT = 6, 7
#: Draws before what is left is gone through.
TRIES = 200
#: Share of random designs of other images among the children of a search that has come to a stand.
IMMIGRANTS = 0.5


def generator(
    seed: int, history: Sequence[Candidate], number: int | None, pending: Collection[Genotype]
) -> np.random.Generator:
    """The random numbers of a proposal; see :meth:`pipeline.search.samplers.Sampler.propose`."""
    return np.random.default_rng([seed, PROPOSE, len(history) + len(pending) if number is None else number])


def known(history: Sequence[Candidate], pending: Collection[Genotype]) -> set[Genotype]:
    """What must not be proposed again."""
    return {candidate.genotype for candidate in history} | set(pending)


def at_random(
    feasibility: Feasibility, tried: set[Genotype], rng: np.random.Generator, *, without: DataConfig | None = None
) -> Genotype | None:
    """Any admitted genotype that was not tried, each data configuration but one equally likely; None: none is left."""
    data = [feasibility.data[number] for number in rng.permutation(len(feasibility.data))]
    data = [config for config in data if config != without]
    for config in data:
        for _ in range(TRIES):
            genotype = feasibility.space.random(rng, config)
            if genotype not in tried and feasibility.admits(genotype):
                return genotype
        left = feasibility.untried(config, tried, rng)
        if left is not None:
            return left
    return None


def child(
    feasibility: Feasibility,
    tried: set[Genotype],
    rng: np.random.Generator,
    *,
    parent: Callable[[], Genotype],
    mutation: float,
    held: DataConfig | None = None,
) -> Genotype | None:
    """A child that is admitted and was not tried; None where many draws have given none.

    In a population that has come to one data configuration, half of the children are immigrants of others, and the rest
    mutate.

    Args:
        feasibility: The space and its limits.
        tried: What must not be proposed again.
        rng: Random numbers of the proposal.
        parent: Draws a parent.
        mutation: Share of children by mutation, the others by crossover.
        held: The data configuration that the search has come to a stand at, see :func:`pipeline.search.health.stuck`.
    """
    space = feasibility.space
    if held is not None:
        mutation = 1.0
        if rng.random() < IMMIGRANTS:
            immigrant = at_random(feasibility, tried, rng, without=held)
            if immigrant is not None:
                return immigrant
    for _ in range(TRIES):
        one = parent()
        made = space.mutate(one, rng) if rng.random() < mutation else space.crossover(one, parent(), rng)
        if made not in tried and feasibility.admits(made):
            return made
    return None
