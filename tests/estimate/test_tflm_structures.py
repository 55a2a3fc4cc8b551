"""Structures as compilers lay them out: sizes read from object files of GCC 12.2, for a Cortex-M7 and for x86-64."""

from __future__ import annotations

import pytest

from pipeline.estimate.tflm.structures import CORTEX_M, HOST, Sizes

_PLAIN_HOST = Sizes(pointer=8, enumeration=4)


@pytest.mark.parametrize(
    ("name", "board", "host"),
    [
        ("SingleArenaBufferAllocator", (36, 4), (72, 8)),
        ("RecordingSingleArenaBufferAllocator", (52, 4), (104, 8)),
        ("GreedyMemoryPlanner", (44, 4), (72, 8)),
        ("MicroAllocator", (36, 4), (72, 8)),
        ("RecordingMicroAllocator", (124, 4), (248, 8)),
        ("AllocationInfo", (24, 4), (32, 8)),
        ("ScratchBufferRequest", (12, 4), (16, 8)),
        ("NodeAndRegistration", (32, 4), (64, 8)),
        ("TfLiteTensor", (32, 4), (64, 8)),
        ("TfLiteEvalTensor", (12, 4), (24, 8)),
        ("TfLiteAffineQuantization", (12, 4), (24, 8)),
        ("TfLiteFullyConnectedParams", (5, 1), (16, 4)),
        ("TfLiteAddParams", (2, 1), (8, 4)),
        ("TfLiteConvParams", (28, 4), (28, 4)),
        ("OpDataConv", (56, 4), (72, 8)),
        ("OpDataFullyConnected", (48, 4), (64, 8)),
        ("SoftmaxParams", (56, 8), (80, 8)),
        ("CmsisNnSoftmax", (64, 8), (88, 8)),
        ("HardSwishParams", (20, 4), (20, 4)),
        ("StridedSliceParams", (84, 4), (84, 4)),
        ("ConcatenationParams", (24, 4), (40, 8)),
        ("OpDataPad", (56, 4), (56, 4)),
    ],
)
def test_sizes_are_the_compilers(name: str, board: tuple[int, int], host: tuple[int, int]) -> None:
    assert (CORTEX_M.layout(name), _PLAIN_HOST.layout(name)) == (board, host)


def test_unpacked_tensors_have_places_where_weights_may_be_compressed() -> None:
    assert HOST.of("OpDataFullyConnected") == _PLAIN_HOST.of("OpDataFullyConnected") + 8
    assert HOST.of("OpDataConv") == _PLAIN_HOST.of("OpDataConv") + 8
    assert HOST.of("ConcatenationParams") == _PLAIN_HOST.of("ConcatenationParams") + 40
