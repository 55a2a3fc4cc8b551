from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from dataset_samples import PARAMETERS, Walkers
from numpy.typing import NDArray

from pipeline.datasets import scene
from pipeline.datasets.values import Split
from pipeline.errors import EnvironmentProblem, UsageError

pytest.importorskip("cv2", reason="the sample scene needs the extra `sample`", exc_type=ImportError)

VIDEO = Walkers()


@pytest.fixture(scope="module")
def found() -> scene.Survey:
    return scene.survey(VIDEO, PARAMETERS)


def _overlap(crop: scene.Crop, place: tuple[int, int]) -> int:
    """Pixels of a figure within the crop."""
    wide = min(crop.x + crop.side, place[0] + VIDEO.figure[0]) - max(crop.x, place[0])
    high = min(crop.y + crop.side, place[1] + VIDEO.figure[1]) - max(crop.y, place[1])
    return max(0, wide) * max(0, high)


def test_survey_finds_the_figures(found: scene.Survey) -> None:
    assert found.frames == tuple(range(0, VIDEO.count, PARAMETERS.frame_step))
    assert found.size == (VIDEO.height, VIDEO.width)
    for frame, boxes in zip(found.frames, found.persons, strict=True):
        corners = sorted((box.x, box.y) for box in boxes)
        expected = sorted(VIDEO.places(frame))
        assert len(corners) == len(expected)
        for got, wanted in zip(corners, expected, strict=True):
            assert np.abs(np.subtract(got, wanted)).max() <= 4


@pytest.mark.parametrize("seed", [0, 1])
def test_labels_are_true(found: scene.Survey, seed: int) -> None:
    for crops in scene.choose(found, PARAMETERS, seed).values():
        for crop in crops:
            overlaps = [_overlap(crop, place) for place in VIDEO.places(crop.frame)]
            if crop.label == scene.PERSON:
                assert VIDEO.figure[0] * VIDEO.figure[1] in overlaps
            else:
                assert not any(overlaps)


def test_each_person_has_an_empty_partner_in_the_same_place(found: scene.Survey) -> None:
    for crops in scene.choose(found, PARAMETERS, 0).values():
        assert [crop.label for crop in crops] == [scene.PERSON, scene.NO_PERSON] * (len(crops) // 2)
        for person, empty in zip(crops[::2], crops[1::2], strict=True):
            assert (person.x, person.y, person.side) == (empty.x, empty.y, empty.side)


def test_splits_keep_to_their_time_and_their_size(found: scene.Survey) -> None:
    chosen = scene.choose(found, PARAMETERS, 0)
    for split, crops in chosen.items():
        assert 0 < len(crops) <= PARAMETERS.crops(split)
        ranges = PARAMETERS.seconds(split)
        assert all(any(first <= crop.frame / 10 < last for first, last in ranges) for crop in crops)
        assert len(set(crops)) == len(crops)


def test_windows_lie_within_the_frame_and_vary(found: scene.Survey) -> None:
    crops = scene.choose(found, PARAMETERS, 0)[Split.TRAIN]
    for crop in crops:
        assert 0 <= crop.x <= VIDEO.width - crop.side
        assert 0 <= crop.y <= VIDEO.height - crop.side
        assert PARAMETERS.sides[0] <= crop.side <= PARAMETERS.sides[1]
    assert len({crop.side for crop in crops}) > 5


def test_defaults_have_gaps_of_seconds_between_splits() -> None:
    parameters = scene.Parameters()
    ranges = sorted((first, last) for split in Split for first, last in parameters.seconds(split))
    assert all(later[0] - earlier[1] >= 2.5 for earlier, later in pairwise(ranges))


def test_seed_draws_the_crops(found: scene.Survey) -> None:
    assert scene.choose(found, PARAMETERS, 0) == scene.choose(found, PARAMETERS, 0)
    assert scene.choose(found, PARAMETERS, 0) != scene.choose(found, PARAMETERS, 1)


def test_cut_gives_the_window(found: scene.Survey) -> None:
    frames = list(VIDEO.frames())
    crops = [scene.Crop(3, 10, 20, 160, 1), scene.Crop(3, 0, 0, 160, 1), scene.Crop(7, 40, 40, 100, 0)]
    images = list(scene.cut(VIDEO, crops))
    np.testing.assert_array_equal(images[0], frames[3][20:180, 10:170])
    assert images[2].shape == (160, 160, 3)
    assert abs(float(images[2].mean()) - float(frames[7][40:140, 40:140].mean())) < 2


def test_a_video_that_ends_early() -> None:
    with pytest.raises(UsageError) as caught:
        list(scene.cut(VIDEO, [scene.Crop(VIDEO.count, 0, 0, 160, 0)]))
    assert caught.value.id == "bad-video"


class _Frames:
    fingerprint = "frames"

    def __init__(self, *shapes: tuple[int, int, int]) -> None:
        self._shapes = shapes

    def frames(self) -> Iterator[NDArray[np.uint8]]:
        return (np.zeros(shape, np.uint8) for shape in self._shapes)


@pytest.mark.parametrize("video", [_Frames(), _Frames((64, 64, 3), (64, 64, 3), (32, 64, 3))])
def test_bad_videos(video: _Frames) -> None:
    with pytest.raises(UsageError) as caught:
        scene.survey(video, replace(PARAMETERS, frame_step=1))
    assert caught.value.id == "bad-video"


def test_a_video_without_persons() -> None:
    empty = _Frames(*[(64, 64, 3)] * 110)
    with pytest.raises(UsageError) as caught:
        scene.choose(scene.survey(empty, PARAMETERS), PARAMETERS, 0)
    assert caught.value.id == "bad-video"


def test_without_opencv_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(EnvironmentProblem) as caught:
        scene.survey(VIDEO, PARAMETERS)
    assert caught.value.id == "missing-extra"
    assert "danas-deploy[sample]" in caught.value.next
