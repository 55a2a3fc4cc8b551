"""The gate: estimate against measurement, device against host, check by check."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel, ConfigDict

from pipeline.boards import Board
from pipeline.device.measure import Measurement
from pipeline.errors import GateError, printable
from pipeline.estimate import itemised
from pipeline.estimate.latency import TOLERANCE as WORK_TOLERANCE
from pipeline.estimate.model import Estimate, Item, Limits
from pipeline.estimate.regions import RamLayout, as_placed, of_estimate
from pipeline.figures import Source

FLASH_TOLERANCE = 0.005
#: Of a small program 0.5 % are less than what a compiler makes differently of a few calls.
FLASH_TOLERANCE_BYTES = 256
#: A bound of the stack may be above what is used, or above the ELF's own bound, by the larger of these.
STACK_BOUND_TOLERANCE, STACK_BOUND_TOLERANCE_BYTES = 0.25, 256
#: Where the estimate of an item is not exact: of few bytes its tolerance would be less than one alignment.
ITEM_TOLERANCE_BYTES = 64
#: The arena's watermark may miss bytes at its end: these of the last buffer, or the last 2 %, which are never written.
_WATERMARK_TOLERANCE, _WATERMARK_BYTES = 0.02, 64
#: The painted stack may miss the last words stored, where these happen to equal the paint.
STACK_TOLERANCE_BYTES = 16


class Check(BaseModel):
    """One comparison: what was expected, what was found, how far apart they may be, and where each comes from.

    ``allowed`` is what ``expected`` may be at least and at most, given what was found: None on a side that is open, and
    in all where that is no range of numbers, or where an earlier version did not say.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    title: str
    passed: bool
    expected: int | float | str
    expected_source: Source
    measured: int | float | str
    measured_source: Source
    tolerance: str
    unit: str = ""
    detail: str = ""
    allowed: tuple[float | None, float | None] | None = None


class Verdict(BaseModel):
    """The conjunction of the checks. ``notes`` say what limits it, such as fewer images than asked for."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: Literal[1] = 1
    checks: tuple[Check, ...]
    notes: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        """True when there are checks and every one of them holds."""
        return bool(self.checks) and all(check.passed for check in self.checks)

    @property
    def failed(self) -> tuple[Check, ...]:
        """The checks that do not hold."""
        return tuple(check for check in self.checks if not check.passed)

    def raise_if_failed(self) -> None:
        """Turn a failed gate into its error.

        Raises:
            GateError: ``gate-failed``, exit code 7, naming the checks.
        """
        if not self.passed:
            raise GateError(
                "gate-failed",
                "FAIL: " + ("; ".join(f"{check.title}: {_shown(check)}" for check in self.failed) or "no checks ran"),
                why=f"{len(self.failed)} of {len(self.checks)} checks do not hold.",
                next="The report shows each figure with its source; `danas-deploy report RUN` prints it again.",
            )


def _shown(check: Check) -> str:
    unit = f" {check.unit}" if check.unit else ""
    return f"expected {check.expected}{unit} ({check.tolerance}), found {check.measured}{unit}"


#: A figure of a check, and where it comes from.
Sourced = tuple[int | str, Source]
Bytes = tuple[int, Source]


def _check(
    id: str,  # noqa: A002
    title: str,
    expected: Sourced,
    measured: Sourced,
    *,
    passed: bool,
    tolerance: str,
    unit: str = "B",
    detail: str = "",
    allowed: tuple[float | None, float | None] | None = None,
) -> Check:
    return Check(
        id=id,
        title=title,
        passed=passed,
        expected=expected[0],
        expected_source=expected[1],
        measured=measured[0],
        measured_source=measured[1],
        tolerance=tolerance,
        unit=unit,
        detail=detail,
        allowed=allowed,
    )


def equal(id: str, title: str, expected: Sourced, measured: Sourced, *, detail: str = "") -> Check:  # noqa: A002
    """Both sides are the same."""
    same = expected[0] == measured[0]
    return _check(id, title, expected, measured, passed=same, tolerance="equal", unit="", detail=detail)


def at_most(id: str, title: str, limit: Bytes, measured: Bytes) -> Check:  # noqa: A002
    """The figure is within a limit."""
    return _check(
        id, title, limit, measured, passed=measured[0] <= limit[0], tolerance="at most", allowed=(measured[0], None)
    )


def covers(
    id: str,  # noqa: A002
    title: str,
    estimate: Bytes,
    measured: Bytes,
    *,
    tolerance: float,
    tolerance_bytes: int,
) -> Check:
    """The estimate is never under the measurement, and over it by no more than the larger of the tolerances."""
    over = max(int(measured[0] * tolerance), tolerance_bytes)
    return _check(
        id,
        title,
        estimate,
        measured,
        passed=measured[0] <= estimate[0] <= measured[0] + over,
        tolerance=f"+0 to +{over:,} B",
        detail=_difference(estimate[0], measured[0]),
        allowed=(measured[0], measured[0] + over),
    )


def within(
    id: str,  # noqa: A002
    title: str,
    estimate: Bytes,
    measured: Bytes,
    *,
    tolerance: float,
    tolerance_bytes: int = 0,
    detail: str = "",
) -> Check:
    """The estimate is within the larger of the tolerances of the measurement, on either side."""
    apart = max(int(measured[0] * tolerance), tolerance_bytes)
    difference = _difference(estimate[0], measured[0])
    return _check(
        id,
        title,
        estimate,
        measured,
        passed=abs(estimate[0] - measured[0]) <= apart,
        tolerance=f"±{apart:,} B" if tolerance_bytes else f"±{tolerance:.0%}",
        detail=f"{difference}; {detail}" if detail else difference,
        allowed=(measured[0] - apart, measured[0] + apart),
    )


def _difference(estimate: int, measured: int) -> str:
    if not measured:
        return "nothing was measured"
    return f"estimate {100 * (estimate - measured) / measured:+.2f} % of the measurement"


@dataclass(frozen=True, kw_only=True)
class Linked:
    """What the ELF that was flashed takes, in bytes.

    Attributes:
        flash: Of flash.
        arena: Of the arena.
        static: Of .data and .bss outside the arena.
        stack: The most that its call graph can use of the stack; None where there is no such bound.
        stack_reason: Why there is none.
        items: ``flash`` by items, where the link map has been read.
        blocks: Name, address and bytes of stack, static data and arena.
    """

    flash: int
    arena: int
    static: int
    stack: int | None
    stack_reason: str = ""
    items: tuple[Item, ...] = ()
    blocks: tuple[tuple[str, int, int], ...] = ()


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """What the gate looks at.

    Attributes:
        board: The board type that was aimed at.
        limits: What the design may need.
        estimate: What it was expected to need, before it was built.
        measurement: What the device said, and the emulator where there is one.
        build_id: Of the ELF that was flashed.
        model_hash: SHA-256 of the .tflite.
        elf: What that ELF takes.
        host_outputs: What the host's reference kernels give for the same inputs.
        notes: What limits the verdict.
        ram_tolerance: How far from what is measured the estimates of arena and static data may be, as part of it;
            0: they are exact, and the ELF's call graph bounds the stack.
        flash_tolerance: How far from the ELF's flash the estimate may be, as part of it.
    """

    board: Board
    limits: Limits
    estimate: Estimate
    measurement: Measurement
    build_id: str
    model_hash: str
    elf: Linked
    host_outputs: tuple[bytes, ...]
    notes: tuple[str, ...] = ()
    ram_tolerance: float = 0.0
    flash_tolerance: float = FLASH_TOLERANCE


def judge(evidence: Evidence) -> Verdict:
    """Every check there is, in the order in which a reader wants them: who, what came out, what it took.

    Of a board under a framework that is less: what its core takes is in no estimate.
    """
    if evidence.board.build.framework is not None:
        return _judge_guest(evidence, evidence.board.build.framework)
    found, memory = evidence.measurement, evidence.measurement.memory_after
    source = memory.static.source
    host, elf, analytic = Source.HOST, Source.LINKED_ELF, Source.ANALYTIC
    ram = int(memory.ram.value or 0)
    stack = int(memory.stack_used.value or 0)
    checks = [
        *_who_and_what(evidence, source),
        *_ram(evidence),
        *_regions(evidence),
        at_most("ram-limit", "RAM limit", (evidence.limits.ram_bytes, host), (ram, source)),
        at_most("stack-reserve", "Stack reserve", (int(memory.stack_reserve.value or 0), elf), (stack, source)),
        within(
            "flash",
            "Flash estimate",
            (evidence.estimate.flash_bytes, analytic),
            (evidence.elf.flash, elf),
            tolerance=evidence.flash_tolerance,
            tolerance_bytes=FLASH_TOLERANCE_BYTES + _doubted(evidence.estimate),
            detail=itemised.largest(evidence.estimate.flash, evidence.elf.items) if evidence.elf.items else "",
        ),
        at_most("flash-limit", "Flash limit", (evidence.limits.flash_bytes, host), (evidence.elf.flash, elf)),
    ]
    checks += _work(evidence, source)
    if found.emulator is not None and found.emulator.stack_used.value is not None:
        seen = int(found.emulator.stack_used.value)
        checks.append(
            _check(
                "stack-oracle",
                "Stack, seen by the emulator",
                (seen, Source.EMULATED),
                (stack, source),
                passed=0 <= seen - stack <= STACK_TOLERANCE_BYTES,
                tolerance=f"at most {STACK_TOLERANCE_BYTES} B below",
                detail="the lowest store to the stack against the firmware's own paint",
            )
        )
    return Verdict(checks=tuple(checks), notes=evidence.notes)


def _who_and_what(evidence: Evidence, source: Source) -> Iterator[Check]:
    """The very program that was built has answered, and its outputs are the host's."""
    found, host = evidence.measurement, Source.HOST
    yield equal("board", "Board", (evidence.board.name, host), (found.identity.board, source))
    yield equal("build", "Build id", (evidence.build_id, Source.LINKED_ELF), (found.identity.build, source))
    yield equal("model", "Model hash", (evidence.model_hash[:16], host), (found.identity.model[:16], source))
    yield _transfer(found, source)
    yield _outputs(found, evidence.host_outputs, source)


def _judge_guest(evidence: Evidence, framework: str) -> Verdict:
    """A program that is a part of a framework's: the arena is estimated, all else compared with ELF and limits."""
    memory, elf = evidence.measurement.memory_after, evidence.elf
    source, host, linked = memory.static.source, Source.HOST, Source.LINKED_ELF
    notes = [
        f"What the {framework} core takes of flash and RAM is in no estimate: both are compared with limits alone."
    ]
    arena = int(memory.arena.value or 0)
    estimated = sum(item.bytes for item in evidence.estimate.ram if item.name == "arena")
    check = equal("ram-arena", "Arena", (estimated, Source.ANALYTIC), (arena, source), detail=f"linked {elf.arena:,} B")
    checks = [
        *_who_and_what(evidence, source),
        check.model_copy(update={"passed": check.passed and elf.arena == arena, "unit": "B"}),
    ]
    if memory.static.value is None:
        notes.append(f"Static data is not checked: {memory.static.reason}.")
    else:
        check = equal("ram-static", "Static data", (elf.static, linked), (int(memory.static.value), source))
        checks.append(check.model_copy(update={"unit": "B"}))
    if memory.stack_used.value is None:
        notes.append(f"The stack is not checked: {memory.stack_used.reason}.")
    else:
        reserve = (evidence.board.stack.reserve_bytes, host)
        checks.append(at_most("stack-reserve", "Stack reserve", reserve, (int(memory.stack_used.value), source)))
    if memory.ram.value is not None:
        checks.append(
            at_most("ram-limit", "RAM limit", (evidence.limits.ram_bytes, host), (int(memory.ram.value), source))
        )
    checks.append(at_most("flash-limit", "Flash limit", (evidence.limits.flash_bytes, host), (elf.flash, linked)))
    return Verdict(checks=(*checks, *_work(evidence, source)), notes=(*evidence.notes, *notes))


def _doubted(estimate: Estimate) -> int:
    """Bytes by which the code may be off for a compiler that the tables are not for."""
    doubt = estimate.calibration.doubt if estimate.calibration is not None else None
    if doubt is None:
        return 0
    return sum(item.bytes for item in estimate.flash if item.name != "model") * doubt.code // 100


def _ram(evidence: Evidence) -> Iterator[Check]:
    """RAM by item, and in all."""
    memory, linked = evidence.measurement.memory_after, evidence.elf
    source, analytic = memory.static.source, Source.ANALYTIC
    items = {item.name: item.bytes for item in evidence.estimate.ram}
    estimated, arena = (items.get("arena", 0), analytic), (int(memory.arena.value or 0), source)
    static, stack = (int(memory.static.value or 0), source), (int(memory.stack_used.value or 0), source)
    bound = (items.get("stack", 0), analytic)
    # Of a chain of calls that the program has and no command took, the estimate must know.
    deepest = max(stack[0], linked.stack or 0)
    slack = deepest - stack[0] + max(int(deepest * STACK_BOUND_TOLERANCE), STACK_BOUND_TOLERANCE_BYTES)
    exact, more = evidence.ram_tolerance == 0, 0
    if exact:
        used = int(memory.arena_used.value or 0)
        check = equal("ram-arena", "Arena", estimated, arena, detail=f"linked {linked.arena:,} B, written {used:,} B")
        least = arena[0] - max(int(arena[0] * _WATERMARK_TOLERANCE), _WATERMARK_BYTES)
        sound = check.passed and linked.arena == arena[0] and used >= least
        yield check.model_copy(update={"passed": sound, "unit": "B", "allowed": (arena[0], arena[0])})
        check = equal(
            "ram-static",
            "Static data",
            (items.get("static", 0), analytic),
            static,
            detail=f"linked {linked.static:,} B",
        )
        same, allowed = check.passed and linked.static == static[0], (static[0], static[0])
        yield check.model_copy(update={"passed": same, "unit": "B", "allowed": allowed})
    else:
        tolerance = evidence.ram_tolerance
        for name, title, measured in (("arena", "Arena", arena), ("static", "Static data", static)):
            over = max(int(measured[0] * tolerance), ITEM_TOLERANCE_BYTES)
            yield _check(
                f"ram-{name}",
                title,
                (items.get(name, 0), analytic),
                measured,
                passed=abs(items.get(name, 0) - measured[0]) <= over,
                tolerance=f"±{over:,} B",
                detail=_difference(items.get(name, 0), measured[0]),
                allowed=(measured[0] - over, measured[0] + over),
            )
        more = int((arena[0] + static[0]) * tolerance)
    yield covers("stack-bound", "Stack bound", bound, stack, tolerance=0.0, tolerance_bytes=slack)
    if exact:
        yield _call_graph(bound, linked)
    total = evidence.estimate.ram_bytes, analytic
    ram = int(memory.ram.value or 0), source
    yield covers("ram", "RAM estimate", total, ram, tolerance=0.0, tolerance_bytes=slack + more)


def _regions(evidence: Evidence) -> Iterator[Check]:
    """Of RAM in several pieces: each block of the ELF lies in one that may hold it, and where it was said to.

    An estimate that is not exact may have been wrong about the piece; the ELF must be sound all the same.
    """
    areas = evidence.board.areas
    if len(areas) == 1 or not evidence.elf.blocks:
        return
    expected, found = of_estimate(evidence.board, evidence.estimate), as_placed(evidence.board, evidence.elf.blocks)
    one_piece = all(
        any(area.base <= block.base and block.end <= area.end and block.name in area.holds for area in areas)
        for block in found.blocks
    )
    check = equal(
        "ram-regions",
        "RAM regions",
        (_where(expected), Source.ANALYTIC),
        (_where(found), Source.LINKED_ELF),
        detail="" if one_piece else "a block lies where it may not",
    )
    yield check.model_copy(update={"passed": one_piece and (check.passed or evidence.ram_tolerance > 0)})


def _where(layout: RamLayout) -> str:
    return ", ".join(f"{block.name} {'+'.join(part.region for part in block.parts)}" for block in layout.blocks)


def _call_graph(bound: Bytes, linked: Linked) -> Check:
    """What the ELF's call graph can use is no more than was estimated from shapes."""
    if linked.stack is not None:
        return at_most("stack-graph", "Stack of the call graph", bound, (linked.stack, Source.LINKED_ELF))
    return _check(
        "stack-graph",
        "Stack of the call graph",
        bound,
        ("no bound", Source.LINKED_ELF),
        passed=False,
        tolerance="at most",
        detail=printable(linked.stack_reason, 500),
    )


def _work(evidence: Evidence, source: Source) -> list[Check]:
    """What an inference executed, against its prediction and the limits; only like is compared with like.

    Of an emulated board that is instructions, of a physical one cycles; a time is checked where one was measured.
    """
    found, limits, predicted = evidence.measurement, evidence.limits, evidence.estimate.instructions
    if found.work is None:
        return []
    middle, unit = int(found.work.value or 0), found.work.unit
    checks = []
    if predicted is not None and predicted.unit == unit:
        counts = (predicted.count, Source.ANALYTIC), (middle, source)
        check = within("instructions", unit.capitalize(), *counts, tolerance=WORK_TOLERANCE)
        checks.append(check.model_copy(update={"unit": ""}))
    if limits.instructions is not None and unit == "instructions":
        check = at_most(
            "instructions-limit", "Instructions limit", (limits.instructions, Source.HOST), (middle, source)
        )
        checks.append(check.model_copy(update={"unit": ""}))
    if limits.latency_ms is not None and unit == "cycles":
        milliseconds = 1000 * middle / int(found.clock.value or 1)
        checks.append(
            Check(
                id="latency-limit",
                title="Latency limit",
                passed=milliseconds <= limits.latency_ms,
                expected=limits.latency_ms,
                expected_source=Source.HOST,
                measured=round(milliseconds, 3),
                measured_source=source,
                tolerance="at most",
                unit="ms",
            )
        )
    return checks


def _transfer(found: Measurement, source: Source) -> Check:
    """Outputs came over the line as the device computed them; inputs were compared when they were sent."""
    intact = sum(zlib.crc32(item.output) == item.output_crc32 for item in found.inputs)
    return equal(
        "transfer",
        "Transfers intact (CRC-32)",
        (len(found.inputs), Source.HOST),
        (intact, source),
        detail="each input is compared when it is loaded, each output when it is read",
    )


def _outputs(found: Measurement, expected: tuple[bytes, ...], source: Source) -> Check:
    """Byte for byte, and at least one."""
    same = sum(one == other for one, other in zip(found.outputs, expected, strict=False))
    first = next(
        (number for number, pair in enumerate(zip(found.outputs, expected, strict=False)) if pair[0] != pair[1]), None
    )
    check = equal(
        "outputs",
        "Outputs equal the host's",
        (len(expected), Source.HOST),
        (same, source),
        detail="byte for byte, LiteRT's reference kernels"
        if first is None
        else f"input {first} is the first to differ",
    )
    return check.model_copy(update={"passed": check.passed and len(found.outputs) == len(expected) > 0})
