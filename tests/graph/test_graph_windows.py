"""Where windows stand: pads, and outputs that do not follow from inputs."""

from __future__ import annotations

import pytest

from pipeline.graph.model import DType, OpCode, Operator, Padding, Tensor, WindowOptions
from pipeline.graph.windows import Window, window


def _pool(size: int, kernel: int, stride: int, output: int, options: WindowOptions) -> Window:
    tensors = tuple(
        Tensor(index, "", (1, rows, 9, 2), DType.INT8, None, False) for index, rows in enumerate((size, output))
    )
    return window(tensors, Operator(0, OpCode.MAX_POOL_2D, 1, (0,), (1,), options))


@pytest.mark.parametrize(
    ("size", "kernel", "stride", "output", "wanted"),
    [
        (8, 3, 1, 8, 1),
        (8, 3, 2, 4, 0),
        (7, 3, 2, 4, 1),
        (8, 2, 1, 8, 0),
        (8, 5, 1, 8, 2),
        (8, 3, 1, 6, 0),
        (1, 3, 3, 1, 1),
    ],
)
def test_the_smaller_half_of_the_padding_comes_first(
    size: int, kernel: int, stride: int, output: int, wanted: int
) -> None:
    padding = Padding.SAME if output == -(-size // stride) else Padding.VALID
    options = WindowOptions(stride=(stride, 1), padding=padding, filter=(kernel, 1))
    assert _pool(size, kernel, stride, output, options).rows.before == wanted


def test_pads_of_their_own_stand_as_they_are_given() -> None:
    options = WindowOptions(stride=(2, 1), padding=Padding.VALID, filter=(3, 1), pads=(0, 1, 0, 0))
    rows = _pool(8, 3, 2, 4, options).rows
    assert (rows.size, rows.before, rows.output) == (8, 0, 4)


@pytest.mark.parametrize("padding", Padding)
def test_an_output_that_does_not_follow_is_named(padding: Padding) -> None:
    with pytest.raises(ValueError, match=r"^1$"):
        _pool(8, 3, 2, 7, WindowOptions(stride=(2, 1), padding=padding, filter=(3, 1)))
