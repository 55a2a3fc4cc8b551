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

import numpy as np
from elftools.elf.elffile import ELFFile

from pipeline import boards, resources
from pipeline.boards import Board
from pipeline.device import emulated
from pipeline.device.link import SerialLink
from pipeline.device.protocol import Session
from pipeline.device.replies import Memory
from pipeline.estimate.estimator import estimate
from pipeline.estimate.kernels import constant_bytes, kernel_name, name_bytes
from pipeline.estimate.planner import plan
from pipeline.estimate.table import TABLES, Kernel, Port, Program, Table, load
from pipeline.firmware.build import build
from pipeline.firmware.elf import ElfReport
from pipeline.firmware.render import render
from pipeline.genotype import ALPHAS, MAX_DEPTHS, RESOLUTIONS, Colour, DataConfig, Genotype
from pipeline.graph.filling import filled
from pipeline.graph.inputs import random_inputs
from pipeline.graph.model import (
    Activation,
    ActivationOptions,
    ConcatenationOptions,
    DType,
    Graph,
    MeanOptions,
    NoOptions,
    OpCode,
    PadOptions,
    SoftmaxOptions,
    SplitOptions,
    TransposeOptions,
    WindowOptions,
)
from pipeline.graph.operators import MAX_CONCATENATED, MAX_SPLIT
from pipeline.graph.reader import parse
from pipeline.graph.skeleton import from_genotype
from pipeline.graph.writer import ModelWriter

#: The boards that processors are measured on, by processor: emulated, with exact counts.
BOARDS = {"cortex-m4": "nucleo_l4r5zi", "cortex-m7": "nucleo_f746zg"}
#: Calls in the longer of a kernel's two probes: what they add over one call is the price of a call.
CALLS = 4
SPEED_GENOTYPES = 1000
#: Tensors up to this size also go through the protocol's text commands, which are made for small ones.
SMALL_BYTES = 512
#: Long models: the function that calls the kernels needs more stack the more calls it makes.
LONG = ("32-mono-d00000-a01", "64-rgb-d34331-a03")
#: Bytes of stack to spare on top of that difference.
SPARE_STACK = 16
HELD_OUT = "96-rgb-d32100-a03"
_FUNCTION = "STT_FUNC"


# --- probe models ----------------------------------------------------------------------------------------------------


class _Chain:
    """A model that is one operator after the other."""

    def __init__(self, shape: tuple[int, ...], dtype: DType = DType.INT8) -> None:
        self._rng = np.random.default_rng(0)
        self.writer = ModelWriter()
        self.given = self.writer.tensor(shape, dtype, scale=None if dtype is DType.FLOAT32 else 0.05)
        self.last, self.shape, self.calls = self.given, shape, 0

    def _output(self, shape: tuple[int, ...], dtype: DType, scale: float, zero_point: int) -> int:
        self.shape = shape
        self.calls += 1
        scales = None if dtype is DType.FLOAT32 else scale
        return self.writer.tensor(shape, dtype, scale=scales, zero_point=zero_point)

    def add(
        self,
        code: OpCode,
        shape: tuple[int, ...],
        options: object,
        *,
        weights: tuple[int, ...] | None = None,
        axis: int = 0,
        again: bool = False,
        operand: tuple[int, ...] | None = None,
        operands: int = 1,
        numbers: tuple[int, ...] = (),
        dtype: DType = DType.INT8,
        scale: float = 0.05,
        zero_point: int = 0,
    ) -> _Chain:
        inputs: list[int | None] = [self.last, self.last] if again else [self.last]
        for constant in [operand] * operands if operand is not None else []:
            data = self._rng.integers(-128, 128, constant)
            inputs.append(self.writer.tensor(constant, DType.INT8, scale=0.05, data=data))
        if numbers:
            inputs.append(self.writer.tensor((len(numbers),), DType.INT32, data=numbers))
        if weights is not None:
            channels = weights[axis]
            data = self._rng.integers(-127, 128, weights)
            scales = self._rng.uniform(0.001, 0.01, channels)
            inputs.append(self.writer.tensor(weights, DType.INT8, scale=scales, axis=axis, data=data))
            biases = self._rng.integers(-999, 999, channels)
            inputs.append(self.writer.tensor((channels,), DType.INT32, scale=0.001, data=biases))
        made = self._output(shape, dtype, scale, zero_point)
        self.writer.operator(code, inputs, [made], options)
        self.last = made
        return self

    def graph(self) -> Graph:
        return parse(self.writer.finish([self.given], [self.last]))


def _convolutions(calls: int) -> Graph:
    chain = _Chain((1, 24, 24, 3))
    stem = WindowOptions(stride=(2, 2), activation=Activation.RELU6)
    chain.add(OpCode.CONV_2D, (1, 12, 12, 32), stem, weights=(32, 3, 3, 3))
    for kernel in (1, 3, 1)[: calls - 1]:
        chain.add(OpCode.CONV_2D, (1, 12, 12, 32), WindowOptions(), weights=(32, kernel, kernel, 32))
    return chain.graph()


def _depthwise(calls: int) -> Graph:
    chain = _Chain((1, 24, 24, 16))
    for index in range(calls):
        stride = 2 if index == 1 else 1
        size = 24 if index == 0 else 12
        options = WindowOptions(stride=(stride, stride), activation=Activation.RELU6)
        chain.add(OpCode.DEPTHWISE_CONV_2D, (1, size, size, 16), options, weights=(1, 3, 3, 16), axis=3)
    return chain.graph()


def _dense(calls: int) -> Graph:
    chain = _Chain((1, 64))
    for _ in range(calls):
        chain.add(OpCode.FULLY_CONNECTED, (1, 64), ActivationOptions(), weights=(64, 64))
    return chain.graph()


def _adds(calls: int) -> Graph:
    chain = _Chain((1, 24, 24, 16))
    for _ in range(calls):
        chain.add(OpCode.ADD, (1, 24, 24, 16), ActivationOptions(), again=True)
    return chain.graph()


def _broadcasts(code: OpCode) -> Callable[[int], Graph]:
    def make(calls: int) -> Graph:
        chain = _Chain((1, 24, 24, 16))
        for _ in range(calls):
            chain.add(code, (1, 24, 24, 16), ActivationOptions(), operand=(16,))
        return chain.graph()

    return make


def _pools(code: OpCode) -> Callable[[int], Graph]:
    def make(calls: int) -> Graph:
        chain = _Chain((1, 24, 24, 16))
        for _ in range(calls):
            chain.add(code, (1, 24, 24, 16), WindowOptions(filter=(3, 3)))
        return chain.graph()

    return make


def _activations(code: OpCode) -> Callable[[int], Graph]:
    def make(calls: int) -> Graph:
        chain = _Chain((1, 24, 24, 16))
        for _ in range(calls):
            chain.add(code, (1, 24, 24, 16), NoOptions())
        return chain.graph()

    return make


def _concatenations(calls: int) -> Graph:
    """Each of as many inputs as there may be: its call and its stack are the largest."""
    chain = _Chain((1, 24, 24, 1))
    for _ in range(calls):
        shape = (1, 24, 24, chain.shape[3] + MAX_CONCATENATED - 1)
        options = ConcatenationOptions(3)
        chain.add(OpCode.CONCATENATION, shape, options, operand=(1, 24, 24, 1), operands=MAX_CONCATENATED - 1)
    return chain.graph()


def _splits(calls: int) -> Graph:
    """Into as many outputs as there may be, the first of which is split again."""
    writer, size = ModelWriter(), 3 * MAX_SPLIT**calls
    given = last = writer.tensor((1, size), DType.INT8, scale=0.05)
    for _ in range(calls):
        size //= MAX_SPLIT
        axis = writer.tensor((), DType.INT32, data=1)
        parts = [writer.tensor((1, size), DType.INT8, scale=0.05) for _ in range(MAX_SPLIT)]
        writer.operator(OpCode.SPLIT, [axis, last], parts, SplitOptions(1))
        last = parts[0]
    return parse(writer.finish([given], [last]))


def _transposes(calls: int) -> Graph:
    chain = _Chain((1, 24, 24, 16))
    for _ in range(calls):
        _, height, width, depth = chain.shape
        chain.add(OpCode.TRANSPOSE, (1, depth, height, width), TransposeOptions((0, 3, 1, 2)), numbers=(0, 3, 1, 2))
    return chain.graph()


def _means(calls: int) -> Graph:
    chain = _Chain((1, 24, 24, 16))
    for _ in range(calls):
        chain.add(OpCode.MEAN, (1, 1, 1, 16), MeanOptions((1, 2), keep_dims=True))
    return chain.graph()


def _pads(calls: int) -> Graph:
    chain = _Chain((1, 24, 24, 16))
    for index in range(calls):
        size = 25 + index
        chain.add(OpCode.PAD, (1, size, size, 16), PadOptions(((0, 0), (0, 1), (0, 1), (0, 0))))
    return chain.graph()


def _softmaxes(calls: int) -> Graph:
    chain = _Chain((1, 10))
    for _ in range(calls):
        chain.add(OpCode.SOFTMAX, (1, 10), SoftmaxOptions(), scale=1 / 256, zero_point=-128)
    return chain.graph()


def _edge(code: OpCode, before: DType, after: DType) -> Callable[[int], Graph]:
    def make(_: int) -> Graph:
        return _Chain((1, 24, 24, 3), before).add(code, (1, 24, 24, 3), NoOptions(), dtype=after).graph()

    return make


def _base() -> Graph:
    """A program without any kernel: RESHAPE costs nothing."""
    return _Chain((1, 10, 10, 3)).add(OpCode.RESHAPE, (1, 300), NoOptions()).graph()


PROBES: dict[str, Callable[[int], Graph]] = {
    "ADD": _adds,
    "ADD_BROADCAST": _broadcasts(OpCode.ADD),
    "SUB": _broadcasts(OpCode.SUB),
    "AVERAGE_POOL_2D": _pools(OpCode.AVERAGE_POOL_2D),
    "CONCATENATION": _concatenations,
    "CONV_2D": _convolutions,
    "DEPTHWISE_CONV_2D": _depthwise,
    "DEQUANTIZE": _edge(OpCode.DEQUANTIZE, DType.INT8, DType.FLOAT32),
    "FULLY_CONNECTED": _dense,
    "LOOKUP": _activations(OpCode.HARD_SWISH),
    "MAX_POOL_2D": _pools(OpCode.MAX_POOL_2D),
    "MEAN": _means,
    "MUL": _broadcasts(OpCode.MUL),
    "PAD": _pads,
    "QUANTIZE": _edge(OpCode.QUANTIZE, DType.FLOAT32, DType.INT8),
    "QUANTIZE_INTEGERS": _edge(OpCode.QUANTIZE, DType.UINT8, DType.INT8),
    "RELU": _activations(OpCode.RELU),
    "SOFTMAX": _softmaxes,
    "SPLIT": _splits,
    "STRIDED_COPY": _transposes,
}


# --- what a program is made of ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Anatomy:
    """Bytes of a program by what they belong to; ``routines`` are those of the compiler's and C libraries."""

    report: ElfReport
    port: int
    runtime: int
    kernels: int
    routines: dict[str, int]
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
            elif "kOperator" in name and symbol["st_size"]:
                parameters += -(-symbol["st_size"] // 4) * 4
    addresses = sorted(names)
    sizes = dict.fromkeys(("port", "runtime", "kernels"), 0)
    sizes["port"] = addresses[0] - start
    routines: dict[str, int] = {}
    for address, following in zip(addresses, [*addresses[1:], end], strict=True):
        name, size = names[address], following - address
        if name.startswith("_ZN5danas7runtime"):
            sizes["runtime"] += size
        elif name.startswith("_ZN5danas3aot"):
            sizes["kernels"] += size
        elif name.startswith(("_ZN5danas", "danas_", "Reset_Handler", "main")):
            sizes["port"] += size
        else:
            routines[name] = size
    return Anatomy(report, routines=routines, parameters=parameters, **sizes)


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


def calibrate(workshop: Workshop, say: Callable[[str], None]) -> Table:
    """Build and run every probe."""
    base_graph = _base()
    base = dissect(workshop.build(base_graph))
    base_memory = workshop.run(base_graph, base.report)
    base_constants = base.rodata - name_bytes(base_graph)
    say(f"base: {base.report.flash_bytes} B flash, {base_memory.stack_used} B stack")
    routines = dict(base.routines)
    kernels: dict[str, Kernel] = {}
    runtime, static = 0, 0
    single: dict[str, Anatomy] = {}
    for name, probe in PROBES.items():
        graph, longer = probe(1), probe(CALLS)
        one = single[name] = dissect(workshop.build(graph))
        routines |= one.routines
        calls = len(longer.operators)
        if calls > 1:
            many = dissect(workshop.build(longer))
            call = -(-(many.runtime - one.runtime) // (calls - 1))
            runtime = max(runtime, one.runtime - call)
        else:
            many, call = one, 0
        static = max(static, many.report.static_bytes - 4 * calls - -(-longer.output.nbytes // 4) * 4)
        stack = workshop.run(longer, many.report).stack_used
        model = sum(constant_bytes(graph, operator) for operator in graph.operators)
        own = one.rodata - base_constants - name_bytes(graph) - model - one.parameters
        kernels[name] = Kernel(
            code=one.kernels,
            constants=max(0, own),
            call=call,
            parameters=one.parameters,
            stack=stack,
            routines=tuple(sorted(set(one.routines) - set(base.routines))),
        )
        say(f"{name}: {kernels[name]}")
    # What every kernel brings is the program's: without any call the compiler folds the runtime's tables away.
    common = min(kernel.constants for kernel in kernels.values())
    for name, kernel in kernels.items():
        call = kernel.call or max(0, single[name].runtime - runtime)
        kernels[name] = kernel.model_copy(update={"call": call, "constants": kernel.constants - common})
    deeper = SPARE_STACK + max(_deeper(workshop, kernels, genotype) for genotype in LONG)
    return Table(
        schema_version=1,
        cpu=workshop.board.core.cpu,
        compiler=_compiler(),
        flags=_flags(workshop.board),
        program=Program(
            port_code=base.port + base.report.sections[".vectors"],
            runtime_code=runtime,
            constants=base_constants + common,
            initialised=base.report.data_bytes,
            static=static,
            static_per_operator=4,
            stack=base_memory.stack_used,
            calling_stack=deeper,
            routines=tuple(sorted(base.routines)),
        ),
        ports=_ports(workshop, base.report),
        kernels=kernels,
        routines=dict(sorted(routines.items())),
    )


def _ports(workshop: Workshop, base: ElfReport) -> dict[str, Port]:
    """Of every port that a board with this processor has, against the measured board's."""
    ports = {workshop.board.port: Port(flash=0, static=0)}
    for other in map(boards.load, boards.names()):
        if other.core.cpu != workshop.board.core.cpu or other.port in ports:
            continue
        found = Workshop(other, workshop.folder.with_name(other.name)).build(_base())
        ports[other.port] = Port(
            flash=found.flash_bytes - base.flash_bytes, static=found.static_bytes - base.static_bytes
        )
    return dict(sorted(ports.items()))


def _deeper(workshop: Workshop, kernels: dict[str, Kernel], genotype: str) -> int:
    """Bytes of stack of a long model beyond those of its deepest kernel's probe."""
    graph = filled(from_genotype(Genotype.parse(genotype), 2), seed=0)
    used = workshop.run(graph, workshop.build(graph)).stack_used
    return max(0, used - max(kernels[kernel_name(graph, operator)].stack for operator in graph.operators))


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
    lines += section("routines", dict(table.routines.items()))
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
