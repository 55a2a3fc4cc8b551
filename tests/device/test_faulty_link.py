"""The bad cable: each kind of fault does what it says, as often as it is told, and the same again with its seed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.device.deadline import Deadline, ManualClock
from pipeline.device.faults import KINDS, Faults, FaultyLink, Kind
from pipeline.device.link import Link, MemoryLink
from pipeline.errors import DeviceError, UsageError

TEXT = b"m-run-[cycles=123456]\r\n"


class Echo:
    """A link under test whose device sends everything back."""

    def __init__(self, faults: Faults, seed: int = 0) -> None:
        self.clock = ManualClock()
        self.heard = bytearray()
        self.restarted = 0
        self.memory = MemoryLink(self._echo, clock=self.clock)
        self.link = FaultyLink(self.memory, faults, seed=seed, clock=self.clock, reset=self._restart)

    def _echo(self, data: bytes) -> bytes:
        self.heard += data
        return data

    def _restart(self) -> Link:
        self.restarted += 1
        return self.memory

    def said(self, data: bytes = TEXT, seconds: float = 5.0) -> bytes:
        """What comes back of ``data`` until it is quiet."""
        deadline = Deadline(seconds, clock=self.clock)
        self.link.write(data, deadline)
        got = bytearray()
        while piece := self.link.read(65536, deadline):
            got += piece
        return bytes(got)


def test_without_faults_nothing_changes() -> None:
    echo = Echo(Faults())
    assert [echo.said(bytes([number]) * 40) for number in range(50)] == [bytes([number]) * 40 for number in range(50)]
    assert not +echo.link.injected
    assert echo.link.operations == 100


@given(st.integers(0, 10_000))
def test_lost_bytes(seed: int) -> None:
    kept = Echo(Faults(drop=1), seed).said()
    assert len(TEXT) - 6 <= len(kept) < len(TEXT), "once there and once back"
    rest = iter(TEXT)
    assert all(byte in rest for byte in kept), "in their order"
    cut = Echo(Faults(truncate=1), seed).said()
    assert len(cut) < len(TEXT) and TEXT.startswith(cut)


@given(st.integers(0, 10_000))
def test_bytes_that_change_or_come_too_often(seed: int) -> None:
    changed = Echo(Faults(corrupt=1), seed).said()
    assert len(changed) == len(TEXT)
    assert sum(one != other for one, other in zip(changed, TEXT, strict=True)) <= 2
    assert Echo(Faults(duplicate=1), seed).said() == TEXT * 4
    logged = Echo(Faults(log=1), seed)
    assert len(logged.said()) > len(TEXT)
    assert logged.heard == TEXT, "a log is only heard by the host"


def test_a_digit_becomes_another_digit_as_often_as_not() -> None:
    shapes = [bytes(Echo(Faults(corrupt=1), seed).said()) for seed in range(60)]
    assert sum(shape.startswith(b"m-run-[cycles=") and shape[14:20].isdigit() for shape in shapes) > 5


@given(st.integers(0, 10_000))
def test_late_bytes_are_whole_and_in_order(seed: int) -> None:
    echo = Echo(Faults(delay=0.5), seed)
    deadline = Deadline(100, clock=echo.clock)
    sent = [bytes([number]) * 3 for number in range(20)]
    for piece in sent:
        echo.link.write(piece, deadline)
    got = b""
    while piece := echo.link.read(7, deadline):
        got += piece
    assert got == b"".join(sent)
    assert Echo(Faults(delay=1), seed).said(seconds=0.001) in (b"", TEXT)


def test_a_pulled_cable_stays_pulled() -> None:
    echo = Echo(Faults(disconnect=1))
    for _ in range(3):
        with pytest.raises(DeviceError) as caught:
            echo.said()
        assert caught.value.id == "link-closed"
    assert echo.heard == b""


def test_a_line_that_hangs_says_nothing_until_the_deadline() -> None:
    echo = Echo(Faults(hang=1))
    assert echo.said(seconds=3) == b""
    assert echo.clock() == pytest.approx(3)
    assert echo.heard == b""


def test_a_reset_loses_what_was_under_way() -> None:
    echo = Echo(Faults(reset=1))
    assert echo.said() == b""
    assert echo.restarted == 1
    link = FaultyLink(echo.memory, Faults(reset=1), clock=echo.clock)
    link.write(TEXT, Deadline(1, clock=echo.clock))
    assert link.read(100, Deadline(1, clock=echo.clock)) == TEXT, "without a way to do it, it does not happen"


@given(st.integers(0, 10_000), st.floats(0, 0.2))
def test_the_same_seed_does_the_same(seed: int, probability: float) -> None:
    def story() -> tuple[list[bytes], dict[Kind, int], float]:
        echo = Echo(Faults.of_each(probability), seed)
        got = []
        try:
            got += [echo.said() for _ in range(8)]
        except DeviceError as error:
            assert error.id == "link-closed"
        return got, dict(echo.link.injected), echo.clock()

    assert story() == story()


def test_faults_come_as_often_as_they_are_told() -> None:
    echo = Echo(Faults(drop=0.1, log=0.1), seed=5)
    for _ in range(1000):
        echo.said(bytes(40))
    assert 150 <= echo.link.injected["drop"] <= 250, "2,000 operations"
    assert 60 <= echo.link.injected["log"] <= 140, "1,000 of them arrive"


@pytest.mark.parametrize(
    ("text", "faults"),
    [
        ("1%", Faults.of_each(0.01)),
        ("0.5", Faults.of_each(0.5)),
        ("drop=1%, corrupt=0.02", Faults(drop=0.01, corrupt=0.02)),
    ],
)
def test_faults_are_read(text: str, faults: Faults) -> None:
    assert Faults.parse(text) == faults
    assert all(getattr(faults, kind) >= 0 for kind in KINDS)


@pytest.mark.parametrize(
    "text", ["", "x", "drop", "drop=2", "drop=-1", "smoke=1%", "drop=1%,drop=2%", "drop=nan", "\x1b"]
)
def test_what_are_no_faults(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        Faults.parse(text)
    assert caught.value.id == "bad-faults"
    assert "drop" in caught.value.next
