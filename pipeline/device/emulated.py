"""The host's side of the emulated board: starts its process, watches over it and asks it for figures."""

from __future__ import annotations

import contextlib
import json
import subprocess
import threading
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pipeline import resources
from pipeline.boards import Board
from pipeline.device.deadline import Deadline
from pipeline.device.replies import DeviceFault, FaultReportError
from pipeline.errors import DanasError, DeviceError, EnvironmentProblem, printable, rebuilt

START_S = 60.0  # the first start may compile the fast path
_ANSWER_S = 10.0
_STOP_S = 5.0
_GONE_S = 3.0


class Statistics(BaseModel):
    """What the emulator counted since reset.

    Attributes:
        path: Which counting code ran: ``native`` or ``python``, of which ``path_reason`` says why not the native one;
            or ``qemu``, which counts nothing: then the other figures are None.
        instructions: Executed instructions, polling included.
        idle_cycles: Cycles that passed on the board's counter while it waited for the host.
        lowest_store: Lowest address written in the stack's range, None where nothing was; the painting is left out.
        stack_used: Bytes from there to the top of the stack.
        halted: Whether the program branches to itself for ever.
        dropped_bytes: Sent by the board while the host did not read.
        mips: Million instructions a second of this machine's time: the emulator's speed, never the board's.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: Literal["native", "python", "qemu"]
    path_reason: str = ""
    instructions: int | None = Field(ge=0)
    idle_cycles: int | None = Field(ge=0)
    lowest_store: int | None
    stack_used: int | None = Field(ge=0)
    stack_bottom: int
    stack_top: int
    halted: bool | None
    dropped_bytes: int = Field(ge=0)
    busy_seconds: float | None
    mips: float | None


class EmulatedDevice:
    """A running emulated board; :func:`start` makes one.

    Attributes:
        port: Pseudo-terminal that a serial library opens.
        path: ``native``, ``python`` or ``qemu``; see :class:`Statistics`.
    """

    def __init__(self, process: subprocess.Popen[str], board: Board) -> None:
        self.board = board
        self._process = process
        self._stdin, self._stdout, self._messages = (
            _pipe(stream) for stream in (process.stdin, process.stdout, process.stderr)
        )
        self._stderr: deque[str] = deque(maxlen=10)
        self._condition = threading.Condition()
        self._ready: dict[str, Any] | None = None
        self._statistics: dict[str, Any] | None = None
        self._fault: DeviceFault | None = None
        self._error: DanasError | None = None
        self._ended = False
        self._readers = [
            threading.Thread(target=self._read_answers, name="emulator answers", daemon=True),
            threading.Thread(target=self._read_stderr, name="emulator messages", daemon=True),
        ]
        for reader in self._readers:
            reader.start()

    @property
    def port(self) -> str:
        """Device file of the UART."""
        return str((self._ready or {}).get("port", ""))

    @property
    def path(self) -> str:
        """What runs it: ``native``, ``python`` or ``qemu``; see :class:`Statistics`."""
        return str((self._ready or {}).get("path", ""))

    @property
    def process_id(self) -> int:
        """Of the emulator's process."""
        return self._process.pid

    def await_ready(self, deadline: Deadline) -> None:
        """Wait until the board runs.

        Raises:
            DanasError: What the emulator's process says, ``emulator-died`` or ``emulator-not-ready``.
        """
        with self._condition:
            self._condition.wait_for(lambda: self._ready is not None or self._ended, deadline.remaining)
            ready = self._ready is not None
        if not ready:
            self.check()
            raise DeviceError(
                "emulator-not-ready",
                f"the emulated board did not start within {deadline.seconds:.0f} s",
                why=self._last_lines(),
                next="Try again; the machine may be busy.",
            )

    def check(self) -> None:
        """Raise the reason where the board no longer runs, and return where it does.

        Raises:
            DanasError: ``device-fault`` with the place, what the emulator's process said, or ``emulator-died``.
        """
        with self._condition:
            # A hang-up of the port is seen before the process's last words are read.
            if self._process.poll() is not None or self._fault or self._error or self._lost_port():
                self._condition.wait_for(lambda: self._ended, _GONE_S)
            if self._fault is not None:
                raise FaultReportError(self._fault)
            if self._error is not None:
                raise self._error
            if not self._ended:
                return
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_STOP_S)
        raise DeviceError(
            "emulator-died",
            f"the emulated board ended with code {self._process.returncode}",
            why=self._last_lines(),
            next="This is a bug of the emulator, or somebody ended its process.",
        )

    def statistics(self) -> Statistics:
        """Figures since reset; still there after a fault.

        Raises:
            DeviceError: ``emulator-died`` or ``emulator-silent``.
        """
        with self._condition:
            if not self._ended:
                self._statistics = None
                if self._send("stats"):
                    self._condition.wait_for(lambda: self._statistics is not None or self._ended, _ANSWER_S)
            answer = self._statistics
        if answer is None:
            self.check()
            raise DeviceError(
                "emulator-silent",
                "the emulated board gives no statistics",
                why=self._last_lines(),
                next="Start it again.",
            )
        try:
            return Statistics.model_validate(answer)
        except ValidationError as error:
            raise DeviceError(
                "emulator-silent", "the emulated board's statistics cannot be read", why=printable(error)
            ) from error

    def stop(self) -> None:
        """End the process; fine when it has ended already."""
        process = self._process
        with contextlib.suppress(OSError):
            self._stdin.close()
        for end in (None, process.terminate, process.kill):
            if end is not None:
                end()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(_STOP_S)
                break
        for reader in self._readers:
            reader.join(_STOP_S)
        self._stdout.close()
        self._messages.close()

    def kill(self) -> None:
        """End the process at once, as if its cable were pulled; :meth:`stop` is still to be called."""
        self._process.kill()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _lost_port(self) -> bool:
        return bool(self.port) and not Path(self.port).exists()

    def _send(self, word: str) -> bool:
        try:
            self._stdin.write(word + "\n")
            self._stdin.flush()
        except (OSError, ValueError):
            return False
        return True

    def _read_answers(self) -> None:
        for line in self._stdout:
            try:
                message = json.loads(line)
            except ValueError:
                message = None
            with self._condition:
                if isinstance(message, dict):
                    self._take(message)
                else:
                    self._stderr.append(line)
                self._condition.notify_all()
        with self._condition:
            self._ended = True
            self._condition.notify_all()

    def _take(self, message: dict[str, Any]) -> None:
        if message.get("ready"):
            self._ready = message
        if "statistics" in message:
            self._statistics = message["statistics"]
        if "fault" in message:
            fault = message["fault"]
            self._fault = DeviceFault(
                kind=str(fault["kind"]),
                pc=int(fault["pc"]),
                lr=int(fault["lr"]),
                address=int(fault["address"]),
                function=str(fault["function"]),
            )
        if "error" in message:
            self._error = rebuilt(message["error"])

    def _read_stderr(self) -> None:
        for line in self._messages:
            self._stderr.append(line)

    def _last_lines(self) -> str:
        lines = [printable(line.strip()) for line in list(self._stderr)[-3:] if line.strip()]
        return "Its last words: " + " / ".join(lines) if lines else "It said nothing."


def _pipe(stream: IO[str] | None) -> IO[str]:
    if stream is None:
        raise ValueError("the emulator's process needs pipes for stdin, stdout and stderr")
    return stream


@contextlib.contextmanager
def start(
    board: Board, elf: Path, *, pure_python: bool = False, link: Path | None = None, timeout_s: float = START_S
) -> Iterator[EmulatedDevice]:
    """Run ``elf`` on an emulated ``board`` for the length of a ``with`` block.

    Args:
        board: The board type.
        elf: The program that would be flashed.
        pure_python: Do without the compiled fast path.
        link: A symbolic link to make to the port.
        timeout_s: For the start.

    Raises:
        DanasError: ``missing-extra``, ``missing-qemu``, ``bad-image``, ``image-outside-flash``, ``no-emulator``,
            ``emulator-died``, ``emulator-not-ready``.
    """
    device = launch(board, elf, pure_python=pure_python, link=link, timeout_s=timeout_s)
    try:
        yield device
    finally:
        device.stop()


def launch(
    board: Board, elf: Path, *, pure_python: bool = False, link: Path | None = None, timeout_s: float = START_S
) -> EmulatedDevice:
    """As :func:`start`, for a caller that calls :meth:`EmulatedDevice.stop` itself."""
    arguments = [resources.python(), "-m", "pipeline.device.emulator"]
    arguments += ["--board-json", board.model_dump_json(by_alias=True), "--elf", str(elf.resolve())]
    arguments += ["--link", str(link.absolute())] if link is not None else []
    arguments += ["--pure-python"] if pure_python else []
    deadline = Deadline(timeout_s, clock=time.monotonic)
    try:
        process = subprocess.Popen(
            arguments,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            errors="replace",
            # A Ctrl-C at the terminal is for us; the emulator ends when we close its input.
            start_new_session=True,
        )
    except OSError as error:
        raise EnvironmentProblem(
            "emulator-not-started",
            "cannot start the emulator's process",
            why=printable(error),
            next="Free some memory.",
        ) from error
    device = EmulatedDevice(process, board)
    try:
        device.await_ready(deadline)
    except BaseException:
        device.stop()
        raise
    return device
