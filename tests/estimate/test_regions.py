"""Stack, static data and arena in a board's RAM regions: nothing overlaps, nothing lies outside, the fastest first."""

from __future__ import annotations

from itertools import pairwise, product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline import boards
from pipeline.boards import Board, Region, RegionKind
from pipeline.estimate.model import Estimate, Item, Limits
from pipeline.estimate.regions import Block, RamLayout, arena_room, as_placed, block, linked, of_estimate, place

NUCLEO = boards.load("nucleo_f746zg")
BASE = 0x2000_0000


@st.composite
def machines(draw: st.DrawFn) -> Board:
    """One to four regions, the fastest first."""
    speeds = sorted(draw(st.lists(st.integers(0, 3), min_size=1, max_size=4)))
    memory, at = [NUCLEO.flash[0]], BASE
    for number, speed in enumerate(speeds):
        size = draw(st.integers(1, 64)) * 1024
        memory.append(Region(name=f"ram{number}", kind=RegionKind.RAM, base=at, bytes=size, speed=speed, source="x"))
        at += size
    return Board.model_validate(NUCLEO.model_dump() | {"memory": [region.model_dump() for region in memory]})


sizes = st.integers(0, 80_000)


@settings(max_examples=40)
@given(machines(), st.integers(32, 512), sizes, sizes)
def test_blocks_are_apart_and_within_ram(board: Board, stack: int, static: int, arena: int) -> None:
    found = place(board, stack=16 * stack, static=static, arena=arena)
    assert found == place(board, stack=16 * stack, static=static, arena=arena)
    assert [one.name for one in found.blocks] == ["stack", "static", "arena"]
    assert found.blocks[0].base == BASE and found.blocks[-1].base % 16 == 0
    for below, above in pairwise(found.blocks):
        assert below.end <= above.base < below.end + 16
    for one in found.blocks:
        for part in one.parts:
            region = next(region for region in board.ram if region.name == part.region)
            assert part.bytes > 0 and region.base <= part.base and part.base + part.bytes <= region.end
        for part, following in pairwise(one.parts):
            assert part.base + part.bytes == following.base
    placed = sum(part.bytes for one in found.blocks for part in one.parts)
    assert placed == sum(found.used(region.name) for region in board.ram)
    assert found.over == max(0, found.blocks[-1].end - board.ram[-1].end)
    if not found.over:
        assert placed == 16 * stack + static + arena
    fast = sum(part.bytes for one in found.blocks for part in one.parts if part.speed == board.ram[0].speed)
    assert found.slow_bytes == 16 * stack + static + arena - fast


@settings(max_examples=40)
@given(machines(), st.integers(32, 64), sizes, sizes, st.data())
def test_no_other_order_of_addresses_is_faster(
    board: Board, stack: int, static: int, arena: int, data: st.DataObject
) -> None:
    """Any placement upwards from the stack: the first block that differs has fewer bytes in faster regions."""
    found = place(board, stack=16 * stack, static=static, arena=arena)
    if found.over:
        return
    end = board.ram[-1].end
    at, others = BASE + 16 * stack, [found.blocks[0]]
    for name, size, behind in (("static", static, arena), ("arena", arena, 0)):
        low, high = -(-at // 16), (end - size - behind - 16) // 16
        base = 16 * data.draw(st.integers(low, max(low, high)))
        others.append(block(board, name, base, size))
        at = base + size
    if at > end:
        return
    ours, theirs = ([_profile(board, one) for one in blocks] for blocks in (found.blocks, others))
    assert ours >= theirs


def _profile(board: Board, one: Block) -> list[int]:
    """Bytes within regions at least as fast as each speed, the fastest first."""
    speeds = sorted({region.speed for region in board.ram})
    return [sum(part.bytes for part in one.parts if part.speed <= speed) for speed in speeds]


@settings(max_examples=40)
@given(machines(), st.integers(32, 64), sizes)
def test_the_room_for_an_arena_is_all_that_fits(board: Board, stack: int, static: int) -> None:
    room = arena_room(board, stack=16 * stack, static=static)
    assert room % 16 == 0
    if room:
        assert place(board, stack=16 * stack, static=static, arena=room).over == 0
    assert place(board, stack=16 * stack, static=static, arena=room + 16).over > 0


def test_what_does_not_fit_in_the_fastest_region_is_said_with_the_next_best() -> None:
    def notes(arena: int, static: int = 2000) -> tuple[str, ...]:
        return place(NUCLEO, stack=2048, static=static, arena=arena).notes

    assert notes(61_488) == ("All of it fits in dtcm, the fastest region.",)
    assert notes(61_504) == (
        "The arena of 61,504 B does not fit in the 61,488 B that are left of dtcm; next best: spanning "
        "dtcm (61,488 B) and sram1 (16 B).",
    )
    assert notes(1600, static=63_488) == (
        "The arena of 1,600 B does not fit in dtcm, of which nothing is left; next best: in sram1.",
    )
    assert notes(400_000)[0].endswith("do not fit: RAM ends with sram2.")
    several = place(boards.load("nucleo_l4r5zi"), stack=2048, static=2000, arena=300_000)
    assert several.notes == ("sram1, sram2, sram3: equally fast.",) and several.slow_bytes == 0
    assert several.blocks[-1].where == "sram1 (192,560 B) and sram2 (65,536 B) and sram3 (41,904 B)"
    assert place(boards.load("mps2_an500"), stack=2048, static=2000, arena=300_000).notes == ()


def test_an_estimate_is_placed_with_what_is_set_aside_for_the_stack() -> None:
    items = (Item(name="arena", bytes=4096), Item(name="static", bytes=300), Item(name="stack", bytes=700))
    found = of_estimate(NUCLEO, Estimate(ram=items, flash=(), stack_reserve=2048, macs=0))
    assert [(one.base - BASE, one.bytes) for one in found.blocks] == [(0, 2048), (2048, 300), (2352, 4096)]


@settings(max_examples=40)
@given(machines(), st.integers(32, 64), sizes, sizes, st.integers(0, 512))
def test_a_limit_on_what_is_linked_admits_what_can_be_placed(
    board: Board, stack: int, static: int, arena: int, used: int
) -> None:
    items = (Item(name="arena", bytes=arena), Item(name="static", bytes=static), Item(name="stack", bytes=used))
    figures = Estimate(ram=items, flash=(), stack_reserve=16 * stack, macs=0)
    found = of_estimate(board, figures)
    assert figures.linked_bytes == found.blocks[-1].end - BASE
    limits = Limits(ram_bytes=1 << 20, flash_bytes=1, linked_bytes=board.ram_bytes)
    assert limits.admits(figures) == (found.over == 0)


def test_an_elfs_symbols_say_where_it_lies() -> None:
    symbols = {
        "danas_stack_bottom": BASE,
        "danas_stack_top": BASE + 2048,
        "danas_data_start": BASE + 2048,
        "danas_bss_end": BASE + 2348,
        "danas_arena_start": BASE + 2352,
        "danas_arena_end": BASE + 2352 + 4096,
    }
    assert linked(NUCLEO, symbols) == place(NUCLEO, stack=2048, static=300, arena=4096)
    assert isinstance(linked(NUCLEO, symbols), RamLayout)
    with pytest.raises(KeyError):
        linked(NUCLEO, {})


# ---- RAM in several pieces ----


@st.composite
def scattered(draw: st.DrawFn) -> Board:
    """Two to five regions, some with a gap between them, some that may not hold everything."""
    memory, at = [NUCLEO.flash[0].model_dump()], BASE
    for number in range(draw(st.integers(2, 5))):
        gap, size = draw(st.booleans()), draw(st.integers(1, 48)) * 1024
        if gap:
            at = -(-at // GUARD) * GUARD + GUARD
        holds = ["static", "arena"] if number and not gap else draw(st.sampled_from(HOLDS)) if number else ALL
        speed = draw(st.integers(0, 3))
        memory.append(
            {"name": f"ram{number}", "kind": "ram", "base": at, "bytes": size, "speed": speed, "holds": holds}
            | {"source": "x"}
        )
        at += size
    for before, after in pairwise(memory[1:]):  # in one piece, none is faster than what is below it
        after["speed"] = max(int(after["speed"]), int(before["speed"]))
    return Board.model_validate(NUCLEO.model_dump() | {"memory": memory})


GUARD = 1 << 16
ALL = ["stack", "static", "arena"]
HOLDS = [ALL, ["arena"], ["static", "arena"], ["stack"], ["static"]]


@settings(max_examples=60)
@given(scattered(), st.integers(32, 512), st.integers(0, 9_000), sizes)
def test_each_block_lies_in_one_piece_that_may_hold_it(board: Board, stack: int, static: int, arena: int) -> None:
    found = place(board, stack=16 * stack, static=static, arena=arena)
    room = arena_room(board, stack=16 * stack, static=static)
    if found.over:
        assert arena > room or not room
        return
    assert arena <= room and found.largest_arena.bytes == room and not found.over
    stacked, *_ = found.blocks
    assert stacked.base % GUARD == 0, "its guard is below it"
    assert not any(stacked.base - GUARD < region.end <= stacked.base for region in board.ram)
    by_name = {region.name: region for region in board.ram}
    for one in found.blocks:
        assert sum(part.bytes for part in one.parts) == one.bytes
        assert all(one.name in by_name[part.region].holds for part in one.parts)
        for part, following in pairwise(one.parts):
            assert part.base + part.bytes == following.base
    occupied = sorted((one.base, one.end) for one in found.blocks if one.bytes)
    assert all(before[1] <= after[0] for before, after in pairwise(occupied))
    assert as_placed(board, [(one.name, one.base, one.bytes) for one in found.blocks]) == found


@settings(max_examples=60)
@given(scattered(), st.integers(32, 64), st.integers(0, 9_000), sizes)
def test_no_other_areas_are_faster(board: Board, stack: int, static: int, arena: int) -> None:
    """Against every way to give the blocks areas: first count the stack's bytes, the arena's next."""
    found = place(board, stack=16 * stack, static=static, arena=arena)
    if found.over:
        return
    ours = [[-fast for fast in _profile(board, one)] for one in (found.blocks[0], found.blocks[2], found.blocks[1])]
    areas = board.areas
    for chosen in product(range(len(areas)), repeat=3):
        at = [area.base for area in areas]
        others = []
        for name, size, alignment, number in zip(ALL, (16 * stack, static, arena), (8, 4, 16), chosen, strict=True):
            base = -(-at[number] // alignment) * alignment
            at[number] = base + size
            others.append(block(board, name, base, size))
            if name not in areas[number].holds or base + size > areas[number].end:
                break
        else:
            theirs = [[-fast for fast in _profile(board, one)] for one in (others[0], others[2], others[1])]
            assert ours <= theirs


@settings(max_examples=60)
@given(scattered(), st.integers(32, 64), st.integers(0, 9_000), sizes, st.integers(0, 512))
def test_a_limit_on_several_pieces_admits_what_can_be_placed(
    board: Board, stack: int, static: int, arena: int, used: int
) -> None:
    items = (Item(name="arena", bytes=arena), Item(name="static", bytes=static), Item(name="stack", bytes=used))
    figures = Estimate(ram=items, flash=(), stack_reserve=16 * stack, macs=0)
    limits = Limits(ram_bytes=1 << 24, flash_bytes=1, linked_bytes=board.ram_bytes, areas=board.areas)
    assert limits.admits(figures) == (of_estimate(board, figures).over == 0)
    assert limits.linked is not None
    if not limits.admits(figures):
        assert limits.linked.figure(figures) == board.ram_bytes + of_estimate(board, figures).over
    assert "areas" not in limits.model_dump(), "what is kept of limits are numbers"


def _pieces(**holds: list[str]) -> Board:
    """64 KiB of fast RAM, 128 KiB of slower and 32 KiB of slow RAM, each for itself."""
    memory = [NUCLEO.flash[0].model_dump()]
    for number, (name, size) in enumerate((("fast", 65_536), ("wide", 131_072), ("slow", 32_768))):
        region = {"name": name, "kind": "ram", "base": BASE + number * 0x0400_0000, "bytes": size, "speed": number}
        memory.append(region | {"source": "x"} | ({"holds": holds[name]} if name in holds else {}))
    return Board.model_validate(NUCLEO.model_dump() | {"memory": memory})


def _where(board: Board, arena: int, static: int = 2000) -> list[str]:
    return [one.where for one in place(board, stack=2048, static=static, arena=arena).blocks]


def test_the_stack_chooses_first_then_the_arena_then_static_data() -> None:
    board = _pieces()
    assert _where(board, 61_488) == ["fast", "fast", "fast"]
    assert _where(board, 61_504) == ["fast", "wide", "fast"]
    assert _where(board, 63_504) == ["fast", "fast", "wide"]
    assert _where(board, 131_072) == ["fast", "fast", "wide"]
    assert arena_room(board, stack=2048, static=2000) == 131_072
    assert _where(_pieces(slow=["stack"]), 100, 63_488) == ["fast", "wide", "fast"]
    assert _where(_pieces(fast=["static", "arena"]), 100) == ["wide", "fast", "fast"]


def test_notes_on_several_pieces_say_what_is_left_and_what_may_not_lie_there() -> None:
    def notes(board: Board, arena: int) -> tuple[str, ...]:
        return place(board, stack=2048, static=2000, arena=arena).notes

    assert notes(_pieces(), 61_488) == ("All of it fits in fast, the fastest region.",)
    assert notes(_pieces(), 63_504) == (
        "The arena of 63,504 B does not fit in the 61,488 B that are left of fast; next best: in wide.",
    )
    assert notes(_pieces(fast=["static", "arena"]), 100) == (
        "fast may not hold the stack of 2,048 B; next best: in wide.",
    )
    assert notes(_pieces(), 131_088) == (
        "16 B do not fit: the largest arena that can be placed beside stack and static data has 131,072 B, in wide.",
    )


def test_a_large_arena_has_the_discovery_kits_sram1_for_itself() -> None:
    board = boards.load("disco_l475vg_iot01a")
    assert _where(board, 20_000) == ["sram2", "sram2", "sram2"]
    assert _where(board, 35_000) == ["sram2", "sram2", "sram1"]
    assert arena_room(board, stack=2048, static=2000) == 98_304
