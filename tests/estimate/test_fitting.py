"""A model that does not fit is refused with the excess and the operator to blame, whatever its tensor's name."""

from __future__ import annotations

from dataclasses import replace

import graph_samples
import pytest

from pipeline import boards
from pipeline.boards import Board
from pipeline.errors import DoesNotFitError
from pipeline.estimate.estimator import estimate
from pipeline.estimate.fitting import demand_fit
from pipeline.estimate.model import Estimate, Item, Limits
from pipeline.estimate.planner import plan
from pipeline.estimate.regions import arena_room
from pipeline.graph.model import OpCode
from pipeline.graph.reader import parse


def test_a_model_at_the_limit_fits_and_one_byte_less_does_not() -> None:
    graph = parse(graph_samples.content())
    graph = replace(graph, tensors=tuple(replace(tensor, name="a\x1b[2J\n") for tensor in graph.tensors))
    memory, board = plan(graph), boards.load("nucleo_f746zg")
    figures = estimate(graph, board, plan=memory)
    demand_fit(graph, memory, figures, Limits(ram_bytes=figures.ram_bytes, flash_bytes=figures.flash_bytes))
    with pytest.raises(DoesNotFitError) as caught:
        demand_fit(graph, memory, figures, Limits(ram_bytes=figures.ram_bytes - 1, flash_bytes=figures.flash_bytes))
    error = caught.value
    assert (error.exit_code, error.id) == (8, "does-not-fit") and str(error).isprintable()
    assert " RAM, 1 B more than the limit of " in error.what and "--ram" in error.next
    peak = graph.operators[memory.peak_operator]
    assert f"operator {peak.index}, {peak.code}, tensor {peak.outputs[0]} " in error.why
    with pytest.raises(DoesNotFitError) as caught:
        demand_fit(graph, memory, figures, Limits(ram_bytes=figures.ram_bytes, flash_bytes=figures.flash_bytes - 9))
    assert " flash, 9 B more than the limit of " in caught.value.what and "--flash" in caught.value.next
    stem = graph.operators[0]
    assert stem.code is OpCode.CONV_2D  # 8 filters of 3 × 3 × 3: no other operator has as many weights
    assert f"operator 0, CONV_2D, tensor {stem.outputs[0]} " in caught.value.why


def _figures(board: Board, arena: int) -> Estimate:
    items = (Item(name="arena", bytes=arena), Item(name="static", bytes=2000), Item(name="stack", bytes=700))
    reserve = board.stack.reserve_bytes
    return Estimate(ram=items, flash=(Item(name="constants", bytes=10),), stack_reserve=reserve, macs=1)


def test_what_does_not_fit_names_the_region_at_its_end() -> None:
    graph, board = parse(graph_samples.content()), boards.load("nucleo_f746zg")
    memory = plan(graph)
    limits = Limits(ram_bytes=board.ram_bytes, flash_bytes=board.flash_bytes)
    room = arena_room(board, stack=board.stack.reserve_bytes, static=2000)
    demand_fit(graph, memory, _figures(board, room), limits, board)
    # By estimate this is below the limit, but not with what the linker sets aside for the stack.
    figures = _figures(board, room + 16)
    assert figures.ram_bytes < limits.ram_bytes
    demand_fit(graph, memory, figures, limits)
    for arena in (room + 16, room + 5000):
        with pytest.raises(DoesNotFitError) as caught:
            demand_fit(graph, memory, _figures(board, arena), limits, board)
        assert f"the arena would end {arena - room:,} B behind sram2" in caught.value.why
    assert "2,048 B are set aside" not in caught.value.why, "it is beyond the limit by estimate already"
    with pytest.raises(DoesNotFitError) as caught:
        demand_fit(graph, memory, _figures(board, 70_000), Limits(ram_bytes=65_536, flash_bytes=1 << 20), board)
    assert "the arena would lie in dtcm (61,488 B) and sram1 (8,512 B)" in caught.value.why


def test_flash_that_its_region_does_not_hold_names_it() -> None:
    graph, board = parse(graph_samples.content()), boards.load("nucleo_f746zg")
    figures = _figures(board, 1000).model_copy(update={"flash": (Item(name="constants", bytes=2 << 20),)})
    with pytest.raises(DoesNotFitError) as caught:
        demand_fit(graph, plan(graph), figures, Limits(ram_bytes=1 << 20, flash_bytes=1 << 20), board)
    assert "region flash has 1,048,576 B" in caught.value.why


def test_of_ram_in_several_pieces_the_arena_is_named_with_the_largest_for_it() -> None:
    graph, nucleo = parse(graph_samples.content()), boards.load("nucleo_f746zg")
    far = nucleo.ram[1].model_copy(update={"base": 0x2400_0000})
    board = nucleo.model_copy(update={"memory": (nucleo.ram[0], far, *nucleo.flash)})
    limits = Limits(ram_bytes=board.ram_bytes, flash_bytes=board.flash_bytes, linked_bytes=board.ram_bytes)
    limits = limits.model_copy(update={"areas": board.areas})
    demand_fit(graph, plan(graph), _figures(board, far.bytes), limits, board)
    figures = _figures(board, far.bytes + 16)
    assert figures.ram_bytes < limits.ram_bytes and not limits.admits(figures)
    with pytest.raises(DoesNotFitError) as caught:
        demand_fit(graph, plan(graph), figures, limits, board)
    assert "the arena of 245,776 B has no place: it is 16 B larger than the largest, 245,760 B in sram1" in str(
        caught.value
    )
    assert "in one piece, in dtcm (65,536 B), or sram1 (245,760 B)" in caught.value.why
    full = figures.model_copy(update={"ram": (figures.ram[0], Item(name="static", bytes=300_000), figures.ram[2])})
    with pytest.raises(DoesNotFitError) as caught:
        demand_fit(graph, plan(graph), full, limits, board)
    assert "300,000 B of static data leave no place for an arena" in caught.value.what
