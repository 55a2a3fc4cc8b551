"""Room for saved registers in the frames of the model's own functions."""

from __future__ import annotations

import pytest

from pipeline.calibration.stack import any_registers


@pytest.mark.parametrize(
    ("frame", "saved", "most"),
    [(0, 0, 40), (16, 4, 48), (16, 8, 48), (24, 16, 48), (56, 36, 56), (40, 4, 72), (120, 4, 152)],
)
def test_a_frame_has_room_for_every_register(frame: int, saved: int, most: int) -> None:
    assert any_registers(frame, saved) == most
    assert most >= frame - saved + 9 * 4 and most % 8 == 0
