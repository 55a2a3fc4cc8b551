"""The parts of a calibration: what each promises, and that a table is written as it is read."""

from __future__ import annotations

import datetime
import json
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import cast

import pytest
from pydantic import BaseModel

from pipeline import boards
from pipeline.__main__ import run
from pipeline.boards import Board
from pipeline.calibration import PARTS, Part, Workshop, write
from pipeline.calibration.writing import toml
from pipeline.errors import UsageError
from pipeline.estimate import profiles, stack, table
from pipeline.estimate.cost import table as costs
from pipeline.settings import Target


@pytest.mark.parametrize("part", PARTS, ids=lambda part: part.name)
def test_the_package_has_each_parts_table_of_each_processor(part: Part) -> None:
    for cpu in profiles.processors():
        path = profiles.find(f"{cpu}{part.suffix}.toml")
        assert path is not None and path.parent == profiles.SHIPPED


@pytest.mark.parametrize("part", PARTS, ids=lambda part: part.name)
@pytest.mark.parametrize("cpu", profiles.processors())
def test_a_table_says_where_it_comes_from(part: Part, cpu: str) -> None:
    values = tomllib.loads((profiles.SHIPPED / f"{cpu}{part.suffix}.toml").read_text("utf-8"))
    said = values | values.get("profile", {})
    assert isinstance(said["schema_version"], int) and said["cpu"] == cpu
    board = boards.load(said["board"])
    assert (board.core.cpu, board.core.clock_hz) == (cpu, said["clock_hz"])
    assert said["compiler"].startswith("arm-none-eabi-gcc") and "-mcpu=" in said["flags"]
    assert datetime.date.fromisoformat(str(said["date"])) and said["source"]


@pytest.mark.parametrize(("suffix", "read"), [("", table.read), (".stack", stack.read), (".costs", costs.read)])
def test_a_table_of_another_processor_is_refused(suffix: str, read: Callable[[Path], object], tmp_path: Path) -> None:
    path = tmp_path / f"cortex-m4{suffix}.toml"
    path.write_bytes((profiles.SHIPPED / f"cortex-m7{suffix}.toml").read_bytes())
    with pytest.raises(UsageError) as caught:
        read(path)
    assert caught.value.id == "calibration-table" and "cortex-m7 is not cortex-m4" in caught.value.what


def test_parts_have_names_and_files_of_their_own() -> None:
    assert len({part.name for part in PARTS}) == len({part.suffix for part in PARTS}) == len(PARTS)


@pytest.mark.parametrize("cpu", profiles.processors())
def test_a_table_is_written_as_it_was_read(cpu: str, tmp_path: Path) -> None:
    path = tmp_path / f"{cpu}.toml"
    path.write_text(toml(["words"], table.load(cpu)), encoding="utf-8")
    assert table.read(path).model_dump() == table.load(cpu).model_dump()


class _Inner(BaseModel):
    numbers: tuple[float, ...] = (1.0, 0.25)


class _Outer(BaseModel):
    text: str = 'a "quoted" \\ text'
    yes: bool = True
    none: int | None = None
    inner: dict[str, _Inner] = {"a.b": _Inner(), "c": _Inner(numbers=())}
    nothing: dict[str, int] = {}


def test_texts_keys_and_nested_tables() -> None:
    assert tomllib.loads(toml([], _Outer())) == {
        "text": 'a "quoted" \\ text',
        "yes": True,
        "inner": {"a.b": {"numbers": [1.0, 0.25]}, "c": {"numbers": []}},
        "nothing": {},
    }


class _Counting:
    name, suffix = "counting", ".counting"

    def measure(self, workshop: Workshop, say: Callable[[str], None]) -> str:
        say("one")
        return f'board = "{workshop.board.name}"\n'


def test_a_part_is_written_under_its_processors_name(board: Board, tmp_path: Path) -> None:
    heard: list[str] = []
    workshop = Workshop(board, Target(emulate=True), tmp_path / "firmware")
    path = write(cast(Part, _Counting()), workshop, into=tmp_path / "new", say=heard.append)
    assert path == tmp_path / "new" / "cortex-m7.counting.toml"
    assert tomllib.loads(path.read_text("utf-8")) == {"board": board.name}
    assert heard == ["one"]


def test_a_users_table_comes_first(board: Board, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(profiles.ENVIRONMENT_VARIABLE, str(tmp_path))
    assert profiles.find("cortex-m7.toml") == profiles.SHIPPED / "cortex-m7.toml"
    ours = table.load("cortex-m7")
    assert table.calibration_of(board).origin == "package"
    theirs = ours.model_copy(update={"profile": ours.profile.model_copy(update={"compiler": "another one"})})
    (tmp_path / "cortex-m7.toml").write_text(toml([], theirs), encoding="utf-8")
    table.forget()
    assert table.load("cortex-m7").profile.compiler == "another one"
    assert table.calibration_of(board).origin == "user"


def test_a_users_table_that_is_damaged_is_named_with_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(profiles.ENVIRONMENT_VARIABLE, str(tmp_path))
    (tmp_path / "cortex-m7.toml").write_bytes(b"schema_version = \xff")
    with pytest.raises(UsageError) as caught:
        table.load("cortex-m7")
    assert caught.value.id == "calibration-table"
    assert str(tmp_path / "cortex-m7.toml") in caught.value.what
    assert "user's own" in caught.value.why and "Remove it" in caught.value.next


@pytest.mark.parametrize("name", ["../cortex-m7.toml", "/etc/passwd", "cortex-m7", "cortex-m7.a.b.toml"])
def test_a_name_that_is_no_table_is_not_looked_for(name: str) -> None:
    assert profiles.find(name) is None


def test_an_unknown_part_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["calibrate", "--board", "nucleo_f746zg", "--emulate", "--part", "soul", "--json"]) == 2
    error = json.loads(capsys.readouterr().out)["error"]
    assert error["id"] == "bad-option"
    assert "code" in error["why"]
