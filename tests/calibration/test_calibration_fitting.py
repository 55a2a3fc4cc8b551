"""Bytes of calls and of pieces as sums."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.calibration import fitting
from pipeline.calibration.causes import Causes
from pipeline.errors import BuildError
from pipeline.firmware.anatomy import Anatomy


def test_calls_are_told_apart() -> None:
    programs = [
        (500 + 30 * a + 16 * b + 3 * rows, ("conv",) * a + ("add",) * b, rows)
        for a, b, rows in ((4, 0, 0), (10, 0, 0), (0, 4, 0), (0, 10, 6), (7, 3, 9))
    ]
    found = fitting.calls(programs)
    assert found.kernels == {"add": pytest.approx(16), "conv": pytest.approx(30)}
    assert found.rows == pytest.approx(3)
    assert found.base in (500, 501)


@given(st.lists(st.tuples(st.integers(300, 900), st.integers(1, 20), st.integers(0, 20)), min_size=1, max_size=8))
def test_no_program_has_more_than_the_sum_of_its_calls(rows: list[tuple[int, int, int]]) -> None:
    programs = [(size, ("a",) * a + ("b",) * b, a % 3) for size, a, b in rows]
    found = fitting.calls(programs)
    for size, kernels, by_rows in programs:
        assert size <= found.base + sum(found.kernels[name] for name in kernels) + found.rows * by_rows + 1e-6


def test_what_features_add_to_a_function() -> None:
    programs = [
        (frozenset({"conv", *features}), {"block/spread": 52 + sum(added[one] for one in features), "conv/conv": 700})
        for added in ({"4": 112, "3": 92, "2": 76},)
        for features in ((), ("4",), ("3", "4"), ("2", "3"), ("2", "3", "4"))
    ]
    pieces, growth = fitting.sizes(programs)
    assert pieces == {"block/spread": 52, "conv/conv": 700}
    assert growth == {"block/spread": {"2": 76, "3": 92, "4": 112}}


@given(st.lists(st.tuples(st.frozensets(st.sampled_from("abcd")), st.integers(2, 900)), min_size=1, max_size=10))
def test_a_piece_is_never_less_than_in_any_program(seen: list[tuple[frozenset[str], int]]) -> None:
    pieces, growth = fitting.sizes([(names, {"x/y": size}) for names, size in seen])
    for names, size in seen:
        assert size <= pieces["x/y"] + sum(growth.get("x/y", {}).get(name, 0) for name in names)


def _anatomy(*pieces: str) -> Anatomy:
    return Anatomy((), dict.fromkeys(pieces, 4))


def test_a_piece_belongs_to_what_all_its_programs_have() -> None:
    causes = Causes()
    causes.add(frozenset({"conv", "relu"}), _anatomy("conv", "loop"))
    causes.add(frozenset({"conv", "linear"}), _anatomy("conv", "other loop"))
    causes.add(frozenset({"add"}), _anatomy("add"))
    owned = causes.owned()
    assert owned["conv"] == {"conv"}
    assert owned["relu"] == {"conv", "loop"}
    assert owned["add"] == {"add"}


def test_a_piece_without_a_cause_is_named() -> None:
    causes = Causes()
    causes.add(frozenset({"conv"}), _anatomy("conv", "sometimes"))
    causes.add(frozenset({"conv"}), _anatomy("conv"))
    with pytest.raises(BuildError) as caught:
        causes.owned()
    assert caught.value.id == "unexplained-function" and "sometimes" in caught.value.what
