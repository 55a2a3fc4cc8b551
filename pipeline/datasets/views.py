"""From images of any size to what a DataConfig's sensor would give: resized, then mono where asked, cached."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipeline.datasets.cache import Cache
from pipeline.datasets.values import Split
from pipeline.genotype import Colour, DataConfig

#: Part of the cache's file names: counts up whenever the arithmetic below changes.
VERSION = 1


def resize(image: NDArray[np.uint8], resolution: int) -> NDArray[np.uint8]:
    """Resize to a square, antialiased; an image that is not square is squeezed, so that nothing labelled is cut off.

    Args:
        image: uint8, [height, width, 3].
        resolution: Pixels a side.

    Returns:
        uint8, [resolution, resolution, 3]; the image itself where it has that size already.
    """
    height, width = image.shape[:2]
    if (height, width) == (resolution, resolution):
        return image
    # Pillow widens every filter by the scale when it reduces, so each source pixel counts. BOX is then the mean over
    # an area, as a sensor bins its pixels, but true to that for whole ratios only; the triangle suits the others.
    whole = height % resolution == 0 and width % resolution == 0
    method = Image.Resampling.BOX if whole else Image.Resampling.BILINEAR
    return np.asarray(Image.fromarray(image).resize((resolution, resolution), method), dtype=np.uint8)


def luma(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """BT.601 luma, 0.299 R + 0.587 G + 0.114 B, rounded, in 16-bit fixed point.

    Args:
        rgb: uint8, [..., 3].

    Returns:
        uint8, [..., 1].

    Source: Recommendation ITU-R BT.601-7, section 2.5.1.
    """
    weights = np.array([19595, 38470, 7471], dtype=np.uint32)  # sum 65536: white stays white
    total = rgb.astype(np.uint32) @ weights + 32768
    return (total >> 16).astype(np.uint8)[..., np.newaxis]


def cached_images(
    *,
    cache: Cache,
    fingerprint: str,
    split: Split,
    data: DataConfig,
    count: int,
    images: Callable[[], Iterable[NDArray[np.uint8]]],
) -> NDArray[np.uint8]:
    """The split's images under a DataConfig, from the cache or through it.

    The mono view derives from the RGB view of the same resolution, so an image is decoded once a resolution.

    Args:
        images: Called when they must be decoded; gives ``count`` RGB images, uint8 [height, width, 3], of any size.

    Returns:
        uint8, [count, resolution, resolution, channels], a read-only memory map.

    Raises:
        EnvironmentProblem: ``disk-full``, ``cache-not-writable``.
    """
    colour = DataConfig(data.resolution, Colour.RGB)

    def rgb_rows() -> Iterator[NDArray[np.uint8]]:
        return (resize(image, data.resolution) for image in images())

    rgb = cache.array(_name(fingerprint, split, colour), (count, *colour.shape), rgb_rows)
    if data.colour is Colour.RGB:
        return rgb

    def mono_rows() -> Iterator[NDArray[np.uint8]]:
        return (luma(image) for image in rgb)

    return cache.array(_name(fingerprint, split, data), (count, *data.shape), mono_rows)


def _name(fingerprint: str, split: Split, data: DataConfig) -> str:
    return f"views/v{VERSION}/{fingerprint[:32]}/{split.value}-{data.id}.npy"
