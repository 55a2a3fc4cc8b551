"""Sizes, durations and counts as people type them; limits from the board and the user."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from pipeline import boards
from pipeline.errors import UsageError
from pipeline.genotype import Colour, Fix
from pipeline.settings import (
    Kind,
    Settings,
    default_objective,
    parse_count,
    parse_current,
    parse_duration,
    parse_energy,
    parse_fix,
    parse_latency,
    parse_objective,
    parse_size,
    parse_weights,
    tflm_tree,
)


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


@pytest.mark.parametrize(
    ("text", "expected"),
    [("100ms", 100), ("0.1s", 100), ("500us", 0.5), ("500µs", 0.5), ("250 ns", 2.5e-4), ("20", 20)],
)
def test_latencies(text: str, expected: float) -> None:
    assert parse_latency(text) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("text", "expected"), [("5mJ", 5), ("500uJ", 0.5), ("0.005J", 5), ("5 mj", 5), ("1.5", 1.5), ("2J", 2000)]
)
def test_energies(text: str, expected: float) -> None:
    assert parse_energy(text) == pytest.approx(expected)


@pytest.mark.parametrize(("text", "expected"), [("40mA", 0.04), ("500uA", 0.0005), ("0.04A", 0.04), ("40", 0.04)])
def test_currents(text: str, expected: float) -> None:
    assert parse_current(text) == pytest.approx(expected)


@pytest.mark.parametrize("parse", [parse_latency, parse_energy, parse_current])
@pytest.mark.parametrize("text", ["", "ms", "-1ms", "0", "0ms", "1kg", "1 m", "nan", "1e3ms", "1,5ms", "\x1b[2J"])
def test_nonsense_is_no_quantity(parse, text: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(UsageError) as caught:
        parse(text)
    assert caught.value.id in {"bad-latency", "bad-energy", "bad-current"}
    assert "\x1b" not in caught.value.what


def test_a_unit_of_another_quantity_is_refused() -> None:
    for parse, text in ((parse_latency, "5mJ"), (parse_energy, "5ms"), (parse_current, "5s")):
        with pytest.raises(UsageError):
            parse(text)


@given(st.floats(0.001, 1e6), st.sampled_from([("s", 1e3), ("ms", 1.0), ("us", 1e-3), ("ns", 1e-6)]))
def test_a_latency_is_its_number_times_its_unit(number: float, unit: tuple[str, float]) -> None:
    text = f"{number:.6f}"
    assert parse_latency(text + unit[0]) == pytest.approx(float(text) * unit[1])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("accuracy", ("accuracy",)),
        ("accuracy,latency", ("accuracy", "latency")),
        (" Latency , accuracy,RAM", ("latency", "accuracy", "ram")),
    ],
)
def test_objectives(text: str, expected: tuple[str, ...]) -> None:
    assert parse_objective(text) == expected


@pytest.mark.parametrize("text", ["", "latency", "accuracy,accuracy", "accuracy,speed", "accuracy,", "\x1b[2J"])
def test_nonsense_is_no_objective(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_objective(text)
    assert caught.value.id == "bad-objective"
    assert "\x1b" not in caught.value.what


@pytest.mark.parametrize("parse", [parse_size, parse_duration, parse_count])
@pytest.mark.parametrize("text", ["", "k", "-1", "0", "1x", "ten", "1 2", "nan", "1e9", "\x1b[2J"])
def test_nonsense_is_a_usage_error(parse, text: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(UsageError) as caught:
        parse(text)
    assert caught.value.id in {"bad-size", "bad-duration", "bad-count"}
    assert "\x1b" not in caught.value.what


@given(st.text(max_size=20))
def test_parsers_never_fail_otherwise(text: str) -> None:
    for parse in (parse_size, parse_duration, parse_count, parse_latency, parse_energy, parse_current):
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


@pytest.mark.parametrize("parse", [parse_size, parse_duration, parse_count, parse_latency, parse_energy])
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


def test_limits_on_work_are_passed_on() -> None:
    board = boards.load("nucleo_f746zg")
    settings = Settings(kind=Kind.SEARCH, board=board.name, instructions=5, latency_ms=2.5, energy_mj=0.5)
    limits = settings.limits(board)
    assert (limits.instructions, limits.latency_ms, limits.energy_mj) == (5, 2.5, 0.5)
    assert not Settings(kind=Kind.SEARCH, board=board.name).limits(board).on_work


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("resolution=96,colour=rgb", Fix(96, Colour.RGB)),
        (" Colour = MONO ", Fix(colour=Colour.MONO)),
        ("resolution=32", Fix(32)),
    ],
)
def test_what_is_fixed(text: str, expected: Fix) -> None:
    assert parse_fix(text) == expected
    assert parse_fix(expected.id) == expected


@pytest.mark.parametrize(
    "text", ["", "96", "resolution=97", "colour=red", "alpha=1", "colour=rgb,colour=rgb", "resolution"]
)
def test_what_fixes_nothing_is_refused(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_fix(text)
    assert caught.value.id == "bad-fix"


def test_weights() -> None:
    assert parse_weights("w4=10, W1 = 0.5") == (0.5, 1.0, 1.0, 10.0, 1.0)
    for text in ("", "w6=1", "w1=-1", "w1", "w1=1,w1=2", "accuracy=1"):
        with pytest.raises(UsageError) as caught:
            parse_weights(text)
        assert caught.value.id == "bad-weights"


def test_a_strategy_without_what_it_needs_is_refused() -> None:
    made = Settings(kind=Kind.SEARCH, board="nucleo_f746zg", strategy="hardware-aware", fix=Fix(96))
    with pytest.raises(UsageError) as caught:
        made.demand_strategy()
    assert caught.value.id == "fix-missing"
    made.model_copy(update={"fix": Fix(96, Colour.RGB)}).demand_strategy()
    with pytest.raises(UsageError) as caught:
        Settings(kind=Kind.SEARCH, board="nucleo_f746zg", strategy="nsga2").demand_strategy()
    assert caught.value.id == "one-objective"


def test_settings_with_a_fix_survive_the_manifest() -> None:
    made = Settings(kind=Kind.SEARCH, board="nucleo_f746zg", fix=Fix(96, Colour.RGB), weights=(1, 2, 3, 4, 5))
    assert Settings.model_validate_json(made.model_dump_json()) == made


def test_what_is_made_best_by_default() -> None:
    board = boards.load("nucleo_f746zg")
    assert default_objective("evolution", board, "aot") == ("accuracy",)
    assert default_objective("nsga2", board, "aot") == ("accuracy", "ram", "flash", "latency")
    assert default_objective("nsga2", board, "tflm") == ("accuracy", "ram", "flash")


def test_the_published_way_to_score_is_for_its_own_space_and_leaves_nothing_to_flash() -> None:
    made = Settings(kind=Kind.SEARCH, board="nucleo_f746zg", scorer="published")
    made.demand_strategy()
    with pytest.raises(UsageError, match="nothing to flash") as caught:
        made.demand_deployable()
    assert caught.value.id == "not-deployable"
    made.model_copy(update={"scorer": "naive"}).demand_deployable()
    with pytest.raises(UsageError) as caught:
        made.model_copy(update={"space": "wide"}).demand_strategy()
    assert caught.value.id == "published-space"
    with pytest.raises(UsageError) as caught:
        made.model_copy(update={"workers": 2}).demand_strategy()
    assert caught.value.id == "published-workers"
