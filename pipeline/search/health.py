"""What can go wrong while a search goes on, told as events with their remedies.

Events are a function of what was evaluated, so that a search that is resumed tells the same ones; but for the memory,
which is the machine's.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from pipeline.genotype import DataConfig
from pipeline.search.candidate import Candidate
from pipeline.search.fitness import Fitness

#: Latest candidates that the rate of violations is taken of, and the rate that is too high.
_WINDOW, _MOST_VIOLATIONS = 10, 0.5


class Kind(StrEnum):
    """What has happened."""

    STAGNATION = "stagnation"
    VIOLATIONS = "violations"
    MEMORY = "memory"
    INFEASIBLE = "nothing-feasible"


@dataclass(frozen=True, kw_only=True)
class Event:
    """Something that the user should know of.

    Attributes:
        kind: See there.
        at: Candidates evaluated when it was found.
        text: What is the case.
        remedy: What was done about it, or what the user can do.
    """

    kind: Kind
    at: int
    text: str
    remedy: str

    def as_dict(self) -> dict[str, Any]:
        """The JSON form."""
        return asdict(self) | {"kind": self.kind.value}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Event:
        """The inverse of :meth:`as_dict`.

        Raises:
            ValueError: A field is wrong or missing.
        """
        try:
            return cls(
                kind=Kind(values["kind"]), at=int(values["at"]), text=str(values["text"]), remedy=str(values["remedy"])
            )
        except (KeyError, TypeError) as error:
            raise ValueError(f"not an event: {error!r}") from error


def stuck(history: Sequence[Candidate], size: int, data: Collection[DataConfig]) -> DataConfig | None:
    """The one data configuration that all of the latest ``size`` candidates have, where others are feasible too."""
    latest = {candidate.genotype.data for candidate in history[len(history) - size :]} if len(history) >= size else ()
    return next(iter(latest)) if len(latest) == 1 and len(data) > 1 else None


def watch(
    history: Sequence[Candidate],
    *,
    data: Collection[DataConfig],
    population: int | None,
    soft: bool,
    fitness: Fitness,
) -> Iterator[Event]:
    """The events of a search so far, oldest first; each is told when it begins.

    Args:
        history: Everything evaluated, by proposal number.
        data: The data configurations with something feasible.
        population: Size of the genetic algorithm's population; None: there is none, nothing can stagnate.
        soft: Designs beyond a limit take part.
        fitness: The weights.
    """
    stagnant = violating = False
    for at in range(1, len(history) + 1):
        held = stuck(history[:at], population, data) if population is not None else None
        if held is not None and not stagnant:
            yield Event(
                kind=Kind.STAGNATION,
                at=at,
                text=f"the latest {population} candidates all see {held.id}",
                remedy="children now come by mutation alone, and half of the proposals are random designs of other "
                "images, until one is evaluated",
            )
        stagnant = held is not None
        window = history[max(0, at - _WINDOW) : at]
        rate = sum(not candidate.feasible for candidate in window) / len(window)
        beyond = soft and len(window) == _WINDOW and rate > _MOST_VIOLATIONS
        if beyond and not violating:
            yield Event(
                kind=Kind.VIOLATIONS,
                at=at,
                text=f"{rate:.0%} of the latest {_WINDOW} candidates are beyond a limit",
                remedy="weigh the penalties more in a new run: "
                f"--weights w4={10 * (fitness.ram or 1):g},w5={10 * (fitness.flash or 1):g}",
            )
        violating = beyond


def throttled(at: int, subject: str, images: int) -> Event:
    """A batch of a supernet's training did not fit into memory: so many images go through at a time from then on."""
    return Event(
        kind=Kind.MEMORY,
        at=at,
        text=f"a batch of supernet {subject} did not fit into memory",
        remedy=f"batches go through {images} images at a time; their batch-norm statistics are those of the parts",
    )
