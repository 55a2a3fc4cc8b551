"""A model made into a program, and a program on a device, without a run directory.

The stages of a run, ``profile``, ``diff`` and the benchmarks all come here::

    made = make(content, board, into=folder, recipe=Recipe())
    with started(made.program, board, target) as running, conversation(board, running) as session:
        session.connect()
        session.verify(made.expected)
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict

from pipeline import preflight
from pipeline.boards import Board
from pipeline.errors import DanasError
from pipeline.estimate.model import InputMode, Limits, Prefer
from pipeline.settings import Target

if TYPE_CHECKING:
    from pipeline.device.flash import Program, RunningDevice
    from pipeline.device.protocol import Expected, Session
    from pipeline.estimate.model import MemoryPlan
    from pipeline.firmware.build import Firmware
    from pipeline.firmware.runtimes.protocol import Runtime
    from pipeline.graph.model import Graph


class Recipe(BaseModel):
    """How a model is made into a program, beside the board.

    Attributes:
        environment: PlatformIO environment; None: the board's local one.
        prefer: What the firmware is made for.
        input_mode: How the firmware takes its input.
        runtime: Name of the inference engine.
        tflm_tree: Source tree of TensorFlow Lite Micro, for ``tflm``.
        least_arena: Bytes that the arena has at least, whatever the plan needs; see
            :class:`~pipeline.errors.ArenaTooSmallError`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    environment: str | None = None
    prefer: Prefer = Prefer.BALANCED
    input_mode: InputMode = InputMode.RESIDENT
    runtime: Literal["aot", "tflm"] = "aot"
    tflm_tree: str | None = None
    least_arena: int = 0

    def engine(self) -> Runtime:
        """The inference engine.

        Raises:
            UsageError: ``tflm-tree-missing``, ``tflm-tree-incomplete``.
        """
        from pipeline.firmware.runtimes import open_runtime

        return open_runtime(self.runtime, tflm_tree=self.tflm_tree)


@contextlib.contextmanager
def workplace(
    board: Board,
    target: Target,
    recipe: Recipe,
    folder: Path | None,
    *,
    what: str = "",
    on_wait: Callable[[str], None] | None = None,
) -> Iterator[Path]:
    """A folder to build in, after a check of all that can be checked before: device, compiler, disk, the path.

    The device is held until the context ends: what is flashed several times is not flashed in turns with others.

    Args:
        board: The board type.
        target: The device that will be needed.
        recipe: How the model will be made into a program.
        folder: One to keep; None: a temporary one, which goes when the context ends.
        what: What others are told who want the device meanwhile.
        on_wait: Told who is waited for, where another job has the device.

    Raises:
        DanasError: What :mod:`pipeline.preflight` raises.
    """
    from pipeline.device.locks import held
    from pipeline.firmware import platformio

    device = preflight.device(board, target)
    preflight.compiler(recipe.environment or board.build.usual, board)
    preflight.uploader(recipe.environment or board.build.usual, board, device)
    recipe.engine()
    with contextlib.ExitStack() as stack:
        stack.enter_context(held(device, wait_s=target.wait_s, run=what, on_wait=on_wait))
        place = folder or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="danas-")))
        platformio.demand_safe(place.resolve())
        preflight.disk(place)
        yield place.resolve()


@dataclass(frozen=True)
class Made:
    """A model that has become a program.

    Attributes:
        content: The bytes of the .tflite, weights inside.
        graph: The same, read.
        plan: The memory plan that the program runs.
        firmware: What was built.
        program: What is flashed.
        expected: Who must answer when it runs.
    """

    content: bytes
    graph: Graph
    plan: MemoryPlan
    firmware: Firmware
    program: Program
    expected: Expected


def make(
    content: bytes,
    board: Board,
    *,
    into: Path,
    recipe: Recipe | None = None,
    on_line: Callable[[str], None] | None = None,
) -> Made:
    """Read, plan, render and build a model.

    Args:
        content: The bytes of a .tflite.
        board: The board type.
        into: Folder of sources and build. What an earlier call left there is used again: of two models that differ
            little, only the difference is compiled.
        recipe: How to make it.
        on_line: Called with each line that the build prints.

    Raises:
        DoesNotFitError: ``does-not-fit``, by the estimate.
        DanasError: What reader, planner, renderer and build raise.
    """
    from pipeline.device.flash import Program
    from pipeline.device.protocol import Expected
    from pipeline.estimate.fitting import demand_fit
    from pipeline.firmware import build, render
    from pipeline.graph.reader import parse
    from pipeline.graph.repack import self_contained

    recipe = recipe if recipe is not None else Recipe()
    content = self_contained(content)
    graph = parse(content)
    engine = recipe.engine()
    memory = engine.plan(graph, board, prefer=recipe.prefer, input_mode=recipe.input_mode)
    memory = replace(memory, arena_bytes=max(memory.arena_bytes, recipe.least_arena))
    limits = Limits(ram_bytes=board.ram_bytes, flash_bytes=board.flash_bytes)
    demand_fit(graph, memory, engine.estimate(graph, board, memory), limits, board)
    rendered = render.render(graph, memory, board, into=into, runtime=engine, environment=recipe.environment)
    firmware = build.build(rendered.folder, board, environment=recipe.environment, on_line=on_line)
    return Made(
        content=content,
        graph=graph,
        plan=memory,
        firmware=firmware,
        program=Program(folder=rendered.folder, environment=firmware.environment, elf=firmware.elf),
        expected=Expected(board=board.name, build=firmware.build_id, model=graph.sha256),
    )


@contextlib.contextmanager
def started(
    program: Program,
    board: Board,
    target: Target,
    *,
    flash: bool = True,
    on_line: Callable[[str], None] | None = None,
    what: str = "",
    on_retry: Callable[[DanasError], None] | None = None,
) -> Iterator[RunningDevice]:
    """The device of ``target`` with the program on it: emulated, or a board, which is held until it is let go of.

    Args:
        program: What is flashed.
        board: The board type.
        target: Which device.
        flash: False: the board has the program already. An emulated one is always flashed.
        on_line: Called with each line that the flashing tool prints, and with who is waited for.
        what: What others are told who want the device meanwhile.
        on_retry: Told why an upload has failed that is tried again.

    Raises:
        NoBoardError: No board, an ambiguous one, or one that is in use.
        FlashError: The program did not get onto it.
    """
    from pipeline.device.discovery import device_of
    from pipeline.device.flash import EmulatedFlasher, Flasher, PlatformioFlasher, RunningDevice
    from pipeline.device.locks import held
    from pipeline.device.ports import demand_usable

    device = device_of(board, target)
    with held(device, wait_s=target.wait_s, run=what, on_wait=on_line):
        if device.port is not None:
            demand_usable(device.port)
            if not flash:
                yield RunningDevice(device.port, device)
                return
        flasher: Flasher = (
            EmulatedFlasher(board.emulated_by(target.emulator))
            if device.emulated
            else PlatformioFlasher(device, on_retry=on_retry)
        )
        with flasher.flash(program, on_line=on_line) as running:
            yield running


@contextlib.contextmanager
def conversation(board: Board, running: RunningDevice) -> Iterator[Session]:
    """A conversation with a running device, not yet connected."""
    from pipeline.device.link import SerialLink
    from pipeline.device.protocol import Session

    link = SerialLink(running.port, baud=board.serial.baud)
    try:
        yield Session(link, health=running.check)
    finally:
        link.close()
