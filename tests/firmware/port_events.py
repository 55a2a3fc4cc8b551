"""A port's start-up on the host, as a list of its accesses to registers, and registers to play it to."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Self

from firmware_samples import tiny

from pipeline import boards, resources
from pipeline.firmware import render


def events(name: str, folder: Path, *arguments: str, baud: int | None = None) -> list[str]:
    """Lines `R ADDRESS VALUE`, `W ADDRESS VALUE` and `HALT KIND ADDRESS` of the port's init on a board.

    Args:
        name: The board.
        folder: Made use of.
        arguments: Of the harness: ``dead`` or ``stuck``.
        baud: See :func:`pipeline.firmware.render.render`.
    """
    board = boards.load(name)
    graph, plan = tiny()
    render.render(graph, plan, board, into=folder / "rendered", baud=baud)
    port = folder / "rendered" / "lib" / "port"
    (folder / "first" / "cortex_m").mkdir(parents=True)
    here = Path(__file__).parent
    shutil.copy(here / "port_harness.h", folder / "first" / "cortex_m" / "registers.h")
    command = ["g++", "-std=gnu++17", "-Wall", "-Wextra", "-Werror", f"-I{folder / 'first'}", f"-I{port}"]
    command.append(f'-DHARNESS_REGISTERS="{resources.firmware_templates() / "port" / "cortex_m" / "registers.h"}"')
    command.append(f'-DHARNESS_CHIP="{here / f"port_chip_{board.port}.h"}"')
    command += [str(here / "port_harness.cpp"), *(str(path) for path in sorted((port / board.port).glob("*.cpp")))]
    subprocess.run([*command, "-o", str(folder / "port")], check=True)
    done = subprocess.run([str(folder / "port"), *arguments], capture_output=True, text=True, check=True, timeout=30)
    return done.stdout.splitlines()


class Registers:
    """What was last written to each register and last read from it.

    Args:
        after_reset: What they hold at first, where that is not 0.
    """

    def __init__(self, after_reset: Mapping[int, int]) -> None:
        self.written = dict(after_reset)
        self.seen: dict[int, int] = {}

    def get(self, address: int) -> int:
        """What was last written."""
        return self.written.get(address, 0)

    def saw(self, address: int, bits: int) -> bool:
        """Whether the last reading had all of these bits."""
        return self.seen.get(address, 0) & bits == bits

    def replay(self, lines: Iterable[str], check: Callable[[Self, int, int], None]) -> Self:
        """Play :func:`events`; ``check`` is asked before each write, with address and value."""
        for event in lines:
            what, place, value = event.split()
            if what == "W":
                check(self, int(place, 16), int(value, 16))
                self.written[int(place, 16)] = int(value, 16)
            elif what == "R":
                self.seen[int(place, 16)] = int(value, 16)
        return self
