"""The board as a machine of QEMU's: a process of its own, whose UART this one carries to the terminal.

QEMU takes real exceptions, so faults come back as the firmware's own reports over the UART. It counts nothing for us:
the firmware counts instructions with the board's timer, to which ``-icount`` gives a fixed rate.
"""

from __future__ import annotations

import contextlib
import re
import select
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
from pathlib import Path
from typing import IO

from pipeline.boards import QemuEmulator
from pipeline.device.emulator.image import Image
from pipeline.device.emulator.machine import Fault
from pipeline.device.emulator.terminal import Terminal
from pipeline.errors import DeviceError, EnvironmentProblem, printable

PROGRAM = "qemu-system-arm"
_PIECE = 4096
_LOOK_S = 0.05  # how often QEMU is looked at, and woken, while no byte comes
_STOP_S = 5.0
# What QEMU prints before it aborts when the core locks up: a fault within a fault handler.
_LOCKUP = re.compile(r"Lockup: (.*)")
_REGISTER = re.compile(r"\bR(13|14|15)=([0-9a-f]{8})")


def missing_qemu() -> EnvironmentProblem:
    """The error where QEMU is not installed."""
    return EnvironmentProblem(
        "missing-qemu",
        f"the emulated board needs {PROGRAM}",
        why="It is not on PATH.",
        next="apt-get install qemu-system-arm (QEMU 7.2 or newer), or scripts/setup where danas-deploy is checked out.",
    )


class QemuMachine:
    """A machine of QEMU's with a program loaded.

    Args:
        emulator: Which machine, and how long an instruction takes.
        elf: The program.
        image: The same, as it was read.
        terminal: The host's side of the UART.

    Raises:
        EnvironmentProblem: ``missing-qemu``.
    """

    path = "qemu"
    path_reason = ""

    def __init__(self, emulator: QemuEmulator, elf: Path, image: Image, terminal: Terminal) -> None:
        program = shutil.which(PROGRAM)
        if program is None:
            raise missing_qemu()
        self._image = image
        self._terminal = terminal
        self._stopping = threading.Event()
        self._words: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the machine
        # Pairs of sockets that no other process can see or open.
        self._uart, uart = socket.socketpair()
        self._monitor, monitor = socket.socketpair()
        self._uart.setblocking(False)
        self._monitor.setblocking(False)
        self._monitor.send(b'{"execute": "qmp_capabilities"}\n')
        command = [
            *_dies_with_us(),
            program,
            *("-machine", emulator.machine, "-nodefaults", "-no-user-config", "-display", "none"),
            *("-icount", f"shift={emulator.icount_shift}", "-net", "none"),
            *("-chardev", f"socket,id=uart,fd={uart.fileno()}", "-serial", "chardev:uart"),
            *("-chardev", f"socket,id=monitor,fd={monitor.fileno()}", "-mon", "chardev=monitor,mode=control"),
            *("-kernel", str(elf)),
        ]
        with uart, monitor:
            try:
                self._process = subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=self._words,
                    stderr=self._words,
                    pass_fds=(uart.fileno(), monitor.fileno()),
                )
            except OSError as error:
                raise EnvironmentProblem(
                    "emulator-not-started", f"cannot start {PROGRAM}", why=printable(error), next="Free some memory."
                ) from error

    def run(self) -> Fault | None:
        """See :class:`~pipeline.device.emulator.machine.Machine`.

        Raises:
            DeviceError: ``emulator-died``.
        """
        try:
            self._carry()
            if self._stopping.is_set():
                return None
            self._process.wait(_STOP_S)
            return self._last_words()
        finally:
            self._end()

    def stop(self) -> None:
        """See :class:`~pipeline.device.emulator.machine.Machine`."""
        self._stopping.set()
        self._terminal.wake()

    @property
    def stopping(self) -> bool:
        """Whether :meth:`stop` was called."""
        return self._stopping.is_set()

    def statistics(self) -> dict[str, int | float | str | bool | None]:
        """What this side knows: no more than where the stack is."""
        return {
            "path": self.path,
            "path_reason": self.path_reason,
            "instructions": None,
            "idle_cycles": None,
            "lowest_store": None,
            "stack_used": None,
            "stack_bottom": self._image.stack.begin,
            "stack_top": self._image.stack.end,
            "halted": None,
            "dropped_bytes": self._terminal.dropped,
            "busy_seconds": None,
            "mips": None,
        }

    def _carry(self) -> None:
        """Bytes both ways, until :meth:`stop` or the end of QEMU.

        From the host no more is taken than QEMU takes, so that a host that sends much is slowed and loses nothing.
        """
        waiting = b""
        while not self._stopping.is_set():
            if waiting:
                _, writable, _ = select.select([self._uart], [self._uart], [], _LOOK_S)
                if writable:
                    with contextlib.suppress(BlockingIOError, BrokenPipeError):
                        waiting = waiting[self._uart.send(waiting) :]
            else:
                self._terminal.wait(_LOOK_S, also=self._uart)
                waiting = self._terminal.read(_PIECE)
            try:
                data = self._uart.recv(_PIECE)
            except BlockingIOError:
                self._poke()
                continue
            except OSError:
                return
            if not data:
                return
            self._terminal.write(data)

    def _poke(self) -> None:
        """Wake QEMU's main loop.

        With ``-icount`` it sleeps until an event comes, and that the program has switched its receiver on is none (QEMU
        7.2, CMSDK APB UART): bytes from the host would lie there. A command on the monitor is one.
        """
        with contextlib.suppress(OSError):
            self._monitor.recv(_PIECE)  # the answers are of no interest
        with contextlib.suppress(OSError):
            self._monitor.send(b'{"execute": "query-name"}\n')

    def _last_words(self) -> Fault:
        self._words.seek(0)
        text = self._words.read(64 * 1024).decode("utf-8", "replace")
        lockup = _LOCKUP.search(text)
        if lockup is None:
            lines = [printable(line) for line in text.splitlines() if line.strip()]
            raise DeviceError(
                "emulator-died",
                f"{PROGRAM} ended with code {self._process.returncode}",
                why="Its last words: " + " / ".join(lines[-3:]) if lines else "It said nothing.",
                next="Somebody ended it, or this version of QEMU lacks something.",
            )
        registers = {int(number): int(value, 16) for number, value in _REGISTER.findall(text)}
        pc = registers.get(15, 0)
        return Fault(
            kind="lockup",
            address=0,
            pc=pc,
            lr=registers.get(14, 0),
            sp=registers.get(13, 0),
            function=self._image.function_at(pc),
        )

    def _end(self) -> None:
        for number in (signal.SIGTERM, signal.SIGKILL):
            if self._process.poll() is not None:
                break
            self._process.send_signal(number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(_STOP_S)
        self._uart.close()
        self._monitor.close()
        self._words.close()


def _dies_with_us() -> list[str]:
    """Linux ends QEMU when this process is killed; elsewhere QEMU would stay."""
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", "KILL", "--"] if setpriv else []
