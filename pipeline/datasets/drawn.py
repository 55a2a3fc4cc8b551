"""Drawn pictures: is a star among the shapes? For tests, pictures in documents, and a first try without any download.

Nothing is fetched and nothing is anybody's. Each picture has up to three triangles and squares on an uneven, noisy
ground, and one figure that decides: a star, or a polygon or disc. Most stars are red, and most other deciding figures
are not; nothing else is. So colour alone tells most pictures, shape alone all of them, where the figure has pixels
enough: accuracy rises with colour, resolution and capacity. Lumas and sizes say nothing.
"""

from __future__ import annotations

import colorsys
import io
import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipeline.datasets.prepared import Record
from pipeline.datasets.values import Split

#: Counts up whenever the same seed would give other pictures.
VERSION = 1
SIDE = 256
CLASS_NAMES = ("no_star", "star")
#: Pictures in a unit.
_BLOCK = 50

_RED, _APART = 0.0, 0.14  # of the hue circle: other shapes are at least so far from red
_LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601
#: Of figures, in pixels: from what no small picture shows to what every one does.
_RADII = (12.0, 58.0)
_GRID = 2  # places a side
_OTHERS = (5, 6, 0)  # corners of figures that decide and are no stars; 0: a disc
_BYSTANDERS = (3, 4)
#: Of stars that are red, and of other deciding figures that are not.
_TYPICAL = 0.85
_PAPER = 96  # the ground's luma, about
_NOISE = np.float32(10)

Floats = NDArray[np.float32]


class Drawn:
    """Pictures without end, as :class:`~pipeline.datasets.prepared.Records`."""

    name = "drawn"
    class_names = CLASS_NAMES

    @property
    def identity(self) -> Mapping[str, Any]:
        """The drawing's version."""
        return {"version": VERSION}

    @property
    def about(self) -> Mapping[str, Any]:
        """What it is."""
        return {
            "kind": "drawn by this program",
            "title": "a red star among other shapes",
            "license": "none is needed: nothing in it is anybody's",
            "labelled": "by what was drawn: every label is right",
            "split_by": "the numbers that pictures are drawn from",
        }

    def units(self, split: Split, seed: int) -> Iterator[str]:
        """Blocks one after the other. See :class:`~pipeline.datasets.prepared.Records`."""
        number = 0
        while True:
            yield f"{seed}.{number:06d}"
            number += 1

    def read(self, split: Split, unit: str) -> Iterator[Record]:
        """The pictures of a block. See :class:`~pipeline.datasets.prepared.Records`."""
        seed, _, block = unit.partition(".")
        for place in range(_BLOCK):
            rng = np.random.default_rng([VERSION, int(seed), list(Split).index(split), int(block), place])
            label = place % len(CLASS_NAMES)
            content = io.BytesIO()
            Image.fromarray(picture(rng, label)).save(content, "PNG", compress_level=0)
            yield Record(f"{unit}.{place:03d}", label, content.getvalue())


def picture(rng: np.random.Generator, label: int) -> NDArray[np.uint8]:
    """A picture, uint8 [SIDE, SIDE, 3].

    Args:
        rng: Decides everything but the label.
        label: An index into :data:`CLASS_NAMES`.
    """
    canvas = _ground(rng)
    figures = [_deciding(rng, label)]
    for _ in range(rng.integers(_GRID * _GRID)):
        figures.append((_polygon(int(rng.choice(_BYSTANDERS))), _colour(rng, _other_hue(rng))))
    # Each on a place of its own, so that none hides what decides.
    places = rng.permutation(_GRID * _GRID)[: len(figures)]
    side = SIDE / _GRID
    for place, (outline, colour) in zip(places, figures, strict=True):
        radius = math.exp(rng.uniform(math.log(_RADII[0]), math.log(_RADII[1])))
        room = side / 2 - radius
        centre = (np.array([place // _GRID, place % _GRID]) + 0.5) * side + rng.uniform(-room, room, 2)
        _draw(canvas, centre, radius, _turned(outline, rng.uniform(0, 2 * np.pi)), colour)
    canvas += _NOISE * rng.standard_normal(canvas.shape, np.float32)
    np.clip(np.rint(canvas, out=canvas), 0, 255, out=canvas)
    return canvas.astype(np.uint8)


def _ground(rng: np.random.Generator) -> Floats:
    """An uneven ground: a coarse grid of colours, drawn out."""
    coarse = (_PAPER + rng.normal(0, 28, (4, 4, 1)) + rng.normal(0, 14, (4, 4, 3))).astype(np.float32)
    at = np.linspace(0, 3, SIDE, dtype=np.float32)
    low = np.minimum(at.astype(int), 2)
    share = (at - low)[:, None, None]
    rows = coarse[low] * (1 - share) + coarse[low + 1] * share
    share = (at - low)[None, :, None]
    found: Floats = rows[:, low] * (1 - share) + rows[:, low + 1] * share
    return found


Outline = Callable[[Floats], Floats]


def _star(angle: Floats) -> Floats:
    """The radius of a five-pointed star at an angle, as a share of its points'."""
    away = np.abs((angle * 5 / (2 * np.pi)) % 1.0 - 0.5) * 2
    found: Floats = 0.42 + 0.58 * away**1.5
    return found


def _polygon(corners: int) -> Outline:
    """The radius of a regular polygon at an angle; 0 corners: a disc."""
    if corners == 0:
        return lambda angle: np.full_like(angle, 0.8)
    step = 2 * np.pi / corners
    return lambda angle: np.asarray(np.cos(step / 2) / np.cos(angle % step - step / 2), np.float32)


def _turned(outline: Outline, turn: float) -> Outline:
    return lambda angle: outline(angle + np.float32(turn))


def _deciding(rng: np.random.Generator, label: int) -> tuple[Outline, Floats]:
    """The figure that the label is about."""
    outline = _star if label else _polygon(int(rng.choice(_OTHERS)))
    red = (rng.random() < _TYPICAL) == bool(label)
    return outline, _colour(rng, _RED if red else _other_hue(rng))


def _other_hue(rng: np.random.Generator) -> float:
    return float(rng.uniform(_RED + _APART, _RED + 1 - _APART))


def _colour(rng: np.random.Generator, hue: float) -> Floats:
    """A colour of a hue, near enough, whose luma says nothing of it: RGB of 0…255."""
    hue = (hue + rng.uniform(-0.03, 0.03)) % 1
    pure = np.array(colorsys.hls_to_rgb(hue, 0.5, rng.uniform(0.75, 1.0)))
    wanted = rng.uniform(0.50, 0.72)
    luma = float(pure @ _LUMA)
    # Towards black or white until its luma is the one that was drawn.
    mixed = pure * (wanted / luma) if wanted < luma else 1 - (1 - pure) * ((1 - wanted) / (1 - luma))
    return np.asarray(255 * mixed, np.float32)


def _draw(canvas: Floats, centre: NDArray[np.float64], radius: float, outline: Outline, colour: Floats) -> None:
    """Fill an outline; its edge is a pixel wide."""
    low = np.maximum(np.floor(centre - radius - 1).astype(int), 0)
    high = np.minimum(np.ceil(centre + radius + 2).astype(int), SIDE)
    rows, columns = np.mgrid[low[0] : high[0], low[1] : high[1]].astype(np.float32)
    down, across = rows - np.float32(centre[0]), columns - np.float32(centre[1])
    edge = np.float32(radius) * outline(np.arctan2(down, across))
    covered = np.clip(edge - np.hypot(down, across) + np.float32(0.5), 0, 1)[:, :, None]
    part = canvas[low[0] : high[0], low[1] : high[1]]
    part[:] = part * (1 - covered) + colour * covered
