"""Replies of the device, line by line, into values; nothing in them is trusted.

Each ``parse_…`` takes the lines of one reply without its ``m-ready`` and raises DeviceError ``garbled-line`` where
they are not exactly what ``docs/protocol.md`` says.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NoReturn

from pipeline.errors import DeviceError, printable

PROTOCOL = 2
LINE_LIMIT = 4096  # characters of a line, that of the results aside

# All results are one line. The longest value with its comma is "-4294967295.000,"; the identity that says how many
# there are is not trusted beyond what a microcontroller's RAM can hold.
_RESULT_CHARACTERS = 16
_MOST_RESULTS = 1 << 18
_HEX_LINE_BYTES = 32
_RESET = "Reset the board and try again; if it happens again, lower the baud rate."
_NUMBER = r"(?:0|[1-9][0-9]{0,19})"
_FAULT = re.compile(
    r"fault ([A-Za-z0-9_-]{1,40}) pc=0x([0-9a-fA-F]{8}) lr=0x([0-9a-fA-F]{8})"
    r" cfsr=0x([0-9a-fA-F]{8}) addr=0x([0-9a-fA-F]{8})"
)


@dataclass(frozen=True)
class Identity:
    """Who the firmware is.

    ``clock_hz`` is the processor's clock; sizes are the bytes of the tensors. ``input_rows`` are the rows of an input
    that is streamed, 0 where there is room for all of it.
    """

    protocol: int
    board: str
    build: str
    model: str
    runtime: str
    clock_hz: int
    input_bytes: int
    output_bytes: int
    input_rows: int = 0


@dataclass(frozen=True)
class Memory:
    """RAM as the firmware counts it, in bytes: see ``memory%`` in ``docs/protocol.md``.

    ``static_bytes``, ``stack_reserve`` and ``stack_used`` are None where the firmware says that it cannot know them.
    ``head`` and ``tail`` are the arena's two ends, None where the runtime has no such thing.
    """

    arena_bytes: int
    arena_used: int
    static_bytes: int | None
    stack_reserve: int | None
    stack_used: int | None
    head: int | None = None
    tail: int | None = None


@dataclass(frozen=True)
class Crc:
    """CRC-32 of the input as it was loaded and of the last output."""

    input: int
    output: int


@dataclass(frozen=True)
class Operator:
    """Cycles of one operator in the last inference; ``code`` is its name in TensorFlow Lite's schema."""

    index: int
    code: str
    cycles: int


@dataclass(frozen=True)
class Inference:
    """What ``infer`` answers: the clock before and after all the inferences, microseconds, and the results."""

    begin_us: int
    end_us: int
    results: tuple[float, ...]


@dataclass(frozen=True)
class DeviceFault:
    """A fault report. ``cfsr`` is the configurable fault status register; None where an emulator reports."""

    kind: str
    pc: int
    lr: int
    address: int
    cfsr: int | None = None
    function: str = ""


#: Bits of the configurable fault status register (Armv7-M Architecture Reference Manual, DDI 0403, CFSR).
_CAUSES = {
    0: "no code may run there",
    1: "no data may be there",
    4: "the stack has overflowed",
    8: "there is no code",
    9: "there is no memory",
    10: "an earlier store found no memory",
    12: "the stack pointer is not in memory",
    16: "undefined instruction",
    17: "invalid state",
    18: "invalid exception return",
    19: "no such coprocessor",
    24: "unaligned access",
    25: "division by zero",
}
_OVERFLOWN = 1 << 4


class FaultReportError(DeviceError):
    """The program on the device has crashed and said how; id ``device-fault``."""

    def __init__(self, fault: DeviceFault) -> None:
        self.fault = fault
        where = f" in {printable(fault.function, 120)}" if fault.function else ""
        cfsr = fault.cfsr or 0
        causes = ", ".join(text for bit, text in _CAUSES.items() if cfsr >> bit & 1)
        status = f", cfsr 0x{cfsr:08x}" if fault.cfsr is not None else ""
        if cfsr & _OVERFLOWN:
            # Then there is no pc either: the exception's frame would have lain beyond the stack.
            advice = "Raise stack.reserve_bytes in the board file, build and flash again."
        else:
            advice = f"Look the place up: arm-none-eabi-addr2line -e firmware.elf 0x{fault.pc:08x}. Reset the board."
        super().__init__(
            "device-fault",
            f"the program on the device crashed: {printable(fault.kind, 40)} at pc 0x{fault.pc:08x}{where}",
            why=f"{causes + '; ' if causes else ''}address 0x{fault.address:08x}, lr 0x{fault.lr:08x}{status}",
            next=advice,
        )


def garbled(line: object, expected: str) -> NoReturn:
    """Raise ``garbled-line`` for a line that should have been ``expected``."""
    raise DeviceError(
        "garbled-line", f"the device answered {printable(line, 100)!r}", why=f"Expected {expected}.", next=_RESET
    )


def error_of(line: str) -> DeviceError | None:
    """The error that a line ``e-[…]`` stands for; None where the line is none."""
    if not line.startswith("e-["):
        return None
    text = line[3:-1] if line.endswith("]") else line[3:]
    match = _FAULT.fullmatch(text)
    if match:
        pc, lr, cfsr, address = (int(match[group], 16) for group in (2, 3, 4, 5))
        return FaultReportError(DeviceFault(kind=match[1], pc=pc, lr=lr, address=address, cfsr=cfsr))
    if text.startswith("fault "):
        return DeviceError("device-fault", f"the device reports: {printable(text)}", next="Reset the board.")
    return DeviceError(
        "device-error",
        f"the device reports: {printable(text)}",
        next="Check that the firmware and the model are those meant.",
    )


def parse_identity(lines: Sequence[str]) -> Identity:
    """Reply of ``id%``.

    Raises:
        DeviceError: ``garbled-line``, or ``wrong-protocol`` where the firmware speaks another version.
    """
    pattern = (
        rf"m-id-\[protocol=({_NUMBER}) board=([a-z][a-z0-9_]{{0,39}}) build=([0-9a-f]{{16}}) model=([0-9a-f]{{64}})"
        rf" runtime=([a-z0-9_]{{1,20}}) clock=({_NUMBER}) input=({_NUMBER}) output=({_NUMBER})"
        rf"(?: rows=({_NUMBER}))?\]"
    )
    line = _only(lines, "m-id-[…]")
    other = re.match(rf"m-id-\[protocol=({_NUMBER})[ \]]", line)
    if other and int(other[1]) != PROTOCOL:
        raise DeviceError(
            "wrong-protocol",
            f"the firmware speaks version {printable(other[1])} of the protocol",
            why=f"This program speaks version {PROTOCOL}.",
            next="Build and flash the firmware again.",
        )
    match = re.fullmatch(pattern, line) or garbled(line, "m-id-[protocol=… board=… build=… …]")
    return Identity(
        protocol=int(match[1]),
        board=match[2],
        build=match[3],
        model=match[4],
        runtime=match[5],
        clock_hz=int(match[6]),
        input_bytes=int(match[7]),
        output_bytes=int(match[8]),
        input_rows=int(match[9] or 0),
    )


def parse_memory(lines: Sequence[str]) -> Memory:
    """Reply of ``memory%``."""
    pattern = rf"m-memory-\[arena=({_NUMBER}) used=({_NUMBER})"
    pattern += "".join(rf" {name}=({_NUMBER}|unknown)" for name in ("static", "stack_reserve", "stack_used"))
    pattern += rf"(?: head=({_NUMBER}) tail=({_NUMBER}))?\]"
    line = _only(lines, "m-memory-[…]")
    match = re.fullmatch(pattern, line) or garbled(
        line, "m-memory-[arena=… used=… static=… stack_reserve=… stack_used=…]"
    )
    arena, used, *told = match.groups()
    static, reserve, stack, head, tail = (None if value in (None, "unknown") else int(value) for value in told)
    return Memory(int(arena), int(used), static, reserve, stack, head, tail)


def parse_stream(lines: Sequence[str], count: int) -> tuple[int, int]:
    """Reply of ``stream N%``: rows, and bytes of each; ``count`` bytes in all."""
    line = _only(lines, "m-stream-[rows=R bytes=B]")
    match = re.fullmatch(rf"m-stream-\[rows=({_NUMBER}) bytes=({_NUMBER})\]", line) or garbled(
        line, "m-stream-[rows=R bytes=B]"
    )
    rows, size = int(match[1]), int(match[2])
    if rows * size != count:
        garbled(line, f"rows of {count} bytes in all")
    return rows, size


def parse_cycles(lines: Sequence[str]) -> int:
    """Reply of ``run%``: cycles of the inference."""
    line = _only(lines, "m-run-[cycles=N]")
    match = re.fullmatch(rf"m-run-\[cycles=({_NUMBER})\]", line) or garbled(line, "m-run-[cycles=N]")
    return int(match[1])


def parse_crc(lines: Sequence[str]) -> Crc:
    """Reply of ``crc%``."""
    line = _only(lines, "m-crc-[…]")
    match = re.fullmatch(r"m-crc-\[input=([0-9a-fA-F]{8}) output=([0-9a-fA-F]{8})\]", line) or garbled(
        line, "m-crc-[input=8HEX output=8HEX]"
    )
    return Crc(int(match[1], 16), int(match[2], 16))


def parse_hex(lines: Sequence[str], prefix: str, count: int) -> bytes:
    """Reply of ``output%`` and ``db print%``: ``count`` bytes in lines of 32."""
    data = bytearray()
    for line in lines:
        match = re.fullmatch(rf"{prefix}-\[((?:[0-9a-fA-F]{{2}}){{1,{_HEX_LINE_BYTES}}})\]", line)
        data += bytes.fromhex((match or garbled(line, f"{prefix}-[HEX]"))[1])
    if len(data) != count:
        garbled(lines[-1] if lines else "nothing", f"{count} bytes in all; {len(data)} came")
    return bytes(data)


def parse_operators(lines: Sequence[str]) -> tuple[Operator, ...]:
    """Reply of ``ops%``."""
    operators = []
    for index, line in enumerate(lines):
        match = re.fullmatch(
            rf"m-op-\[({_NUMBER}) ([A-Z0-9_]{{1,60}}(?:\+[A-Z0-9_]{{1,60}})*) ({_NUMBER})\]", line
        ) or garbled(line, "m-op-[INDEX CODE CYCLES]")
        if int(match[1]) != index:
            garbled(line, f"operator {index}")
        operators.append(Operator(index, match[2], int(match[3])))
    return tuple(operators)


def results_limit(output_bytes: int) -> int:
    """Characters that a line of results may have, of a model with so many bytes of output."""
    return LINE_LIMIT + _RESULT_CHARACTERS * min(output_bytes, _MOST_RESULTS)


def parse_results(line: str) -> tuple[float, ...]:
    """A line ``m-results-[v,v,…]``."""
    value = r"(?:-?[0-9]{1,12}(?:\.[0-9]{1,6})?|-?inf|nan)"
    match = re.fullmatch(rf"m-results-\[({value}(?:,{value})*)\]", line) or garbled(line, "m-results-[v,v,…]")
    return tuple(float(text) for text in match[1].split(","))


def parse_inference(lines: Sequence[str], *, count: int, warmups: int) -> Inference:
    """Reply of ``infer N W%``."""
    expected = [
        rf"m-warmup-start-{warmups}",
        r"m-warmup-done",
        rf"m-infer-start-{count}",
        rf"m-lap-us-({_NUMBER})",
        rf"m-lap-us-({_NUMBER})",
        r"m-infer-done",
    ]
    if len(lines) != len(expected) + 1:
        garbled(f"{len(lines)} lines", f"{len(expected) + 1} lines after infer")
    laps = []
    for line, pattern in zip(lines, expected, strict=False):
        match = re.fullmatch(pattern, line) or garbled(line, pattern.replace(f"({_NUMBER})", "N"))
        laps += [int(text) for text in match.groups()]
    return Inference(begin_us=laps[0], end_us=laps[1], results=parse_results(lines[-1]))


def parse_text(lines: Sequence[str], prefix: str) -> str:
    """A line ``PREFIX-[TEXT]``, TEXT made safe to print."""
    line = _only(lines, f"{prefix}-[…]")
    if not (line.startswith(f"{prefix}-[") and line.endswith("]")):
        garbled(line, f"{prefix}-[…]")
    return printable(line[len(prefix) + 2 : -1])


def _only(lines: Sequence[str], expected: str) -> str:
    if len(lines) != 1:
        garbled(f"{len(lines)} lines", f"one line {expected}")
    return lines[0]
