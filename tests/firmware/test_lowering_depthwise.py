"""The stream of a depthwise convolution: every weight once, where the kernel looks for it."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.firmware.lowering.depthwise import packed_filters


def stream(kernel: tuple[int, int], stride: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(weights, records, stream as bytes), for eight channels."""
    rng = np.random.default_rng(3)
    weights = rng.integers(-128, 128, (8, *kernel)).astype(np.int8)
    records = rng.integers(-(2**31), 2**31, (8, 2)).astype(np.int32)
    return weights, records, packed_filters(weights, records, stride)


@pytest.mark.parametrize("stride", [1, 2])
def test_a_3x3_kernel_takes_nine_bytes_and_a_record(stride: int) -> None:
    weights, records, packed = stream((3, 3), stride)
    groups = packed.reshape(2, 68)
    for channel in range(8):
        group, place = groups[channel // 4], 16 * (channel % 4)
        w = weights[channel]
        words = [w[0, 0], w[0, 1], w[1, 0], w[1, 1], w[0, 2], w[2, 0], w[1, 2], w[2, 1]]
        assert group[place : place + 8].view(np.int8).tolist() == words
        assert group[place + 8 : place + 16].view("<i4").tolist() == records[channel].tolist()
        assert group[64 + channel % 4].view(np.int8) == w[2, 2]


@pytest.mark.parametrize(("kernel", "size"), [((1, 1), 9), ((2, 2), 12), ((3, 3), 19), ((4, 3), 20), ((5, 5), 33)])
def test_other_kernels_fill_words_with_pairs(kernel: tuple[int, int], size: int) -> None:
    weights, records, packed = stream(kernel, 3)
    height, width = kernel
    assert packed.size == 8 * size
    words = size - 8 - height % 2 * width
    for channel in range(8):
        group = packed[channel // 4 * 4 * size :][: 4 * size]
        mine = group[channel % 4 * (words + 8) :][: words + 8]
        taken = mine[:words].view(np.int8).reshape(-1, 2, 2).swapaxes(1, 2).reshape(-1, 2)
        pairs = [
            (weights[channel, 2 * r, x], weights[channel, 2 * r + 1, x])
            for r in range(height // 2)
            for x in range(width)
        ]
        assert taken[: len(pairs)].tolist() == [list(pair) for pair in pairs]
        assert mine[words:].view("<i4").tolist() == records[channel].tolist()
        if height % 2:
            last = group[4 * (words + 8) :].view(np.int8).reshape(4, width)[channel % 4]
            assert last.tolist() == weights[channel, -1].tolist()
