"""The emulated board as a process: ``python -m pipeline.device.emulator --board NAME --elf ELF``.

stdout carries one JSON object a line: first ``{"ready": true, "port": …}``, then answers and, where the program
cannot go on, ``{"fault": {…}}``, after which the process ends with exit code 6. stdin takes one word a line:
``stats`` and ``stop``. The process ends when stdin is closed, so it never outlives whoever started it.

The board file chooses the engine: our model of the board on Unicorn, or a machine of QEMU's, which is a process of
its own below this one. Unicorn is under the GNU General Public License, version 2; see NOTICE.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import threading
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from pipeline import boards
from pipeline.device.emulator import image
from pipeline.device.emulator.machine import Fault, Machine
from pipeline.device.emulator.terminal import Terminal
from pipeline.errors import DanasError, DeviceError, EnvironmentProblem, UsageError, printable

_print_lock = threading.Lock()


def main(arguments: list[str] | None = None) -> int:
    """Run until stdin is closed, ``stop``, SIGTERM or a fault; the exit code."""
    options = _parse(arguments)
    try:
        return _run(options)
    except DanasError as error:
        _say({"error": error.as_dict()})
        return error.exit_code


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m pipeline.device.emulator",
        description="Run a board's unmodified ELF on an emulated board, its UART on a pseudo-terminal.",
        epilog="Control by lines on stdin: stats, stop. Ends when stdin is closed.",
    )
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--board", help="a known board type, such as nucleo_f746zg")
    which.add_argument("--board-file", type=Path, help="a board file")
    which.add_argument("--board-json", help="a board as JSON, as danas-deploy itself passes it")
    parser.add_argument(
        "--engine", type=boards.Engine, choices=list(boards.Engine), help="another engine than the board's first"
    )
    parser.add_argument("--elf", type=Path, required=True, help="the program")
    parser.add_argument("--link", type=Path, help="make a symbolic link to the port")
    parser.add_argument("--pure-python", action="store_true", help="do without the compiled fast path")
    return parser.parse_args(arguments)


def _run(options: argparse.Namespace) -> int:
    board = _board(options).emulated_by(options.engine)
    make = _maker(board, options)
    program = image.read(options.elf, board)
    terminal = Terminal(options.link)
    try:
        machine = make(program, terminal)
        signal.signal(signal.SIGTERM, lambda *_: machine.stop())
        signal.signal(signal.SIGINT, lambda *_: machine.stop())
        outcome = _Outcome()
        runner = threading.Thread(target=outcome.run, args=(machine,), name="board")
        _say({"ready": True, "port": terminal.port, "path": machine.path, "path_reason": machine.path_reason})
        runner.start()
        threading.Thread(target=_control, args=(machine,), name="control", daemon=True).start()
        while runner.is_alive():
            runner.join(0.2)  # short, so that signals get through
            if machine.stopping:
                machine.stop()
        return outcome.report(machine)
    finally:
        terminal.close()


def _maker(board: boards.Board, options: argparse.Namespace) -> Callable[[image.Image, Terminal], Machine]:
    """What makes the board's machine. Each engine is loaded only where it is wanted."""
    if board.emulator is None:
        raise UsageError(
            "no-emulator",
            f"{board.name} cannot be emulated",
            why="Its board file has no [emulator] table.",
            next="Attach the board, or choose one that `danas-deploy boards list` shows as emulated.",
        )
    if isinstance(board.emulator, boards.QemuEmulator):
        from pipeline.device.emulator.machine_qemu import QemuMachine

        chosen = board.emulator
        return lambda program, terminal: QemuMachine(chosen, options.elf, program, terminal)
    try:
        from pipeline.device.emulator.machine_unicorn import UnicornMachine  # the extra may not be installed
    except ImportError as error:
        if error.name is None or error.name.split(".")[0] != "unicorn":
            raise
        raise missing_extra() from error
    return lambda program, terminal: UnicornMachine(board, program, terminal, pure_python=options.pure_python)


def _board(options: argparse.Namespace) -> boards.Board:
    if options.board is not None:
        return boards.load(options.board)
    if options.board_file is not None:
        try:
            return boards.read(options.board_file)
        except OSError as error:
            raise UsageError(
                "board-file",
                f"cannot read {printable(options.board_file)}",
                why=printable(error),
                next="Check the path, or name a known board with --board.",
            ) from error
    try:
        return boards.Board.model_validate_json(options.board_json)
    except ValidationError as error:
        raise UsageError(
            "board-file", "--board-json is no board", why=printable(error), next="Use --board or --board-file."
        ) from error


class _Outcome:
    """What came of the thread that runs the board."""

    def __init__(self) -> None:
        self._fault: Fault | None = None
        self._error: BaseException | None = None

    def run(self, machine: Machine) -> None:
        try:
            self._fault = machine.run()
        except BaseException as error:  # handed to the main thread
            self._error = error

    def report(self, machine: Machine) -> int:
        if self._error is not None:
            raise self._error
        if self._fault is None:
            return 0
        _say({"fault": asdict(self._fault), "statistics": machine.statistics()})
        return DeviceError.exit_code


def _control(machine: Machine) -> None:
    # Unbuffered: a thread that waits in a buffered reader would hold its lock at the end of the process.
    for line in open(0, "rb", buffering=0, closefd=False):  # noqa: SIM115 - stdin is nobody's to close
        word = line.strip().decode("ascii", "replace")
        if word == "stats":
            _say({"statistics": machine.statistics()})
        elif word == "stop":
            break
        elif word:
            _say({"unknown": word[:40]})
    machine.stop()


def missing_extra() -> EnvironmentProblem:
    """The error where Unicorn is not installed."""
    return EnvironmentProblem(
        "missing-extra",
        "the emulated board needs the package unicorn",
        why="It is an optional extra, as it is under the GPL.",
        next="Install it: pip install 'danas-deploy[emulator]'.",
    )


def _say(message: dict[str, Any]) -> None:
    with _print_lock:
        try:
            sys.stdout.write(json.dumps(message) + "\n")
            sys.stdout.flush()
        except BrokenPipeError:
            pass  # whoever started us is gone; the closed stdin ends us


if __name__ == "__main__":
    sys.exit(main())
