"""The deepest chain of calls, against all chains counted one by one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.estimate.calls import Function, NoBound, callees_first, deepest, deepest_through

_Program = dict[str, Function]


@st.composite
def programs(draw: st.DrawFn) -> _Program:
    """Functions 0, 1, …, each of which calls later ones alone."""
    count = draw(st.integers(1, 7))
    made = {}
    for number in range(count):
        later = st.sampled_from(range(number + 1, count)) if number + 1 < count else st.nothing()
        calls = draw(st.frozensets(later.map(str), max_size=4)) if number + 1 < count else frozenset()
        made[str(number)] = Function(draw(st.integers(0, 200)), calls)
    return made


def _chains(functions: Mapping[str, Function], name: str) -> Iterator[tuple[str, ...]]:
    yield (name,)
    for called in functions[name].calls:
        for chain in _chains(functions, called):
            yield (name, *chain)


@given(programs())
def test_no_chain_takes_more(functions: _Program) -> None:
    found = deepest(functions, "0")
    sizes = {chain: sum(functions[name].frame for name in chain) for chain in _chains(functions, "0")}
    assert found.bytes == max(sizes.values()) == sizes[found.names]


@given(programs(), st.integers(0, 6).map(str))
def test_no_chain_through_a_function_takes_more(functions: _Program, through: str) -> None:
    found = deepest_through(functions, "0", through)
    sizes = {
        chain: sum(functions[name].frame for name in chain) for chain in _chains(functions, "0") if through in chain
    }
    if found is None:
        assert not sizes
    else:
        assert found.bytes == max(sizes.values()) == sizes[found.names]


@given(programs())
def test_each_comes_after_what_it_calls(functions: _Program) -> None:
    order = list(callees_first(functions, "0"))
    assert len(set(order)) == len(order) and order[-1] == "0"
    for place, name in enumerate(order):
        assert functions[name].calls <= set(order[:place])


def test_a_long_chain_needs_no_stack_of_ours() -> None:
    count = 3_000
    functions = {str(n): Function(8, frozenset({str(n + 1)} if n + 1 < count else ())) for n in range(count)}
    assert deepest(functions, "0").bytes == 8 * count


@pytest.mark.parametrize(
    ("calls", "why"),
    [
        ({"a": {"b"}, "b": {"a"}}, "a → b → a is a recursion"),
        ({"a": {"b"}, "b": {"b"}}, "b → b is a recursion"),
        ({"a": {"b"}}, "nothing is known of b, which a calls"),
        ({}, "nothing is known of a"),
    ],
)
def test_what_has_no_bound_is_named(calls: dict[str, set[str]], why: str) -> None:
    functions = {name: Function(8, frozenset(called)) for name, called in calls.items()}
    with pytest.raises(NoBound) as caught:
        deepest(functions, "a")
    assert why in str(caught.value)
