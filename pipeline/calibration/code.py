"""The table of code, constants and stack: what each kernel adds to a program.

For each kernel a small model is rendered, built and read from its ELF, and run on the device, whose firmware reports
the stack's high-water mark. What the programs have in common is the base; what they differ in is the kernels'. Of other
boards with the same processor the program without kernels is built alone, and what its flash and static RAM differ by
is the port's.
"""

from __future__ import annotations

from collections.abc import Callable

from pipeline import boards
from pipeline.calibration.causes import Causes
from pipeline.calibration.probes import PARTS, PROBES
from pipeline.calibration.workshop import Workshop, compiler, flags
from pipeline.calibration.writing import toml
from pipeline.estimate.kernels import constant_bytes, kernel_name, stage_state, structure_bytes, words
from pipeline.estimate.planner import plan
from pipeline.estimate.table import Kernel, Port, Program, Table
from pipeline.firmware.anatomy import Anatomy, dissect
from pipeline.genotype import Genotype
from pipeline.graph.filling import filled
from pipeline.graph.skeleton import from_genotype

#: Calls in a kernel's two probes: what the longer adds over the shorter is the price of its further calls. Of fewer
#: than these the compiler makes a program of another form.
FEW, MANY = 4, 10
#: Long models: the function that calls the kernels needs more stack the more calls it makes.
LONG = ("32-mono-d00000-a01", "64-rgb-d34331-a03")
#: Bytes of stack to spare on top of that difference.
SPARE_STACK = 16
_COMMENT = (
    "Bytes of code, constants and stack of our firmware, by processor and compiler. Source: ELF files of probe",
    "programs, and the stack's high-water mark that they report.",
)


class CodePart:
    """Code, constants and stack; see :class:`~pipeline.calibration.part.Part`."""

    name, suffix = "code", ""

    def measure(self, workshop: Workshop, say: Callable[[str], None]) -> str:
        """Build and run every probe; the table's text."""
        return toml(_COMMENT, measure(workshop, say))


def measure(workshop: Workshop, say: Callable[[str], None]) -> Table:
    """Build and run every probe."""
    functions: dict[str, int] = {}
    kernels: dict[str, Kernel] = {}
    runtime, static = 0, 0
    found: dict[str, Anatomy] = {}
    causes = Causes()
    for name, probe in PROBES.items():
        graph, longer = probe(FEW), probe(MANY)
        few = dissect(workshop.build(graph).report)
        built = workshop.build(longer)
        many = dissect(built.report)
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
        model = sum(constant_bytes(graph, operator) for stage in short.stages for operator in stage.operators)
        kernels[name] = Kernel(
            constants=max(0, few.rodata - structure_bytes(graph, short) - model - few.parameters),
            call=call,
            parameters=few.parameters // len(short.stages),
            stack=workshop.stack_used(longer, built),
        )
        say(f"{name}: {kernels[name]}")
    for make in PARTS:
        graph = make()
        part = dissect(workshop.build(graph).report)
        causes.add(graph, part)
        for function, size in part.functions.items():
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
        compiler=compiler(),
        flags=flags(workshop.board),
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
    base = workshop.build(PROBES["softmax"](FEW)).report
    ports = {workshop.board.port: Port(flash=0, static=0)}
    for other in map(boards.load, boards.names()):
        if other.core.cpu != workshop.board.core.cpu or other.port in ports:
            continue
        found = workshop.other(other).build(PROBES["softmax"](FEW)).report
        ports[other.port] = Port(
            flash=found.flash_bytes - base.flash_bytes, static=found.static_bytes - base.static_bytes
        )
    return dict(sorted(ports.items()))


def _deeper(workshop: Workshop, kernels: dict[str, Kernel], genotype: str) -> int:
    """Bytes of stack of a long model beyond those of its deepest kernel's probe."""
    graph = filled(from_genotype(Genotype.parse(genotype), 2), seed=0)
    used = workshop.stack_used(graph, workshop.build(graph))
    return max(0, used - max(kernels[kernel_name(graph, stage)].stack for stage in plan(graph).stages))
