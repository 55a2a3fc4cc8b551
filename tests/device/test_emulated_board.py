"""The emulated board with a real program: registers, counts, faults, and the life of its process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from device_samples import Talker, known

from pipeline.boards import Board
from pipeline.device import emulated
from pipeline.device.emulated import EmulatedDevice
from pipeline.device.replies import FaultReportError
from pipeline.errors import DanasError, EnvironmentProblem, FlashError, UsageError


@pytest.fixture(scope="module", params=["native", "python"])
def device(request: pytest.FixtureRequest, board: Board, probe: Path) -> Iterator[EmulatedDevice]:
    with emulated.start(board, probe, pure_python=request.param == "python") as made:
        assert made.statistics().path == made.path == request.param
        yield made


@pytest.fixture
def talker(device: EmulatedDevice) -> Iterator[Talker]:
    made = Talker(device.port)
    yield made
    made.close()


def work(rounds: int) -> int:
    """What ``probe.c`` computes."""
    state = 1
    for index in range(rounds):
        state ^= state << 13 & 0xFFFFFFFF
        state ^= state >> 17
        state ^= state << 5 & 0xFFFFFFFF
        if state & 1:
            state = (state + 3 * index) & 0xFFFFFFFF
    return state


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.01)


def test_start_up_code_gets_through(talker: Talker) -> None:
    assert talker.ask(b"p") == [0x410FC271, 0xC2, 0x006000C0]


def test_the_cycle_counter_counts_instructions(talker: Talker) -> None:
    value, cycles = talker.ask(b"w")
    assert value == work(10_000)
    assert talker.ask(b"w") == [value, cycles]
    assert 5 * 10_000 <= cycles <= 15 * 10_000


def test_code_that_changes_in_ram_is_counted_anew(talker: Talker) -> None:
    narrow, wide, again, wide_again = talker.ask(b"m")
    assert (narrow, wide) == (again, wide_again)
    assert narrow == wide + 1


def test_the_lowest_store_follows_the_stack(device: EmulatedDevice, talker: Talker) -> None:
    talker.ask(b"s\x05")
    before = device.statistics()
    talker.ask(b"s\x0a")
    after = device.statistics()
    assert after.lowest_store is not None
    assert known(after.stack_used) - known(before.stack_used) == 5 * 72
    assert after.lowest_store == after.stack_top - known(after.stack_used)
    assert 0 < known(before.stack_used) < 2048


def test_many_bytes_at_once_arrive(talker: Talker) -> None:
    data = bytes(value * 7 % 256 for value in range(30_000))
    expected = 0
    for byte in data:
        expected = (expected * 31 + byte) % 2**32
    assert talker.ask(b"l" + len(data).to_bytes(4, "little") + data) == [expected]


def test_waiting_costs_no_instructions_but_time_on_the_counter(device: EmulatedDevice, talker: Talker) -> None:
    before = device.statistics()
    (cycles,) = talker.ask(b"i")
    after = device.statistics()
    assert 21_600_000 <= cycles < 2 * 21_600_000
    assert known(after.idle_cycles) - known(before.idle_cycles) > 10_000_000
    assert known(after.instructions) - known(before.instructions) < 1_000_000


def test_both_ways_to_count_agree(board: Board, batch: Path) -> None:
    found = []
    for pure_python in (False, True):
        with emulated.start(board, batch, pure_python=pure_python) as device:
            until(lambda device=device: device.statistics().halted)  # type: ignore[misc]
            figures = device.statistics()
            found.append((figures.instructions, figures.lowest_store, figures.stack_used))
    assert found[0] == found[1]
    assert known(found[0][0]) > 20_000


@pytest.mark.parametrize(
    ("command", "kind", "address"),
    [
        pytest.param("r", "read-outside-memory", 0x60000010, marks=pytest.mark.slow),
        ("w", "write-outside-memory", 0x20050000),
        pytest.param("x", "fetch-outside-memory", 0x30000000, marks=pytest.mark.slow),
        ("F", "write-to-flash", 0x08000100),
        pytest.param("u", "undefined-instruction", 0, marks=pytest.mark.slow),
        ("s", "write-outside-memory", None),
        pytest.param("v", "supervisor-call", 0, marks=pytest.mark.slow),
        pytest.param("b", "breakpoint", 0, marks=pytest.mark.slow),
        pytest.param("z", "wait-for-interrupt", 0, marks=pytest.mark.slow),
    ],
)
def test_a_crash_is_reported_with_its_place(
    board: Board, probe: Path, command: str, kind: str, address: int | None
) -> None:
    with emulated.start(board, probe) as device:
        talker = Talker(device.port)
        talker.send(b"f" + command.encode())
        with pytest.raises(DanasError):
            while True:
                talker.line()  # the port hangs up
        talker.close()
        with pytest.raises(FaultReportError) as caught:
            device.check()
        fault = caught.value.fault
        assert fault.kind == kind
        assert fault.function.startswith("deep+" if command == "s" else "main+")
        assert fault.address < 0x20000000 if address is None else fault.address == address
        assert known(device.statistics().instructions) > 1000
        assert caught.value.exit_code == 6


@pytest.mark.slow
def test_a_halted_program_costs_nothing_and_still_gives_figures(board: Board, probe: Path) -> None:
    with emulated.start(board, probe) as device:
        talker = Talker(device.port)
        talker.send(b"fh")
        until(lambda: bool(device.statistics().halted))
        device.check()
        assert device.statistics().instructions == device.statistics().instructions
        talker.close()


@pytest.mark.slow
@pytest.mark.parametrize("pure_python", [False, True])
def test_a_large_answer_arrives_and_a_host_that_does_not_read_stops_nothing(
    board: Board, probe: Path, pure_python: bool
) -> None:
    with emulated.start(board, probe, pure_python=pure_python) as device:
        talker = Talker(device.port)
        talker.send(b"t")
        lines = 0
        while talker.line() != "over":
            lines += 1
        assert lines >= 300_000 // 61
        talker.send(b"t")
        until(lambda: device.statistics().dropped_bytes > 0)
        talker.close()


# The process.


def test_the_process_ends_when_nobody_holds_its_input(board: Board, probe: Path) -> None:
    command = [sys.executable, "-m", "pipeline.device.emulator", "--board", board.name, "--elf", str(probe)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdin is not None
    assert process.stdout is not None
    assert '"ready": true' in process.stdout.readline()
    process.stdin.close()
    assert process.wait(20) == 0
    process.stdout.close()


@pytest.mark.slow
def test_sigterm_ends_it_cleanly(board: Board, probe: Path) -> None:
    with emulated.start(board, probe) as device:
        os.kill(device.process_id, signal.SIGTERM)
        assert device._process.wait(20) == 0


@pytest.mark.slow
def test_an_early_death_is_told_with_its_last_words(board: Board, probe: Path) -> None:
    with emulated.start(board, probe) as device:
        os.kill(device.process_id, signal.SIGKILL)
        with pytest.raises(DanasError) as caught:
            while True:
                device.check()
                time.sleep(0.01)
        assert caught.value.id == "emulator-died"
        assert "-9" in caught.value.what


def test_errors_of_the_process_come_through(board: Board, tmp_path: Path) -> None:
    with pytest.raises(FlashError) as caught, emulated.start(board, tmp_path / "none.elf"):
        pass
    assert caught.value.id == "bad-image"


def test_a_board_without_emulation_is_refused(board: Board, probe: Path) -> None:
    bare = board.model_copy(update={"emulator": None})
    with pytest.raises(UsageError) as caught, emulated.start(bare, probe):
        pass
    assert caught.value.id == "no-emulator"


@pytest.mark.slow
def test_a_missing_engine_names_the_extra(
    board: Board, probe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "unicorn.py").write_text("raise ImportError('absent', name='unicorn')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(EnvironmentProblem) as caught, emulated.start(board, probe):
        pass
    assert (caught.value.id, caught.value.exit_code) == ("missing-extra", 9)
    assert "danas-deploy[emulator]" in caught.value.next


@pytest.mark.slow
def test_without_a_compiler_it_goes_on_in_python(
    board: Board, probe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    with emulated.start(board, probe) as device:
        figures = device.statistics()
    assert figures.path == "python"
    assert "no C compiler" in figures.path_reason


@pytest.mark.slow
def test_the_compiled_hook_lies_in_a_private_folder(
    board: Board, probe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with emulated.start(board, probe) as device:
        assert device.path == "native"
    (folder,) = tmp_path.glob("*/emulator")
    assert folder.stat().st_mode & 0o777 == 0o700
    assert [path.suffix for path in folder.iterdir()] == [".so"]


@pytest.mark.slow
def test_a_smaller_ram_is_a_smaller_ram(board: Board, probe: Path) -> None:
    small = board.model_copy(
        update={"memory": tuple(region for region in board.memory if region.name in ("dtcm", "flash"))}
    )
    with emulated.start(small, probe) as device:
        talker = Talker(device.port)
        assert talker.ask(b"p")[0] == 0x410FC271
        talker.close()


@pytest.mark.slow
def test_a_cortex_m4_is_another_core(board: Board, probe: Path) -> None:
    other = board.model_copy(update={"core": board.core.model_copy(update={"cpu": "cortex-m4"})})
    with emulated.start(other, probe) as device:
        talker = Talker(device.port)
        assert talker.ask(b"p")[0] == 0x410FC241
        talker.close()


def test_a_board_that_the_engine_cannot_lay_out_is_refused(board: Board, probe: Path) -> None:
    odd = tuple(
        region.model_copy(update={"bytes": 16_000}) if region.name == "sram2" else region for region in board.memory
    )
    with pytest.raises(UsageError) as caught, emulated.start(board.model_copy(update={"memory": odd}), probe):
        pass
    assert caught.value.id == "board-file"
    assert "4096" in caught.value.why
