"""From images to a verdict on the emulated board: the whole job, killed on its way and taken up again."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.__main__ import run
from pipeline.report.model import Report

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("arm-none-eabi-gcc") is None, reason="needs arm-none-eabi-gcc"),
]

CLASSES = ("disc", "square", "stripes */ $(x)")


def _draw(name: str, rng: np.random.Generator) -> Image.Image:
    """40 px of noise with a bright shape in it."""
    pixels = rng.integers(0, 90, (40, 40, 3), dtype=np.uint8)
    y, x = np.mgrid[:40, :40]
    cy, cx, radius = *rng.integers(14, 26, 2), rng.integers(6, 11)
    shapes = {
        "disc": (y - cy) ** 2 + (x - cx) ** 2 < radius**2,
        "square": (abs(y - cy) < radius) & (abs(x - cx) < radius),
        "stripes */ $(x)": (abs(y - cy) < radius) & (y % 4 < 2),
    }
    pixels[shapes[name]] = rng.integers(170, 256, 3)
    return Image.fromarray(pixels)


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """A folder with train and validation, no test, three classes, one with a hostile name."""
    rng = np.random.default_rng(4)
    for split, count in (("train", 60), ("validation", 20)):
        for name in CLASSES:
            # A slash cannot be in a file name; the rest of the hostile name can.
            folder = tmp_path / "images" / split / name.replace("/", "\N{DIVISION SLASH}")
            folder.mkdir(parents=True)
            for number in range(count):
                _draw(name, rng).save(folder / f"{number}.png")
    return tmp_path / "images"


def test_the_main_job_survives_a_kill(
    images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DANAS_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "run"
    # A relative folder: the run is resumed from another one.
    options = ["--board", "nucleo_f746zg", "--emulate", "--data", f"folder:{images.name}", "--images", "12"]
    # 10 kB admit the smallest resolution alone, which keeps this short.
    options += ["--evaluations", "1", "--ram", "10000", "--run", str(folder)]
    options += ["--instructions", "6M", "--latency", "0.05s", "--objective", "accuracy,latency"]
    process = subprocess.Popen(
        [sys.executable, "-m", "pipeline", "search-and-flash", *options],
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
        cwd=images.parent,
        env=os.environ | {"NO_COLOR": "1"},
    )
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith("Quantize …"):
            break
    process.send_signal(signal.SIGKILL)
    process.stderr.close()
    process.wait(60)
    candidates = (folder / "search" / "candidates.json").read_bytes()

    code = run(["resume", str(folder), "--json"])
    captured = capsys.readouterr()
    assert code == 0, captured.err
    assert "Search done" in captured.err
    assert "finished before" in captured.err
    assert (folder / "search" / "candidates.json").read_bytes() == candidates
    report = Report.model_validate(json.loads(captured.out)["report"])
    assert report.passed
    page = (folder / report.files["page"]).read_text("utf-8")
    assert all(f'id="spec-{chart}"' in page for chart in ("front-latency", "progress-time", "space-data", "confusion"))
    assert len(json.loads((folder / "search" / "history.json").read_bytes())["evaluations"]) == 1
    assert report.search is not None
    assert report.search.evaluations == 1
    assert report.search.objectives == ("accuracy", "latency")
    assert report.search.front == (report.search.genotype,)
    assert (report.search.limits["instructions"], report.search.limits["latency in ms"]) == (6_000_000, 50.0)
    (finalist,) = report.search.finalists
    assert finalist.instructions is not None
    assert 0 < int(finalist.instructions.value or 0) <= 6_000_000
    assert finalist.latency is not None
    assert finalist.latency.value <= 50.0
    # The program keeps to the limit on instructions, and to its prediction; an emulated board has no milliseconds.
    checks = {check.id: check.passed for check in report.verdict.checks}
    assert checks["instructions"]
    assert checks["instructions-limit"]
    assert "latency-limit" not in checks
    assert report.model.output_shape == (1, 3)
    assert report.model.input_shape[1] == 32
    test = report.accuracy["test, int8"]
    assert test.value is None
    assert "no test split" in test.reason
    assert any("validation" in name and "device" in name for name in report.accuracy)
    # Class names are hostile: none of them is in the program.
    for source in (folder / "firmware" / "src").iterdir():
        assert "stripes" not in source.read_text()
    assert (folder / "winner.json").is_file()


@pytest.mark.parametrize(("limit", "most"), [("--ram", "1k"), ("--instructions", "1k"), ("--energy", "1uJ")])
def test_limits_that_nothing_meets_end_before_any_training(
    images: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    limit: str,
    most: str,
) -> None:
    monkeypatch.setenv("DANAS_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "run"
    options = ["--data", f"folder:{images}", limit, most, "--run", str(folder), "--json"]
    assert run(["search", "--board", "nucleo_f746zg", *options]) == 8
    error = json.loads(capsys.readouterr().out)["error"]
    assert error["id"] == "nothing-feasible"
    assert error["why"].lower().startswith(f"{limit.strip('-')}: least ")
    assert not (folder / "search" / "supernets").exists()


def test_wrong_images_leave_no_run_behind(
    images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DANAS_CACHE", str(tmp_path / "cache"))
    (images / "train" / "disc" / "0.png").write_bytes(b"no image")
    folder = tmp_path / "run"
    options = ["--data", f"folder:{images}", "--run", str(folder), "--json"]
    assert run(["search", "--board", "nucleo_f746zg", *options]) == 2
    error = json.loads(capsys.readouterr().out)["error"]
    assert error["id"] == "unreadable-image"
    assert "0.png" in error["what"] + error["why"]
    assert not folder.exists()
