"""Calibration tables are validated when read."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pipeline import boards, resources
from pipeline.errors import UsageError
from pipeline.estimate import profiles, table
from pipeline.estimate.features import EVERYTHING

_TEXT = (profiles.SHIPPED / "cortex-m7.toml").read_text(encoding="utf-8")


def test_every_board_has_a_table_with_every_kernel() -> None:
    """A name for each file of kernels; some files have two functions that a stage may call."""
    folder = resources.firmware_templates() / "runtime" / "aot"
    files = {path.stem for path in folder.glob("*.cpp")} - {"block"}
    twice = {"add_broadcast", "add_reference", "average_of_rows", "mean_of_rows", "requantize"}
    for name in boards.names():
        assert set(table.load_for(boards.load(name)).kernels) == files | twice


def test_every_part_that_shapes_tell_of_has_functions() -> None:
    """Loops for each size of blocks and each stride differ; a form of depthwise kernels has none of its own."""
    needed = {name for name in EVERYTHING.names if not name.endswith(("plain", "clamped", "relu", "linear"))}
    for name in boards.names():
        parts = table.load_for(boards.load(name)).parts
        assert needed <= set(parts)
        for part in needed:
            match = re.fullmatch(r"(relu|linear) (\d)", part)
            if match:
                loops = [function for function in parts[part] if "multiply_pairs" in function]
                assert [function.partition("multiply_pairsILi")[2][0] for function in loops] == [match[2]], part


@pytest.mark.parametrize(
    ("old", "new", "field"),
    [
        ("schema_version = 4", "schema_version = 3", "schema_version"),
        ("port = ", "port = -", "program.port"),
        ("[kernels.add]\n", "[kernels.add]\ncolour = 1\n", "kernels.add.colour"),
        ("streaming = ", "steaming = ", "program.streaming"),
        ('cpu = "cortex-m7"', "cpu = cortex-m7", "(whole file)"),
        ('pieces = ["add/_ZN5danas3aot3add', 'pieces = ["nothing_like_it', "add.pieces"),
        ('cpu = "cortex-m7"', 'cpu = "cortex-m4"', "profile.cpu"),
        ("date = ", "date = 0", "(whole file)"),
        ('compiler = "', 'compiler = ""\nother = "', "profile.compiler"),
    ],
)
def test_a_wrong_field_is_named(tmp_path: Path, old: str, new: str, field: str) -> None:
    assert old in _TEXT
    path = tmp_path / "cortex-m7.toml"
    path.write_text(_TEXT.replace(old, new), encoding="utf-8")
    with pytest.raises(UsageError) as caught:
        table.read(path)
    assert caught.value.id == "calibration-table"
    assert f"cortex-m7.toml: field {field}" in caught.value.what


def test_a_ports_share_is_added() -> None:
    board = boards.load("mps2_an500")
    plain, moved = table.load(board.core.cpu), table.load_for(board)
    port = plain.ports[board.name]
    assert port.flash < 0, "it has no clock tree to set up"
    assert moved.program.port == plain.program.port + port.flash
    assert moved.program.static == plain.program.static + port.static
    assert table.load_for(boards.load("nucleo_f746zg")) == plain


def test_a_board_that_came_later_gets_the_largest_of_its_family() -> None:
    known = [boards.load(name) for name in ("nucleo_f746zg", "disco_f746ng")]
    largest = max(table.load_for(board).program.port for board in known)
    later = known[0].model_copy(update={"name": "custom_f746"})
    assert table.load_for(later).program.port == largest


def test_a_port_without_figures_is_named() -> None:
    with pytest.raises(UsageError) as caught:
        table.load_for(boards.load("nucleo_f746zg").model_copy(update={"name": "custom", "port": "stm32x9"}))
    assert caught.value.id == "no-calibration"
    assert "stm32x9" in caught.value.what


@pytest.mark.parametrize("cpu", ["cortex-m99", "../../../etc/passwd", "\x1b[2J"])
def test_a_processor_without_a_table_is_named(cpu: str) -> None:
    with pytest.raises(UsageError) as caught:
        table.load(cpu)
    assert caught.value.id == "no-calibration"
    assert "cortex-m7" in caught.value.why and "\x1b" not in str(caught.value)
