"""The benchmark's networks and its bars."""

from __future__ import annotations

import dataclasses
import hashlib
import importlib
import json
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.estimate.macs import macs
from pipeline.graph.reader import read

BENCHMARKS = Path(__file__).resolve().parent.parent / "benchmarks"


@pytest.fixture
def runtime(monkeypatch: pytest.MonkeyPatch) -> Any:
    """benchmarks/runtime.py as a module."""
    monkeypatch.syspath_prepend(BENCHMARKS)
    return importlib.import_module("runtime")


def test_bars_by_what_a_layout_is_held_to(runtime: Any) -> None:
    goal = runtime.goals.Goal(
        ram_fastest=260, ram_least=240, flash_compact=400, flash_fastest=600, instructions=1000, ram_streamed=100
    )
    assert goal.bars(runtime.Bars.SPEED) == (260, 600, 1000)
    assert goal.bars(runtime.Bars.RAM) == (240, None, None)
    assert goal.bars(runtime.Bars.FLASH) == (None, 400, 1300)
    assert goal.bars(runtime.Bars.BALANCED) == (276, 460, 1150)
    assert goal.bars(runtime.Bars.STREAMED) == (100, None, None)
    assert runtime.goals.Goal(ram_fastest=260, ram_least=240).bars(runtime.Bars.SPEED) == (260, None, None)


def test_a_sheet_is_the_same_on_a_terminal_and_as_markdown(runtime: Any) -> None:
    sheet = runtime.Sheet(
        "Title", ("model", "runtime", "RAM", "bar"), (("a", "aot", "5", runtime.Verdict("> 4", False)),)
    )
    assert runtime.markdown(sheet).splitlines()[2:] == [
        "| model | runtime | RAM | bar |", "|---|---|---:|---:|", "| a | aot | 5 | **> 4** |"
    ]  # fmt: skip
    assert all(text in runtime.terminal(sheet) for text in ("Title", "model", "> 4"))


def test_each_goal_is_a_network_of_the_benchmark(runtime: Any) -> None:
    assert set(runtime.goals.GOALS) < {network.name for network in runtime.models.NETWORKS}


def test_pictures_have_structure_and_are_the_same_for_the_same_seed(runtime: Any) -> None:
    one, again, other = (runtime.models.pictures(4, (20, 12, 3), np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert one.shape == (4, 20, 12, 3) and one.dtype == np.float32
    assert 0 <= one.min() < 0.4 and 0.6 < one.max() <= 1
    assert np.array_equal(one, again) and not np.array_equal(one, other)
    neighbours = np.abs(np.diff(one, axis=2)).mean()
    assert neighbours < one.std() / 2, "noise alone would have neighbours that differ as much as any two pixels"


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("arm-none-eabi-gcc") is None, reason="needs arm-none-eabi-gcc")
def test_a_network_is_made_once_measured_and_equal(tmp_path: Path) -> None:
    options = ["--only", "ds_cnn_49x10", "--layout", "speed", "--check", "2", "--json"]
    first = _run("runtime.py", "--models", str(tmp_path), *options)
    model = (tmp_path / "ds_cnn_49x10.tflite").read_bytes()
    again = _run("models.py", "--into", str(tmp_path), "--only", "ds_cnn_49x10")
    assert "making" in first.stderr and "making" not in again.stderr
    assert hashlib.sha256(model).hexdigest()[:16] in again.stdout
    (row,) = json.loads(first.stdout)["models"]
    assert (row["checked"], row["equal"]) == (2, 2)
    graph = read(tmp_path / "ds_cnn_49x10.tflite")
    weights = [tensor.nbytes for tensor in graph.tensors if tensor.constant and tensor.dtype == "int8"]
    assert (sum(weights), macs(graph)) == (22_016, 2_656_768)
    assert row["ram"] == row["arena"] + row["state"]
    assert row["flash"] > sum(weights)
    assert row["met"]["ram"] == (row["ram"] <= row["bars"]["ram"])


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> Any:
    """benchmarks/estimates_lines.py as a module."""
    monkeypatch.syspath_prepend(BENCHMARKS)
    return importlib.import_module("estimates_lines")


def _line(lines: Any, estimated: int, found: int, *, holds: bool = True, mean: float | None = None) -> Any:
    return lines.Line(
        row="instructions",
        item="an inference",
        board="b",
        network=f"n{found}",
        kind="genotype",
        estimated=estimated,
        found=found,
        against="emulated board",
        bar="mean ≤ 2 %",
        holds=holds,
        mean=mean,
    )


def test_a_group_of_estimates_holds_by_each_line_by_mean_and_by_order(lines: Any) -> None:
    def holds(*pairs: tuple[int, int], mean: float | None = 0.02) -> bool:
        (group,) = lines.groups(_line(lines, *pair, mean=mean) for pair in pairs)
        return bool(group.holds)

    assert holds((101, 100), (204, 200), (300, 300))
    assert not holds((105, 100), (210, 200), (315, 300)), "5 % is more than 2 %"
    assert holds((105, 100), (210, 200), (315, 300), mean=None)
    assert not holds((101, 100), (100, 101), (103, 102)), "another order"
    (group,) = lines.groups([_line(lines, 1, 1), _line(lines, 2, 1, holds=False)])
    assert not group.holds and group.row()[-1] == lines.Verdict("1 of 2 miss", False)
    assert [len(group.lines) for group in lines.groups([_line(lines, 1, 1), _line(lines, 2, 1)])] == [2]


def test_what_misses_most_is_listed_first(lines: Any) -> None:
    sheet = lines.misses([_line(lines, 110, 100, holds=False), _line(lines, 50, 10, holds=False), _line(lines, 1, 1)])
    assert [row[2] for row in sheet.rows] == ["n10", "n100"]
    many = lines.misses([_line(lines, 2, 1, holds=False)] * (lines.MOST_MISSES + 1))
    assert len(many.rows) == lines.MOST_MISSES and f"{lines.MOST_MISSES} of {lines.MOST_MISSES + 1}" in many.title


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("arm-none-eabi-gcc") is None, reason="needs arm-none-eabi-gcc")
def test_estimates_are_compared_once_and_kept(tmp_path: Path) -> None:
    options = ["--rows", "ram,flash,instructions", "--boards", "nucleo_l4r5zi", "--genotypes", "1", "--seed", "11"]
    options += ["--conversions", "0", "--without-models", "--folder", str(tmp_path), "--json", str(tmp_path / "o.json")]
    options += ["--markdown", str(tmp_path / "o.md")]
    _run("estimates.py", *options)
    document = json.loads((tmp_path / "o.json").read_text())
    assert {line["row"] for line in document["lines"]} == {"ram", "flash", "instructions"}
    assert all(line["holds"] and line["found"] > 0 for line in document["lines"])
    text = (tmp_path / "o.md").read_text()
    assert "| ram: arena | nucleo_l4r5zi | linked ELF | equal | 1 | +0 | +0 | 0.000% | 0.000% | holds |" in text
    (record,) = (tmp_path / "facts").glob("*/*.json")
    before = record.stat().st_mtime_ns
    _run("estimates.py", *options)
    assert record.stat().st_mtime_ns == before


def _run(script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(BENCHMARKS / script), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=200)


@pytest.fixture
def latency(monkeypatch: pytest.MonkeyPatch) -> Any:
    """benchmarks/latency.py as a module."""
    monkeypatch.syspath_prepend(BENCHMARKS)
    return importlib.import_module("latency")


def _inference(latency: Any, network: str, predicted: int, counted: int, *, kind: str = "genotype") -> Any:
    return latency.Line(
        network=network,
        kind=kind,
        board="nucleo_f746zg",
        predicted=predicted,
        from_shapes=predicted if kind == "genotype" else None,
        counted=counted,
        stages=(0.01, -0.02),
    )


def test_ranks_of_predictions(latency: Any) -> None:
    assert latency.spearman([1, 2, 3], [10, 20, 30]) == pytest.approx(1)
    assert latency.spearman([1, 2, 3], [30, 20, 10]) == pytest.approx(-1)
    # Source of the figure: 1 - 6 · Σd² / (n (n² - 1)), d² = 1 + 1.
    assert latency.spearman([1, 2, 3, 4], [10, 20, 40, 30]) == pytest.approx(1 - 6 * 2 / 60)
    assert latency.spearman([1, 1, 2], [5, 5, 9]) == pytest.approx(1)


def test_predictions_are_held_to_their_bars(latency: Any) -> None:
    close = [_inference(latency, "a", 101, 100), _inference(latency, "b", 202, 200)]
    assert latency.summary(close)[1]
    assert not latency.summary([*close, _inference(latency, "c", 320, 300)])[1]  # the worst, 6.7 %
    assert not latency.summary([_inference(latency, "a", 105, 100), _inference(latency, "b", 210, 200)])[1]  # the mean
    assert not latency.summary([_inference(latency, "a", 1001, 1000), _inference(latency, "b", 1000, 1001)])[
        1
    ]  # the order
    # Other networks have no bars, and uniform weights none from shapes.
    assert latency.summary([*close, _inference(latency, "c", 320, 300, kind="benchmark")])[1]
    uniform = _inference(latency, "c", 300, 300, kind="uniform")
    assert latency.summary([*close, dataclasses.replace(uniform, from_shapes=250)])[1]
    assert not latency.summary([*close, dataclasses.replace(uniform, predicted=250)])[1]


def test_the_plot_is_a_picture_of_every_inference(latency: Any) -> None:
    points = [
        latency.Point(1_000_000, 0.001, "nucleo_f746zg", "genotype"),
        latency.Point(90_000_000, -0.07, "<&>", "benchmark"),
    ]
    root = ET.fromstring(latency.plot(points, bars=(0.02, 0.06)))  # noqa: S314 - our own text
    circles = [one for one in root.iter("{http://www.w3.org/2000/svg}circle") if one.find("{*}title") is not None]
    assert len(circles) == 2 * len(points)
    for circle in circles:
        assert 0 <= float(circle.get("cx", -1)) <= 900 and 50 <= float(circle.get("cy", -1)) <= 410
