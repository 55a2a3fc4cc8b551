#!/usr/bin/env python3
"""Write the calibration tables, one a processor, and compare the estimate with a network that they have not seen.

For each kernel a small model is rendered, built and read from its ELF, and run on the emulated board, whose firmware
reports the stack's high-water mark. What the programs have in common is the base; what they differ in is the kernels'.
One board of each processor is measured so (BOARDS); of the others with the same processor the program without kernels
is built alone, and what its flash and static RAM differ by is the port's. Then a MobileNetV2 with random weights is
estimated from the new table, built and run, and the figures printed.

    python benchmarks/calibrate.py
"""

from __future__ import annotations

import argparse
import configparser
import itertools
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from elftools.elf.elffile import ELFFile
from probes import PARTS, PROBES

from pipeline import boards, resources
from pipeline.boards import Board
from pipeline.device import emulated
from pipeline.device.link import SerialLink
from pipeline.device.protocol import Session
from pipeline.device.replies import Memory
from pipeline.estimate.estimator import estimate
from pipeline.estimate.kernels import constant_bytes, kernel_name, stage_state, structure_bytes, words
from pipeline.estimate.planner import plan
from pipeline.estimate.table import TABLES, Kernel, Port, Program, Table, load
from pipeline.firmware.build import build
from pipeline.firmware.elf import ElfReport
from pipeline.firmware.model_sources import model_sources
from pipeline.firmware.render import render
from pipeline.genotype import ALPHAS, MAX_DEPTHS, RESOLUTIONS, Colour, DataConfig, Genotype
from pipeline.graph.filling import filled
from pipeline.graph.inputs import random_inputs
from pipeline.graph.model import Graph
from pipeline.graph.skeleton import from_genotype

#: Calls in a kernel's two probes: what the longer adds over the shorter is the price of its further calls. Of fewer
#: than these the compiler makes a program of another form.
FEW, MANY = 4, 10
#: The boards that processors are measured on, by processor: emulated, with exact counts.
BOARDS = {"cortex-m4": "nucleo_l4r5zi", "cortex-m7": "nucleo_f746zg"}
SPEED_GENOTYPES = 1000
#: Tensors up to this size also go through the protocol's text commands, which are made for small ones.
SMALL_BYTES = 512
#: Long models: the function that calls the kernels needs more stack the more calls it makes.
LONG = ("32-mono-d00000-a01", "64-rgb-d34331-a03")
#: Bytes of stack to spare on top of that difference.
SPARE_STACK = 16
HELD_OUT = "96-rgb-d32100-a03"
_FUNCTION = "STT_FUNC"


# --- what a program is made of ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Anatomy:
    """Bytes of a program by what they belong to; ``functions`` are kernels' and libraries', by name."""

    report: ElfReport
    port: int
    runtime: int
    functions: dict[str, int]
    parameters: int

    @property
    def rodata(self) -> int:
        return self.report.sections[".rodata"]


def dissect(report: ElfReport) -> Anatomy:
    """Share out .text: each byte belongs to the last function that begins before it, padding and literals included."""
    with report.path.open("rb") as file:
        elf = ELFFile(file)
        text = elf.get_section_by_name(".text")
        start, end = text["sh_addr"], text["sh_addr"] + text["sh_size"]
        names: dict[int, str] = {}
        parameters = 0
        for symbol in elf.get_section_by_name(".symtab").iter_symbols():
            address, name = symbol["st_value"] & ~1, symbol.name
            if symbol["st_info"]["type"] == _FUNCTION and start <= address < end:
                names[address] = min(names.get(address, name), name)
            elif "kStage" in name and "kStages" not in name and symbol["st_size"]:
                parameters += -(-symbol["st_size"] // 4) * 4
    addresses = sorted(names)
    sizes = dict.fromkeys(("port", "runtime"), 0)
    sizes["port"] = addresses[0] - start
    functions: dict[str, int] = {}
    for address, following in zip(addresses, [*addresses[1:], end], strict=True):
        name, size = names[address], following - address
        if name.startswith("_ZN5danas7runtime"):
            sizes["runtime"] += size
        elif name.startswith("_ZN5danas3aot") or not name.startswith(("_ZN5danas", "danas_", "Reset_Handler", "main")):
            functions[name] = size
        else:
            sizes["port"] += size
    return Anatomy(report, functions=functions, parameters=parameters, **sizes)


# --- building and running --------------------------------------------------------------------------------------------


class Workshop:
    """Builds models in one folder, so that what they share is compiled once, and runs them."""

    def __init__(self, board: Board, folder: Path) -> None:
        self.board, self.folder = board, folder

    def build(self, graph: Graph) -> ElfReport:
        render(graph, plan(graph), self.board, into=self.folder)
        return build(self.folder, self.board).report

    def run(self, graph: Graph, report: ElfReport) -> Memory:
        """Memory as the firmware reports it, after each command that a host may send."""
        data = random_inputs(graph.input, 1, seed=0).tobytes()
        with emulated.start(self.board, report.path) as device:
            link = SerialLink(device.port, baud=self.board.serial.baud)
            try:
                session = Session(link, health=device.check)
                session.connect()
                session.name()
                # Inference overwrites its input, so each needs one of its own.
                if len(data) <= SMALL_BYTES:
                    session.db_load(data)
                    session.db_print(len(data))
                else:
                    session.load(data)
                if graph.output.nbytes <= SMALL_BYTES:
                    session.infer(1)
                    session.results()
                    session.load(data)
                session.run()
                session.output(graph.output.nbytes)
                session.crc()
                session.ops()
                memory = session.memory()
            finally:
                link.close()
            seen = device.statistics().stack_used
        if seen != memory.stack_used:
            raise RuntimeError(f"the firmware reports {memory.stack_used} bytes of stack, the emulator saw {seen}")
        return memory


class Causes:
    """Why functions are in programs.

    A program calls kernels and needs features of them (model_features.h). A function belongs to a kernel or a feature
    if all programs contain it that have that one; a program's functions must be those of its kernels and features
    together.
    """

    def __init__(self) -> None:
        self._programs: list[tuple[frozenset[str], frozenset[str]]] = []

    def add(self, graph: Graph, anatomy: Anatomy, *probed: str) -> None:
        """A program, the model that it was made of, and the kernel that it is to show."""
        memory = plan(graph)
        kernels = frozenset(kernel_name(graph, stage) for stage in memory.stages).union(probed)
        self._programs.append((kernels | model_sources(graph, memory).features.names, frozenset(anatomy.functions)))

    def owned(self) -> dict[str, frozenset[str]]:
        """The functions of each kernel and feature.

        Raises:
            RuntimeError: A program has a function that neither its kernels nor its features account for.
        """
        found: dict[str, frozenset[str]] = {}
        for names, functions in self._programs:
            for name in names:
                found[name] = found.get(name, functions) & functions
        for names, functions in self._programs:
            left = functions.difference(*(found[name] for name in names))
            if left:
                raise RuntimeError(f"no kernel and none of {sorted(names)} accounts for {sorted(left)}")
        return found


def calibrate(workshop: Workshop, say: Callable[[str], None]) -> Table:
    """Build and run every probe."""
    functions: dict[str, int] = {}
    kernels: dict[str, Kernel] = {}
    runtime, static = 0, 0
    found: dict[str, Anatomy] = {}
    causes = Causes()
    for name, probe in PROBES.items():
        few, many = dissect(workshop.build(probe(FEW))), dissect(workshop.build(probe(MANY)))
        graph, longer = probe(FEW), probe(MANY)
        short, long = plan(graph), plan(longer)
        found[name] = few
        causes.add(graph, few, name)
        causes.add(longer, many, name)
        for function, size in (*few.functions.items(), *many.functions.items()):
            functions[function] = max(size, functions.get(function, 0))
        more = len(long.stages) - len(short.stages)
        call = -(-(many.runtime - few.runtime) // more) if more else 0
        if more:
            runtime = max(runtime, few.runtime - call * len(short.stages))
        static = max(static, many.report.static_bytes - stage_state(len(long.stages)) - words(longer.output.nbytes))
        stack = workshop.run(longer, many.report).stack_used
        model = sum(constant_bytes(graph, operator) for stage in short.stages for operator in stage.operators)
        kernels[name] = Kernel(
            constants=max(0, few.rodata - structure_bytes(graph, short) - model - few.parameters),
            call=call,
            parameters=few.parameters // len(short.stages),
            stack=stack,
        )
        say(f"{name}: {kernels[name]}")
    for make in PARTS:
        graph = make()
        built = dissect(workshop.build(graph))
        causes.add(graph, built)
        for function, size in built.functions.items():
            functions[function] = max(size, functions.get(function, 0))
    owned = causes.owned()
    # What every program has is the program's.
    common = min(kernel.constants for kernel in kernels.values())
    shared = frozenset.intersection(*(owned[name] for name in kernels))
    # A model has one input and one output: their kernels have no second call.
    typical = max(kernel.call for kernel in kernels.values())
    for name, kernel in kernels.items():
        kernels[name] = kernel.model_copy(
            update={
                "call": kernel.call or typical,
                "constants": kernel.constants - common,
                "functions": tuple(sorted(owned[name] - shared)),
            }
        )
    first = next(iter(found.values()))
    return Table(
        schema_version=3,
        cpu=workshop.board.core.cpu,
        compiler=_compiler(),
        flags=_flags(workshop.board),
        program=Program(
            port_code=max(one.port + one.report.sections[".vectors"] for one in found.values()),
            runtime_code=runtime,
            constants=common,
            initialised=first.report.data_bytes,
            static=static,
            stack=min(kernel.stack for kernel in kernels.values()),
            calling_stack=SPARE_STACK + max(_deeper(workshop, kernels, genotype) for genotype in LONG),
            functions=tuple(sorted(shared)),
        ),
        ports=_ports(workshop),
        kernels=kernels,
        parts={
            name: tuple(sorted(one - shared))
            for name, one in sorted(owned.items())
            if name not in kernels and one - shared
        },
        functions=dict(sorted(functions.items())),
    )


def _ports(workshop: Workshop) -> dict[str, Port]:
    """Of every port that a board with this processor has, against the measured board's: one program on each."""
    base = workshop.build(PROBES["softmax"](FEW))
    ports = {workshop.board.port: Port(flash=0, static=0)}
    for other in map(boards.load, boards.names()):
        if other.core.cpu != workshop.board.core.cpu or other.port in ports:
            continue
        found = Workshop(other, workshop.folder.with_name(other.name)).build(PROBES["softmax"](FEW))
        ports[other.port] = Port(
            flash=found.flash_bytes - base.flash_bytes, static=found.static_bytes - base.static_bytes
        )
    return dict(sorted(ports.items()))


def _deeper(workshop: Workshop, kernels: dict[str, Kernel], genotype: str) -> int:
    """Bytes of stack of a long model beyond those of its deepest kernel's probe."""
    graph = filled(from_genotype(Genotype.parse(genotype), 2), seed=0)
    used = workshop.run(graph, workshop.build(graph)).stack_used
    return max(0, used - max(kernels[kernel_name(graph, stage)].stack for stage in plan(graph).stages))


def _compiler() -> str:
    found = subprocess.run(["arm-none-eabi-gcc", "--version"], capture_output=True, text=True, check=True)
    return found.stdout.partition("\n")[0]


def _flags(board: Board) -> str:
    parser = configparser.ConfigParser(interpolation=None)
    parser.read(resources.platformio_ini(), encoding="utf-8")
    lines = [*parser["firmware"]["build_flags"].split("\n"), *parser[f"board_{board.name}"]["build_flags"].split("\n")]
    return " ".join(line.strip() for line in lines if line.strip() and "$" not in line)


# --- the table as text -----------------------------------------------------------------------------------------------


def toml(table: Table) -> str:
    """The table as a TOML file."""

    def text(value: object) -> str:
        if isinstance(value, str):
            return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
        if isinstance(value, tuple):
            return "[" + ", ".join(text(item) for item in value) + "]"
        return str(value)

    def section(name: str, fields: dict[str, object]) -> list[str]:
        return ["", f"[{name}]", *(f"{key} = {text(value)}" for key, value in fields.items())]

    lines = [
        "# Bytes of code, constants and stack of our firmware, by processor and compiler. Source: ELF files of probe",
        "# programs, and the stack's high-water mark that they report on the emulated board. Not written by hand:",
        "#     python benchmarks/calibrate.py",
        *(f"{name} = {text(getattr(table, name))}" for name in ("schema_version", "cpu", "compiler", "flags")),
        *section("program", dict(table.program)),
    ]
    for name, port in table.ports.items():
        lines += section(f"ports.{name}", dict(port))
    for name, kernel in table.kernels.items():
        lines += section(f"kernels.{name}", dict(kernel))
    lines += section("parts", {text(name): part for name, part in table.parts.items()})
    # The compiler's names may have dots.
    lines += section("functions", {text(name): size for name, size in table.functions.items()})
    return "\n".join(lines) + "\n"


# --- the comparison --------------------------------------------------------------------------------------------------


def compare(workshop: Workshop, genotype: str, say: Callable[[str], None]) -> None:
    """Estimate against ELF and emulated board, for a network that no probe contains."""
    skeleton = from_genotype(Genotype.parse(genotype), 2)
    graph = filled(skeleton, seed=1)
    expected, blind = estimate(graph, workshop.board), estimate(skeleton, workshop.board)
    report = workshop.build(graph)
    memory = workshop.run(graph, report)
    parts = {item.name: item.bytes for item in expected.ram}
    measured_ram = memory.arena_used + memory.static_bytes + memory.stack_used
    rows = [
        ("arena", parts["arena"], memory.arena_used),
        ("static", parts["static"], memory.static_bytes),
        ("stack", parts["stack"], memory.stack_used),
        ("RAM", expected.ram_bytes, measured_ram),
        ("flash", expected.flash_bytes, report.flash_bytes),
        ("RAM, from the genotype", blind.ram_bytes, measured_ram),
        ("flash, from the genotype", blind.flash_bytes, report.flash_bytes),
    ]
    say(f"\n{genotype}, {len(graph.operators)} operators, {expected.macs} MAC")
    say(f"{'':26}{'estimate':>10}{'actual':>10}{'difference':>12}")
    for name, guess, actual in rows:
        say(f"{name:26}{guess:>10}{actual:>10}{100 * (guess - actual) / max(actual, 1):>11.2f}%")


def speed(board: Board, say: Callable[[str], None]) -> None:
    """How many genotypes a second the search can rule out."""
    generator = random.Random(0)
    depths = [
        (a, b, c, d, e)
        for a, b, c, d, e in itertools.product(*(range(most + 1) for most in MAX_DEPTHS))
        if all(earlier or not later for earlier, later in itertools.pairwise((a, b, c, d, e)))
    ]
    genotypes = []
    for _ in range(SPEED_GENOTYPES):
        data = DataConfig(generator.choice(RESOLUTIONS), generator.choice(list(Colour)))
        genotypes.append(Genotype(data, generator.choice(depths), generator.choice(ALPHAS)))
    begin = time.process_time()
    for genotype in genotypes:
        estimate(from_genotype(genotype, 2), board)
    say(f"\n{len(genotypes) / (time.process_time() - begin):.0f} genotypes estimated a second of one core's time")


def main(arguments: Sequence[str] | None = None) -> int:
    """Calibrate and compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--board", action="append", choices=[*BOARDS.values()], help="this board's processor alone")
    parser.add_argument("--genotype", action="append", help=f"network to compare with (default: {HELD_OUT})")
    parser.add_argument("--compare-only", action="store_true", help="keep the tables as they are")
    options = parser.parse_args(arguments)
    for name in options.board or BOARDS.values():
        board = boards.load(name)
        print(f"\n{board.title}, {board.core.cpu}")
        with tempfile.TemporaryDirectory(prefix="danas-calibrate-") as folder:
            workshop = Workshop(board, Path(folder) / "firmware")
            if not options.compare_only:
                table = calibrate(workshop, print)
                (TABLES / f"{board.core.cpu}.toml").write_text(toml(table), encoding="utf-8")
                load.cache_clear()
            for genotype in options.genotype or [HELD_OUT]:
                compare(workshop, genotype, print)
        speed(board, print)
    return 0


if __name__ == "__main__":
    sys.exit(main())
