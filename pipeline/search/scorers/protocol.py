"""What a scorer is: it says how good a genotype is on the validation split."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from pipeline.genotype import Genotype
from pipeline.search.fitness import Scores
from pipeline.search.training import Step


class Scorer(Protocol):
    """Scores genotypes; the same genotype gets the same scores, in whatever order they are asked for.

    The one exception is what was published, a baseline to compare with, where candidates train shared weights in turn.

    Attributes:
        name: As ``SearchConfig.scorer`` has it.
        steps: Optimizer steps of a training that ``report`` tells of.
    """

    name: str
    steps: int

    def identity(self) -> dict[str, Any]:
        """All that the scores depend on besides genotype, seed and images, as JSON."""
        ...

    def subject(self, genotype: Genotype) -> str:
        """What a training for the genotype is called where progress is shown; equal for equal trainings."""
        ...

    def score(
        self,
        genotype: Genotype,
        *,
        report: Callable[[Step], None],
        keep_going: Callable[[], bool],
        first: bool = False,
    ) -> Scores | None:
        """Scores on the validation split.

        Args:
            genotype: Admitted by the search's limits.
            report: Called after each step of a training that lasts.
            keep_going: Asked before each such step; False: the time is up, what is done is saved.
            first: Nothing has been scored yet: what there is when the time is up gets a score all the same.

        Returns:
            None where the time was up before there was a score.

        Raises:
            UsageError: What the source raises.
            EnvironmentProblem: ``disk-full``, ``not-writable``.
        """
        ...
