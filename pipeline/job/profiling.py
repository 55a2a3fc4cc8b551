"""What each stage of an inference costs, from the firmware's own report over serial."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.boards import Board
from pipeline.device.protocol import Session
from pipeline.device.replies import Operator as Reported
from pipeline.errors import DeviceError, printable
from pipeline.estimate.kernels import constant_bytes
from pipeline.estimate.macs import operator_macs
from pipeline.estimate.model import INPUT
from pipeline.estimate.stages import Stage
from pipeline.figures import Figure, Source
from pipeline.graph.model import Graph
from pipeline.job import deploying
from pipeline.job.deploying import Made
from pipeline.progress import Step
from pipeline.report.profile import Profile, ProfileLine, quotient
from pipeline.settings import Target


def profile(
    made: Made, board: Board, target: Target, *, inputs: NDArray[Any], step: Step, flash: bool = True
) -> Profile:
    """Run the inputs on the device of ``target`` and ask for its report after each.

    Args:
        made: The program.
        board: The board type.
        target: Which device.
        inputs: [N, …] as the model's input takes them; N is at least 1.
        step: Told how far it is.
        flash: False: the board has the program already.

    Raises:
        DeviceError: ``other-stages``: the firmware reports something else than the plan has; those of
            :class:`~pipeline.device.protocol.Session`.
        DanasError: No device, or the program does not get onto it.
    """
    with (
        deploying.started(made.program, board, target, flash=flash, on_line=step.update) as running,
        deploying.conversation(board, running) as session,
    ):
        session.connect()
        session.verify(made.expected)
        return profile_of(made, session, inputs=inputs, emulated=running.emulator is not None, step=step)


def profile_of(made: Made, session: Session, *, inputs: NDArray[Any], emulated: bool, step: Step) -> Profile:
    """The same in a session that is connected already."""
    totals: list[int] = []
    counts: list[list[int]] = []
    for number, one in enumerate(inputs):
        step.update("inputs", done=number, total=len(inputs))
        totals.append(session.infer_on(np.ascontiguousarray(one).tobytes()))
        counts.append(matched(made, session.ops()))
    identity = session.identity()
    source = Source.EMULATED if emulated else Source.MEASURED
    unit = "instructions" if emulated else "cycles"
    total = Figure(value=_mean(totals), unit=unit, source=source)
    means = [Figure(value=_mean(values), unit=unit, source=source) for values in zip(*counts, strict=True)]
    streams = made.plan.streams(made.graph.input.index)
    lines = tuple(
        _line(made.graph, stage, count, total) for stage, count in zip(made.plan.stages, means[streams:], strict=True)
    )
    if streams:
        lines = (_input_line(made.graph, means[0]), *lines)
    return Profile(
        board=identity.board,
        target="emulated" if emulated else "device",
        runtime=identity.runtime,
        model=made.graph.sha256,
        build_id=identity.build,
        inputs=len(inputs),
        clock=Figure(value=identity.clock_hz, unit="Hz", source=source),
        total=total,
        time=None
        if emulated
        else Figure(value=1000 * float(total.value or 0) / identity.clock_hz, unit="ms", source=source),
        macs=_sum([line.macs for line in lines], "MAC"),
        constants=_sum([line.constants for line in lines], "B"),
        lines=lines,
    )


def matched(made: Made, reported: Sequence[Reported]) -> list[int]:
    """Cycles of each stage, after a check that the firmware speaks of the same stages.

    Raises:
        DeviceError: ``other-stages``.
    """
    waits = [INPUT] if made.plan.streams(made.graph.input.index) else []
    wanted = [*waits, *(stage.name for stage in made.plan.stages)]
    found = [one.code for one in reported]
    if wanted != found:
        pairs = zip([*wanted, "nothing"], [*found, "nothing"], strict=False)
        index, (should, does) = next((i, pair) for i, pair in enumerate(pairs) if pair[0] != pair[1])
        raise DeviceError(
            "other-stages",
            f"the firmware reports {printable(does, 80)} as stage {index}, the plan has {should}",
            why=f"{len(found)} stages on the device, {len(wanted)} in the plan.",
            next="Build and flash the firmware again.",
        )
    return [one.cycles for one in reported]


def _input_line(graph: Graph, count: Figure) -> ProfileLine:
    """The waiting for a streamed input; no part of the total."""
    none = Figure(value=0, unit="MAC", source=Source.ANALYTIC)
    return ProfileLine(
        name=INPUT,
        operators=(),
        output=graph.input.shape[1:],
        count=count,
        macs=none,
        constants=Figure(value=0, unit="B", source=Source.ANALYTIC),
        per_mac=None,
        share=None,
    )


def _line(graph: Graph, stage: Stage, count: Figure, total: Figure) -> ProfileLine:
    operators = stage.operators
    macs = Figure(value=sum(operator_macs(graph.tensors, one) for one in operators), unit="MAC", source=Source.ANALYTIC)
    constants = sum(constant_bytes(graph, one) for one in operators)
    return ProfileLine(
        name=stage.name,
        operators=tuple(operator.index for operator in operators),
        output=graph.tensors[operators[-1].outputs[0]].shape[1:],
        count=count,
        macs=macs,
        constants=Figure(value=constants, unit="B", source=Source.ANALYTIC),
        per_mac=quotient(count, macs),
        share=float(count.value or 0) / max(float(total.value or 0), 1.0),
    )


def _mean(values: Sequence[int]) -> int:
    return round(sum(values) / len(values))


def _sum(figures: Sequence[Figure], unit: str) -> Figure:
    return Figure(value=sum(int(figure.value or 0) for figure in figures), unit=unit, source=Source.ANALYTIC)
