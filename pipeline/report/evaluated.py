"""What a search has evaluated, for its report: a line a candidate, those beyond a limit among them.

``search/candidates.json`` has the feasible candidates alone, and nothing in it differs from run to run. Times do, so
they are kept here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict

from pipeline.estimate.model import Predicted
from pipeline.figures import Modelled
from pipeline.search.candidate import Candidate

#: Which share of the space fits, as :func:`pipeline.report.space.space_json` says it.
SPACE = "search/space.json"


class Evaluated(BaseModel):
    """A candidate as the search has scored it: on the validation split, with what it will need by estimate.

    ``seconds``: what the evaluation took, the training of a supernet with its first candidate; None: nobody knows.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    proposal: int
    genotype: str
    accuracy: float
    fitness: float
    feasible: bool
    ram_bytes: int
    flash_bytes: int
    macs: int
    instructions: Predicted | None = None
    latency: Modelled | None = None
    energy: Modelled | None = None
    seconds: float | None = None

    @classmethod
    def of(cls, candidate: Candidate, seconds: float | None = None) -> Evaluated:
        """The line of a candidate."""
        figures = candidate.estimate
        return cls(
            proposal=candidate.proposal,
            genotype=candidate.genotype.id,
            accuracy=candidate.scores.accuracy,
            fitness=candidate.fitness,
            feasible=candidate.feasible,
            ram_bytes=figures.ram_bytes,
            flash_bytes=figures.flash_bytes,
            macs=figures.macs,
            instructions=figures.instructions,
            latency=figures.latency,
            energy=figures.energy,
            seconds=seconds,
        )


class History(BaseModel):
    """``search/history.json``: all evaluations, by proposal number."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    FILE: ClassVar[str] = "search/history.json"

    schema_version: Literal[1] = 1
    evaluations: tuple[Evaluated, ...]

    @classmethod
    def of(cls, candidates: Iterable[Candidate], took: Mapping[int, float]) -> History:
        """Of a search's candidates; ``took``: seconds by proposal number."""
        lines = (Evaluated.of(one, took.get(one.proposal)) for one in candidates)
        return cls(evaluations=tuple(sorted(lines, key=lambda line: line.proposal)))

    @classmethod
    def of_candidates(cls, document: Mapping[str, Any]) -> History:
        """What ``search/candidates.json`` alone can say, in runs that have no history: the feasible ones, no times.

        Raises:
            ValueError: The document is damaged.
            KeyError: Likewise.
        """
        return cls.of(map(Candidate.from_dict, document["candidates"]), {})
