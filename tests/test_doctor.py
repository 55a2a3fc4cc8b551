"""What the doctor sees, and for whom it matters."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import os
import pty
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from device_samples import FakePort

from pipeline import boards, doctor
from pipeline.__main__ import run
from pipeline.boards import Board, Engine
from pipeline.device.locks import held
from pipeline.doctor import Diagnosis, Finding, examine
from pipeline.settings import Target

ANSWERS = {
    "-dumpfullversion": "12.2.1",
    "openocd": "Open On-Chip Debugger 0.12.0",
    "qemu-system-arm": "QEMU emulator version 7.2.22",
}
PHYSICAL = Target(device="066EFF111")


@pytest.fixture
def port(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A board that is attached, and whose port is a pseudo-terminal."""
    host, device = pty.openpty()
    name = os.ttyname(device)
    os.close(device)
    there = [FakePort(name, 0x0483, 0x374B, "066EFF111")]
    monkeypatch.setattr("serial.tools.list_ports.comports", lambda: there)
    yield name
    os.close(host)


@pytest.fixture(autouse=True)
def machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[str, str | None], None]:
    """A machine that has everything; the function takes something away, or lets it say something else."""
    answers: dict[str, str | None] = dict(ANSWERS)
    rules = tmp_path / "rules.d"
    rules.mkdir()
    (rules / "60-openocd.rules").write_text('ATTRS{idVendor}=="0483", GROUP="plugdev"\n')
    monkeypatch.setattr(doctor, "_RULES", (str(rules),))
    monkeypatch.setattr(doctor, "_USB", tmp_path / "usb")

    def which(name: str) -> str | None:
        return None if answers.get(name, "") is None else f"/bin/{name}"

    def said(command: list[str]) -> str:
        if command[-1].startswith("-print-file-name="):
            name = command[-1].partition("=")[2]
            return name if answers.get(name, "") is None else f"/usr/lib/{name}"
        return answers.get(Path(command[0]).name) or answers.get(command[-1]) or ""

    monkeypatch.setattr("shutil.which", which)
    monkeypatch.setattr(doctor, "_said", said)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if answers.get(name, "") is None else object())
    monkeypatch.setattr(importlib.metadata, "version", {"unicorn": "2.1.4", **doctor._PINNED}.__getitem__)
    return answers.__setitem__


def of(found: Diagnosis, name: str) -> Finding:
    (one,) = (one for one in found.findings if one.name == name)
    return one


def test_a_machine_that_has_everything(board: Board, port: str) -> None:
    for kind, target in ((None, Target()), (board, Target()), (board, Target(emulate=True)), (board, PHYSICAL)):
        found = examine(kind, target)
        assert found.usable
        assert {one.state for one in found.findings} == {"ok"}, found
    assert of(examine(board, PHYSICAL), "port").found == port


@pytest.mark.parametrize(
    ("lacking", "name", "emulated", "physical", "qemu"),
    [
        ("arm-none-eabi-g++", "arm-none-eabi-gcc", True, True, True),
        ("libstdc++_nano.a", "libstdc++_nano.a", True, True, True),
        ("unicorn", "unicorn", True, False, False),
        ("qemu-system-arm", "qemu-system-arm", False, False, True),
        ("openocd", "openocd", False, True, False),
    ],
)
def test_what_is_lacking_matters_to_whom_it_matters(
    machine: Callable[[str, str | None], None],
    port: str,
    board: Board,
    lacking: str,
    name: str,
    emulated: bool,
    physical: bool,
    qemu: bool,
) -> None:
    machine(lacking, None)
    mps2 = boards.load("mps2_an500")
    for kind, target, matters in (
        (board, Target(), emulated),
        (board, PHYSICAL, physical),
        (mps2, Target(emulate=True, emulator=Engine.QEMU), qemu),
    ):
        found = examine(kind, target)
        assert found.usable != matters
        assert of(found, name).state == ("missing" if matters else "warning")
        assert of(found, name).remedy


def test_the_registrys_environment_brings_compiler_and_openocd(
    machine: Callable[[str, str | None], None], board: Board, port: str
) -> None:
    for name in ("arm-none-eabi-g++", "openocd"):
        machine(name, None)
    assert not examine(board, PHYSICAL).usable
    assert examine(board, PHYSICAL, environment=board.build.registry).usable
    guest = boards.load("nano33ble")  # of a framework, which comes from there
    assert examine(guest, PHYSICAL).usable


@pytest.mark.parametrize("said", ["Open On-Chip Debugger 0.11.0", "", "nonsense"])
def test_an_openocd_that_is_too_old_or_no_openocd(
    machine: Callable[[str, str | None], None], board: Board, port: str, said: str
) -> None:
    machine("openocd", said)
    assert not examine(board, PHYSICAL).usable
    assert examine(board, Target()).usable


def test_other_releases_of_the_pinned_packages(monkeypatch: pytest.MonkeyPatch, board: Board) -> None:
    versions = {"unicorn": "2", "platformio": "7", "scons": "4.11.1"}
    monkeypatch.setattr(importlib.metadata, "version", versions.__getitem__)
    found = examine(board, Target())
    assert (found.usable, of(found, "platformio").found) == (False, "7, not 6.2.0")


def test_no_host_compiler_and_no_rules_are_no_reason_to_stop(
    machine: Callable[[str, str | None], None], monkeypatch: pytest.MonkeyPatch, board: Board
) -> None:
    for name in ("cc", "gcc", "clang"):
        machine(name, None)
    monkeypatch.setattr(doctor, "_RULES", ())
    found = examine(board, Target())
    assert found.usable
    assert [of(found, name).state for name in ("host-compiler", "udev-rules")] == ["warning", "warning"]


def test_a_lab_file_that_is_wrong(board: Board, tmp_path: Path) -> None:
    (tmp_path / "lab.toml").write_text("[[device]\n")
    found = examine(board, Target(lab=str(tmp_path / "lab.toml")))
    assert not found.usable
    assert of(found, "lab.toml").remedy


def test_a_device_says_which_board_it_is(port: str, tmp_path: Path) -> None:
    lab = tmp_path / "lab.toml"
    lab.write_text('[[device]]\nalias = "desk"\nboard = "nucleo_f746zg"\nserial_number = "066EFF111"\n')
    found = examine(None, Target(device="desk", lab=str(lab)))
    assert (found.board, found.usable) == ("nucleo_f746zg", True)
    assert "1 device" in of(found, "lab.toml").found
    assert examine(None, Target(device="emulated:mps2_an386")).board == "mps2_an386"


def test_a_device_that_is_not_there_or_held(board: Board, port: str, capsys: pytest.CaptureFixture[str]) -> None:
    device = ["doctor", "--board", board.name, "--device", "066EFF999", "--json"]
    assert run(device) == 3
    error = json.loads(capsys.readouterr().out)["error"]
    assert (error["id"], "066EFF999" in error["why"]) == ("device-not-ready", True)
    found = examine(board, PHYSICAL)
    from pipeline.device.discovery import device_of

    with held(device_of(board, PHYSICAL), run="soak"):
        found = examine(board, PHYSICAL)
        assert (found.usable, "soak" in of(found, "lock").found) == (False, True)
    with open(port, "rb", buffering=0):  # noqa: PTH123 - a terminal
        assert examine(board, PHYSICAL).usable  # our own process's


def test_a_probe_that_is_not_ours(monkeypatch: pytest.MonkeyPatch, board: Board, port: str, tmp_path: Path) -> None:
    node = tmp_path / "usb" / "1-4"
    node.mkdir(parents=True)
    for name, text in (("serial", "066eff111\n"), ("busnum", "900\n"), ("devnum", "7\n")):
        (node / name).write_text(text)
    found = examine(board, PHYSICAL)
    assert (found.usable, of(found, "probe").found) == (False, "no permission for /dev/bus/usb/900/007")


def test_a_board_that_cannot_be_emulated(board: Board) -> None:
    bare = board.model_copy(update={"emulator": None})
    assert not examine(bare, Target()).usable


def test_groups_that_are_lacking(monkeypatch: pytest.MonkeyPatch, board: Board) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(os, "getegid", lambda: 1000)
    monkeypatch.setattr(os, "getgroups", lambda: [1000])
    one = of(examine(board, Target()), "groups")
    assert (one.state, "usermod -aG dialout" in one.remedy) == ("warning", True)


def test_the_command_says_it_in_words(
    machine: Callable[[str, str | None], None], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["doctor"]) == 0
    assert capsys.readouterr().out.endswith("Firmware can be built here.\n")
    assert run(["doctor", "--board", "nucleo_f746zg"]) == 0
    assert capsys.readouterr().out.endswith("nucleo_f746zg (emulated) can be used.\n")
    machine("arm-none-eabi-gcc", None)
    assert run(["doctor", "--board", "nucleo_f746zg"]) == 9
    assert "[machine-not-ready]" in capsys.readouterr().err


def test_it_imports_nothing_heavy() -> None:
    code = (
        "import sys\nfrom pipeline.__main__ import run\nrun(['doctor', '--json'])\n"
        "print([m for m in ('tensorflow', 'numpy', 'unicorn', 'ai_edge_litert', 'tomlkit') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    document, _, loaded = done.stdout.rstrip().rpartition("\n")
    assert loaded == "[]"
    assert json.loads(document)
