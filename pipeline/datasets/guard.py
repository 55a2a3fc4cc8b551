"""The only way to the test split in a run: every look is written down before the images are handed out.

A test accuracy says how a model does on images that nothing was chosen by. That holds for one look: whoever looks,
changes something and looks again, chooses by the test split, knowingly or not. So nothing is forbidden here, but
nothing goes unseen: the journal of the run keeps each look, and a look with a model that had none before is counted as
another one, told at once and shown in the report. The same models seen again (on the device, after a kill) are written
down too, but count as the look that they were.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from pipeline.datasets.values import DatasetSource, Split, View
from pipeline.genotype import DataConfig

#: The kind of event that a look is in a journal.
KIND = "test-look"


class Journal(Protocol):
    """Where events are kept for as long as there is what they are about."""

    def note(self, kind: str, values: Mapping[str, Any]) -> None:
        """Keep an event; when this returns, it is kept."""

    def noted(self, kind: str) -> tuple[Mapping[str, Any], ...]:
        """The events of a kind, oldest first."""


class MemoryJournal:
    """A journal that ends with the process."""

    def __init__(self) -> None:
        self._events: list[tuple[str, dict[str, Any]]] = []

    def note(self, kind: str, values: Mapping[str, Any]) -> None:
        """Keep an event."""
        self._events.append((kind, dict(values)))

    def noted(self, kind: str) -> tuple[Mapping[str, Any], ...]:
        """The events of a kind, oldest first."""
        return tuple(dict(values) for known, values in self._events if known == kind)


@dataclass(frozen=True, kw_only=True)
class Look:
    """One look at the test split.

    Attributes:
        at: When, UTC, ISO 8601.
        purpose: What for, in a few words.
        models: What was looked at with it: a name for people -> the SHA-256 of the model.
        images: The fingerprint of the source.
        number: 1 for the first look; one more whenever a model takes part that had not before.
    """

    at: str
    purpose: str
    models: Mapping[str, str]
    images: str
    number: int

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "at": self.at,
            "purpose": self.purpose,
            "models": dict(self.models),
            "images": self.images,
            "number": self.number,
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Look:
        """What :meth:`as_dict` has made.

        Raises:
            ValueError: The values are none.
        """
        try:
            models = {str(name): str(sha256) for name, sha256 in values["models"].items()}
            return cls(
                at=str(values["at"]),
                purpose=str(values["purpose"]),
                models=models,
                images=str(values["images"]),
                number=int(values["number"]),
            )
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"no look at the test split: {error}") from error


class Guarded:
    """A source whose test split is reached by :meth:`look` alone; all else is as the source has it.

    Args:
        source: The images.
        journal: Where looks are kept.
        notice: Told about a second look, and each later one, in a sentence.
    """

    def __init__(self, source: DatasetSource, journal: Journal, *, notice: Callable[[str], None] | None = None) -> None:
        self._source = source
        self._journal = journal
        self._notice = notice

    @property
    def name(self) -> str:
        """The source's."""
        return self._source.name

    @property
    def class_names(self) -> tuple[str, ...]:
        """The source's."""
        return self._source.class_names

    @property
    def fingerprint(self) -> str:
        """The source's."""
        return self._source.fingerprint

    @property
    def splits(self) -> frozenset[Split]:
        """The source's."""
        return self._source.splits

    @property
    def has_test(self) -> bool:
        """Whether there is anything to look at."""
        return Split.TEST in self._source.splits

    def groups(self, split: Split) -> NDArray[np.int64]:
        """The group of each image; of the test split too: groups say nothing about what is in an image."""
        return self._source.groups(split)

    def view(self, split: Split, data: DataConfig) -> View:
        """A split that is not the test split, under a DataConfig; see :class:`DatasetSource`.

        Raises:
            PermissionError: The test split, past the guard: a bug.
        """
        if split is Split.TEST:
            raise PermissionError("the test split is seen by look() alone")
        return self._source.view(split, data)

    def describe(self) -> dict[str, Any]:
        """The source's."""
        return self._source.describe()

    def look(self, data: DataConfig, *, models: Mapping[str, str], purpose: str) -> View:
        """The test split under a DataConfig, once the look is in the journal.

        Args:
            data: What the models' sensor gives.
            models: All models that will see it: a name for people -> the SHA-256 of the model.
            purpose: What for, in a few words.

        Raises:
            ValueError: No models.
            UsageError: ``no-such-split``, and what the source raises.
            EnvironmentProblem: What source and journal raise.
        """
        if not models:
            raise ValueError("a look at the test split is by a model")
        self._source.groups(Split.TEST)  # no look where there is nothing to see
        before = looks(self._journal)
        last = max((one.number for one in before), default=0)
        seen = {sha256 for one in before for sha256 in one.models.values()}
        again = bool(before) and seen.issuperset(models.values())
        look = Look(
            at=datetime.now(UTC).isoformat(timespec="seconds"),
            purpose=purpose,
            models=models,
            images=self.fingerprint,
            number=last if again else last + 1,
        )
        self._journal.note(KIND, look.as_dict())
        if look.number > 1 and not again and self._notice is not None:
            self._notice(
                f"Look {look.number} at the test split, by another model than before: what is chosen from now on is "
                "chosen by it as well, and its accuracy flatters."
            )
        return self._source.view(Split.TEST, data)


def looks(journal: Journal) -> tuple[Look, ...]:
    """The looks in a journal, oldest first; what cannot be read as one is passed over."""
    found = []
    for values in journal.noted(KIND):
        try:
            found.append(Look.from_dict(values))
        except ValueError:
            continue
    return tuple(found)
