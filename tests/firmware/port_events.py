"""A port's start-up on the host, as a list of its accesses to registers."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

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
