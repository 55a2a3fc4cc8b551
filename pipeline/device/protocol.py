"""Talking to the firmware: commands, replies and the binary transfer of ``docs/protocol.md``.

Every wait has a deadline, and each way to fail is an error of its own: ``no-answer``, ``garbled-line``,
``device-error``, ``device-fault``, ``device-restarted``, ``wrong-protocol``, ``wrong-board``, ``wrong-build``,
``wrong-model``, ``load-failed``, ``link-closed``. Replies are checked (:mod:`pipeline.device.checked`): what is damaged
is asked for again, or is an error, and never a figure.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from dataclasses import dataclass

from pipeline.device import replies
from pipeline.device.checked import BANNER, Checked, Damage, Outcome
from pipeline.device.deadline import Clock, Deadline
from pipeline.device.frames import ACK, ENQ, NAK, PIECE, frames
from pipeline.device.lines import QUIET_S, READY, Lines
from pipeline.device.link import Link
from pipeline.device.replies import Crc, Identity, Inference, Memory, Operator, garbled
from pipeline.errors import ArenaTooSmallError, DeviceError, printable

_HEX_BYTES = 32  # of one `db` command: its buffer takes 80 characters, 10 of them are the tag's

# Seconds between questions to a device that does not answer. The long one lets an interrupted transfer time out on
# the device, which takes 2 s without a byte.
_ASK_AGAIN_S = (0.4, 0.8, 2.6)
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

    def output(self, count: int) -> float:
        """For an output of ``count`` bytes."""
        return self.answer + count * _OUTPUT_S


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
        tag: Of the first command, for tests that are to repeat to the byte; default: a random one.
    """

    def __init__(
        self,
        link: Link,
        *,
        health: Callable[[], None] | None = None,
        timeouts: Timeouts | None = None,
        clock: Clock = time.monotonic,
        tag: int | None = None,
    ) -> None:
        self._lines = Lines(link, clock=clock, health=health)
        self._checked = Checked(self._lines, tag=tag)
        self._timeouts = timeouts or Timeouts()
        self._identity: Identity | None = None

    @property
    def restarts(self) -> int:
        """How often the device has restarted since it was first heard."""
        return self._checked.restarts

    @property
    def asked_again(self) -> int:
        """Commands that were asked again since their reply was damaged or did not come."""
        return self._checked.asked_again

    # Getting through, and who is there.

    def connect(self, timeout_s: float | None = None) -> Identity:
        """Ask who is there until somebody answers.

        Whatever was on its way before (a banner, half a line, an old reply) is skipped.

        Raises:
            DeviceError: ``no-answer``, ``wrong-protocol``, ``device-fault``, ``link-closed``, or ``garbled-line`` where
                answers came and none could be read.
        """
        deadline = self._deadline(self._timeouts.connect if timeout_s is None else timeout_s)
        last, error = "", None
        waits = itertools.chain(_ASK_AGAIN_S, itertools.repeat(_ASK_AGAIN_S[-1]))
        others: list[DeviceError] = []
        for asked, wait in enumerate(waits, start=1):
            if deadline.expired:
                break
            answer = self._checked.try_once("id", deadline.within(wait))
            if not isinstance(answer, Damage):
                self._identity = replies.parse_identity(answer)
                if asked > 1:
                    self._lines.drain(deadline)
                return self._identity
            # Where it is silent, a line is the end of an older reply: a crashed device may have sent just that.
            last = last if answer.outcome is Outcome.SILENT else answer.line or last
            error = answer.error or error
            if answer.outcome is Outcome.UNKNOWN:
                others += self._other_protocol(deadline.within(wait))
                if len(others) > 1:
                    raise others[-1]  # said twice: it was no damage
        self._lines.check_health()
        if error is not None:
            raise error
        if last:
            garbled(last, "m-id-[…] with its checksum")
        raise self._checked.no_answer(deadline.seconds)

    def _other_protocol(self, deadline: Deadline) -> list[DeviceError]:
        """The error of a firmware that speaks another version of the protocol, asked in the way that all of them know;
        none where it does not say so."""
        self._lines.write(b"id%", deadline)
        try:
            while (line := self._lines.read(deadline)) is not None and line != READY:
                if line.startswith("m-id-"):
                    replies.parse_identity([line])
        except DeviceError as error:
            if error.id == "wrong-protocol":
                return [error]
            if error.id != "garbled-line":
                raise
        return []

    def identity(self) -> Identity:
        """Who the firmware is."""
        self._identity = replies.parse_identity(self._ask("id"))
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

    def command(
        self,
        text: str,
        *,
        timeout_s: float | None = None,
        line_limit: int = replies.LINE_LIMIT,
        again: bool = False,
    ) -> list[str]:
        """Send one command; the lines of its reply without ``m-ready``, each of at most ``line_limit`` characters.

        Args:
            text: Without its ``%``.
            timeout_s: For all of it; default: that of a command that computes nothing.
            line_limit: Of a line.
            again: Whether it may be asked again where the reply is damaged: it changes nothing on the device.

        Raises:
            DeviceError: ``device-error``, ``device-fault``, ``device-restarted``, ``no-answer``, ``garbled-line``,
                ``link-closed``.
        """
        deadline = self._deadline(self._timeouts.answer if timeout_s is None else timeout_s)
        return self._checked.ask(text, deadline, line_limit=line_limit, again=again)

    def _ask(self, text: str, *, timeout_s: float | None = None, line_limit: int = replies.LINE_LIMIT) -> list[str]:
        return self.command(text, timeout_s=timeout_s, line_limit=line_limit, again=True)

    def name(self) -> str:
        """Name of the device under test, by MLPerf Tiny."""
        return replies.parse_text(self._ask("name"), "m-name-dut")

    def timestamp_us(self) -> int:
        """Microseconds since the firmware started."""
        lines = self._ask("timestamp")
        if len(lines) != 1 or not lines[0].startswith("m-lap-us-") or not lines[0][9:].isdecimal():
            garbled(lines[0] if lines else "nothing", "m-lap-us-N")
        return int(lines[0][9:40])

    def memory(self) -> Memory:
        """RAM, as the firmware counts it."""
        return replies.parse_memory(self._ask("memory"))

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
        return replies.parse_crc(self._ask("crc"))

    def output(self, count: int | None = None) -> bytes:
        """Bytes of the last output; ``count`` as the identity says where it is None."""
        wanted = self._known_identity().output_bytes if count is None else count
        lines = self._ask("output", timeout_s=self._timeouts.output(wanted))
        return replies.parse_hex(lines, "m-output", wanted)

    def ops(self) -> tuple[Operator, ...]:
        """Cycles of each operator in the last inference."""
        return replies.parse_operators(self._ask("ops"))

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
        lines = self._ask("results", line_limit=self._results_limit())
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
        lines = self._checked.more(deadline.within(self._timeouts.answer))
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
        return replies.parse_cycles(self._checked.more(deadline))

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
                self._lines.check_health()
            elif answer == ENQ:
                return
            elif answer == NAK and before:
                refused += 1
                self._lines.write(before, deadline)
            elif answer in _TEXT:
                self._transfer_text(deadline)
            elif answer not in (ACK, NAK):
                noise += 1  # a request that was damaged: it is repeated
                del self._lines.buffer[0]
        self._lines.check_health()
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
            self._lines.write(frame, deadline)
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
        self._lines.check_health()
        raise DeviceError(
            "load-failed",
            f"the device did not take a frame of {len(frame)} bytes in {_FRAME_TRIES} tries",
            why="The line is disturbed, or bytes are lost.",
            next="Check the cable; a lower baud rate may help.",
        )

    def _answer(self, deadline: Deadline, skip: int | None = None) -> int | None:
        """The next byte of a transfer, kept in the buffer where it is text; None after the deadline."""
        while self._lines.buffer or self._lines.fill(deadline):
            byte = self._lines.buffer[0]
            if byte in _ANSWERS:
                del self._lines.buffer[0]
            if byte != skip:
                return byte
        return None

    def _drop_answers(self, deadline: Deadline) -> None:
        while True:
            while self._lines.buffer and self._lines.buffer[0] in _ANSWERS:
                del self._lines.buffer[0]
            if self._lines.buffer or not self._lines.fill(deadline.within(QUIET_S)):
                return

    def _transfer_text(self, deadline: Deadline) -> None:
        """Text where the device should have acknowledged: it has given up, crashed or restarted, the line is disturbed,
        or it is somebody's log, which is skipped."""
        line = self._lines.read(deadline.within(_FRAME_S))
        if line == BANNER:
            self._checked.restarted()
        if line is not None and not line.startswith(("m-", "e-[")):
            return
        failure = replies.error_of(line) if line is not None else None
        if failure is None:
            garbled(line if line is not None else "half a line", "an acknowledgement")
        if failure.id == "device-fault":
            raise failure
        self._lines.drain(deadline)
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
        lines = self._ask("db print", timeout_s=self._timeouts.output(count))
        return replies.parse_hex(lines, "m-input", count)

    def _deadline(self, seconds: float) -> Deadline:
        return self._lines.deadline(seconds)

    def _known_identity(self) -> Identity:
        return self._identity or self.identity()
