#!/usr/bin/env python3
"""Speed of the emulated board: instructions a second with and without the compiled path, loading, and idling.

A small network is rendered and built; the figures are of this machine, never of the board.

    python benchmarks/emulator_speed.py
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np

from pipeline import boards
from pipeline.device import emulated
from pipeline.device.link import SerialLink
from pipeline.device.protocol import Session
from pipeline.estimate.planner import plan
from pipeline.firmware.build import build
from pipeline.firmware.render import render
from pipeline.graph.model import DType, Graph, MeanOptions, OpCode, WindowOptions
from pipeline.graph.reader import parse
from pipeline.graph.writer import ModelWriter

SIDE = 96
CHANNELS = 8


def network() -> Graph:
    """A convolution of 96×96×3 to 48×48×8 and the mean over the image."""
    rng = np.random.default_rng(0)
    writer = ModelWriter()
    x = writer.tensor((1, SIDE, SIDE, 3), DType.INT8, scale=1 / 255, zero_point=-128)
    kernel = rng.integers(-127, 128, (CHANNELS, 3, 3, 3))
    w = writer.tensor((CHANNELS, 3, 3, 3), DType.INT8, scale=[0.01] * CHANNELS, data=kernel)
    b = writer.tensor((CHANNELS,), DType.INT32, scale=[0.01 / 255] * CHANNELS, data=np.zeros(CHANNELS))
    y = writer.tensor((1, SIDE // 2, SIDE // 2, CHANNELS), DType.INT8, scale=0.02)
    writer.operator(OpCode.CONV_2D, [x, w, b], [y], WindowOptions(stride=(2, 2)), version=3)
    out = writer.tensor((1, CHANNELS), DType.INT8, scale=0.02)
    writer.operator(OpCode.MEAN, [y], [out], MeanOptions((1, 2)), version=2)
    return parse(writer.finish([x], [out]))


def cpu_seconds(process: int) -> float:
    """User and system time of a process, seconds, in steps of 10 ms (Linux, proc(5))."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


def show(board: boards.Board, elf: Path, *, pure_python: bool, repeats: int) -> None:
    """Measure one path and print a line."""
    with emulated.start(board, elf, pure_python=pure_python) as device:
        link = SerialLink(device.port, baud=board.serial.baud)
        session = Session(link, health=device.check)
        data = bytes(session.connect().input_bytes)
        loads = []
        for _ in range(9):
            begin = time.perf_counter()
            session.load(data)
            loads.append(time.perf_counter() - begin)
        session.infer(1)  # the engine translates each block once
        session.load(data)
        before, cpu_before, begin = device.statistics(), cpu_seconds(device.process_id), time.perf_counter()
        session.infer(repeats)
        wall, cpu = time.perf_counter() - begin, cpu_seconds(device.process_id) - cpu_before
        done = ((device.statistics().instructions or 0) - (before.instructions or 0)) / 1e6
        idle_before = cpu_seconds(device.process_id)
        time.sleep(5)
        idle = (cpu_seconds(device.process_id) - idle_before) / 5
        link.close()
    print(
        f"{before.path:>6}: {done / wall:6.1f} MIPS of wall time, {done / max(cpu, 0.01):6.1f} of CPU time; "
        f"{len(data)} bytes loaded in {statistics.median(loads) * 1000:.0f} ms; idle {idle:.1%} of a core"
    )


def main() -> None:
    """Build once, measure both paths."""
    parser = argparse.ArgumentParser(description="Speed of the emulated board on this machine.")
    parser.add_argument("--board", default="nucleo_f746zg")
    board = boards.load(parser.parse_args().board)
    graph = network()
    with tempfile.TemporaryDirectory() as folder:
        rendered = render(graph, plan(graph), board, into=Path(folder))
        firmware = build(rendered.folder, board)
        show(board, firmware.elf, pure_python=False, repeats=200)
        show(board, firmware.elf, pure_python=True, repeats=20)


if __name__ == "__main__":
    main()
