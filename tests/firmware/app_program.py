"""The firmware's command loop compiled for the host, with the address and undefined-behaviour sanitizers."""

from __future__ import annotations

import struct
import subprocess
from collections.abc import Callable, Iterable
from pathlib import Path

from pipeline import resources

SIZE = 300
#: Takes what the program hears, a number being a pause in milliseconds; gives what it says.
Program = Callable[[Iterable[bytes | int]], bytes]


def compiled(
    folder: Path, output: str = "kInt8", *, keep: bool, rows: int = 0, flip: int = 0, model_id: str = "model"
) -> Program:
    """The program, with the sanitizers.

    Args:
        folder: To compile in.
        output: Type of the output's elements.
        keep: The output is the input even of later inferences.
        rows: Of a streamed input; 0: resident.
        flip: What `db` changes in each byte.
        model_id: What `profile` says.
    """
    templates = resources.firmware_templates()
    program = folder / "app"
    command = ["g++", "-std=gnu++17", "-O1", "-Wall", "-Wextra", "-Werror", "-fno-exceptions", "-fno-rtti"]
    command += ["-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-static-libasan"]
    command += [f"-DHARNESS_BYTES={SIZE}", f"-DHARNESS_OUTPUT={output}", f"-DHARNESS_KEEP={int(keep)}"]
    command += [f"-DHARNESS_ROWS={rows}", f"-DHARNESS_FLIP={flip}", f'-DHARNESS_MODEL="{model_id}"']
    command += [f"-I{templates / part}" for part in ("app", "port", "runtime")]
    command += [str(Path(__file__).parent / "app_harness.cpp")]
    command += [str(path) for path in sorted((templates / "app").glob("*.cpp")) if path.name != "main.cpp"]
    subprocess.run([*command, "-o", str(program)], check=True)

    def run(events: Iterable[bytes | int]) -> bytes:
        """What the program says when it hears these bytes; a number is a pause in milliseconds."""
        chunks, pause = b"", 0
        for event in events:
            if isinstance(event, int):
                pause += event
            elif event:
                chunks += struct.pack("<II", pause, len(event)) + event
                pause = 0
        chunks += struct.pack("<II", pause + 1, 1) + b"\n"
        done = subprocess.run([str(program)], input=chunks, capture_output=True, check=False, timeout=60)
        assert (done.returncode, done.stderr) == (0, b""), done.stderr.decode()
        return done.stdout

    return run
