"""Image files from outside into RGB arrays: few formats, a pixel limit, and one exception for whatever goes wrong."""

from __future__ import annotations

import io
import struct
import warnings
import zlib

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

FORMATS = ("JPEG", "PNG", "BMP", "PPM", "WEBP")
SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".ppm", ".pgm", ".pbm", ".webp"})
MOST_PIXELS = 50_000_000
MOST_BYTES = 200_000_000

#: What Pillow is known to raise on damaged files; its decoders are many, and each has its own habits.
_DAMAGE = (
    OSError,
    ValueError,
    SyntaxError,
    EOFError,
    TypeError,
    AttributeError,
    LookupError,
    ArithmeticError,
    NotImplementedError,  # by Pillow, of an encoding that it does not know
    struct.error,
    zlib.error,
    MemoryError,
    Image.DecompressionBombError,
    Image.DecompressionBombWarning,
)


class UnreadableError(Exception):
    """The bytes are no image that we take; the text says why."""


def decode(content: bytes) -> NDArray[np.uint8]:
    """Decode an image as a person would look at it: turned by its EXIF orientation, in RGB.

    Transparency is laid over black; of an animation the first picture counts; 16-bit grey is brought to 8 bits.

    Returns:
        uint8, [height, width, 3].

    Raises:
        UnreadableError: Not one of the formats, damaged, or over the pixel limit.
    """
    try:
        with warnings.catch_warnings():
            # Damaged metadata only warns, and the picture is still good; a bomb must never be decoded.
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(content), formats=FORMATS) as image:
                if image.width * image.height > MOST_PIXELS:
                    raise UnreadableError(f"{image.width} × {image.height} pixels are over the limit of {MOST_PIXELS}")
                image.load()
                return np.asarray(_rgb(ImageOps.exif_transpose(image)), dtype=np.uint8)
    except UnidentifiedImageError as error:  # its text is the repr of our buffer
        raise UnreadableError(f"not a whole {', '.join(FORMATS[:-1])} or {FORMATS[-1]} image") from error
    except _DAMAGE as error:
        raise UnreadableError(str(error) or type(error).__name__) from error


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode in ("I", "I;16", "I;16L", "I;16B"):
        levels = np.asarray(image).astype(np.int64) >> 8
        image = Image.fromarray(np.clip(levels, 0, 255).astype(np.uint8))
    if image.has_transparency_data:
        transparent = image.convert("RGBA")
        black = Image.new("RGBA", transparent.size, (0, 0, 0, 255))
        image = Image.alpha_composite(black, transparent)
    return image.convert("RGB")
