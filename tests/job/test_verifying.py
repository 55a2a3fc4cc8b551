"""Many devices side by side: with processes that only pretend, and on emulated boards."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import graph_samples
import pytest
from report_samples import sample

from pipeline.__main__ import run
from pipeline.errors import DanasError, UsageError
from pipeline.job import verifying
from pipeline.job.verifying import Request, Wanted
from pipeline.report.matrix import DeviceResult, Verification
from pipeline.settings import Target

#: Does what the board's name says instead of what it is asked for, and notes how it was called.
_PRETENDER = """
import json, os, pathlib, sys, time
words = sys.argv[3:]
folder = pathlib.Path(words[1] if words[0] == "resume" else words[words.index("--run") + 1])
board = "" if words[0] == "resume" else words[words.index("--board") + 1]
root = folder.parent
with (root / "calls.txt").open("a") as file:
    file.write(json.dumps(words) + "\\n")
if board == "meets":  # ends only when another one has begun
    (root / f"{folder.name}.began").touch()
    while len(list(root.glob("*.began"))) < 2:
        time.sleep(0.01)
if board == "hangs":
    time.sleep(600)
if board == "crashes":
    sys.exit("no JSON at all")
if board == "held":
    print(json.dumps({"error": {"id": "device-held", "what": "held \\x1b[2J", "why": "", "next": "", "exit_code": 3}}))
    sys.exit(3)
folder.mkdir(parents=True, exist_ok=True)
(folder / "manifest.json").write_text("{}")
(folder / "report.json").write_text((root.parent / ("bad.json" if board == "fails" else "good.json")).read_text())
sys.exit(7 if board == "fails" else 0)
"""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder, where every process is a pretender."""
    script = tmp_path / "pretender.py"
    script.write_text(_PRETENDER, encoding="utf-8")
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" -S "{script}" "$@"\n', encoding="utf-8")
    python.chmod(0o755)
    (tmp_path / "good.json").write_text(sample().model_dump_json(), encoding="utf-8")
    (tmp_path / "bad.json").write_text(sample(passed=False).model_dump_json(), encoding="utf-8")
    monkeypatch.setattr("pipeline.resources.python", lambda: str(python))
    return tmp_path


def _wanted(*boards: str) -> list[Wanted]:
    return [Wanted(f"d{number}/{board}", board, "emulated", Target(), ()) for number, board in enumerate(boards)]


def _request(place: Path, **changes: Any) -> Request:
    values: dict[str, Any] = {"name": "m", "model": place / "m.tflite", "sha256": "ab"}
    return Request(**values | changes)


def _verify(place: Path, *boards: str, **changes: Any) -> tuple[Verification, list[DeviceResult]]:
    seen: list[DeviceResult] = []
    found = verifying.verify(_request(place, **changes), _wanted(*boards), place / "into", finished=seen.append)
    return found, seen


def test_every_device_has_its_own_outcome(place: Path) -> None:
    found, seen = _verify(place, "passes", "fails", "held", "crashes")
    assert [one.outcome for one in found.devices] == ["PASS", "FAIL", "device-held", "bug"]
    assert sorted(one.device for one in seen) == [one.device for one in found.devices]
    assert [one.run for one in found.devices] == ["d0-passes", "d1-fails", "d2-held", "d3-crashes"]
    held = found.devices[2].problem
    assert held is not None
    assert held.what == "held ?[2J"


def test_devices_run_side_by_side(place: Path) -> None:
    # Each of the two waits for the other: one after the other they would never end.
    found, _ = _verify(place, "meets", "meets", processes=2, deadline_s=30.0)
    assert found.passed


def test_a_device_that_never_ends_is_given_up(place: Path) -> None:
    found, _ = _verify(place, "hangs", "passes", deadline_s=0.5)
    assert [one.outcome for one in found.devices] == ["verify-timeout", "PASS"]


def test_given_again_it_goes_on(place: Path) -> None:
    _verify(place, "passes", "held", options=("--images", "3"))
    _verify(place, "passes", "held", options=("--images", "3"))
    calls = [json.loads(line) for line in (place / "into" / "calls.txt").read_text().splitlines()]
    # A run that has begun is taken up; one that has not is begun.
    assert sorted(call[0] for call in calls) == ["deploy", "deploy", "deploy", "resume"]
    assert all(call[call.index("--images") + 1] == "3" for call in calls if call[0] == "deploy")


def test_another_verification_does_not_go_on_there(place: Path) -> None:
    _verify(place, "passes")
    for boards, changes in ((("passes",), {"sha256": "cd"}), (("passes", "passes"), {}), (("fails",), {})):
        with pytest.raises(UsageError) as caught:
            _verify(place, *boards, **changes)
        assert caught.value.id == "verification-exists"
    strange = place / "strange"
    strange.mkdir()
    (strange / "thesis.txt").touch()
    with pytest.raises(UsageError) as caught:
        verifying.verify(_request(place), _wanted("passes"), strange, finished=lambda _: None)
    assert caught.value.id == "verification-exists"
    assert [path.name for path in strange.iterdir()] == ["thesis.txt"]


def test_names_that_are_no_file_names_get_folders_of_their_own(place: Path) -> None:
    names = ["../up", "up", "a b", "a/b", "…", "…!"]
    wanted = [Wanted(name, "passes", "emulated", Target(), ()) for name in names]
    found = verifying.verify(_request(place), wanted, place / "into", finished=lambda _: None)
    folders = [one.run for one in found.devices]
    assert len(set(folders)) == len(names)
    assert all((place / "into" / folder / "report.json").is_file() for folder in folders)
    assert not (place / "up").exists()


def test_an_interruption_ends_every_process(place: Path) -> None:
    def interrupt(_: DeviceResult) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        verifying.verify(_request(place), _wanted("passes", "hangs"), place / "into", finished=interrupt)
    listed = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    assert str(place / "pretender.py") not in listed


@pytest.fixture
def lab(tmp_path: Path) -> str:
    """Two devices that are not attached."""
    path = tmp_path / "lab.toml"
    rows = [("rack-1", "nucleo_f746zg", "0671FF3833"), ("rack-2", "nucleo_l4r5zi", "0671FF3834")]
    text = "".join(f'[[device]]\nalias = "{a}"\nboard = "{b}"\nserial_number = "{s}"\n' for a, b, s in rows)
    path.write_text(f"schema_version = 1\n{text}", encoding="utf-8")
    return str(path)


@pytest.mark.parametrize(
    ("text", "id_"),
    [
        ("", "no-devices"),
        (",", "no-devices"),
        ("emulated:nucleo_f746zg,", "no-devices"),
        ("emulated:", "unknown-board"),
        ("emulated:nowhere", "unknown-board"),
        ("rack-3", "unknown-device"),
        ("rack-1,RACK-1", "device-twice"),
        ("rack-1,0671ff3833", "device-twice"),
        ("emulated:nucleo_f746zg,emulated:nucleo_f746zg", "device-twice"),
    ],
)
def test_devices_that_are_none(text: str, id_: str, lab: str, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = [SimpleNamespace(device="/dev/x", vid=1, pid=2, serial_number="0671FF3833", description="")]
    monkeypatch.setattr("serial.tools.list_ports.comports", lambda: seen)
    with pytest.raises(DanasError) as caught:
        verifying.chosen(text, lab=lab)
    assert caught.value.id == id_


def test_all_are_those_of_the_lab_file_attached_or_not(lab: str) -> None:
    found = verifying.chosen("all", lab=lab, wait_s=600)
    assert [(one.name, one.board, one.target) for one in found] == [
        ("rack-1", "nucleo_f746zg", "device"),
        ("rack-2", "nucleo_l4r5zi", "device"),
    ]
    assert found[0].options == ("--device", "rack-1", "--lab", lab, "--wait", "600s")
    mixed = verifying.chosen("emulated:mps2_an386, rack-2", lab=lab)
    assert [(one.board, one.target) for one in mixed] == [("mps2_an386", "emulated"), ("nucleo_l4r5zi", "device")]


def test_no_device_in_the_lab_file(tmp_path: Path) -> None:
    (tmp_path / "empty.toml").write_text("schema_version = 1\n", encoding="utf-8")
    with pytest.raises(UsageError) as caught:
        verifying.chosen("all", lab=str(tmp_path / "empty.toml"))
    assert caught.value.id == "no-devices"


@pytest.fixture(scope="module")
def verified(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that was verified on two emulated boards."""
    if shutil.which("arm-none-eabi-gcc") is None:
        pytest.skip("needs arm-none-eabi-gcc")
    folder = tmp_path_factory.mktemp("verify")
    (folder / "model.tflite").write_bytes(graph_samples.content())
    assert run(_command(folder, "-q")) == 0
    return folder


def _command(folder: Path, *more: object) -> list[str]:
    devices = "emulated:nucleo_f746zg,emulated:nucleo_l4r5zi"
    words = ["verify", folder / "model.tflite", "--devices", devices, "--images", 2, "--into", folder / "into", *more]
    return [str(word) for word in words]


@pytest.mark.slow
def test_a_model_is_verified_on_two_emulated_boards(verified: Path) -> None:
    found = Verification.model_validate_json((verified / "into" / "verification.json").read_bytes())
    assert found.passed
    assert [one.board for one in found.devices] == ["nucleo_f746zg", "nucleo_l4r5zi"]
    suite = ET.parse(verified / "into" / "junit.xml").getroot()  # noqa: S314 - our own file
    assert {case.get("classname") for case in suite.iter("testcase")} == {one.device for one in found.devices}


@pytest.mark.slow
def test_what_grew_since_a_baseline_is_told(
    verified: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = (verified / "into" / "verification.json").read_text(encoding="utf-8")
    less = tmp_path / "less.json"
    values = json.loads(kept)
    for line in values["devices"][0]["report"]["flash"]:
        line["found"]["value"] = (line["found"]["value"] or 0) - (100 if line["name"] in {"kernels", "total"} else 0)
    less.write_text(json.dumps(values), encoding="utf-8")
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "summary.md"))
    capsys.readouterr()
    assert run(_command(verified, "-q", "--baseline", less, "--json")) == 7
    captured = capsys.readouterr()
    assert json.loads(captured.out)["error"]["id"] == "gate-failed"
    assert "::error title=emulated%3Anucleo_f746zg" in captured.err
    assert "+100 B: kernels +100" in captured.err
    assert "FAIL" in (tmp_path / "summary.md").read_text(encoding="utf-8")


@pytest.mark.slow
def test_ctrl_c_ends_a_verification_that_can_go_on(tmp_path: Path) -> None:
    (tmp_path / "model.tflite").write_bytes(graph_samples.content())
    command = [sys.executable, "-m", "pipeline", *_command(tmp_path)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    while process.poll() is None and not list((tmp_path / "into").glob("*/manifest.json")):
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "--into" in said
