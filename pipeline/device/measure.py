"""A Measurement: what one device said about itself and about a set of inputs, every figure with its source."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from statistics import median
from typing import Annotated, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer

from pipeline.device import emulated, replies
from pipeline.device.protocol import Expected, Session, Timeouts
from pipeline.errors import DeviceError
from pipeline.figures import Figure, Source, total

HexBytes = Annotated[
    bytes,
    BeforeValidator(lambda value: bytes.fromhex(value) if isinstance(value, str) else value),
    PlainSerializer(lambda value: value.hex(), return_type=str),
]
"""Bytes that JSON holds as hexadecimal digits."""

_T = TypeVar("_T")

MOST_REPEATS = 2
#: What another try may mend. An error of the device, since its restart may be seen only by what it has forgotten.
_REPEATED = frozenset(
    ("device-restarted", "device-error", "no-answer", "garbled-line", "load-failed", "corrupt-transfer")
)

_Crc = Annotated[int, Field(ge=0, lt=2**32)]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class MemoryFigures(_Frozen):
    """RAM in bytes, as the firmware counts it.

    Attributes:
        arena: Size of the arena.
        arena_used: Its watermark: the highest byte that an inference has changed, plus one.
        static: .data and .bss outside the arena.
        stack_reserve: What the linker sets aside.
        stack_used: High-water mark of the painted stack.
        head, tail: The arena's two ends, of a runtime that has them: activations and scratch, and what lives as long
            as the program.
    """

    arena: Figure
    arena_used: Figure
    static: Figure
    stack_reserve: Figure
    stack_used: Figure
    head: Figure | None = None
    tail: Figure | None = None

    @property
    def ram(self) -> Figure:
        """Measured RAM: the arena, static data and the stack's high-water mark."""
        return total(self.arena, self.static, self.stack_used)


class InputMeasurement(_Frozen):
    """One inference.

    Attributes:
        input_crc32, output_crc32: As the device computed them.
        output: Bytes of the output tensor.
        cycles: Of the inference, on the processor's counter. On an emulated board these are executed instructions.
    """

    input_crc32: _Crc
    output_crc32: _Crc
    output: HexBytes
    cycles: Figure


class OperatorMeasurement(_Frozen):
    """One operator of the last inference."""

    index: int
    code: str
    cycles: Figure


class EmulatorFigures(_Frozen):
    """What the emulator itself saw, independent of what the firmware says.

    Attributes:
        path: What ran the board: ``native``, ``python`` or ``qemu``, which tells none of the figures.
        instructions: All that were executed since reset.
        lowest_store: Lowest address of the stack's range that was written.
        stack_used: Bytes from there to the top of the stack.
    """

    path: Literal["native", "python", "qemu"]
    path_reason: str
    instructions: Figure
    lowest_store: Figure
    stack_used: Figure


class Measurement(_Frozen):
    """All that was measured in one session.

    ``ram`` and the cycles are only as good as their sources: nothing of an emulated board is a time.

    Attributes:
        repeated: Inferences that were made again, since the device restarted or the line damaged them; of each the
            last one counts.
        restarts: How often the device restarted meanwhile.
    """

    schema_version: Literal[1] = 1
    target: Literal["emulated", "device"]
    identity: replies.Identity
    clock: Figure
    memory_before: MemoryFigures
    memory_after: MemoryFigures
    inputs: tuple[InputMeasurement, ...]
    operators: tuple[OperatorMeasurement, ...]
    emulator: EmulatorFigures | None = None
    repeated: Annotated[int, Field(ge=0)] = 0
    restarts: Annotated[int, Field(ge=0)] = 0

    @property
    def work(self) -> Figure | None:
        """What an inference executed, the median: instructions of an emulated board, cycles of a physical one."""
        if not self.inputs:
            return None
        middle = int(median(int(one.cycles.value or 0) for one in self.inputs))
        unit = "instructions" if self.target == "emulated" else "cycles"
        return Figure(value=middle, unit=unit, source=self.memory_after.static.source)

    @property
    def remark(self) -> str:
        """What did not go smoothly, in a sentence; empty where all did."""
        if not self.repeated and not self.restarts:
            return ""
        made = "1 inference was" if self.repeated == 1 else f"{self.repeated} inferences were"
        seen = "once" if self.restarts == 1 else f"{self.restarts} times"
        why = f"the device restarted {seen}" if self.restarts else "the line damaged what was said"
        return f"{made} made again: {why}"

    @property
    def outputs(self) -> tuple[bytes, ...]:
        """The output tensors, in the order of the inputs."""
        return tuple(item.output for item in self.inputs)


_Last = tuple[InputMeasurement, tuple[replies.Operator, ...], replies.Memory]


def measure(
    session: Session,
    *,
    inputs: Sequence[bytes],
    expected: Expected | None = None,
    statistics: Callable[[], emulated.Statistics] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Measurement:
    """Send each input through the device and read back everything there is to know.

    Args:
        session: With the device; connected here.
        inputs: Bytes of the input tensor, each of them.
        expected: The firmware that must be on the device.
        statistics: Of the emulated board; None on hardware. It decides the source of every figure.
        progress: Called with the inputs done and their number after each.

    Raises:
        DeviceError: ``wrong-board``, ``wrong-build``, ``wrong-model``, ``input-size``; and, after two more tries of an
            inference, ``corrupt-transfer`` and those of :class:`~pipeline.device.protocol.Session`.
    """
    source = Source.MEASURED if statistics is None else Source.EMULATED
    identity = session.connect()
    if expected is not None:
        session.verify(expected)
    repeating = _Repeating(session, identity)
    before = repeating(session.memory)
    results: list[InputMeasurement] = []
    operators: tuple[replies.Operator, ...] = ()
    after = before
    for index, data in enumerate(inputs):

        def one(index: int = index, data: bytes = data) -> InputMeasurement:
            return _one(session, data, index=index, identity=identity, source=source)

        def last(one: Callable[[], InputMeasurement] = one) -> _Last:
            # What is read last belongs to the last inference: after a restart in between there would be nothing of it.
            # Memory comes last: the two witnesses of the stack then speak of the same commands.
            return one(), session.ops(), session.memory()

        if index + 1 < len(inputs):
            results.append(repeating(one))
        else:
            result, operators, after = repeating(last)
            results.append(result)
        if progress is not None:
            progress(index + 1, len(inputs))
    return Measurement(
        target="device" if statistics is None else "emulated",
        identity=identity,
        clock=Figure(value=identity.clock_hz, unit="Hz", source=source),
        memory_before=_memory(before, source),
        memory_after=_memory(after, source),
        inputs=tuple(results),
        operators=tuple(
            OperatorMeasurement(
                index=op.index, code=op.code, cycles=Figure(value=op.cycles, unit="cycles", source=source)
            )
            for op in operators
        ),
        emulator=None if statistics is None else _emulator(statistics()),
        repeated=repeating.repeated,
        restarts=session.restarts,
    )


def longest_s(timeouts: Timeouts, *, inputs: int, output_bytes: int) -> float:
    """Seconds that no measurement takes longer than, whatever the device and the line do.

    Args:
        timeouts: Of the session.
        inputs: Their number.
        output_bytes: Of the output tensor.
    """
    tries, found_again = 1 + MOST_REPEATS, MOST_REPEATS * (timeouts.connect + timeouts.answer)
    inference = timeouts.answer + timeouts.load + timeouts.run + timeouts.answer + timeouts.output(output_bytes)
    last = 2 * timeouts.answer
    return (
        timeouts.connect
        + tries * timeouts.answer
        + found_again
        + inputs * (tries * inference + found_again)
        + tries * last
    )


class _Repeating:
    """Does a piece of the measurement again, at most twice, where the device restarted or the line damaged it."""

    def __init__(self, session: Session, identity: replies.Identity) -> None:
        self.repeated = 0
        self._session = session
        self._identity = identity

    def __call__(self, piece: Callable[[], _T]) -> _T:
        for _ in range(MOST_REPEATS):
            try:
                return piece()
            except DeviceError as error:
                if error.id not in _REPEATED:
                    raise
                self._find_again()
                self.repeated += 1
        return piece()

    def _find_again(self) -> None:
        """Whatever is on its way is dropped, and the firmware must be the same."""
        self._session.connect()
        self._session.verify(
            Expected(board=self._identity.board, build=self._identity.build, model=self._identity.model)
        )


def _one(session: Session, data: bytes, *, index: int, identity: replies.Identity, source: Source) -> InputMeasurement:
    if len(data) != identity.input_bytes:
        raise DeviceError(
            "input-size",
            f"input {index} has {len(data)} bytes, the device takes {identity.input_bytes}",
            why="The input was made for another model.",
            next="Flash the firmware of this model.",
        )
    cycles = session.infer_on(data)
    crc = session.crc()
    _compare(crc.input, data, f"input {index}")
    output = session.output(identity.output_bytes)
    _compare(crc.output, output, f"the output for input {index}")
    return InputMeasurement(
        input_crc32=crc.input,
        output_crc32=crc.output,
        output=output,
        cycles=Figure(value=cycles, unit="cycles", source=source),
    )


def _compare(crc: int, data: bytes, what: str) -> None:
    wanted = zlib.crc32(data)
    if crc != wanted:
        raise DeviceError(
            "corrupt-transfer",
            f"{what} was damaged on its way: CRC-32 {crc:08x} on the device, {wanted:08x} here",
            why="Bytes changed on the line or in the device's memory.",
            next="Check the cable; a lower baud rate may help.",
        )


def _memory(memory: replies.Memory, source: Source) -> MemoryFigures:
    def figure(value: int | None) -> Figure:
        reason = "" if value is not None else "the firmware cannot tell: it shares the processor with a framework"
        return Figure(value=value, unit="B", source=source, reason=reason)

    return MemoryFigures(
        arena=figure(memory.arena_bytes),
        arena_used=figure(memory.arena_used),
        static=figure(memory.static_bytes),
        stack_reserve=figure(memory.stack_reserve),
        stack_used=figure(memory.stack_used),
        head=None if memory.head is None else figure(memory.head),
        tail=None if memory.tail is None else figure(memory.tail),
    )


def _emulator(found: emulated.Statistics) -> EmulatorFigures:
    def figure(value: int | None, unit: str, reason: str) -> Figure:
        return Figure(value=value, unit=unit, source=Source.EMULATED, reason="" if value is not None else reason)

    untold = f"{found.path} does not tell"
    unseen = untold if found.stack_used is None else "no store to the stack was seen"
    return EmulatorFigures(
        path=found.path,
        path_reason=found.path_reason,
        instructions=figure(found.instructions, "instructions", untold),
        lowest_store=figure(found.lowest_store, "address", unseen),
        stack_used=figure(found.stack_used, "B", untold),
    )
