"""Batches are a function of seed and step."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.search.batches import Batches, augment


def _batches(count: int = 23, size: int = 8, seed: int = 1) -> Batches:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (count, 16, 16, 3)).astype(np.uint8)
    return Batches(images, rng.integers(0, 3, count), 3, size, (seed, 2))


@pytest.mark.parametrize(("count", "size"), [(23, 8), (8, 8), (5, 16)])
def test_every_epoch_shows_every_image_once(count: int, size: int) -> None:
    batches = _batches(count, size)
    walk = np.concatenate([batches.indices(step) for step in range(40)])
    for epoch in range(len(walk) // count):
        assert sorted(walk[epoch * count : (epoch + 1) * count]) == list(range(count))
    assert list(walk[:count]) != list(walk[count : 2 * count])


def test_a_step_is_the_same_whenever_it_is_asked_for() -> None:
    images, targets = _batches()(7)
    again = _batches()
    again(3)
    assert np.array_equal(again(7)[0], images)
    assert np.array_equal(again(7)[1], targets)
    assert not np.array_equal(_batches(seed=2)(7)[0], images)
    assert not np.array_equal(again(8)[0], images)


def test_targets_are_one_hot_and_belong_to_their_images() -> None:
    batches = _batches()
    _, targets = batches(4)
    assert targets.shape == (8, 3)
    assert np.array_equal(targets.argmax(axis=1), batches.labels[batches.indices(4)])
    assert np.array_equal(targets.sum(axis=1), np.ones(8))


def test_augmentation_keeps_type_shape_and_about_the_picture() -> None:
    ramp = np.tile(np.linspace(40, 200, 32).astype(np.uint8)[None, :, None, None], (64, 1, 32, 1))
    changed = augment(ramp, np.random.default_rng(0))
    assert changed.dtype == np.uint8
    assert changed.shape == ramp.shape
    # Rows still grow brighter downwards: no vertical mirror, no scrambling.
    assert np.all(np.diff(changed[..., 0].astype(int).mean(axis=2), axis=1) >= 0)
    assert len({changed[number].tobytes() for number in range(64)}) > 60


def test_half_of_the_images_are_mirrored() -> None:
    ramp = np.tile(np.linspace(40, 200, 32).astype(np.uint8)[None, None, :, None], (400, 8, 1, 1))
    changed = augment(ramp, np.random.default_rng(0)).astype(int)
    mirrored = np.mean(changed[:, 0, 0, 0] > changed[:, 0, -1, 0])
    assert 0.4 < mirrored < 0.6
