"""Everything that can fail before work begins, checked before work begins: minutes of training are never lost."""

from __future__ import annotations

import importlib.util
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline import boards
from pipeline.boards import Board
from pipeline.errors import EnvironmentProblem, UsageError, printable
from pipeline.files import disk_problem
from pipeline.firmware import platformio
from pipeline.firmware.runtimes import open_runtime
from pipeline.settings import Settings, Target

if TYPE_CHECKING:
    from pipeline.device.discovery import Device

#: Least free disk space for a run: supernets, build output and images.
LEAST_FREE_BYTES = 300 * 2**20


def preflight(settings: Settings, folder: Path | None, *, needs_board: bool) -> None:
    """Check board, device, tools and disk, the quickest first. Nothing heavy is imported.

    Without ``needs_board`` the run may end before there is a program: then neither device nor compiler is asked for.

    Raises:
        UsageError: ``unknown-board``, ``fix-missing``, ``one-objective``, ``published-space``, ``published-workers``,
            ``not-deployable``, ``not-modelled``, ``other-board-type``, ``no-emulator``, ``unsafe-folder``,
            ``tflm-tree-missing``, ``tflm-tree-incomplete``, and what :func:`pipeline.device.lab.open_lab` raises.
        NoBoardError: ``no-board``, ``ambiguous-board``, ``unknown-device``, ``not-attached``, ``no-such-port``,
            ``port-not-serial``, ``port-permission``.
        EnvironmentProblem: ``missing-extra``, ``missing-qemu``, ``missing-compiler``, ``missing-openocd``,
            ``disk-full``.
    """
    board = boards.load(settings.board)
    settings.demand_strategy()
    if needs_board:
        settings.demand_deployable()
    settings.demand_modelled(board)
    if needs_board:
        found = device(board, settings.target)
        compiler(settings.environment or board.build.usual, board)
        uploader(settings.environment or board.build.usual, board, found)
    open_runtime(settings.runtime, tflm_tree=settings.tflm_tree)
    platformio.demand_safe((folder or Path()).resolve())
    disk(folder or Path())


def device(board: Board, target: Target) -> Device:
    """A device to run on, of this board type: an emulator that can start, or a port that is there."""
    from pipeline.device import discovery, ports

    found = discovery.device_of(board, target)
    if found.emulated:
        if board.emulator is None:
            raise UsageError(
                "no-emulator",
                f"{board.name} cannot be emulated",
                why="Its board file has no [emulator] section.",
                next="Attach the board and leave --emulate out.",
            )
        if isinstance(board.emulated_by(target.emulator).emulator, boards.QemuEmulator):
            if shutil.which("qemu-system-arm") is None:
                raise EnvironmentProblem(
                    "missing-qemu",
                    "qemu-system-arm is not on PATH",
                    why=f"The emulated {board.name} is a machine of QEMU's.",
                    next="apt-get install qemu-system-arm",
                )
            return found
        if importlib.util.find_spec("unicorn") is None:
            raise EnvironmentProblem(
                "missing-extra",
                "the emulated board needs Unicorn",
                why="The extra `emulator` is not installed.",
                next="pip install 'danas-deploy[emulator]'",
            )
        return found
    if found.port is not None:
        ports.demand_there(found.port)
    return found


def compiler(environment: str, board: Board) -> None:
    """The local environment builds with the compiler on PATH; the registry's brings its own."""
    if environment == board.build.local and shutil.which("arm-none-eabi-gcc") is None:
        raise EnvironmentProblem(
            "missing-compiler",
            "arm-none-eabi-gcc is not on PATH",
            why=f"The environment {environment} builds with the compiler of this machine.",
            next=f"apt-get install {platformio.COMPILER_PACKAGES}"
            + (f", or use --environment {board.build.registry}, which downloads one." if board.build.registry else "."),
        )


def uploader(environment: str, board: Board, found: Device) -> None:
    """The local environment uploads with the OpenOCD on PATH; the registry's brings its own."""
    from pipeline.device import openocd

    if (
        environment == board.build.local
        and board.chip is not None
        and not found.emulated
        and not shutil.which("openocd")
    ):
        raise openocd.not_installed(board)


def disk(folder: Path) -> None:
    """Room for a run."""
    existing = folder.absolute()
    try:
        while not existing.exists():
            existing = existing.parent
        free = shutil.disk_usage(existing).free
    except OSError as error:
        raise disk_problem(error, folder) from error
    if free < LEAST_FREE_BYTES:
        raise EnvironmentProblem(
            "disk-full",
            f"{printable(existing)} has {free // 2**20} MiB left",
            why=f"A run needs {LEAST_FREE_BYTES // 2**20} MiB.",
            next="Free some space, or name another folder with --run.",
        )
