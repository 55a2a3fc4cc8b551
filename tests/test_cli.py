"""The command line as a user meets it: help without weight, exit codes, errors in three lines and as JSON."""

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from pipeline.__main__ import run
from pipeline.cli import _absolute


def _error(capsys: pytest.CaptureFixture[str]) -> dict[str, object]:
    captured = capsys.readouterr()
    error = json.loads(captured.out)["error"]
    assert isinstance(error, dict)
    assert f"[{error['id']}]" in captured.err
    return error


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys\n"
        "from pipeline.__main__ import run\n"
        "assert run(['--help']) == 0\n"
        "heavy = {'tensorflow', 'keras', 'numpy', 'pydantic', 'optuna', 'unicorn', 'platformio', 'ai_edge_litert'}\n"
        "sys.exit(','.join(sorted(heavy & set(sys.modules))) or 0)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "search-and-flash" in done.stdout


@pytest.mark.parametrize("command", [[], ["boards"]])
def test_a_group_without_a_command_shows_its_help(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(command) == 2
    assert "Usage: danas-deploy" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [
        ["deplo"],
        ["deploy"],
        ["resume"],
        ["search", "--board", "nucleo_f746zg", "--evaluations", "0"],
        ["--frob"],
        ["estimate", "--helpx"],
    ],
)
def test_wrong_usage_is_exit_code_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*arguments, "--json"]) == 2
    assert _error(capsys)["id"] == "bad-usage"


@pytest.mark.parametrize(
    ("arguments", "code", "error_id"),
    [
        (["boards", "show", "nucleo_f746"], 2, "unknown-board"),
        (["search", "--board", "nucleo_f746zg", "--ram", "lots"], 2, "bad-size"),
        (["search", "--board", "nucleo_f746zg", "--time", "soon"], 2, "bad-duration"),
        (["search", "--board", "nucleo_f746zg", "--latency", "5mJ"], 2, "bad-latency"),
        (["search", "--board", "nucleo_f746zg", "--energy", "5ms"], 2, "bad-energy"),
        (["search", "--board", "nucleo_f746zg", "--instructions", "few"], 2, "bad-count"),
        (["search", "--board", "nucleo_f746zg", "--objective", "latency"], 2, "bad-objective"),
        (["search", "--board", "mps2_an500", "--latency", "100ms"], 2, "not-modelled"),
        (["search", "--board", "mps2_an500", "--objective", "accuracy,energy"], 2, "not-modelled"),
        (["search", "--board", "nucleo_f746zg", "--runtime", "tflm", "--instructions", "1M"], 2, "not-modelled"),
        (["search", "--board", "nucleo_f746zg", "--preset", "huge"], 2, "bad-option"),
        (["experiment", "alchemy"], 2, "unknown-experiment"),
        (["experiment", "ablation", "--scale", "huge"], 2, "bad-option"),
        (["experiment", "ablation", "--data", "folder:none"], 2, "no-such-folder"),
        (["experiment", "ablation", "--board", "toaster"], 2, "unknown-board"),
        (["experiment", "report"], 2, "no-journals"),
        (["search-and-flash", "--board", "nucleo_f746zg", "--emulate", "--device", "x"], 2, "emulate-and-device"),
        (
            ["deploy", "x.tflite", "--board", "mps2_an500", "--emulator", "qemu", "--device", "x"],
            2,
            "emulate-and-device",
        ),
        (["deploy", "x.tflite", "--board", "mps2_an500", "--emulator", "renode"], 2, "bad-option"),
        (["search-and-flash", "--board", "nucleo_f746zg", "--emulator", "qemu"], 2, "no-emulator"),
        (["deploy", "no-such.tflite", "--board", "nucleo_f746zg", "--emulate"], 2, "no-such-model"),
        (["estimate", "no-such.tflite"], 2, "no-board-given"),
        (["resume", "no-such-run"], 2, "no-such-run"),
        (["estimate", "x" * 300, "--board", "nucleo_f746zg"], 2, "no-such-model"),
        (["search", "--board", "nucleo_f746zg", "--data", f"folder:{'x' * 300}"], 2, "no-such-folder"),
        (["deploy", "m\udcff.tflite", "--board", "nucleo_f746zg", "--emulate"], 2, "bad-option"),
        (["deploy", "x.tflite", "--board", "nucleo_f746zg", "--device", "\udcff"], 2, "bad-option"),
        (["deploy", "x.tflite", "--board", "nucleo_f746zg", "--device", "/dev/no-such"], 3, "no-such-port"),
        (["estimate", "x.tflite", "--board", "nucleo_f746zg", "--run", "$(reboot)"], 2, "unsafe-folder"),
        (["profile", "no-such.tflite", "--board", "nucleo_f746zg", "--emulate"], 2, "no-such-model"),
        (["diff", "no-such.tflite", "--board", "nucleo_f746zg", "--emulate"], 2, "no-such-model"),
        (["diff", "x.tflite", "--board", "nucleo_f746zg", "--emulate", "--into", "$(reboot)"], 2, "unsafe-folder"),
        (["profile", "x.tflite", "--board", "nucleo_f746zg", "--device", "no-such"], 3, "unknown-device"),
        (["search", "--board", "nucleo_f746zg", "--input", "sideways"], 2, "bad-option"),
        (["deploy", "x.tflite", "--board", "nucleo_f746zg", "--emulate", "--input", "sideways"], 2, "bad-option"),
        (["profile", "x.tflite", "--board", "nucleo_f746zg", "--emulate", "--input", "sideways"], 2, "bad-option"),
        (["diff", "x.tflite", "--board", "nucleo_f746zg", "--emulate", "--input", "sideways"], 2, "bad-option"),
    ],
)
def test_what_is_wrong_is_named(
    arguments: list[str],
    code: int,
    error_id: str,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run([*arguments, "--json"]) == code
    assert _error(capsys)["id"] == error_id
    assert not list(tmp_path.iterdir()), "nothing is made before the arguments are sound"


def test_without_a_board_the_main_job_ends_before_any_work(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("serial.tools.list_ports.comports", list)
    monkeypatch.delitem(sys.modules, "tensorflow", raising=False)
    assert run(["search-and-flash", "--board", "nucleo_f746zg", "--json"]) == 3
    error = _error(capsys)
    assert error["id"] == "no-board"
    assert "0483:374B" in str(error["why"]).upper()
    assert "--device" in str(error["next"])
    assert "--emulate" in str(error["next"])
    assert "tensorflow" not in sys.modules
    assert not list(tmp_path.iterdir())


def test_boards_are_listed_and_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["boards", "list", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    figures = {row["name"]: (row["core"], row["ram_bytes"], row["emulated"]) for row in rows}
    assert figures["nucleo_f746zg"] == ("cortex-m7", 327_680, True)
    assert figures["nucleo_l4r5zi"] == ("cortex-m4", 655_360, True)
    assert figures["mps2_an500"] == ("cortex-m7", 4_194_304, True)
    assert figures["nucleo_h743zi"] == ("cortex-m7", 1_015_808, True)
    assert run(["boards", "list"]) == 0
    listed = capsys.readouterr().out
    assert "320 KiB RAM," in listed and "992 KiB RAM (512 in one piece)," in listed
    assert run(["boards", "show", "nucleo_f746zg"]) == 0
    assert "RM0385" in capsys.readouterr().out


def test_a_bug_is_exit_code_1_and_debug_shows_it(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken() -> None:
        raise RuntimeError("a bug\x1b[2J")

    monkeypatch.setattr("pipeline.boards.names", broken)
    assert run(["boards", "list", "--json"]) == 1
    assert _error(capsys)["id"] == "bug"
    with pytest.raises(RuntimeError):
        run(["boards", "list", "--debug"])


def test_ctrl_c_is_exit_code_130(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("pipeline.boards.names", interrupted)
    assert run(["boards", "list", "--json"]) == 130
    assert _error(capsys)["id"] == "interrupted"


@pytest.mark.parametrize("wish", ["", "1"])
def test_colour_is_for_terminals_that_want_it(wish: str, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[bool] = []

    class Reporter:
        def __init__(self, *, colour: bool) -> None:
            asked.append(colour)
            raise KeyboardInterrupt

    monkeypatch.setenv("NO_COLOR", wish)
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setattr("pipeline.report.reporters.TerminalReporter", Reporter)
    monkeypatch.setattr("pipeline.cli.open_job", lambda *_: SimpleNamespace(all=lambda: None))
    assert run(["resume", "."]) == 130
    assert asked == [not wish]


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ("sample", "sample"),
        ("folder:a", "folder:{here}/a"),
        ("folder:", "folder:"),
        ("wake-vision", "wake-vision"),
        ("wake-vision:images=5", "wake-vision:images=5"),
        ("wake-vision:folder=a,b", "wake-vision:folder={here}/a,b"),
        ("visual-wake-words:images=5,folder=a", "visual-wake-words:images=5,folder={here}/a"),
    ],
)
def test_a_folder_of_images_is_kept_by_its_absolute_path(given: str, wanted: str) -> None:
    assert _absolute(given) == wanted.format(here=Path.cwd())
