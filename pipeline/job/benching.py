"""Inference engines side by side: the same model and inputs on the same board, one program after the other."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.boards import Board
from pipeline.device.replies import Memory
from pipeline.errors import ArenaTooSmallError, DoesNotFitError
from pipeline.figures import Figure, Source
from pipeline.job import deploying
from pipeline.job.deploying import Made, Recipe
from pipeline.progress import Step
from pipeline.report.bench import Competitor, RuntimeFigures
from pipeline.settings import Target


def compete(
    content: bytes,
    board: Board,
    target: Target,
    recipe: Recipe,
    *,
    inputs: NDArray[Any],
    expected: Sequence[bytes],
    into: Path,
    step: Step,
) -> Competitor:
    """Make a program with the recipe's engine and run the inputs through it.

    Args:
        content: The bytes of a .tflite.
        board: The board type.
        target: Which device.
        recipe: The engine, and how to build.
        inputs: [N, …] as the model's input takes them.
        expected: The output for each.
        into: Folder to build in.
        step: Told how far it is.

    Raises:
        DanasError: What reader, renderer, build and device raise. A program that does not fit the board is no error
            but a result.
    """
    engine = recipe.engine()
    try:
        while True:
            try:
                made = deploying.make(content, board, into=into, recipe=recipe, on_line=step.update)
                figures = _measured(made, board, target, inputs=inputs, expected=expected, step=step)
            except ArenaTooSmallError as error:
                recipe = recipe.model_copy(update={"least_arena": error.needed})
                continue
            return Competitor(name=engine.description, build_id=made.firmware.build_id, figures=figures)
    except DoesNotFitError as error:
        return Competitor(name=engine.description, build_id=None, figures=None, problem=error.what)


def _measured(
    made: Made, board: Board, target: Target, *, inputs: NDArray[Any], expected: Sequence[bytes], step: Step
) -> RuntimeFigures:
    counts: list[int] = []
    equal = 0
    with (
        deploying.started(made.program, board, target, on_line=step.update) as running,
        deploying.conversation(board, running) as session,
    ):
        session.connect()
        session.verify(made.expected)
        session.demand_ready()
        for number, (one, wanted) in enumerate(zip(inputs, expected, strict=True)):
            step.update("inputs", done=number, total=len(inputs))
            session.load(np.ascontiguousarray(one).tobytes())
            counts.append(session.run())
            equal += session.output() == wanted
        memory = session.memory()
        emulated = running.emulator is not None
    return _figures(made, memory, round(sum(counts) / len(counts)), equal, emulated=emulated)


def _figures(made: Made, memory: Memory, count: int, equal: int, *, emulated: bool) -> RuntimeFigures:
    source = Source.EMULATED if emulated else Source.MEASURED

    def figure(value: int | None) -> Figure:
        return Figure(value=value, unit="B", source=source, reason="" if value is not None else "not told")

    return RuntimeFigures(
        arena=figure(memory.arena_bytes),
        head=None if memory.head is None else figure(memory.head),
        tail=None if memory.tail is None else figure(memory.tail),
        static=figure(memory.static_bytes),
        stack=figure(memory.stack_used),
        flash=Figure(value=made.firmware.report.load_bytes, unit="B", source=Source.LINKED_ELF),
        count=Figure(value=count, unit="instructions" if emulated else "cycles", source=source),
        equal=equal,
    )
