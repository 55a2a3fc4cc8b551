"""The bound of the stack from a table: what a model does not call is not in it, and a wrong table is refused."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from pipeline import boards
from pipeline.calibration.writing import toml
from pipeline.errors import UsageError
from pipeline.estimate import estimate, profiles, stack
from pipeline.estimate.stack import EXCEPTION_FRAME, Functions, Stack, StackTable, read
from pipeline.genotype import Genotype
from pipeline.graph.skeleton import from_genotype

_FRAMES = {"Reset_Handler": 8, "danas_fault_entry": 0, "fault": 24, "call": 16, "add": 40, "conv": 100, "other": 200}
_CALLS = {
    "Reset_Handler": ("invoke",),
    "danas_fault_entry": ("fault",),
    "call": ("add", "conv"),
    "conv": ("other",),
}


def _table(**changes: object) -> StackTable:
    values: dict[str, object] = {
        "schema_version": 1,
        "profile": stack.load("cortex-m7").table.profile,
        "kernels": {"add": "add", "conv": "conv"},
        "needs": {"other": ("depthwise_other",)},
        "program": Functions(frames=_FRAMES, calls=_CALLS),
        "resident": Functions(frames={"invoke": 30}, calls={"invoke": ("call",)}),
        "streamed": Functions(frames={"invoke": 50}, calls={"invoke": ("call",)}),
    }
    return StackTable.model_validate(values | changes)


def _stack(**changes: object) -> Stack:
    return Stack(_table(**changes), Path("cortex-m7.stack.toml"))


@pytest.mark.parametrize(
    ("kernels", "features", "streamed", "bytes_"),
    [
        (["add"], [], False, 8 + 30 + 16 + 40),
        (["add"], [], True, 8 + 50 + 16 + 40),
        (["add", "conv"], [], False, 8 + 30 + 16 + 100),
        (["conv"], ["depthwise_other"], False, 8 + 30 + 16 + 100 + 200),
        ([], ["depthwise_other"], False, 8 + 30 + 16),
    ],
)
def test_a_model_s_kernels_are_what_counts(
    kernels: list[str], features: list[str], streamed: bool, bytes_: int
) -> None:
    found = _stack().bound(kernels, features, streamed=streamed)
    assert found.bytes == bytes_
    assert found.fault.bytes == 24 and found.frame_reserve == EXCEPTION_FRAME


def test_a_fault_s_report_may_need_more_than_the_program() -> None:
    deep = _stack(program=Functions(frames={**_FRAMES, "fault": 400}, calls=_CALLS))
    found = deep.bound(["add"], [], streamed=False)
    assert found.bytes + found.frame_reserve == 400 + EXCEPTION_FRAME


def test_a_kernel_that_nobody_has_probed() -> None:
    with pytest.raises(UsageError) as caught:
        _stack().bound(["conv", "winograd"], [], streamed=False)
    assert caught.value.id == "no-calibration" and "winograd" in caught.value.what


@pytest.mark.parametrize(
    ("calls", "why"),
    [
        ({**_CALLS, "other": ("conv",)}, "conv → other → conv is a recursion"),
        ({**_CALLS, "add": ("gone",)}, "nothing is known of gone"),
    ],
)
def test_a_table_without_a_bound_is_refused(calls: dict[str, tuple[str, ...]], why: str) -> None:
    with pytest.raises(UsageError) as caught:
        _stack(program=Functions(frames=_FRAMES, calls=calls))
    assert caught.value.id == "calibration-table" and why in caught.value.what


@pytest.mark.parametrize("text", ["x = ", "schema_version = 2", "schema_version = 1", 'schema_version = "\\u001b[31m"'])
def test_a_damaged_file_is_refused(text: str, tmp_path: Path) -> None:
    path = tmp_path / "cortex-m7.stack.toml"
    path.write_text(text)
    with pytest.raises(UsageError) as caught:
        read(path)
    assert caught.value.id == "calibration-table" and "\x1b" not in str(caught.value)


def test_there_is_a_table_or_there_is_not() -> None:
    with pytest.raises(UsageError) as caught:
        stack.load("cortex-m0")
    assert caught.value.id == "no-calibration"


@pytest.mark.parametrize("cpu", profiles.processors())
def test_a_table_is_written_as_it_was_read(cpu: str) -> None:
    table = stack.load(cpu).table
    assert StackTable.model_validate(tomllib.loads(toml(["words"], table))) == table


@pytest.mark.parametrize("board", [boards.load(name) for name in boards.names()], ids=lambda board: board.name)
def test_more_than_the_bound_is_set_aside(board: boards.Board) -> None:
    """For every model: that is what calls all kernels and needs all their parts."""
    known = stack.load(board.core.cpu)
    features = {name for names in known.table.needs.values() for name in names}
    for streamed in (False, True):
        most = known.bound(known.table.kernels, features, streamed=streamed)
        assert most.bytes + most.frame_reserve <= board.stack.reserve_bytes
        found = estimate(from_genotype(Genotype.parse("64-rgb-d21100-a02"), 2), board)
        assert found.ram[2].name == "stack" and 0 < found.ram[2].bytes <= most.bytes
        assert found.frame_reserve >= EXCEPTION_FRAME
