"""Drawn pictures: what their labels say is what is in them."""

from __future__ import annotations

import colorsys
from itertools import islice

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.datasets import Split, drawn, images


def _rng(*words: int) -> np.random.Generator:
    return np.random.default_rng(words)


def test_a_picture_is_its_numbers() -> None:
    one = drawn.picture(_rng(1), 1)
    assert one.shape == (drawn.SIDE, drawn.SIDE, 3)
    assert one.dtype == np.uint8
    assert np.array_equal(one, drawn.picture(_rng(1), 1))
    assert not np.array_equal(one, drawn.picture(_rng(2), 1))


def _red(picture: np.ndarray) -> int:
    """Pixels that are red and nothing else."""
    values = picture.astype(int)
    return int(np.sum((values[..., 0] > values[..., 1] + 60) & (values[..., 0] > values[..., 2] + 60)))


@pytest.mark.parametrize("label", [0, 1])
def test_most_stars_are_red_and_most_others_are_not(label: int) -> None:
    # The smallest star has more than 150 pixels, and nothing that does not decide is red.
    found = sum(_red(drawn.picture(_rng(number), label)) > 80 for number in range(40))
    assert 28 <= found <= 39 if label else 1 <= found <= 12


@given(st.integers(0, 2**32 - 1), st.floats(0, 1, exclude_max=True))
def test_luma_says_nothing_of_the_hue(seed: int, hue: float) -> None:
    colour = drawn._colour(_rng(seed), hue)
    assert colour.min() >= 0
    assert colour.max() <= 255.01
    luma = float(colour @ (0.299, 0.587, 0.114)) / 255
    assert 0.4999 <= luma <= 0.7201
    apart = abs((colorsys.rgb_to_hls(*(colour / 255).tolist())[0] - hue + 0.5) % 1 - 0.5)
    assert apart < 0.0301


@given(st.integers(0, 2**32 - 1))
def test_other_shapes_keep_off_red(seed: int) -> None:
    hue = drawn._other_hue(_rng(seed))
    assert 0.14 <= hue % 1 <= 0.86


@pytest.mark.parametrize("corners", [0, 3, 4, 5, 6])
def test_outlines_stay_within_their_radius(corners: int) -> None:
    angles = np.linspace(-7, 7, 1000, dtype=np.float32)
    for outline in (drawn._polygon(corners), drawn._star):
        radii = outline(angles)
        assert radii.min() > 0.3
        assert radii.max() < 1.0001


def test_records_are_pictures_of_both_classes_in_turn() -> None:
    source = drawn.Drawn()
    first, second = islice(source.units(Split.TRAIN, 3), 2)
    found = list(islice(source.read(Split.TRAIN, first), 2))
    assert [record.label for record in found] == [0, 1]
    assert images.decode(found[0].content).shape == (drawn.SIDE, drawn.SIDE, 3)
    others = [next(iter(source.read(*place))) for place in ((Split.TRAIN, second), (Split.TEST, first))]
    assert len({found[0].content, *(one.content for one in others)}) == 3
