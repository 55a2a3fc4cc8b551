"""``danas-deploy devices``, and the options that choose a device."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from device_samples import FakePort

from pipeline.__main__ import run
from pipeline.commands.options import target_of
from pipeline.device.discovery import Device
from pipeline.device.locks import held
from pipeline.settings import Target

ATTACHED = [
    FakePort("/dev/ttyACM0", 0x0483, 0x374B, "066EFF111", "STM32 STLink"),
    FakePort("/dev/ttyACM1", 0x0483, 0x374B, "066EFF222", "STM32 \x1b[2JSTLink"),
    FakePort("/dev/ttyS0"),
]


@pytest.fixture
def lab_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("serial.tools.list_ports.comports", lambda: ATTACHED)
    path = tmp_path / "lab.toml"
    monkeypatch.setenv("DANAS_LAB", str(path))
    return path


def asked(capsys: pytest.CaptureFixture[str], *arguments: str) -> Any:
    capsys.readouterr()
    assert run([*arguments, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_devices_are_added_listed_and_removed(lab_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    desk = ["devices", "add", "desk", "--board", "nucleo_f746zg", "--serial-number", "066eff111"]
    assert asked(capsys, *desk, "--location", "rack 1")["added"]["alias"] == "desk"
    asked(capsys, "devices", "add", "far", "--board", "nucleo_l4r5zi", "--port", "socket://h:1")
    asked(capsys, "devices", "add", "gone", "--board", "nucleo_l4r5zi", "--serial-number", "ABCD1")
    with held(Device("nucleo_f746zg", "desk", "066EFF111", "/dev/ttyACM0"), run="soak"):
        first, far, gone, unknown = asked(capsys, "devices")["devices"]
        assert run(["devices"]) == 0
        text = capsys.readouterr().out
    assert (first["alias"], first["port"], first["state"], first["location"]) == (
        "desk",
        "/dev/ttyACM0",
        "attached",
        "rack 1",
    )
    assert first["locked_by"]["run"] == "soak"
    assert (far["state"], gone["state"], gone["locked_by"]) == ("remote", "absent", None)
    assert (unknown["alias"], unknown["serial_number"]) == (None, "066EFF222")
    assert {"nucleo_f746zg", "nucleo_l4r5zi"} <= set(unknown["may_be"])
    assert "soak" in text.splitlines()[0]
    assert "\x1b" not in text
    asked(capsys, "devices", "remove", "far")
    assert [one["alias"] for one in asked(capsys, "devices")["devices"]] == ["desk", "gone", None]


def test_without_anything_it_says_so(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("serial.tools.list_ports.comports", list)
    assert run(["devices"]) == 0
    assert "No device is attached" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "code", "id_"),
    [
        (["devices", "add", "a b", "--board", "nucleo_f746zg", "--serial-number", "ABCD1"], 2, "bad-option"),
        (["devices", "add", "a", "--board", "nucleo_f746zg"], 2, "bad-option"),
        (["devices", "add", "a", "--board", "toaster", "--serial-number", "ABCD1"], 2, "lab-unknown-board"),
        (["devices", "remove", "a"], 2, "lab-missing"),
        (["devices"], 2, "lab-missing"),
        (["deploy", "x", "--board", "nucleo_f746zg", "--wait", "soon"], 2, "bad-duration"),
        (["deploy", "x", "--board", "nucleo_f746zg", "--device", "desk"], 2, "lab-missing"),
        (["deploy", "x", "--board", "nucleo_f746zg", "--device", "emulated:mps2_an500"], 2, "other-board-type"),
    ],
)
def test_what_is_wrong_is_named(
    lab_file: Path, arguments: list[str], code: int, id_: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([*arguments, "--json"]) == code
    assert json.loads(capsys.readouterr().out)["error"]["id"] == id_


def test_options_make_a_target(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert target_of(False, None, None, None) == Target()
    assert target_of(True, None, None, None) == Target(emulate=True)
    emulated = target_of(False, "emulated:nucleo_f746zg", None, None)
    assert (emulated.emulate, emulated.device) == (True, "emulated:nucleo_f746zg")
    given = target_of(False, "desk", "my.toml", "10m")
    assert (given.device, given.lab, given.wait_s) == ("desk", str(tmp_path / "my.toml"), 600)
    assert "wait_s" not in given.place


def test_a_target_of_an_older_manifest_is_still_read() -> None:
    assert Target.model_validate({"emulate": True, "port": None, "serial_number": None}) == Target(emulate=True)
    older = {"emulate": False, "port": "/dev/ttyACM0", "serial_number": None}
    assert Target.model_validate(older) == Target(device="/dev/ttyACM0")
