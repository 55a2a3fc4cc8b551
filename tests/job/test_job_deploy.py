"""From a .tflite to a verdict on the emulated board, and what happens when something is wrong on the way."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import graph_samples
import numpy as np
import pytest

from pipeline.__main__ import run
from pipeline.device import emulated
from pipeline.report.model import Report
from pipeline.runs import Run

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("arm-none-eabi-gcc") is None, reason="needs arm-none-eabi-gcc"),
]


def _run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, dict[str, Any], str]:
    capsys.readouterr()
    code = run([*map(str, arguments), "--json"])
    captured = capsys.readouterr()
    return code, json.loads(captured.out), captured.err


@pytest.fixture(scope="module")
def deployed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that was deployed and passed."""
    folder = tmp_path_factory.mktemp("deploy")
    model = folder / "every operator.tflite"
    model.write_bytes(graph_samples.content(cast=True))
    arguments = ["deploy", model, "--board", "nucleo_f746zg", "--emulate", "--images", 5, "--run", folder / "run", "-q"]
    assert run([str(one) for one in arguments]) == 0
    return folder / "run"


@pytest.fixture
def copied(deployed: Path, tmp_path: Path) -> Path:
    """A copy of that run, to be spoiled."""
    return Path(shutil.copytree(deployed, tmp_path / "run"))


def test_every_operator_passes_on_the_emulated_board(deployed: Path) -> None:
    report = Report.model_validate_json((deployed / "report.json").read_bytes())
    assert report.passed
    assert report.target == "emulated"
    assert report.search is None
    page = (deployed / report.files["page"]).read_text("utf-8")
    assert '"spec-flash"' in page
    assert "spec-front" not in page, "there was no search"
    assert {check.id for check in report.verdict.checks} >= {"outputs", "ram", "flash", "stack-oracle"}
    assert not any(figure.unit == "ms" for figure in report.timing.values()), "an emulator has no milliseconds"
    # What was predicted stands beside what was counted; time and energy are modelled from the prediction, and say so.
    work = report.work
    assert work is not None
    assert work.executed.found == report.timing["an inference (median)"]
    assert (work.executed.estimate.unit, work.executed.estimate.source) == ("instructions", "analytic")
    assert work.latency is not None
    assert work.energy is not None
    assert all(str(one.source) == "modelled" and one.low < one.value < one.high for one in (work.latency, work.energy))
    assert "instructions" in {check.id for check in report.verdict.checks}
    suite = ET.parse(deployed / "junit.xml").getroot()  # noqa: S314 - our own file
    assert (suite.get("failures"), int(suite.get("tests") or 0)) == ("0", len(report.verdict.checks))


def test_flash_is_itemised_on_both_sides(deployed: Path) -> None:
    report = Report.model_validate_json((deployed / "report.json").read_bytes())
    *items, total = report.flash
    assert [line.name for line in items] == ["model", "kernels", "runtime", "port", "libraries"]
    for side in ("estimate", "found"):
        figures = [int(getattr(line, side).value or 0) for line in report.flash]
        assert sum(figures[:-1]) == figures[-1], side
    assert total.found.source == "linked ELF"
    (check,) = (check for check in report.verdict.checks if check.id == "flash")
    assert "largest difference: " in check.detail


def test_a_run_that_another_compiler_built_is_marked(copied: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = copied / "firmware" / "elf.json"
    values = json.loads(path.read_bytes())
    assert values["compiler"] and "-O2" in values["flags"]
    path.write_text(json.dumps(values | {"compiler": "GCC: (x) 14.1.0 20250101"}), encoding="utf-8")
    code, printed, _ = _run(capsys, "validate", copied)
    assert code == 0
    assert any("not calibrated for this compiler: code ±" in note for note in printed["validate"]["notes"])
    code, printed, _ = _run(capsys, "estimate", copied)
    assert code == 0
    assert printed["estimate"]["estimate"]["calibration"]["doubt"]["code"] > 0
    assert printed["estimate"]["linked_flash"][0]["name"] == "model"


def test_resuming_a_finished_run_measures_nothing_again(copied: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = (copied / "measurement.json").stat().st_mtime_ns
    code, printed, err = _run(capsys, "resume", copied)
    assert code == 0, err
    assert printed["report"]["passed"] is True
    # The copy is another folder, hence another ELF path, but the same build: nothing is sent through a device.
    assert (copied / "measurement.json").stat().st_mtime_ns == before


@pytest.mark.parametrize(
    ("name", "spoil", "failed"),
    [
        ("device/host.json", lambda values: values["outputs"].__setitem__(2, "00" * 16), "outputs"),
        ("measurement.json", lambda values: values["identity"].__setitem__("build", "f" * 16), "build"),
        ("measurement.json", lambda values: values["memory_after"]["static"].__setitem__("value", 99_999), "ram"),
        ("firmware/elf.json", lambda values: values.__setitem__("flash_bytes", 99_999), "flash"),
        (
            "measurement.json",
            lambda values: [one["cycles"].__setitem__("value", one["cycles"]["value"] * 2) for one in values["inputs"]],
            "instructions",
        ),
    ],
)
def test_a_failed_gate_is_exit_code_7(
    copied: Path, capsys: pytest.CaptureFixture[str], name: str, spoil: Any, failed: str
) -> None:
    values = json.loads((copied / name).read_bytes())
    spoil(values)
    (copied / name).write_text(json.dumps(values))
    code = run(["validate", str(copied)])
    captured = capsys.readouterr()
    assert code == 7
    assert "Verdict: FAIL" in captured.out
    assert "[gate-failed]" in captured.err
    assert failed in {
        check["id"] for check in json.loads((copied / "verdict.json").read_bytes())["checks"] if not check["passed"]
    }


def test_a_trace_takes_the_place_of_the_modelled_energy(
    copied: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trace = tmp_path / "trace.csv"
    trace.write_text("Time (s),Current (mA),Voltage (V)\n0,100,3\n0.5,100,3\n1,100,3\n")
    code, _, err = _run(capsys, "energy", copied, "--trace", trace, "--from", "0", "--to", "1")
    assert code == 0, err
    report = Report.model_validate_json((copied / "report.json").read_bytes())
    assert report.energy is not None
    assert report.energy.millijoules.median == pytest.approx(300)
    assert report.work is not None
    assert report.work.latency is not None
    assert report.work.energy is None
    assert run(["report", str(copied)]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert f"Energy an inference (median): 300 mJ (300…300 mJ over 1 windows; {report.energy.source})" in out
    assert "modelled: 3.3 V" not in out


@pytest.mark.parametrize("missing", ["model.tflite", "firmware/elf.json", "measurement.json", "verdict.json"])
def test_what_is_missing_is_named_by_the_stage_that_needs_it(
    copied: Path, capsys: pytest.CaptureFixture[str], missing: str
) -> None:
    (copied / missing).unlink()
    code, printed, _ = _run(capsys, "report", copied)
    assert code == 2
    assert printed["error"]["id"] == "missing-stage"
    assert missing in printed["error"]["what"]


def test_an_image_that_is_missing_is_named(copied: Path, capsys: pytest.CaptureFixture[str]) -> None:
    next(copied.glob("firmware/build/*/firmware.bin")).unlink()
    code, printed, _ = _run(capsys, "measure", copied)
    assert (code, printed["error"]["id"]) == (2, "missing-stage")
    assert "firmware.bin" in printed["error"]["what"]


def test_another_program_on_the_device_is_not_measured(
    copied: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = tmp_path / "other.tflite"
    model.write_bytes(graph_samples.content())
    assert run(["build", str(model), "--board", "nucleo_f746zg", "--run", str(tmp_path / "other"), "-q"]) == 0
    for name in ("firmware.elf", "firmware.bin"):
        (wrong,) = (tmp_path / "other").glob(f"firmware/build/*/{name}")
        shutil.copyfile(wrong, next(copied.glob(f"firmware/build/*/{name}")))
    code, printed, _ = _run(capsys, "measure", copied)
    assert (code, printed["error"]["id"]) == (6, "wrong-model")


def test_a_run_that_moved_to_an_unsafe_folder_is_not_built_there(
    deployed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    moved = tmp_path / "`touch gone`"
    shutil.copytree(deployed, moved)
    code, printed, _ = _run(capsys, "build", moved)
    assert (code, printed["error"]["id"]) == (2, "unsafe-folder")


def test_stages_are_commands_on_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = tmp_path / "model.tflite"
    model.write_bytes(graph_samples.content())
    code, printed, err = _run(capsys, "estimate", model, "--board", "nucleo_f746zg", "--run", tmp_path / "estimate")
    assert code == 0, err
    assert printed["estimate"]["ram_bytes"] > 0
    code, printed, err = _run(capsys, "render", model, "--board", "nucleo_f746zg", "--run", tmp_path / "render")
    assert code == 0, err
    assert "src/model.cpp" in printed["render"]["sources"]
    code, printed, err = _run(capsys, "build", tmp_path / "render")
    assert code == 0, err
    code, printed, err = _run(capsys, "flash", tmp_path / "render", "--emulate")
    assert code == 0, err
    assert printed["flash"]["target"] == "emulated"
    code, printed, err = _run(capsys, "resume", tmp_path / "render", "--emulate")
    assert code == 0, err
    assert printed["report"]["target"] == "emulated"
    code, printed, err = _run(capsys, "quantize", tmp_path / "render")
    assert (code, printed["error"]["id"]) == (2, "not-a-search-run")


def _npy_header(shape: str) -> bytes:
    """A file that claims more than any machine has."""
    text = f"{{'descr': '|i1', 'fortran_order': False, 'shape': {shape}, }}".ljust(117).encode() + b"\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text


def test_given_inputs_go_through_the_device(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model, inputs = tmp_path / "model.tflite", tmp_path / "inputs.npy"
    model.write_bytes(graph_samples.content())
    arguments = ["deploy", model, "--board", "nucleo_f746zg", "--emulate", "--inputs", inputs]
    np.save(inputs, np.zeros((2, 9, 8, 3), np.float32))
    code, printed, _ = _run(capsys, *arguments, "--run", tmp_path / "wrong")
    assert (code, printed["error"]["id"]) == (2, "bad-inputs")
    assert "int8" in printed["error"]["why"]
    assert not (tmp_path / "wrong").exists(), "wrong inputs are seen before any work"
    for broken in (b"", b"PK\x03\x04 no archive", _npy_header("(99999999999, 9, 8, 3)")):
        inputs.write_bytes(broken)
        code, printed, _ = _run(capsys, *arguments, "--run", tmp_path / "broken")
        assert (code, printed["error"]["id"]) == (2, "bad-inputs"), broken
    np.save(inputs, np.arange(2 * 9 * 8 * 3, dtype=np.int64).astype(np.int8).reshape(2, 9, 8, 3))
    code, printed, err = _run(capsys, *arguments, "--run", tmp_path / "right")
    assert code == 0, err
    assert printed["report"]["verdict"]["notes"] == ["only 2 inputs: the given file has no more"]
    np.save(inputs, np.zeros((3, 9, 8, 3), np.int8))
    code, printed, err = _run(capsys, "resume", tmp_path / "right")
    assert printed["report"]["verdict"]["notes"] == ["only 3 inputs: the given file has no more"], "they are new ones"


def test_without_the_compiled_path_fewer_inputs_are_sent_and_the_verdict_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    launch = emulated.launch

    def in_python(*arguments: Any, **options: Any) -> emulated.EmulatedDevice:
        return launch(*arguments, **(options | {"pure_python": True}))

    monkeypatch.setattr(emulated, "launch", in_python)
    model = tmp_path / "model.tflite"
    model.write_bytes(graph_samples.content())
    arguments = ["deploy", model, "--board", "nucleo_f746zg", "--emulate"]
    code, printed, err = _run(capsys, *arguments, "--run", tmp_path / "run")
    assert code == 0, err
    (note,) = printed["report"]["verdict"]["notes"]
    assert note.startswith("only 10 inputs: the emulator's compiled path is not available")
    outputs = next(check for check in printed["report"]["verdict"]["checks"] if check["id"] == "outputs")
    assert (outputs["expected"], outputs["measured"]) == (10, 10)


@pytest.mark.parametrize(("option", "limit"), [("--ram", "600"), ("--flash", "9k")])
def test_a_model_beyond_the_limits_is_exit_code_8_before_the_build(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], option: str, limit: str
) -> None:
    model = tmp_path / "model.tflite"
    model.write_bytes(graph_samples.content())
    folder = tmp_path / "run"
    code, printed, _ = _run(
        capsys, "deploy", model, "--board", "nucleo_f746zg", "--emulate", option, limit, "--run", folder
    )
    assert (code, printed["error"]["id"]) == (8, "does-not-fit")
    assert option in printed["error"]["next"]
    assert not (folder / "firmware").exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_run_that_is_stopped_can_be_resumed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], number: signal.Signals
) -> None:
    model, folder = tmp_path / "model.tflite", tmp_path / "run"
    model.write_bytes(graph_samples.content())
    command = [sys.executable, "-m", "pipeline", "deploy", str(model), "--board", "nucleo_f746zg", "--emulate"]
    process = subprocess.Popen(
        [*command, "--run", str(folder), "--images", "3"],
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
        env=os.environ | {"NO_COLOR": "1"},
    )
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith("Build …"):
            break
    time.sleep(0.5)
    process.send_signal(number)
    said = process.stderr.read()
    process.stderr.close()
    code = process.wait(60)
    if number is signal.SIGKILL:
        assert code == -number
    else:
        assert code == 130, said
        assert f"danas-deploy resume {folder}" in said
    assert "build" not in Run.open(folder).records()
    code, printed, err = _run(capsys, "resume", folder)
    assert code == 0, err
    assert printed["report"]["passed"] is True
