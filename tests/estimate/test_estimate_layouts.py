"""Offsets of buffers: what is alive at one time shares no byte, but for an output over an input that dies."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.estimate.layouts import Layouts
from pipeline.estimate.placing import Layout, Step

_UNIT = 16


def _chain(sizes: list[int], distances: list[int | None], locals_: list[int]) -> list[tuple[Step, ...]]:
    """Step n makes buffer n + 1 from buffer n, which dies; a distance allows the two to share."""
    steps: list[tuple[Step, ...]] = []
    for number, (size, distance, local) in enumerate(zip(sizes[1:], distances, locals_, strict=True)):
        overlap = None if distance is None else (number, distance * _UNIT)
        steps.append(
            (
                Step(
                    number,
                    number + 1,
                    1,
                    ((number + 1, size * _UNIT),),
                    ((100, local * _UNIT),) if local else (),
                    frozenset({number}),
                    overlap,
                ),
            )
        )
    return steps


def _check(found: Layout, sizes: list[int], distances: list[int | None]) -> None:
    at = dict(found.given)
    for number, laid in enumerate(found.laid):
        at |= laid.offsets
        one, two = (at[number], at[number] + sizes[number] * _UNIT), at[number + 1]
        other = (two, two + sizes[number + 1] * _UNIT)
        distance = distances[number]
        apart = one[1] <= other[0] or other[1] <= one[0]
        assert apart or (distance is not None and other[0] + distance * _UNIT <= one[0])
        if 100 in laid.offsets:
            local = (laid.offsets[100], laid.offsets[100] + dict(laid.step.local)[100])
            assert all(local[1] <= low or high <= local[0] for low, high in (one, other))
            assert local[1] <= found.arena
        assert min(one[0], other[0]) >= 0 and max(one[1], other[1]) <= found.arena
        assert laid.alive <= found.arena


@given(st.data(), st.integers(1, 12), st.sampled_from([1, 3, 8]))
@settings(max_examples=50)
def test_a_chain_shares_only_what_it_may(data: st.DataObject, length: int, width: int) -> None:
    sizes = data.draw(st.lists(st.integers(1, 40), min_size=length + 1, max_size=length + 1))
    distances = data.draw(st.lists(st.one_of(st.none(), st.integers(0, 50)), min_size=length, max_size=length))
    locals_ = data.draw(st.lists(st.integers(0, 10), min_size=length, max_size=length))
    limit = data.draw(st.integers(20, 120)) * _UNIT
    chain = _chain(sizes, distances, locals_)
    layouts = Layouts()
    if length > 1:
        layouts.lay_out(chain[:-1], ((0, sizes[0] * _UNIT),), limit, width=width)
    found = layouts.lay_out(chain, ((0, sizes[0] * _UNIT),), limit, width=width)
    assert found == Layouts().lay_out(chain, ((0, sizes[0] * _UNIT),), limit, width=width)
    # Given as a chain, whose beginning has been laid out before, they lie in the same places.
    steps = [step for (step,) in chain]
    layouts.along(layouts.chain(steps[: length // 2]), ((0, sizes[0] * _UNIT),), limit, width=width)
    assert found == layouts.along(layouts.chain(steps), ((0, sizes[0] * _UNIT),), limit, width=width)
    if found is not None:
        assert found.arena <= limit
        _check(found, sizes, distances)
    # With room for everything that is alive twice there is a layout.
    roomy = layouts.lay_out(chain, ((0, sizes[0] * _UNIT),), 200 * _UNIT, width=width)
    assert roomy is not None
    _check(roomy, sizes, distances)


def test_the_input_is_put_where_two_outputs_in_turn_can_begin_before_it() -> None:
    """Each output begins one unit before its input: the first input must begin at two."""
    found = Layouts().lay_out(_chain([10, 10, 10], [1, 1], [0, 0]), ((0, 10 * _UNIT),), 12 * _UNIT, width=3)
    assert found is not None and found.arena == 12 * _UNIT and found.given[0] == 2 * _UNIT


def test_of_several_cuts_the_cheapest_that_fits_is_taken() -> None:
    def step(first: int, end: int, cost: int, size: int, dying: int) -> Step:
        return Step(first, end, cost, ((end, size),), (), frozenset({dying}))

    steps = [(step(0, 1, 1, 64, 0),), (step(0, 2, 5, 32, 0), step(1, 2, 1, 32, 1))]
    cheap, tight = (Layouts().lay_out(steps, ((0, 32),), limit, width=4) for limit in (96, 64))
    assert cheap is not None and [laid.step.end for laid in cheap.laid] == [1, 2]
    assert tight is not None and [laid.step.end for laid in tight.laid] == [2]
    assert Layouts().lay_out(steps, ((0, 32),), 48, width=4) is None


def test_what_is_given_must_fit() -> None:
    assert Layouts().lay_out([(Step(0, 1, 1, (), (), frozenset({0})),)], ((0, 64),), 48, width=4) is None
