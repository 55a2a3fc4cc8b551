"""Pictures of what the device was given, and took for another class, within a page."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import printable
from pipeline.graph.model import DType, Tensor
from pipeline.report.html.material import Classified

#: Pictures of a page, and what they may take in all, in bytes.
MOST, MOST_BYTES = 24, 900_000


@dataclass(frozen=True)
class Picture:
    """An image that the device took for another class.

    Attributes:
        uri: PNG, as a data URI.
        number: Of the input, from 0.
        label, found: Names of the classes.
    """

    uri: str
    number: int
    label: str
    found: str


def pixels(inputs: NDArray[np.generic], tensor: Tensor) -> NDArray[np.uint8] | None:
    """What inputs of a model look like: the inverse of how images are quantized.

    Args:
        inputs: [N, H, W, C] in the model's own type.
        tensor: The model's input.

    Returns:
        [N, H, W, C], 0-255; None where the input is no image of one or three channels.
    """
    if inputs.ndim != 4 or inputs.shape[-1] not in (1, 3):
        return None
    if tensor.dtype is DType.FLOAT32:
        real = inputs.astype(np.float32)
    elif tensor.quantization is None:
        return None
    else:
        real = (inputs.astype(np.float32) - tensor.quantization.zero_point) * np.float32(tensor.quantization.scale)
    return np.asarray(np.clip(np.rint(real * 255), 0, 255), np.uint8)


def misclassified(classified: Classified) -> Iterator[Picture]:
    """The first pictures of those that were taken for another class, as many as a page has room for."""
    if classified.images is None:
        return
    room = MOST_BYTES
    for number in classified.wrong[:MOST]:
        uri = _uri(classified.images[number])
        room -= len(uri)
        if room < 0:
            return
        yield Picture(
            uri,
            number,
            printable(classified.classes[classified.labels[number]], 60),
            printable(classified.classes[classified.found[number]], 60),
        )


def _uri(image: NDArray[np.uint8]) -> str:
    from PIL import Image

    content = io.BytesIO()
    Image.fromarray(image[:, :, 0] if image.shape[-1] == 1 else image).save(content, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(content.getvalue()).decode()
