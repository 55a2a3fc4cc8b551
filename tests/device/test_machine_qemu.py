"""The life of QEMU below the emulator's process: how it starts, ends, and what is said where it does not."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from device_samples import Talker, compile_probe, demand_emulator

from pipeline import boards, preflight
from pipeline.boards import Board
from pipeline.device import emulated
from pipeline.errors import DanasError, EnvironmentProblem
from pipeline.settings import Target


@pytest.fixture(scope="module")
def machine() -> Board:
    return demand_emulator(boards.load("mps2_an500"))


@pytest.fixture(scope="module")
def echo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compile_probe(tmp_path_factory.mktemp("echo"), source="echo")


def below(process: int) -> list[int]:
    """The processes that a process has started."""
    text = Path(f"/proc/{process}/task/{process}/children").read_text()
    return [int(word) for word in text.split()]


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.01)


def is_gone(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def test_bytes_go_both_ways_and_nothing_stays_behind(machine: Board, echo: Path, tmp_path: Path) -> None:
    data = bytes(index * 7 % 251 for index in range(3000)).replace(b"\n", b".") + b"\n"
    with emulated.start(machine, echo, link=tmp_path / "tty") as device:
        assert device.path == "qemu"
        (qemu,) = below(device.process_id)
        talker = Talker(str(tmp_path / "tty"))
        talker.send(data)
        assert talker.raw_line() == data.removesuffix(b"\n")
        talker.close()
        figures = device.statistics()
        assert (figures.path, figures.instructions, figures.stack_used) == ("qemu", None, None)
        assert figures.stack_top - figures.stack_bottom == 2048
    assert is_gone(qemu)
    assert not (tmp_path / "tty").is_symlink()


@pytest.mark.slow
def test_qemu_ends_with_its_guardian(machine: Board, echo: Path) -> None:
    with emulated.start(machine, echo) as device:
        (qemu,) = below(device.process_id)
        os.kill(device.process_id, signal.SIGKILL)
        until(lambda: is_gone(qemu))
        with pytest.raises(DanasError) as caught:
            device.check()
    assert caught.value.id == "emulator-died"


@pytest.mark.slow
def test_the_death_of_qemu_is_told_with_its_last_words(machine: Board, echo: Path) -> None:
    with emulated.start(machine, echo) as device:
        (qemu,) = below(device.process_id)
        os.kill(qemu, signal.SIGKILL)
        with pytest.raises(DanasError) as caught:
            while True:
                device.check()
                time.sleep(0.01)
    assert (caught.value.id, caught.value.exit_code) == ("emulator-died", 6)
    assert "-9" in caught.value.what


@pytest.mark.slow
def test_a_machine_that_qemu_does_not_know_is_told(machine: Board, echo: Path) -> None:
    assert machine.emulator is not None
    wrong = machine.model_copy(update={"emulator": machine.emulator.model_copy(update={"machine": "mps2-an999"})})
    with pytest.raises(DanasError) as caught, emulated.start(wrong, echo) as device:
        while True:
            device.check()
            time.sleep(0.01)
    assert caught.value.id == "emulator-died"
    assert "unsupported machine" in caught.value.why


def test_without_qemu_the_package_is_named(echo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    board = boards.load("mps2_an500")
    monkeypatch.setenv("PATH", str(tmp_path))
    for attempt in (
        lambda: preflight.device(board, Target(emulate=True)),
        lambda: emulated.launch(board, echo),
    ):
        with pytest.raises(EnvironmentProblem) as caught:
            attempt()
        assert (caught.value.id, caught.value.exit_code) == ("missing-qemu", 9)
        assert "apt-get install qemu-system-arm" in caught.value.next
