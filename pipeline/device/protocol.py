"""Talking to the firmware: commands, replies and the binary transfer of ``docs/protocol.md``.

Every wait has a deadline, and each way to fail is an error of its own: ``no-answer``, ``garbled-line``,
``device-error``, ``device-fault``, ``wrong-protocol``, ``wrong-board``, ``wrong-build``, ``wrong-model``,
``load-failed``, ``link-closed``.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import NoReturn

from pipeline.device import replies
from pipeline.device.deadline import Clock, Deadline
from pipeline.device.frames import ACK, ENQ, NAK, PIECE, frames
from pipeline.device.link import Link
from pipeline.device.replies import Crc, Identity, Inference, Memory, Operator, garbled
from pipeline.errors import ArenaTooSmallError, DeviceError, printable

READY = "m-ready"
_BANNER = ("m-init-done",)
_LINES = 100_000  # of one reply: far above any output
_HEX_BYTES = 36  # of one `db` command: its buffer takes 80 characters

# Seconds between questions to a device that does not answer. The long one lets an interrupted transfer time out on
# the device, which takes 2 s without a byte.
_ASK_AGAIN_S = (0.4, 0.8, 2.6)
_QUIET_S = 0.06
_FRAME_S = 1.0
_ANSWERS = (ENQ, ACK, NAK)
_TEXT = b"em"  # what a line begins with
_NOISE = 4096  # bytes that are no request for a row, where one is due
# Bytes of a frame's payload: at 9600 baud, or with an emulator on a busy machine, a larger frame would not be answered
# within that second, and be sent twice.
_SENT = 256
_FRAME_TRIES = 8
_OUTPUT_S = 0.003  # a byte of output: 2.4 characters, at 9600 baud

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Timeouts:
    """Seconds. ``answer`` is for a command that computes nothing, ``run`` for an inference."""

    connect: float = 10.0
    answer: float = 3.0
    load: float = 30.0
    run: float = 120.0


@dataclass(frozen=True)
class Expected:
    """The firmware that should be on the device; None: any."""

    board: str | None = None
    build: str | None = None
    model: str | None = None


class Session:
    """A conversation with one device.

    Args:
        link: Bytes to the device; the session does not close it.
        health: Called when the device is silent or gone: raises the reason where somebody knows it better, as the
            emulated board does after a crash.
        timeouts: How long to wait for what.
        clock: Of the deadlines.
    """

    def __init__(
        self,
        link: Link,
        *,
        health: Callable[[], None] | None = None,
        timeouts: Timeouts | None = None,
        clock: Clock = time.monotonic,
    ) -> None:
        self._link = link
        self._health = health
        self._timeouts = timeouts or Timeouts()
        self._clock = clock
        self._buffer = bytearray()
        self._identity: Identity | None = None

    # Getting through, and who is there.

    def connect(self, timeout_s: float | None = None) -> Identity:
        """Ask who is there until somebody answers.

        Whatever was on its way before (a banner, half a line, an old reply) is skipped.

        Raises:
            DeviceError: ``no-answer``, ``wrong-protocol``, ``device-fault``, ``link-closed``, or ``garbled-line`` where
                answers came and none could be read.
        """
        deadline = self._deadline(self._timeouts.connect if timeout_s is None else timeout_s)
        last: DeviceError | None = None
        waits = itertools.chain(_ASK_AGAIN_S, itertools.repeat(_ASK_AGAIN_S[-1]))
        for asked, wait in enumerate(waits, start=1):
            if deadline.expired:
                break
            self._write(b"id%", deadline)
            identity, failure = self._listen_for_identity(deadline.within(wait))
            if identity is not None:
                if asked > 1:
                    self._drain(deadline)
                self._identity = identity
                return identity
            last = failure or last
        self._check_health()
        if last is not None:
            raise last
        raise self._no_answer(deadline.seconds)

    def _listen_for_identity(self, deadline: Deadline) -> tuple[Identity | None, DeviceError | None]:
        """Lines until an identity and its ``m-ready``; None where the deadline comes first."""
        identity: Identity | None = None
        failure: DeviceError | None = None
        while True:
            try:
                line = self._read_line(deadline)
            except DeviceError as error:
                if error.id != "garbled-line":
                    raise
                failure = error
                continue
            if line is None:
                return None, failure
            if line == READY:
                if identity is not None:
                    return identity, None
                continue
            error_line = replies.error_of(line)
            if error_line is not None and error_line.id == "device-fault":
                raise error_line
            try:
                identity = replies.parse_identity([line]) if line.startswith("m-id-") else identity
            except DeviceError as error:
                if error.id == "wrong-protocol":
                    raise
                failure = error

    def identity(self) -> Identity:
        """Who the firmware is."""
        self._identity = replies.parse_identity(self.command("id"))
        return self._identity

    def verify(self, expected: Expected) -> Identity:
        """Compare the device with what should be on it.

        Raises:
            DeviceError: ``wrong-board``, ``wrong-model`` or ``wrong-build``.
        """
        found = self._identity or self.identity()
        for what, wanted, got in (
            ("board", expected.board, found.board),
            ("model", expected.model, found.model),
            ("build", expected.build, found.build),
        ):
            if wanted is not None and wanted != got:
                raise DeviceError(
                    f"wrong-{what}",
                    f"the device runs another {what}: {printable(got, 70)}",
                    why=f"Expected {what} {printable(wanted, 70)}.",
                    next="Attach the board meant, or name it with --device."
                    if what == "board"
                    else "Flash the firmware again.",
                )
        return found

    # Commands.

    def command(self, text: str, *, timeout_s: float | None = None, line_limit: int = replies.LINE_LIMIT) -> list[str]:
        """Send one command; the lines of its reply without ``m-ready``, each of at most ``line_limit`` characters.

        Raises:
            DeviceError: ``device-error``, ``device-fault``, ``no-answer``, ``garbled-line``, ``link-closed``.
        """
        deadline = self._deadline(self._timeouts.answer if timeout_s is None else timeout_s)
        self._write(text.encode("ascii") + b"%", deadline)
        return self._reply(deadline, line_limit)

    def name(self) -> str:
        """Name of the device under test, by MLPerf Tiny."""
        return replies.parse_text(self.command("name"), "m-name-dut")

    def timestamp_us(self) -> int:
        """Microseconds since the firmware started."""
        lines = self.command("timestamp")
        if len(lines) != 1 or not lines[0].startswith("m-lap-us-") or not lines[0][9:].isdecimal():
            garbled(lines[0] if lines else "nothing", "m-lap-us-N")
        return int(lines[0][9:40])

    def memory(self) -> Memory:
        """RAM, as the firmware counts it."""
        return replies.parse_memory(self.command("memory"))

    def demand_ready(self) -> None:
        """Make sure that the runtime has started.

        Raises:
            ArenaTooSmallError: It has not, and says how much its arena needs.
        """
        memory = self.memory()
        if memory.arena_used > memory.arena_bytes:
            raise ArenaTooSmallError(
                "arena-too-small",
                f"the runtime needs an arena of {memory.arena_used:,} B and has {memory.arena_bytes:,} B",
                why="Its estimate was too low.",
                next="`danas-deploy flash RUN` builds it again with an arena of that size.",
                needed=memory.arena_used,
            )

    def crc(self) -> Crc:
        """Checksums of the loaded input and of the last output."""
        return replies.parse_crc(self.command("crc"))

    def output(self, count: int | None = None) -> bytes:
        """Bytes of the last output; ``count`` as the identity says where it is None."""
        wanted = self._known_identity().output_bytes if count is None else count
        timeout = self._timeouts.answer + wanted * _OUTPUT_S
        return replies.parse_hex(self.command("output", timeout_s=timeout), "m-output", wanted)

    def ops(self) -> tuple[Operator, ...]:
        """Cycles of each operator in the last inference."""
        return replies.parse_operators(self.command("ops"))

    def run(self, *, timeout_s: float | None = None) -> int:
        """One inference on the loaded input; its cycles."""
        return replies.parse_cycles(
            self.command("run", timeout_s=self._timeouts.run if timeout_s is None else timeout_s)
        )

    def infer_on(self, data: bytes, *, progress: Progress | None = None) -> int:
        """One inference on these bytes, whichever way the firmware takes its input; its cycles.

        Args:
            data: The whole input tensor.
            progress: Called with the bytes taken and all bytes.

        Raises:
            DeviceError: Those of :meth:`load` and :meth:`run`, or of :meth:`stream`.
        """
        if self._known_identity().input_rows:
            return self.stream(data, progress=progress)
        self.load(data, progress=progress)
        return self.run()

    def infer(self, count: int, warmups: int = 0, *, timeout_s: float | None = None) -> Inference:
        """``count`` inferences after ``warmups``, by MLPerf Tiny; ``timeout_s`` is for one of them."""
        one = self._timeouts.run if timeout_s is None else timeout_s
        lines = self.command(
            f"infer {count} {warmups}", timeout_s=one * (count + warmups), line_limit=self._results_limit()
        )
        return replies.parse_inference(lines, count=count, warmups=warmups)

    def results(self) -> tuple[float, ...]:
        """The last output, dequantized."""
        lines = self.command("results", line_limit=self._results_limit())
        if len(lines) != 1:
            garbled(f"{len(lines)} lines", "one line m-results-[v,v,…]")
        return replies.parse_results(lines[0])

    def _results_limit(self) -> int:
        return replies.results_limit(self._known_identity().output_bytes)

    # Giving it an input.

    def load(self, data: bytes, *, progress: Progress | None = None) -> None:
        """Load the input tensor by the binary transfer; damaged and lost frames are sent again.

        Args:
            data: The whole input tensor.
            progress: Called with the bytes taken and all bytes.

        Raises:
            DeviceError: ``load-failed``, or those of :meth:`command`.
        """
        deadline = self._deadline(self._timeouts.load)
        lines = self.command(f"load {len(data)}")
        if lines != [f"m-load-[piece={PIECE}]"]:
            garbled(lines[0] if lines else "nothing", f"m-load-[piece={PIECE}]")
        done = 0
        for frame in frames(data, _SENT):
            if self._send_frame(frame, deadline, last=done + _SENT >= len(data)):
                break
            done = min(done + _SENT, len(data))
            if progress is not None:
                progress(done, len(data))
        # Answers to tries that were thought lost may still come before the text.
        while self._answer(deadline.within(self._timeouts.answer)) in (ACK, NAK):
            pass
        lines = self._reply(deadline.within(self._timeouts.answer))
        if lines != ["m-load-done"]:
            garbled(lines[0] if lines else "nothing", "m-load-done")

    def stream(self, data: bytes, *, progress: Progress | None = None) -> int:
        """One inference of a firmware that takes its input row by row as it computes; its cycles without the waiting.

        Args:
            data: The whole input tensor.
            progress: Called with the bytes taken and all bytes.

        Raises:
            DeviceError: ``load-failed``, or those of :meth:`command`.
        """
        deadline = self._deadline(self._timeouts.load + self._timeouts.run)
        rows, size = replies.parse_stream(self.command(f"stream {len(data)}"), len(data))
        sequence, before = 0, b""
        for row in range(rows):
            self._await_request(before, deadline)
            pieces = list(frames(data[row * size : (row + 1) * size], first=sequence))
            for number, before in enumerate(pieces, start=1):
                self._send_frame(before, deadline, last=(row, number) == (rows - 1, len(pieces)))
            sequence += len(pieces)
            if progress is not None:
                progress((row + 1) * size, len(data))
        return replies.parse_cycles(self._reply(deadline))

    def _await_request(self, before: bytes, deadline: Deadline) -> None:
        """Until the device asks for a row. It may take the time of most of an inference.

        Args:
            before: The last frame, which is sent again where the device has not taken it after all.
            deadline: Of the whole inference.
        """
        refused, noise = 0, 0
        while not deadline.expired and refused <= _FRAME_TRIES and noise <= _NOISE:
            answer = self._answer(deadline.within(_FRAME_S))
            if answer is None:
                self._check_health()
            elif answer == ENQ:
                return
            elif answer == NAK and before:
                refused += 1
                self._write(before, deadline)
            elif answer in _TEXT:
                self._transfer_text(deadline)
            elif answer not in (ACK, NAK):
                noise += 1  # a request that was damaged: it is repeated
                del self._buffer[0]
        self._check_health()
        raise DeviceError(
            "load-failed",
            "the device does not ask for the next row of the input",
            why=f"Waited {deadline.seconds:.1f} s."
            if deadline.expired
            else "The line is disturbed, or bytes are lost.",
            next="Reset the board; check the cable; a lower baud rate may help.",
        )

    def _send_frame(self, frame: bytes, deadline: Deadline, *, last: bool) -> bool:
        """Send one frame until it is taken; True where the device already says that it has everything."""
        for tried in range(_FRAME_TRIES):
            if deadline.expired:
                break
            self._write(frame, deadline)
            answer = self._answer(deadline.within(_FRAME_S), skip=ENQ)
            if answer == ACK:
                if tried:
                    # An answer to an earlier try may still be on its way; taken for the next frame's, it would lie.
                    # Behind the last frame comes text, which must stay.
                    self._drop_answers(deadline)
                return False
            if answer == ord("m") and last:
                return True  # the last ACK was lost; the text says the same
            if answer is not None and answer != NAK:
                self._transfer_text(deadline)
        self._check_health()
        raise DeviceError(
            "load-failed",
            f"the device did not take a frame of {len(frame)} bytes in {_FRAME_TRIES} tries",
            why="The line is disturbed, or bytes are lost.",
            next="Check the cable; a lower baud rate may help.",
        )

    def _answer(self, deadline: Deadline, skip: int | None = None) -> int | None:
        """The next byte of a transfer, kept in the buffer where it is text; None after the deadline."""
        while self._buffer or self._fill(deadline):
            byte = self._buffer[0]
            if byte in _ANSWERS:
                del self._buffer[0]
            if byte != skip:
                return byte
        return None

    def _drop_answers(self, deadline: Deadline) -> None:
        while True:
            while self._buffer and self._buffer[0] in _ANSWERS:
                del self._buffer[0]
            if self._buffer or not self._fill(deadline.within(_QUIET_S)):
                return

    def _transfer_text(self, deadline: Deadline) -> NoReturn:
        """The device speaks where it should have acknowledged: it has given up, crashed, or the line is disturbed."""
        line = self._read_line(deadline.within(_FRAME_S))
        failure = replies.error_of(line) if line is not None else None
        if failure is None:
            garbled(line if line is not None else "half a line", "an acknowledgement")
        if failure.id == "device-fault":
            raise failure
        self._drain(deadline)
        raise DeviceError("load-failed", f"the device gave up the transfer: {failure.what}", next="Try again.")

    def db_load(self, data: bytes, *, progress: Progress | None = None) -> None:
        """Load the input tensor by MLPerf Tiny's `db` commands: hexadecimal, a round trip for each 36 bytes.

        Raises:
            DeviceError: As :meth:`load`.
        """
        lines = self.command(f"db load {len(data)}")
        if lines != [f"m-[Expecting {len(data)} bytes]"]:
            garbled(lines[0] if lines else "nothing", f"m-[Expecting {len(data)} bytes]")
        for begin in range(0, len(data), _HEX_BYTES):
            piece = data[begin : begin + _HEX_BYTES]
            expected = ["m-load-done"] if begin + len(piece) == len(data) else []
            lines = self.command(f"db {piece.hex()}")
            if lines != expected:
                garbled(lines[0] if lines else "nothing", expected[0] if expected else "m-ready alone")
            if progress is not None:
                progress(begin + len(piece), len(data))

    def db_print(self, count: int) -> bytes:
        """The loaded input, ``count`` bytes."""
        return replies.parse_hex(self.command("db print"), "m-input", count)

    # Bytes and lines.

    def _deadline(self, seconds: float) -> Deadline:
        return Deadline(seconds, clock=self._clock)

    def _known_identity(self) -> Identity:
        return self._identity or self.identity()

    def _write(self, data: bytes, deadline: Deadline) -> None:
        try:
            self._link.write(data, deadline)
        except DeviceError:
            self._check_health()
            raise

    def _fill(self, deadline: Deadline) -> bool:
        """Read more into the buffer; False after the deadline."""
        try:
            data = self._link.read(65536, deadline)
        except DeviceError:
            self._check_health()
            raise
        self._buffer += data
        return bool(data)

    def _read_line(self, deadline: Deadline, limit: int = replies.LINE_LIMIT) -> str | None:
        """The next line without its end, printable ASCII; None after the deadline."""
        searched = 0
        while True:
            end = self._buffer.find(b"\n", searched)
            if end >= 0:
                break
            searched = len(self._buffer)
            if searched > limit:
                line = bytes(self._buffer)
                self._buffer.clear()
                garbled(line[:60].decode("latin-1"), f"a line of at most {limit} characters")
            if not self._fill(deadline):
                return None
        raw = bytes(self._buffer[:end])
        del self._buffer[: end + 1]
        text = raw.removesuffix(b"\r").decode("latin-1")
        if end > limit or not text.isascii() or not text.isprintable():
            garbled(text, "a line of printable ASCII")
        return text

    def _reply(self, deadline: Deadline, line_limit: int = replies.LINE_LIMIT) -> list[str]:
        """Lines up to ``m-ready``, the first error among them raised."""
        lines: list[str] = []
        failure: DeviceError | None = None
        while True:
            if len(lines) > _LINES:
                garbled(lines[-1], f"at most {_LINES} lines")
            line = self._read_line(deadline, line_limit)
            if line is None:
                self._check_health()
                if failure is not None:
                    raise failure
                raise self._no_answer(deadline.seconds, begun=lines)
            if line == READY:
                if failure is not None:
                    raise failure
                return lines
            if line in _BANNER:
                self._restarted()
            error = replies.error_of(line)
            if error is not None and error.id == "device-fault":
                raise error  # nothing follows: the device has halted
            failure = failure or error
            lines.append(line)

    def _drain(self, deadline: Deadline) -> None:
        """Drop what is on its way until the line is quiet."""
        self._buffer.clear()
        while not deadline.expired and self._fill(deadline.within(_QUIET_S)):
            self._buffer.clear()

    def _check_health(self) -> None:
        if self._health is not None:
            self._health()

    def _restarted(self) -> NoReturn:
        raise DeviceError(
            "device-restarted",
            "the device has restarted within a command",
            why="It may have lost power, or its watchdog or reset button was at work.",
            next="Check the power supply and try again.",
        )

    def _no_answer(self, seconds: float, begun: list[str] | None = None) -> DeviceError:
        return DeviceError(
            "no-answer",
            f"the device on {printable(self._link.name)} does not answer",
            why=f"Waited {seconds:.1f} s" + (f"; the last line was {printable(begun[-1], 60)!r}." if begun else "."),
            next="Reset the board; check the port and the baud rate; flash the firmware again.",
        )
