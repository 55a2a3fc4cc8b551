#!/usr/bin/env python3
"""Measurements over a bad cable: each must be right, or end with a clean error, before its deadline.

An operation is one write of the host, or one piece of bytes that arrives at it (`pipeline/device/faults.py`); each kind
of fault has the same probability in each operation. A measurement is what a run makes of its device: identity, memory,
inputs, outputs, cycles, operators. Every figure is compared with those of a measurement over a good cable.

    python benchmarks/soak.py                          # 1,000 measurements of the fake device; seconds
    python benchmarks/soak.py --emulated nucleo_f746zg --measurements 200
    python benchmarks/soak.py --pull 200               # the cable is pulled at a random byte, on a pseudo-terminal
    python benchmarks/soak.py --pull 200 --emulated nucleo_f746zg   # the emulated board is killed

Exit code 1 where a figure was wrong, a deadline was passed or an error was none of ours.
"""

from __future__ import annotations

import argparse
import contextlib
import random
import sys
import tempfile
import threading
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.device.deadline import Clock, ManualClock
from pipeline.device.fake import FakeDevice, fake_identity
from pipeline.device.fake_port import FakePort
from pipeline.device.faults import KINDS, Faults, FaultyLink, Kind
from pipeline.device.link import Link, MemoryLink, SerialLink
from pipeline.device.measure import Measurement, longest_s, measure
from pipeline.device.protocol import Session, Timeouts
from pipeline.errors import DanasError

if TYPE_CHECKING:
    from pipeline.device.emulated import EmulatedDevice

#: After these a measurement cannot go on: nobody plugs the cable in again.
FINAL: tuple[Kind, ...] = ("disconnect", "hang")
_SLACK_S = 5.0  # on a real clock: threads and processes of a busy machine
_QUICK = Timeouts(connect=4.0, answer=2.0, load=6.0, run=3.0)


@dataclass
class Tally:
    """What came of many measurements.

    Attributes:
        title: Of the row.
        right: Measurements whose figures are those over a good cable.
        errors: Those that ended with an error of ours, by its id.
        wrong: Descriptions of those with a wrong figure.
        late: The same, of those that took longer than they may.
        foreign: The same, of those that raised something else.
    """

    title: str
    measurements: int = 0
    right: int = 0
    repeated: int = 0
    restarts: int = 0
    asked_again: int = 0
    operations: int = 0
    longest: float = 0.0
    limit: float = 0.0
    errors: Counter[str] = field(default_factory=Counter)
    injected: Counter[Kind] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    late: list[str] = field(default_factory=list)
    foreign: list[str] = field(default_factory=list)

    @property
    def failed(self) -> list[str]:
        """What may never happen."""
        return [*self.wrong, *self.late, *self.foreign]

    def take(self, number: int, run: Callable[[], Measurement], truth: Measurement, clock: Clock) -> None:
        """Make one measurement and count what came of it."""
        self.measurements += 1
        begin = clock()
        try:
            found = run()
        except DanasError as error:
            self.errors[error.id] += 1
        except Exception as error:  # that is what is looked for
            self.foreign.append(f"{self.title}, {number}: {error!r}")
        else:
            plain = found.model_copy(update={"repeated": 0, "restarts": 0})
            self.right += plain == truth
            self.repeated += found.repeated
            self.restarts += found.restarts
            if plain != truth:
                self.wrong.append(f"{self.title}, {number}: {_difference(plain, truth)}")
        seconds = clock() - begin
        self.longest = max(self.longest, seconds)
        if seconds > self.limit:
            self.late.append(f"{self.title}, {number}: {seconds:.1f} s, at most {self.limit:.1f} s")


def _difference(found: Measurement, truth: Measurement) -> str:
    pairs = zip(found.model_dump().items(), truth.model_dump().values(), strict=True)
    return "; ".join(f"{name} {value} instead of {wanted}" for (name, value), wanted in pairs if value != wanted)


def _inputs(seed: int, count: int, size: int) -> list[bytes]:
    rng = random.Random(seed)
    return [rng.randbytes(size) for _ in range(count)]


# The fake device, in this process.


def fake_device(rows: int, clock: Clock, size: int) -> FakeDevice:
    """A device whose output and cycles both tell which input they belong to."""
    return FakeDevice(
        fake_identity(input_bytes=size, input_rows=rows, output_bytes=20),
        model=lambda data: random.Random(zlib.crc32(data)).randbytes(20),
        cycles=lambda data: 100_000 + zlib.crc32(data) % 900_000,
        clock=clock,
    )


def soak_fake(title: str, measurements: int, faults: Faults, *, inputs: int = 2, seed: int = 0) -> Tally:
    """Measurements of the fake device on a clock that only waiting moves; every other one takes its input by rows."""
    timeouts = Timeouts()
    tally = Tally(title, limit=longest_s(timeouts, inputs=inputs, output_bytes=20))
    for number in range(measurements):
        rows, size = (8, 640) if number % 2 else (0, 700)
        data = _inputs(seed + number, inputs, size)

        def session(
            faults: Faults, rows: int = rows, size: int = size, number: int = number
        ) -> tuple[Session, FaultyLink, Clock]:
            clock = ManualClock()
            device = fake_device(rows, clock, size)
            memory = MemoryLink(device, clock=clock)

            def restart() -> Link:
                device.restart()
                return memory

            link = FaultyLink(memory, faults, seed=seed + number, clock=clock, reset=restart)
            return Session(link, clock=clock, timeouts=timeouts, tag=1 + (seed + number) * 1000), link, clock

        good, _, _ = session(Faults())
        truth = measure(good, inputs=data)
        bad, link, clock = session(faults)
        tally.take(number, lambda bad=bad, data=data: measure(bad, inputs=data), truth, clock)  # type: ignore[misc]
        tally.asked_again += bad.asked_again
        tally.operations += link.operations
        tally.injected += link.injected
    return tally


def pull_fake(title: str, measurements: int, *, seed: int = 0) -> Tally:
    """Measurements over a pseudo-terminal that is hung up behind a random byte of what the device says."""
    tally = Tally(title, limit=longest_s(_QUICK, inputs=2, output_bytes=20) + _SLACK_S)
    rng = random.Random(seed)
    data = _inputs(seed, 2, 700)

    def run(port: FakePort) -> Measurement:
        link = SerialLink(port.port, baud=115_200)
        try:
            return measure(Session(link, timeouts=_QUICK), inputs=data)
        finally:
            link.close()

    with FakePort(fake_device(0, time.monotonic, 700)) as port:
        truth = run(port)
        said = port.said
    for number in range(measurements):
        with FakePort(fake_device(0, time.monotonic, 700), unplug_after=rng.randint(0, said)) as port:
            tally.take(number, lambda port=port: run(port), truth, time.monotonic)  # type: ignore[misc]
    return tally


# The emulated board.


@contextlib.contextmanager
def program(board_name: str) -> Iterator[tuple[Callable[[], Board], int]]:
    """Starts emulated boards with a small network; and the size of its input, bytes."""
    from pipeline import boards
    from pipeline.device import emulated
    from pipeline.estimate.planner import plan
    from pipeline.firmware.build import build
    from pipeline.firmware.render import render
    from pipeline.genotype import Genotype
    from pipeline.graph.filling import filled
    from pipeline.graph.skeleton import from_genotype

    board = boards.load(board_name)
    graph = filled(from_genotype(Genotype.parse("32-mono-d10000-a02"), 2), seed=9)
    with tempfile.TemporaryDirectory(prefix="danas-soak-") as folder:
        firmware = build(render(graph, plan(graph), board, into=Path(folder)).folder, board)
        yield lambda: Board(emulated.launch(board, firmware.elf), board.serial.baud), graph.input.nbytes


class Board:
    """A running emulated board and the link to it."""

    def __init__(self, device: EmulatedDevice, baud: int) -> None:
        self.device = device
        self.link = SerialLink(device.port, baud=baud)

    def stop(self) -> None:
        """Close the link and end the emulator."""
        self.link.close()
        self.device.stop()


def soak_emulated(title: str, board: str, measurements: int, faults: Faults, *, seed: int = 0) -> Tally:
    """Measurements of an emulated board, which is started anew where it is reset.

    What its memory held before the first inference is not compared: that depends on the measurements before.
    """
    with program(board) as (start, size):
        data = _inputs(seed, 1, size)
        running = start()
        try:
            truth = measure(Session(running.link), inputs=data)
            tally = Tally(title, limit=longest_s(_QUICK, inputs=1, output_bytes=2) + _SLACK_S)
            for number in range(measurements):

                def restart() -> Link:
                    nonlocal running
                    running.stop()
                    running = start()
                    return running.link

                link = FaultyLink(running.link, faults, seed=seed + number, reset=restart)
                session = Session(link, timeouts=_QUICK, tag=1 + (seed + number) * 1000)

                def run(session: Session = session) -> Measurement:
                    found = measure(session, inputs=data)
                    return found.model_copy(update={"memory_before": truth.memory_before})

                tally.take(number, run, truth, time.monotonic)
                tally.asked_again += session.asked_again
                tally.operations += link.operations
                tally.injected += link.injected
        finally:
            running.stop()
    return tally


def pull_emulated(title: str, board: str, measurements: int, *, seed: int = 0) -> Tally:
    """Measurements of emulated boards whose process, and with it the port, is ended at a random moment of each."""
    rng = random.Random(seed)
    with program(board) as (start, size):
        data = _inputs(seed, 1, size)

        def run(running: Board) -> Measurement:
            session = Session(running.link, timeouts=_QUICK, health=running.device.check)
            return measure(session, inputs=data)

        running = start()
        try:
            begin = time.monotonic()
            truth = run(running)
            usual = time.monotonic() - begin
        finally:
            running.stop()
        tally = Tally(title, limit=longest_s(_QUICK, inputs=1, output_bytes=2) + _SLACK_S)
        for number in range(measurements):
            running = start()
            try:
                timer = threading.Timer(rng.uniform(0, usual * 1.1), running.device.kill)
                timer.start()
                tally.take(number, lambda running=running: run(running), truth, time.monotonic)  # type: ignore[misc]
                timer.cancel()
                timer.join()
            finally:
                running.stop()
    return tally


# What is printed.


def table(tallies: list[Tally], *, injected: bool) -> str:
    """The rows as Markdown."""
    lines = [
        "| device | measurements | right | clean errors | wrong figures | past the deadline | repeated inferences | "
        "restarts seen | commands asked again | longest (limit), s |",
        "|---|---:|---:|---|---:|---:|---:|---:|---:|---:|",
    ]
    for one in tallies:
        errors = ", ".join(f"{count} `{id_}`" for id_, count in sorted(one.errors.items())) or "none"
        lines.append(
            f"| {one.title} | {one.measurements:,} | {one.right:,} | {errors} | {len(one.wrong)} | {len(one.late)} | "
            f"{one.repeated:,} | {one.restarts:,} | {one.asked_again:,} | {one.longest:.1f} ({one.limit:.0f}) |"
        )
    if injected:
        lines += ["", f"| faults injected | operations | {' | '.join(KINDS)} |", "|---|---:|" + "---:|" * len(KINDS)]
        lines += [
            f"| {one.title} | {one.operations:,} | " + " | ".join(f"{one.injected[kind]:,}" for kind in KINDS) + " |"
            for one in tallies
        ]
    return "\n".join(lines)


def main() -> int:
    """Soak, print the table."""
    parser = argparse.ArgumentParser(description="Measurements over a bad cable.")
    parser.add_argument("--measurements", type=int, default=1000, metavar="N")
    parser.add_argument("--faults", default="1%", help="`1%%` of each kind, or `drop=1%%,corrupt=2%%` (default: 1%%)")
    parser.add_argument("--emulated", metavar="BOARD", help="an emulated board in the place of the fake device")
    parser.add_argument("--pull", type=int, metavar="N", help="pull the cable in each of N measurements instead")
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    try:
        faults = Faults.parse(chosen.faults)
    except DanasError as error:
        parser.error(f"{error} [{error.id}]")
    board = chosen.emulated
    where = f"emulated {board}" if board else "fake"
    if chosen.pull is not None:
        title = f"{where}, cable pulled"
        tallies = [
            pull_emulated(title, board, chosen.pull, seed=chosen.seed)
            if board
            else pull_fake(title, chosen.pull, seed=chosen.seed)
        ]
    else:
        kinds = [(f"{where}, all faults", faults)]
        survivable = replace(faults, **dict.fromkeys(FINAL, 0.0))
        kinds += [(f"{where}, without {' and '.join(FINAL)}", survivable)] if survivable != faults else []
        tallies = [
            soak_emulated(title, board, chosen.measurements, which, seed=chosen.seed)
            if board
            else soak_fake(title, chosen.measurements, which, seed=chosen.seed)
            for title, which in kinds
        ]
    print(table(tallies, injected=chosen.pull is None))
    failed = [line for tally in tallies for line in tally.failed]
    for line in failed[:20]:
        print(line, file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
