"""A fixed camera's video into person / no-person crops, labelled by what differs from the empty scene.

The empty scene is the median over time of every pixel. What differs from it by more than a threshold is foreground;
opened and closed, its components of a walking person's size and shape are taken for persons (or for a few persons
close together). This is good enough for a smoke test and is called just that wherever it is described.

Three decisions keep the task honest:

* The splits are ranges of time with seconds between them, so neighbouring frames are never on two sides. Validation
  and test have an early and a late range each, because who walks where changes within the video.
* Each person crop has a partner: the very same window of another frame of its split, with no foreground in it. So
  neither place nor scale gives the label away.
* What is neither (part of a person, something small in the distance, a figure cut by the picture's edge) is left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from pipeline.datasets.values import Split
from pipeline.errors import EnvironmentProblem, UsageError

#: Counts up whenever the code below would choose or cut other crops from the same video.
VERSION = 1
CLASS_NAMES = ("no_person", "person")
NO_PERSON, PERSON = range(2)
CROP_PIXELS = 160

_BLOCK = 8  # pixels of the full frame; the granularity at which emptiness is judged
_HALF = 2  # detection works on frames of half the size: less noise, a quarter of the work
_ROWS_AT_ONCE = 32  # bounds the median's working memory


class Video(Protocol):
    """Frames that can be read more than once."""

    @property
    def fingerprint(self) -> str:
        """Identifies the contents."""
        ...

    def frames(self) -> Iterator[NDArray[np.uint8]]:
        """Every frame in order: uint8, [height, width, 3], RGB."""
        ...


@dataclass(frozen=True)
class Parameters:
    """How crops are found and chosen. Lengths are pixels of the full frame, areas its square pixels.

    The defaults suit OpenCV's vtest.avi: 768 × 576 pixels, 10 frames a second, persons 50 to 150 pixels high.
    """

    frames_per_second: float = 10.0
    #: Ranges of time, (from second, to second), of each split.
    train: tuple[tuple[float, float], ...] = ((0.0, 22.0), (43.0, 61.0))
    validation: tuple[tuple[float, float], ...] = ((25.0, 31.0), (73.5, 79.5))
    test: tuple[tuple[float, float], ...] = ((34.0, 40.0), (64.0, 70.5))
    #: Crops a split; half of them show a person.
    train_crops: int = 2560
    validation_crops: int = 640
    test_crops: int = 640
    frame_step: int = 2
    median_step: int = 8
    threshold: int = 30
    person_area: int = 600
    person_height: int = 48
    person_width: int = 16
    #: Width over height at most: two persons side by side pass, a car does not.
    person_aspect: float = 1.1
    #: Foreground smaller than this is noise, such as tape in the wind.
    noise_area: int = 100
    #: The window's side is the person's height times a number drawn from this range …
    scale: tuple[float, float] = (1.7, 2.8)
    #: … within these bounds.
    sides: tuple[int, int] = (112, 240)
    margin: int = 4
    windows_per_person: int = 5

    def seconds(self, split: Split) -> tuple[tuple[float, float], ...]:
        """The split's ranges of time."""
        return {Split.TRAIN: self.train, Split.VALIDATION: self.validation, Split.TEST: self.test}[split]

    def crops(self, split: Split) -> int:
        """How many crops the split gets at most."""
        return {
            Split.TRAIN: self.train_crops,
            Split.VALIDATION: self.validation_crops,
            Split.TEST: self.test_crops,
        }[split]

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for keys and descriptions."""
        return asdict(self)


@dataclass(frozen=True)
class Box:
    """A person's bounding box in pixels of the full frame."""

    x: int
    y: int
    width: int
    height: int


@dataclass(frozen=True)
class Survey:
    """What was found in the frames looked at.

    Attributes:
        frames: Their numbers, rising.
        persons: Their persons, frame by frame.
        occupied: bool, [frames, rows, columns] in blocks of 8 pixels: foreground of any kind.
        size: (height, width) of a frame in pixels.
    """

    frames: tuple[int, ...]
    persons: tuple[tuple[Box, ...], ...]
    occupied: NDArray[np.bool_]
    size: tuple[int, int]


@dataclass(frozen=True, order=True)
class Crop:
    """A square window of a frame, and its label."""

    frame: int
    x: int
    y: int
    side: int
    label: int

    @property
    def id(self) -> str:
        """For example ``f0123-x400-y096-s160``."""
        return f"f{self.frame:04d}-x{self.x:03d}-y{self.y:03d}-s{self.side:03d}"


def opencv() -> Any:
    """OpenCV's module, imported late because only the sample scene needs it.

    Raises:
        EnvironmentProblem: ``missing-extra``.
    """
    try:
        import cv2
    except ImportError as error:
        raise EnvironmentProblem(
            "missing-extra",
            "the sample scene needs OpenCV to decode its video",
            why="opencv-python-headless is not installed",
            next="Install the extra: pip install 'danas-deploy[sample]', or use --data folder:PATH.",
        ) from error
    return cv2


def survey(video: Video, parameters: Parameters) -> Survey:
    """Find the persons, and the empty places, of every ``frame_step``-th frame.

    Raises:
        UsageError: ``bad-video``: no frames, or frames of differing sizes.
        EnvironmentProblem: ``missing-extra``.
    """
    cv2 = opencv()
    numbers: list[int] = []
    halves: list[NDArray[np.uint8]] = []
    size = (0, 0)
    for number, frame in enumerate(video.frames()):
        if number % parameters.frame_step:
            continue
        if halves and frame.shape[:2] != size:
            raise UsageError("bad-video", f"frame {number} has another size than the first")
        size = (frame.shape[0], frame.shape[1])
        numbers.append(number)
        halves.append(cv2.resize(frame, (size[1] // _HALF, size[0] // _HALF), interpolation=cv2.INTER_AREA))
    if not halves:
        raise UsageError("bad-video", "the video has no frames")
    empty = _median(halves[:: max(1, parameters.median_step // parameters.frame_step)])
    persons, occupied = [], []
    for half in halves:
        boxes, blocks = _detect(cv2, half, empty, parameters)
        persons.append(boxes)
        occupied.append(blocks)
    return Survey(tuple(numbers), tuple(persons), np.stack(occupied), size)


def _median(frames: list[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """The median over time, a few rows at once."""
    result = np.empty_like(frames[0])
    for top in range(0, len(result), _ROWS_AT_ONCE):
        rows = np.stack([frame[top : top + _ROWS_AT_ONCE] for frame in frames])
        middle = len(frames) // 2
        result[top : top + _ROWS_AT_ONCE] = np.partition(rows, middle, axis=0)[middle]
    return result


def _detect(
    cv2: Any, half: NDArray[np.uint8], empty: NDArray[np.uint8], parameters: Parameters
) -> tuple[tuple[Box, ...], NDArray[np.bool_]]:
    """Persons of one halved frame, and its blocks with any foreground."""
    height, width = half.shape[:2]
    different = cv2.absdiff(half, empty).max(axis=2) > parameters.threshold
    mask = cv2.morphologyEx(different.astype(np.uint8), cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    # Legs, coat and head of one person come apart where they look like the ground: closed more upwards than sideways.
    mask = cv2.morphologyEx(mask, cv2.MORPH_CLOSE, np.ones((9, 5), np.uint8))
    _, components, statistics, _ = cv2.connectedComponentsWithStats(mask)
    kept = np.zeros(len(statistics), dtype=bool)
    boxes = []
    for label, row in enumerate(statistics[1:].tolist(), start=1):
        x, y, wide, high, area = row
        kept[label] = area * _HALF**2 >= parameters.noise_area
        whole = x > 0 and y > 0 and x + wide < width and y + high < height
        if (
            whole
            and area * _HALF**2 >= parameters.person_area
            and high * _HALF >= parameters.person_height
            and wide * _HALF >= parameters.person_width
            and wide <= parameters.person_aspect * high
        ):
            boxes.append(Box(x * _HALF, y * _HALF, wide * _HALF, high * _HALF))
    foreground: NDArray[np.bool_] = kept[np.asarray(components)]
    step = _BLOCK // _HALF
    padded = np.pad(foreground, ((0, -height % step), (0, -width % step)))
    blocks = padded.reshape(padded.shape[0] // step, step, padded.shape[1] // step, step)
    return tuple(boxes), np.asarray(blocks.any(axis=(1, 3)))


def choose(found: Survey, parameters: Parameters, seed: int) -> dict[Split, list[Crop]]:
    """Choose each split's crops: pairs of one window with a person in it and, in another frame, empty.

    Returns:
        Per split the crops, person and partner in turn, the pairs in an order that the seed fixes.

    Raises:
        UsageError: ``bad-video`` where a split has no pair.
    """
    chosen = {}
    for index, split in enumerate(Split):
        generator = np.random.default_rng((seed, index))
        pairs = _pairs(found, parameters, split, generator)
        if not pairs:
            raise UsageError("bad-video", f"no person crop with an empty partner in the {split.value} split")
        chosen[split] = [crop for pair in pairs for crop in pair]
    return chosen


def _pairs(
    found: Survey, parameters: Parameters, split: Split, generator: np.random.Generator
) -> list[tuple[Crop, Crop]]:
    ranges = parameters.seconds(split)
    seconds = [number / parameters.frames_per_second for number in found.frames]
    rows = [row for row, second in enumerate(seconds) if any(first <= second < last for first, last in ranges)]
    candidates = [
        (row, window)
        for row in rows
        for box in found.persons[row]
        for _ in range(parameters.windows_per_person)
        if (window := _window(box, found.size, parameters, generator)) is not None
    ]
    occupied = found.occupied[rows]
    taken: set[Crop] = set()
    pairs: list[tuple[Crop, Crop]] = []
    for index in generator.permutation(len(candidates)).tolist():
        if 2 * len(pairs) >= parameters.crops(split):
            break
        row, (x, y, side) = candidates[index]
        blocks = occupied[:, y // _BLOCK : -(-(y + side) // _BLOCK), x // _BLOCK : -(-(x + side) // _BLOCK)]
        free = np.flatnonzero(~blocks.any(axis=(1, 2)))
        if not len(free):
            continue
        person = Crop(found.frames[row], x, y, side, PERSON)
        empty = Crop(found.frames[rows[int(generator.choice(free))]], x, y, side, NO_PERSON)
        if person not in taken and empty not in taken:
            taken.update((person, empty))
            pairs.append((person, empty))
    return pairs


def _window(
    box: Box, size: tuple[int, int], parameters: Parameters, generator: np.random.Generator
) -> tuple[int, int, int] | None:
    """A square that holds the box and its margin, at a random scale and place; None where there is none."""
    drawn = box.height * generator.uniform(*parameters.scale)
    side = int(np.clip(round(drawn), *parameters.sides))
    margin = parameters.margin
    corner = []
    for start, length, limit in ((box.x, box.width, size[1]), (box.y, box.height, size[0])):
        least = max(0, start + length + margin - side)
        most = min(start - margin, limit - side)
        if least > most:
            return None
        corner.append(int(generator.integers(least, most, endpoint=True)))
    return corner[0], corner[1], side


def cut(video: Video, crops: Iterable[Crop]) -> Iterator[NDArray[np.uint8]]:
    """Cut crops out of the video and bring them to 160 × 160 pixels.

    Args:
        crops: In the order of :class:`Crop`, that is by frame.

    Yields:
        uint8, [160, 160, 3], one a crop, in the same order.

    Raises:
        UsageError: ``bad-video``: the video ends before the last crop's frame.
        EnvironmentProblem: ``missing-extra``.
    """
    cv2 = opencv()
    frames = enumerate(video.frames())
    number, frame = -1, np.empty((0, 0, 3), dtype=np.uint8)
    for crop in crops:
        while number < crop.frame:
            try:
                number, frame = next(frames)
            except StopIteration:
                raise UsageError("bad-video", f"the video ends before frame {crop.frame}") from None
        window = frame[crop.y : crop.y + crop.side, crop.x : crop.x + crop.side]
        method = cv2.INTER_AREA if crop.side > CROP_PIXELS else cv2.INTER_CUBIC
        yield cv2.resize(window, (CROP_PIXELS, CROP_PIXELS), interpolation=method)
