from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from pipeline.datasets import images, views


def _picture() -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (9, 14, 3)).astype(np.uint8)


def _encoded(kind: str, **options: object) -> bytes:
    file = io.BytesIO()
    Image.fromarray(_picture()).save(file, kind, **options)
    return file.getvalue()


def _bomb() -> bytes:
    """A PNG of a few bytes that claims 60,000 × 60,000 pixels."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


@pytest.mark.parametrize("kind", ["PNG", "BMP", "PPM", "WEBP"])
def test_lossless_formats_come_back(kind: str) -> None:
    options = {"lossless": True} if kind == "WEBP" else {}
    np.testing.assert_array_equal(images.decode(_encoded(kind, **options)), _picture())


def test_jpeg_comes_back_nearly() -> None:
    assert images.decode(_encoded("JPEG", quality=95)).shape == (9, 14, 3)


def test_exif_orientation_is_respected() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90° clockwise
    np.testing.assert_array_equal(images.decode(_encoded("PNG", exif=exif)), np.rot90(_picture(), -1))


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "CMYK"])
def test_other_modes_become_rgb(mode: str) -> None:
    file = io.BytesIO()
    Image.fromarray(_picture()).convert(mode).save(file, "JPEG" if mode == "CMYK" else "PNG")
    decoded = images.decode(file.getvalue())
    assert decoded.shape == (9, 14, 3) and decoded.dtype == np.uint8


def test_sixteen_bit_grey_keeps_its_range() -> None:
    file = io.BytesIO()
    Image.fromarray(np.array([[0, 128 * 256, 65535]], np.uint16)).save(file, "PNG")
    np.testing.assert_array_equal(images.decode(file.getvalue())[0, :, 0], [0, 128, 255])


def test_transparency_lies_over_black() -> None:
    file = io.BytesIO()
    Image.new("RGBA", (1, 1), (200, 200, 200, 0)).save(file, "PNG")
    assert images.decode(file.getvalue()).tolist() == [[[0, 0, 0]]]


@pytest.mark.parametrize("content", [b"", b"x", _bomb(), _encoded("PNG")[:60], _encoded("GIF"), b"%!PS-Adobe-3.0 EPSF"])
def test_what_is_refused(content: bytes) -> None:
    with pytest.raises(images.UnreadableError) as caught:
        images.decode(content)
    assert str(caught.value) and "0x" not in str(caught.value)


def test_pixel_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "MOST_PIXELS", 9 * 14)
    images.decode(_encoded("PNG"))
    monkeypatch.setattr(images, "MOST_PIXELS", 9 * 14 - 1)
    with pytest.raises(images.UnreadableError, match="over the limit"):
        images.decode(_encoded("PNG"))


@given(
    st.sampled_from(["PNG", "BMP", "PPM", "WEBP", "JPEG"]),
    st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 255)), min_size=1, max_size=8),
    st.integers(0, 2000),
)
def test_damage_is_an_image_or_unreadable(kind: str, changes: list[tuple[int, int]], length: int) -> None:
    content = bytearray(_encoded(kind))
    for place, value in changes:
        content[place % len(content)] = value
    try:
        decoded = images.decode(bytes(content[: max(length, 1)]))
    except images.UnreadableError:
        return
    assert decoded.dtype == np.uint8 and decoded.ndim == 3 and decoded.shape[2] == 3


@pytest.mark.parametrize("size", [(64, 64), (96, 96), (100, 70), (20, 300), (1, 1)])
def test_resize_keeps_a_flat_colour_and_gives_the_size(size: tuple[int, int]) -> None:
    flat = np.full((*size, 3), (10, 200, 90), np.uint8)
    resized = views.resize(flat, 32)
    assert resized.shape == (32, 32, 3)
    assert (resized == (10, 200, 90)).all()


def test_resize_by_a_whole_number_is_the_mean_of_the_area() -> None:
    image = np.random.default_rng(1).integers(0, 256, (64, 96, 3)).astype(np.uint8)
    means = image.reshape(32, 2, 32, 3, 3).mean(axis=(1, 3))
    assert np.abs(views.resize(image, 32) - means).max() <= 1


def test_resize_does_not_alias() -> None:
    stripes = np.zeros((160, 160, 3), np.uint8)
    stripes[:, ::2] = 255  # finer than 96 pixels can show: must become grey, not coarse stripes
    assert np.abs(views.resize(stripes, 96)[:, 4:-4].astype(int) - 127).max() < 40


def test_resize_leaves_the_right_size_alone() -> None:
    image = np.random.default_rng(1).integers(0, 256, (32, 32, 3)).astype(np.uint8)
    np.testing.assert_array_equal(views.resize(image, 32), image)


def test_luma_is_that_of_the_recommendation() -> None:
    rgb = np.array([[0, 0, 0], [255, 255, 255], [255, 0, 0], [0, 255, 0], [0, 0, 255], [10, 20, 30]], np.uint8)
    assert views.luma(rgb)[:, 0].tolist() == [0, 255, 76, 150, 29, 18]
    every = np.random.default_rng(2).integers(0, 256, (5000, 3)).astype(np.uint8)
    exact = every @ np.array([0.299, 0.587, 0.114])
    assert np.abs(views.luma(every)[:, 0] - exact).max() <= 0.51
