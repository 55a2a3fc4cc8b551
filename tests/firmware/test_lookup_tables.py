"""The table of HARD_SWISH stays near the real function; that it equals the reference's, test_kernels shows."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.firmware import lookup_tables


@pytest.mark.parametrize("zero_point", [-128, 0, 127])
@pytest.mark.parametrize(("before", "after"), [(0.05, 0.05), (0.1, 0.02), (0.02, 0.1), (3.0, 3.0)])
def test_hard_swish_is_near_the_real_function(before: float, after: float, zero_point: int) -> None:
    table = lookup_tables.hard_swish(before, zero_point, after, -20)
    assert table is not None and table.dtype == np.int8
    for q in range(-128, 128):
        x = before * (q - zero_point)
        real = x * min(max(x + 3, 0), 6) / 6 / after - 20
        # The 16-bit product is rounded once more: the error is below one step but for the rounding of large factors.
        assert abs(min(max(real, -128), 127) - table[q + 128]) <= 1.0


@pytest.mark.parametrize(("before", "after"), [(1.0, 1 / 128), (1.0, 1e-9), (1e-3, 1e3), (1e-8, 1e-8), (1e10, 1e10)])
def test_hard_swish_refuses_scales_that_16_bits_cannot_hold(before: float, after: float) -> None:
    assert lookup_tables.hard_swish(before, 0, after, 0) is None
