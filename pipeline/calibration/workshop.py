"""Where probes are made: builds models for a board, one after the other, and runs them on its device."""

from __future__ import annotations

import contextlib
import datetime
from collections.abc import Iterator
from pathlib import Path

from pipeline.boards import Board
from pipeline.device.discovery import device_of
from pipeline.device.flash import EmulatedFlasher, Flasher, PlatformioFlasher, Program, RunningDevice
from pipeline.device.link import SerialLink
from pipeline.device.locks import held
from pipeline.device.ports import demand_usable
from pipeline.device.protocol import Expected, Session
from pipeline.errors import printable
from pipeline.estimate.planner import plan
from pipeline.estimate.profiles import Profile
from pipeline.firmware.build import Firmware, build
from pipeline.firmware.render import render
from pipeline.firmware.toolchain import compiler, flags
from pipeline.graph.model import Graph
from pipeline.settings import Target

#: Tensors up to this size also go through the protocol's text commands, which are made for small ones.
_SMALL_BYTES = 512

#: More than any probe has of static data.
_STATIC_BYTES = 16 * 1024

__all__ = ["Workshop", "compiler", "flags"]


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
        # What static data take is not known yet: where RAM is in several pieces, the arena lies as if they were large.
        made = plan(graph, streamed_input=streamed)
        render(graph, made, self.board, into=self.folder, static_bytes=_STATIC_BYTES)
        return build(self.folder, self.board)

    @contextlib.contextmanager
    def running(self, graph: Graph, firmware: Firmware) -> Iterator[tuple[Session, RunningDevice]]:
        """A program on the device, connected, and the very one that was built."""
        program = Program(folder=self.folder, environment=firmware.environment, elf=firmware.elf)
        with self._started(program) as device:
            link = SerialLink(device.port, baud=self.board.serial.baud)
            try:
                session = Session(link, health=device.check)
                session.connect()
                session.verify(Expected(board=self.board.name, build=firmware.build_id, model=graph.sha256))
                yield session, device
            finally:
                link.close()

    def profile(self, source: str) -> Profile:
        """Where a table comes from that is measured here, today.

        Args:
            source: What its figures are.
        """
        return Profile(
            cpu=self.board.core.cpu,
            board=self.board.name,
            compiler=compiler(),
            flags=flags(self.board),
            clock_hz=self.board.core.clock_hz,
            date=datetime.datetime.now(tz=datetime.UTC).date(),
            source=source,
        )

    @property
    def device(self) -> str:
        """What its programs run on, for a profile's source: ``emulated``, or ``measured on serial …``."""
        if self.target.emulate:
            return "emulated"
        found = device_of(self.board, self.target)
        return f"measured on serial {printable(found.serial_number or found.port, 100)}"

    @contextlib.contextmanager
    def _started(self, program: Program) -> Iterator[RunningDevice]:
        device = device_of(self.board, self.target)
        with held(device, wait_s=self.target.wait_s, run="calibrate"):
            if device.port is not None:
                demand_usable(device.port)
            flasher: Flasher = PlatformioFlasher(device)
            if device.emulated:
                flasher = EmulatedFlasher(self.board.emulated_by(self.target.emulator))
            with flasher.flash(program) as running:
                yield running
