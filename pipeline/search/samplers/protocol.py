"""What a sampler is: it proposes what to evaluate next."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Protocol

from pipeline.genotype import Genotype
from pipeline.search.candidate import Candidate


class Sampler(Protocol):
    """Proposes the next genotype: a pure function of the seed, of what was evaluated, and of what is being evaluated.

    That makes a killed search resumable without saving any generator.

    Attributes:
        name: As ``SearchConfig.strategy`` has it.
    """

    name: str

    def propose(
        self, history: Sequence[Candidate], *, number: int | None = None, pending: Collection[Genotype] = ()
    ) -> Genotype | None:
        """The next genotype: admitted by the search's limits and fixes, neither in the history nor pending.

        Args:
            history: Everything evaluated so far, by proposal number.
            number: The proposal's own number; by default that after all that was evaluated or is pending.
            pending: What other workers are evaluating.

        Returns:
            None when there is none left.
        """
        ...
