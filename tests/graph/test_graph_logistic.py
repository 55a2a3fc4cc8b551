"""LOGISTIC's table stays near the real function; that it equals TFLM's, tests/firmware/test_oracles.py shows."""

from __future__ import annotations

import math

import numpy as np
import pytest

from pipeline.graph.logistic import logistic_table


@pytest.mark.parametrize("zero_point", [-128, -1, 0, 127])
@pytest.mark.parametrize("scale", [1e-30, 1e-3, 0.05, 0.3, 1.0])
def test_logistic_is_the_real_function_rounded(scale: float, zero_point: int) -> None:
    table = logistic_table(float(np.float32(scale)), zero_point)
    assert table.dtype == np.int8 and table.shape == (256,)
    assert (np.diff(table.astype(int)) >= 0).all()
    for q in range(-128, 128):
        x = max(min(scale * (q - zero_point), 700.0), -700.0)
        assert abs(min(256 / (1 + math.exp(-x)) - 128, 127) - table[q + 128]) <= 0.51, q
