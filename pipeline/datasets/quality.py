"""What is wrong with a data set, before anything is trained on it: classes that lack, that hardly are, small images.

All of it is read from what a source says of itself (:meth:`DatasetSource.describe`): the counts of ``splits`` and,
where a source knows the sizes of its images, ``smaller``: for each resolution the share of its training images whose
shorter side is less, and which are enlarged for it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.datasets.values import DatasetSource, Split
from pipeline.errors import UsageError, printable
from pipeline.genotype import RESOLUTIONS

#: With more images of one class than this for each of another's, accuracy says little, and balanced accuracy counts.
MOST_TO_ONE = 20
#: A resolution is left out where more than this share of the training images would be enlarged for it.
MOST_SMALLER = 0.1
#: Splits that something is learned from or chosen by.
_USED = (Split.TRAIN, Split.VALIDATION)


@dataclass(frozen=True)
class Quality:
    """What is to be known of a data set.

    Attributes:
        ratio: Images of the most frequent class for each of the rarest, in the worse of train and validation.
        rarest: That class.
        frequent: The other one.
        split: Where that is.
        smaller: For each resolution the share, 0..1, of the training images that are enlarged for it; of a source that
            does not know, empty.
    """

    ratio: float = 1.0
    rarest: str = ""
    frequent: str = ""
    split: str = ""
    smaller: Mapping[int, float] = field(default_factory=dict)

    @property
    def balanced(self) -> bool:
        """Whether balanced accuracy, the mean over the classes of what is right in each, is what counts."""
        return self.ratio > MOST_TO_ONE

    @property
    def metric(self) -> str:
        """What is optimised and shown."""
        return "balanced accuracy" if self.balanced else "accuracy"

    @property
    def upsampled(self) -> frozenset[int]:
        """Resolutions that are left out unless asked for."""
        return frozenset(resolution for resolution, share in self.smaller.items() if share > MOST_SMALLER)

    def warnings(self, resolutions: Collection[int], *, allow_upsampling: bool = False) -> tuple[str, ...]:
        """Sentences for the user, of a search at these resolutions."""
        found = []
        if self.balanced:
            found.append(
                f"the {self.split} split has {self.ratio:.0f} images of {self.frequent} for each of {self.rarest}: "
                "balanced accuracy is optimised and shown."
            )
        shares = {one: share for one, share in sorted(self.smaller.items()) if share and one in resolutions}
        out = [] if allow_upsampling else [one for one in shares if one in self.upsampled]
        if out:
            worst = max(shares[one] for one in out)
            found.append(
                f"{_listed(out)} px {'is' if len(out) == 1 else 'are'} left out: {_share(worst)} of the training "
                "images are smaller and would be enlarged; --allow-upsampling takes them all the same."
            )
        kept = [one for one in shares if one not in out]
        if kept:
            listed = ", ".join(f"{one} px ({_share(shares[one])} of the training images)" for one in kept)
            found.append(f"images are enlarged at {listed}.")
        return tuple(found)

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "metric": self.metric,
            "ratio": round(self.ratio, 2),
            "smaller": {str(resolution): round(share, 4) for resolution, share in self.smaller.items()},
        }


def of(source: DatasetSource) -> Quality:
    """What is to be known of a source."""
    described = source.describe()
    counts = _counts(described)
    worst = Quality()
    for split in _USED:
        of_split = counts.get(split.value, {})
        if len(of_split) < 2 or not min(of_split.values()):
            continue
        rarest, frequent = min(of_split, key=lambda one: of_split[one]), max(of_split, key=lambda one: of_split[one])
        ratio = of_split[frequent] / of_split[rarest]
        if ratio > worst.ratio:
            worst = Quality(ratio, rarest, frequent, split.value)
    smaller = {int(resolution): float(share) for resolution, share in described.get("smaller", {}).items()}
    return replace(worst, smaller=smaller)


def demand(source: DatasetSource) -> None:
    """Make sure that each split has images of each class.

    Raises:
        UsageError: ``class-missing-in-split``.
    """
    for split, counts in _counts(source.describe()).items():
        for name, count in counts.items():
            if not count:
                raise UsageError(
                    "class-missing-in-split",
                    f"the {split} split has no image of class {printable(name)}",
                    why="What is fitted, chosen or measured there would not know the class.",
                    next="Take more images of it.",
                )


def smaller(sides: Sequence[int] | NDArray[np.int64]) -> dict[str, float]:
    """``smaller`` of a description: for each resolution the share of the shorter sides that are less.

    >>> smaller([64, 100])["96"]
    0.5
    """
    found = np.asarray(sides)
    return {str(resolution): round(float(np.mean(found < resolution)), 4) for resolution in RESOLUTIONS}


def _counts(described: Mapping[str, Any]) -> dict[str, dict[str, int]]:
    return {
        str(split): {str(name): int(count) for name, count in counts.items()}
        for split, counts in described.get("splits", {}).items()
    }


def _listed(numbers: Iterable[int]) -> str:
    *first, last = map(str, numbers)
    return f"{', '.join(first)} and {last}" if first else last


def _share(share: float) -> str:
    return "all" if share == 1 else f"{share:.0%}" if share >= 0.01 else "under 1%"
