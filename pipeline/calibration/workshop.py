"""Where probes are made: builds models for a board, one after the other, and runs them on its device."""

from __future__ import annotations

import configparser
import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

from pipeline import resources
from pipeline.boards import Board
from pipeline.device.discovery import find
from pipeline.device.flash import EmulatedFlasher, Flasher, PlatformioFlasher, Program, RunningDevice
from pipeline.device.link import SerialLink
from pipeline.device.protocol import Expected, Session
from pipeline.errors import DeviceError
from pipeline.estimate.planner import plan
from pipeline.firmware.build import Firmware, build
from pipeline.firmware.render import render
from pipeline.graph.inputs import random_inputs
from pipeline.graph.model import Graph
from pipeline.settings import Target

#: Tensors up to this size also go through the protocol's text commands, which are made for small ones.
_SMALL_BYTES = 512


class Workshop:
    """Builds models in one folder, so that what they share is compiled once, and runs them.

    Args:
        board: The board type.
        target: The device that runs them.
        folder: Of sources and build.
    """

    def __init__(self, board: Board, target: Target, folder: Path) -> None:
        self.board, self.target, self.folder = board, target, folder

    def other(self, board: Board) -> Workshop:
        """A workshop for another board, whose programs are built and not run."""
        return Workshop(board, Target(emulate=True), self.folder.with_name(f"{self.folder.name}-{board.name}"))

    def build(self, graph: Graph, *, streamed: bool = False) -> Firmware:
        """A model as a program, by the plan that it gets without a limit of RAM; ``streamed``: its input by rows."""
        render(graph, plan(graph, streamed_input=streamed), self.board, into=self.folder)
        return build(self.folder, self.board)

    @contextlib.contextmanager
    def running(self, graph: Graph, firmware: Firmware) -> Iterator[tuple[Session, RunningDevice]]:
        """A program on the device, connected, and the very one that was built."""
        program = Program(folder=self.folder, environment=firmware.environment, elf=firmware.elf)
        with self._flasher().flash(program) as device:
            link = SerialLink(device.port, baud=self.board.serial.baud)
            try:
                session = Session(link, health=device.check)
                session.connect()
                session.verify(Expected(board=self.board.name, build=firmware.build_id, model=graph.sha256))
                yield session, device
            finally:
                link.close()

    def stack_used(self, graph: Graph, firmware: Firmware) -> int:
        """Bytes of stack as the firmware reports them, after each command that a host may send.

        Raises:
            DeviceError: ``other-stack``: the emulator saw something else.
        """
        data = random_inputs(graph.input, 1, seed=0).tobytes()
        with self.running(graph, firmware) as (session, device):
            session.name()
            # Inference overwrites its input, so each needs one of its own.
            if len(data) <= _SMALL_BYTES:
                session.db_load(data)
                session.db_print(len(data))
            else:
                session.load(data)
            if graph.output.nbytes <= _SMALL_BYTES:
                session.infer(1)
                session.results()
                session.load(data)
            session.run()
            session.output(graph.output.nbytes)
            session.crc()
            session.ops()
            used = session.memory().stack_used
            seen = device.statistics().stack_used if device.statistics is not None else None
        if seen not in (None, used):
            raise DeviceError(
                "other-stack",
                f"the firmware reports {used} bytes of stack, the emulator saw {seen}",
                why="One of the two witnesses of the stack is wrong.",
                next="Report it: this is a bug of the firmware or of the emulated board.",
            )
        return used

    def _flasher(self) -> Flasher:
        if self.target.emulate:
            return EmulatedFlasher(self.board)
        return PlatformioFlasher(find(self.board, port=self.target.port, serial=self.target.serial_number))


def compiler() -> str:
    """The compiler's first line about itself."""
    found = subprocess.run(["arm-none-eabi-gcc", "--version"], capture_output=True, text=True, check=True)
    return found.stdout.partition("\n")[0]


def flags(board: Board) -> str:
    """The compiler's flags for a board, as platformio.ini has them."""
    parser = configparser.ConfigParser(interpolation=None)
    parser.read(resources.platformio_ini(), encoding="utf-8")
    lines = [*parser["firmware"]["build_flags"].split("\n"), *parser[f"board_{board.name}"]["build_flags"].split("\n")]
    return " ".join(line.strip() for line in lines if line.strip() and "$" not in line)
