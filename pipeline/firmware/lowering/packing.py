"""The constants of a convolution as its kernel reads them: one stream of words, front to back.

firmware_templates/runtime/aot/block.h says what the stream is. No weight is stored twice or widened: two output
channels share each word, so a stream has the bytes of the weights and 16 for each two channels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from pipeline.firmware.lowering.requantization import Form, Requantization

#: In each four elements, those of the first pair and those of the second (simd.h, sxtb16).
_PAIRED = (0, 2, 1, 3)


@dataclass(frozen=True)
class Packed:
    """A stream of uint32 words, the pairs of elements in a window, and the form that the kernel goes by."""

    stream: NDArray[np.uint32]
    pairs: int
    form: Form


def window_elements(weights: NDArray[np.int8]) -> NDArray[np.int8]:
    """Weights [channel, row, column, input channel] as [channel, element], rows filled up with zeros to fours."""
    channels, rows = weights.shape[:2]
    runs = weights.reshape(channels, rows, -1)
    return np.pad(runs, ((0, 0), (0, 0), (0, -runs.shape[2] % 4))).reshape(channels, -1)


def shareable(elements: NDArray[np.int8]) -> bool:
    """Whether a + 256 · b is a 16-bit number for the weights of all channels that would share a word."""
    even = _even(elements)
    return not bool(np.any((even[0::2] < 0) & (even[1::2] == -128)))


def pack(elements: NDArray[np.int8], requantization: Requantization) -> Packed:
    """The stream of weights [channel, element] (a multiple of four elements) and their requantization."""
    if requantization.form is Form.PLAIN:
        records = _words(requantization.records)
        weights = np.ascontiguousarray(elements).view("<u4")
        stream = np.concatenate((records[:, :1], weights, records[:, 1:]), axis=1)
    else:
        # The neighbour of a last, odd channel is one of zeros with that channel's record, which the kernel can take.
        records = _words(_even(requantization.records, mode="edge")).reshape(-1, 2, 2)
        weights = _shared(_even(elements))
        stream = np.concatenate((records[:, :, 0], weights, records[:, :, 1]), axis=1)
    return Packed(stream.reshape(-1), elements.shape[1] // 2, requantization.form)


def _shared(elements: NDArray[np.int8]) -> NDArray[np.uint32]:
    """A word for each two channels and two elements: [channel pair, pair of elements]."""
    wide = elements.astype(np.int32)
    halves = wide[0::2] + 256 * wide[1::2]
    halves = halves.reshape(len(halves), -1, 4)[:, :, _PAIRED].reshape(len(halves), -1, 2)
    if halves.min(initial=0) < -(2**15):
        raise ValueError("weights that cannot share a word")
    return _words((halves[:, :, 0] & 0xFFFF) | (halves[:, :, 1] << 16))


def _even(rows: NDArray[Any], mode: Literal["constant", "edge"] = "constant") -> NDArray[Any]:
    """The rows, with one more behind an odd number of them: zeros or, with ``edge``, the last one again."""
    return np.pad(rows, ((0, len(rows) % 2), (0, 0)), mode=mode)


def _words(values: NDArray[np.int32]) -> NDArray[np.uint32]:
    return np.ascontiguousarray(values, np.int32).view(np.uint32)
