"""The streams of weights, read back as the kernel reads them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from pipeline.firmware.lowering.packing import pack, shareable, window_elements
from pipeline.firmware.lowering.requantization import Form, Requantization


def pairs(word: int) -> tuple[int, int]:
    """A word's two signed 16-bit halves."""
    return tuple(half - 2**16 if half >= 2**15 else half for half in (word & 0xFFFF, word >> 16))  # type: ignore[return-value]


def low_bytes(word: int) -> tuple[int, int]:
    """SXTB16."""
    return tuple(byte - 256 if byte >= 128 else byte for byte in (word & 0xFF, word >> 16 & 0xFF))  # type: ignore[return-value]


def drawn(seed: int, channels: int, elements: int, least: int = -127) -> NDArray[np.int8]:
    return np.random.default_rng(seed).integers(least, 128, (channels, elements)).astype(np.int8)


@given(st.integers(0, 2**32 - 1), st.integers(1, 5), st.integers(1, 5))
def test_a_word_has_the_weights_of_two_channels(seed: int, channels: int, fours: int) -> None:
    elements = drawn(seed, channels, 4 * fours)
    records = np.random.default_rng(seed).integers(-(2**31), 2**31, (channels, 2)).astype(np.int32)
    made = pack(elements, Requantization(Form.LINEAR, records))
    assert made.pairs == 2 * fours
    stream = iter(made.stream.tolist())
    for channel in range(0, channels, 2):
        both = [channel, channel + 1 if channel + 1 < channels else channel]
        assert [next(stream), next(stream)] == [int(records[c, 0]) & 0xFFFFFFFF for c in both]
        filters = elements[both].astype(int)
        if both[0] == both[1]:
            filters[1] = 0
        for four in range(0, 4 * fours, 4):
            for first in (four, four + 1):
                word = next(stream)
                a, b = filters[:, [first, first + 2]]
                assert low_bytes(word) == tuple(a)
                assert pairs(word) == tuple(a + 256 * b)
        assert [next(stream), next(stream)] == [int(records[c, 1]) & 0xFFFFFFFF for c in both]
    assert next(stream, None) is None


def test_the_plain_stream_keeps_the_bytes() -> None:
    elements = drawn(1, 3, 8, least=-128)
    records = np.arange(9, dtype=np.int32).reshape(3, 3) - 4
    made = pack(elements, Requantization(Form.PLAIN, records))
    rows = made.stream.reshape(3, 5)
    np.testing.assert_array_equal(rows[:, [0, 3, 4]].view(np.int32), records)
    np.testing.assert_array_equal(np.ascontiguousarray(rows[:, 1:3]).view(np.int8), elements)


def test_weights_that_leave_16_bits_together() -> None:
    fits, not_fits = np.array([[0], [-128]], np.int8), np.array([[-1], [-128]], np.int8)
    assert shareable(np.repeat(fits, 4, axis=1))
    assert shareable(np.repeat(not_fits[::-1], 4, axis=1)), "the first channel's weight is the low byte"
    assert not shareable(np.repeat(not_fits, 4, axis=1))
    with pytest.raises(ValueError, match="share"):
        pack(np.repeat(not_fits, 4, axis=1), Requantization(Form.RELU, np.zeros((2, 2), np.int32)))


def test_each_kernel_row_is_filled_up() -> None:
    weights = np.arange(2 * 2 * 3, dtype=np.int8).reshape(1, 2, 3, 2)
    assert window_elements(weights).tolist() == [[0, 1, 2, 3, 4, 5, 0, 0, 6, 7, 8, 9, 10, 11, 0, 0]]
