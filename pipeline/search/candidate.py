"""Candidate: a genotype with what is known of it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from pipeline.estimate.model import Estimate
from pipeline.genotype import Genotype
from pipeline.search.fitness import Scores

SCHEMA_VERSION = 1


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A scored genotype. ``proposal`` is its number in the search, from 0; scores are on the validation split."""

    proposal: int
    genotype: Genotype
    scores: Scores
    fitness: float
    feasible: bool
    estimate: Estimate

    def as_dict(self) -> dict[str, Any]:
        """The JSON form; floats keep every bit."""
        return {
            "schema_version": SCHEMA_VERSION,
            "proposal": self.proposal,
            "genotype": self.genotype.id,
            "scores": asdict(self.scores),
            "fitness": self.fitness,
            "feasible": self.feasible,
            "estimate": self.estimate.model_dump(mode="json"),
        }

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Candidate:
        """The inverse of :meth:`as_dict`.

        Raises:
            ValueError: Another schema version, or a field is wrong or missing.
        """
        try:
            if values["schema_version"] != SCHEMA_VERSION:
                raise ValueError(f"candidate of schema version {values['schema_version']!r}, expected {SCHEMA_VERSION}")
            return cls(
                proposal=int(values["proposal"]),
                genotype=Genotype.parse(values["genotype"]),
                scores=Scores(**{name: float(score) for name, score in values["scores"].items()}),
                fitness=float(values["fitness"]),
                feasible=bool(values["feasible"]),
                estimate=Estimate.model_validate(values["estimate"]),
            )
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"not a candidate: {error!r}") from error

    @property
    def rank(self) -> tuple[float, float, int, int]:
        """Sorts best first: fitness, then accuracy, then less RAM, then the earlier proposal."""
        return (-self.fitness, -self.scores.accuracy, self.estimate.ram_bytes, self.proposal)
