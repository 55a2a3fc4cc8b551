"""What is said of a data set before anything is trained on it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest
from dataset_samples import write_image
from hypothesis import given
from hypothesis import strategies as st

from pipeline.datasets import DatasetSource, open_source, quality
from pipeline.errors import UsageError
from pipeline.genotype import RESOLUTIONS


class Said:
    """A source of which only the description is of interest."""

    name = "said"

    def __init__(self, **described: Any) -> None:
        self._described = described

    def describe(self) -> dict[str, Any]:
        return self._described


def _of(**described: Any) -> quality.Quality:
    return quality.of(cast(DatasetSource, Said(**described)))


def _splits(train: tuple[int, int], validation: tuple[int, int] = (10, 10)) -> dict[str, dict[str, int]]:
    named = {"train": train, "validation": validation, "test": (1000, 1)}
    return {split: dict(zip(("no", "yes"), counts, strict=True)) for split, counts in named.items()}


@pytest.mark.parametrize(
    ("train", "validation", "balanced"),
    [((200, 10), (10, 10), False), ((201, 10), (10, 10), True), ((10, 10), (1, 21), True), ((10, 10), (20, 1), False)],
)
def test_beyond_twenty_to_one_balanced_accuracy_counts(
    train: tuple[int, int], validation: tuple[int, int], balanced: bool
) -> None:
    found = _of(splits=_splits(train, validation))
    assert found.balanced is balanced
    assert found.metric == ("balanced accuracy" if balanced else "accuracy")
    told = found.warnings(RESOLUTIONS)
    assert len(told) == balanced
    if balanced:
        assert "balanced accuracy" in told[0] and str(round(found.ratio)) in told[0]
        assert ("train" if train[0] > 20 else "validation") in told[0]


def test_what_nobody_knows_is_no_warning() -> None:
    found = _of()
    assert not found.balanced and not found.upsampled and found.warnings(RESOLUTIONS) == ()


def test_a_resolution_that_most_images_are_enlarged_for_is_left_out() -> None:
    found = _of(splits=_splits((5, 5)), smaller=quality.smaller([80] * 19 + [100]))
    assert found.upsampled == {96, 128, 160, 192, 224}
    (told,) = found.warnings((32, 64, 96, 128))
    assert "96 and 128 px are left out" in told and "--allow-upsampling" in told and "160" not in told
    (told,) = found.warnings((32, 64, 96, 128), allow_upsampling=True)
    assert "left out" not in told and "96 px (95% of the training images)" in told
    assert found.warnings((32, 64)) == ()


def test_some_smaller_images_are_told_but_leave_nothing_out() -> None:
    found = _of(smaller=quality.smaller([80] + [300] * 19))
    assert not found.upsampled
    (told,) = found.warnings((64, 96))
    assert told == "images are enlarged at 96 px (5% of the training images)."


@given(st.lists(st.integers(1, 400), min_size=1, max_size=50))
def test_shares_grow_with_the_resolution(sides: list[int]) -> None:
    shares = [quality.smaller(sides)[str(resolution)] for resolution in RESOLUTIONS]
    assert shares == sorted(shares) and shares[0] >= 0 and shares[-1] <= 1
    assert (shares[-1] == 1) == (max(sides) < RESOLUTIONS[-1])


def test_a_split_without_a_class_is_refused() -> None:
    source = cast(DatasetSource, Said(splits=_splits((5, 5)) | {"test": {"no": 3, "yes\x1b": 0}}))
    with pytest.raises(UsageError) as caught:
        quality.demand(source)
    assert caught.value.id == "class-missing-in-split"
    assert "test" in caught.value.what and "\x1b" not in str(caught.value)


def test_a_folder_knows_its_sizes_and_its_balance(tmp_path: Path) -> None:
    for number in range(63):
        write_image(tmp_path / f"images/train/many/{number}.png", shade=50, seed=number, size=(70, 40))
    for split, name, count in (("train", "few", 3), ("validation", "many", 4), ("validation", "few", 4)):
        for number in range(count):
            size = (20, 200) if name == "few" else (70, 40)
            write_image(
                tmp_path / f"images/{split}/{name}/{number}.png", shade=200, seed=hash_of(split, number), size=size
            )
    source = open_source(f"folder:{tmp_path / 'images'}", cache=tmp_path / "cache")
    found = quality.of(source)
    assert found.ratio == 21 and (found.rarest, found.frequent, found.split) == ("few", "many", "train")
    assert found.smaller[32] == pytest.approx(3 / 66, abs=1e-4) and found.smaller[64] == 1
    # Known from the cache alone.
    again = open_source(f"folder:{tmp_path / 'images'}", cache=tmp_path / "cache")
    assert quality.of(again) == found
    for marker in (tmp_path / "cache" / "checked").rglob("*.json"):
        marker.write_bytes(b'{"sides": 3}')
    assert quality.of(open_source(f"folder:{tmp_path / 'images'}", cache=tmp_path / "cache")) == found


def hash_of(split: str, number: int) -> int:
    """A seed of its own for each image."""
    return 1000 * (1 + len(split)) + number
