"""Batches are a function of seed and step, and show the same pictures at every data configuration."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.datasets import views
from pipeline.genotype import Colour, DataConfig
from pipeline.search.batches import BRIGHTNESS, CROP_AREA, Batches, Changes, augment

SMALL, LARGE, GREY = DataConfig(32, Colour.RGB), DataConfig(64, Colour.RGB), DataConfig(64, Colour.MONO)


def _batches(count: int = 23, size: int = 8, seed: int = 1) -> Batches:
    rng = np.random.default_rng(0)
    large = np.kron(rng.integers(0, 200, (count, 8, 8, 3)), np.ones((1, 8, 8, 1))).astype(np.uint8)
    small = np.stack([views.resize(image, 32) for image in large])
    seen = {SMALL: small, LARGE: large, GREY: views.luma(large)}
    return Batches(seen, rng.integers(0, 3, count), 3, size, (seed, 2))


def _changes(count: int, **given: float | bool) -> Changes:
    """No change at all, but for what is given."""
    none: dict[str, float | bool] = {"side": 1.0, "top": 0.0, "left": 0.0, "mirrored": False, "brightness": 1.0}
    return Changes(**{name: np.full(count, value) for name, value in {**none, **given}.items()})


def _gradient(count: int, axis: int) -> NDArray[np.uint8]:
    """32 × 32 pixels that grow brighter downwards (1) or to the right (2)."""
    ramp = np.linspace(40, 200, 32).astype(np.uint8)
    return np.ascontiguousarray(np.broadcast_to(np.expand_dims(ramp, (0, 3 - axis, 3)), (count, 32, 32, 1)))


@pytest.mark.parametrize(("count", "size"), [(23, 8), (8, 8), (5, 16)])
def test_every_epoch_shows_every_image_once(count: int, size: int) -> None:
    batches = _batches(count, size)
    walk = np.concatenate([batches.indices(step) for step in range(40)])
    for epoch in range(len(walk) // count):
        assert sorted(walk[epoch * count : (epoch + 1) * count]) == list(range(count))
    assert list(walk[:count]) != list(walk[count : 2 * count])


@pytest.mark.parametrize("classes", [2, 3])
def test_where_a_class_is_rare_all_take_turns(classes: int) -> None:
    count, rare = 150, 4
    labels = np.array([0] * count + [1] * rare + [2] * rare * (classes - 2))
    images = np.zeros((len(labels), *SMALL.shape), np.uint8)
    batches = Batches({SMALL: images}, labels, classes, 10, (3,))
    walk = np.concatenate([batches.indices(step) for step in range(60)])
    shown = np.bincount(labels[walk], minlength=classes)
    assert shown.max() - shown.min() <= 1
    of_frequent = [number for number in walk if labels[number] == 0]
    frequent = int(np.sum(labels == 0))
    assert sorted(of_frequent[:frequent]) == sorted(np.flatnonzero(labels == 0)), "each epoch shows all of its class"
    assert list(of_frequent[:frequent]) != list(of_frequent[frequent : 2 * frequent])
    np.testing.assert_array_equal(batches.indices(7), walk[70:80])


def test_at_twenty_to_one_images_still_count_alike() -> None:
    labels = np.array([0] * 40 + [1] * 2)
    batches = Batches({SMALL: np.zeros((42, *SMALL.shape), np.uint8)}, labels, 2, 42, (3,))
    assert sorted(batches.indices(0)) == list(range(42))


def test_a_step_is_the_same_whenever_it_is_asked_for() -> None:
    images, targets = _batches()(7, (LARGE,))
    again = _batches()
    again(3, (SMALL, LARGE))
    assert np.array_equal(again(7, (LARGE, SMALL))[0][LARGE], images[LARGE])
    assert np.array_equal(again(7, ())[1], targets)
    assert not np.array_equal(_batches(seed=2)(7, (LARGE,))[0][LARGE], images[LARGE])
    assert not np.array_equal(again(8, (LARGE,))[0][LARGE], images[LARGE])


def test_targets_are_one_hot_and_belong_to_their_images() -> None:
    batches = _batches()
    _, targets = batches(4, (SMALL,))
    assert targets.shape == (8, 3) and targets.dtype == np.float32
    assert np.array_equal(targets.argmax(axis=1), batches.labels[batches.indices(4)])
    assert np.array_equal(targets.sum(axis=1), np.ones(8))


def test_all_configurations_show_the_same_picture() -> None:
    images, _ = _batches()(5, (SMALL, GREY, LARGE))
    assert list(images) == [SMALL, GREY, LARGE]
    for data, seen in images.items():
        assert seen.shape == (8, *data.shape) and seen.dtype == np.uint8
    grey_of_rgb = views.luma(images[LARGE]).astype(int)
    # Darker than 200, no colour saturates when brightened: grey of the changed image is the changed image of grey.
    assert np.abs(images[GREY].astype(int) - grey_of_rgb).max() <= 2
    halved = np.stack([views.resize(image, 32) for image in images[LARGE]]).astype(int)
    assert np.abs(images[SMALL] - halved).mean() < 6
    other = np.roll(halved, 1, axis=0)
    assert np.abs(images[SMALL] - other).mean() > 30


def test_one_configuration_alone() -> None:
    batches = _batches()
    images, targets = batches.of(GREY)(3)
    together, same = batches(3, (SMALL, GREY))
    assert np.array_equal(images, together[GREY])
    assert np.array_equal(targets, same)


def test_an_unknown_configuration_is_refused() -> None:
    with pytest.raises(KeyError):
        _batches()(0, (DataConfig(96, Colour.RGB),))


def test_views_must_fit_labels_and_configuration() -> None:
    images = np.zeros((4, 32, 32, 3), np.uint8)
    for wrong in ({SMALL: images[:3]}, {LARGE: images}, {}):
        with pytest.raises(ValueError, match="images"):
            Batches(wrong, np.zeros(4, np.int64), 2, 2, (0,))


def test_no_change_changes_nothing() -> None:
    images = np.random.default_rng(3).integers(0, 256, (5, 32, 32, 3)).astype(np.uint8)
    assert np.array_equal(augment(images, _changes(5)), images)


def test_each_change_does_what_it_says() -> None:
    down, right = _gradient(2, axis=1), _gradient(2, axis=2)
    assert np.array_equal(augment(right, _changes(2, mirrored=True)), right[:, :, ::-1])
    assert np.array_equal(augment(down, _changes(2, mirrored=True)), down)
    bright = augment(down, _changes(2, brightness=1.2))
    assert np.array_equal(bright, np.rint(np.clip(down * 1.2, 0, 255)).astype(np.uint8))
    # A crop of half a side at (1/4, 1/2): from row 8 to 24, from column 16 to 32.
    cut = {"side": 0.5, "top": 0.25, "left": 0.5}
    for images, first, last in ((down, 8, 23), (right, 16, 31)):
        seen = augment(images, _changes(2, **cut)).astype(int)
        ramp = images.reshape(2, -1).astype(int)
        assert abs(seen.min() - np.unique(ramp)[first]) <= 3
        assert abs(seen.max() - np.unique(ramp)[last]) <= 3


def test_drawn_changes_stay_within_the_image_and_cover_their_range() -> None:
    changes = Changes.draw(4000, np.random.default_rng(0))
    area = changes.side**2
    assert area.min() >= CROP_AREA[0] - 1e-9 and area.max() <= CROP_AREA[1]
    assert area.min() < 0.61 and area.max() > 0.99
    for edge in (changes.top, changes.left):
        assert edge.min() >= 0
        assert (edge + changes.side).max() <= 1 + 1e-9
    assert 0.45 < changes.mirrored.mean() < 0.55
    assert BRIGHTNESS[0] <= changes.brightness.min() < 0.81 and 1.19 < changes.brightness.max() <= BRIGHTNESS[1]
    assert abs(np.corrcoef(changes.top, changes.left)[0, 1]) < 0.6  # both shrink with the room, but are drawn apart
