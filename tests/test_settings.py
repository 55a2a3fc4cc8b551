"""Sizes, durations and counts as people type them; limits from the board and the user."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from pipeline import boards
from pipeline.errors import UsageError
from pipeline.settings import Kind, Settings, parse_count, parse_duration, parse_size, tflm_tree


@pytest.mark.parametrize(
    ("text", "expected"),
    [("256k", 262_144), ("64kB", 65_536), ("1M", 1_048_576), ("1.5 KiB", 1536), ("4096", 4096), ("10b", 10)],
)
def test_sizes(text: str, expected: int) -> None:
    assert parse_size(text) == expected


@pytest.mark.parametrize(("text", "expected"), [("10m", 600), ("1h30m", 5400), ("90s", 90), ("45", 45), ("2min", 120)])
def test_durations(text: str, expected: int) -> None:
    assert parse_duration(text) == expected


@pytest.mark.parametrize(("text", "expected"), [("6M", 6_000_000), ("500k", 500_000), ("1.5M", 1_500_000), ("7", 7)])
def test_counts(text: str, expected: int) -> None:
    assert parse_count(text) == expected


@pytest.mark.parametrize("parse", [parse_size, parse_duration, parse_count])
@pytest.mark.parametrize("text", ["", "k", "-1", "0", "1x", "ten", "1 2", "nan", "1e9", "\x1b[2J"])
def test_nonsense_is_a_usage_error(parse, text: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(UsageError) as caught:
        parse(text)
    assert caught.value.id in {"bad-size", "bad-duration", "bad-count"}
    assert "\x1b" not in caught.value.what


@given(st.text(max_size=20))
def test_parsers_never_fail_otherwise(text: str) -> None:
    for parse in (parse_size, parse_duration, parse_count):
        try:
            assert parse(text) > 0
        except UsageError:
            continue


def test_limits_are_the_smaller_of_board_and_wish() -> None:
    board = boards.load("nucleo_f746zg")
    settings = Settings(kind=Kind.SEARCH, board=board.name, ram=65_536, flash=2**30, macs=6_000_000)
    limits = settings.limits(board)
    assert (limits.ram_bytes, limits.flash_bytes, limits.macs) == (65_536, board.flash_bytes, 6_000_000)
    assert Settings(kind=Kind.SEARCH, board=board.name).limits(board).ram_bytes == board.ram_bytes


@pytest.mark.parametrize("parse", [parse_size, parse_duration, parse_count])
def test_no_number_is_too_long_to_be_refused(parse, text: str = "9" * 5000) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(UsageError):
        parse(text)


@pytest.mark.parametrize("field", ["data", "group_by", "model", "inputs", "environment"])
def test_what_json_cannot_hold_is_refused(field: str) -> None:
    with pytest.raises(ValidationError, match="UTF-8"):
        Settings.model_validate({"kind": "search", "board": "nucleo_f746zg", field: "a\udcff"})


def test_the_tflm_tree_is_named_by_option_environment_or_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DANAS_TFLM_TREE", raising=False)
    assert tflm_tree(None) is None
    (tmp_path / "danas.toml").write_text('tflm_tree = "trees/one"\nother = 3\n')
    assert tflm_tree(None) == str(tmp_path / "trees" / "one")
    monkeypatch.setenv("DANAS_TFLM_TREE", "/trees/two")
    assert tflm_tree(None) == "/trees/two"
    assert tflm_tree("three") == str(tmp_path / "three")


@pytest.mark.parametrize("text", ["tflm_tree = 3", "tflm_tree = ", "\xff"])
def test_a_damaged_settings_file_is_named(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DANAS_TFLM_TREE", raising=False)
    (tmp_path / "danas.toml").write_bytes(text.encode("latin-1"))
    with pytest.raises(UsageError) as caught:
        tflm_tree(None)
    assert caught.value.id == "settings-file"
