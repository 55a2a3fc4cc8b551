"""The table of code and constants: what each kernel adds to a program.

For each kernel a small model is rendered, built, and shared out by its link map. A few whole networks say what the
calls of long models cost. Of each other board with the same processor one program is built, and what its flash and
static RAM differ by is its port's. Nothing is run.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from pipeline import boards
from pipeline.calibration import fitting
from pipeline.calibration.causes import Causes
from pipeline.calibration.probes import PARTS, PROBES, mixed
from pipeline.calibration.workshop import Workshop
from pipeline.calibration.writing import toml
from pipeline.estimate import compilers
from pipeline.estimate.flash import Forms, row_operands
from pipeline.estimate.kernels import stage_state, words
from pipeline.estimate.model import MemoryPlan
from pipeline.estimate.planner import plan
from pipeline.estimate.table import Kernel, Port, Program, Table
from pipeline.firmware import toolchain
from pipeline.firmware.anatomy import PORT, RUNTIME, Anatomy, dissect
from pipeline.firmware.build import Firmware
from pipeline.firmware.forms import forms
from pipeline.genotype import Genotype
from pipeline.graph.filling import filled
from pipeline.graph.model import Graph
from pipeline.graph.skeleton import from_genotype

#: Calls in a kernel's two probes: what the longer adds over the shorter is the price of its further calls. Of fewer
#: than these the compiler makes a program of another form.
FEW, MANY = 4, 10
#: Whole networks, of little and of much: their calls are many, and their blocks of all sizes.
LONG = (
    "32-mono-d00000-a01",
    "64-rgb-d34331-a03",
    "96-rgb-d32100-a02",
    "160-mono-d21211-a01",
    "192-rgb-d11110-a02",
    "224-mono-d33221-a02",
)
_COMMENT = (
    "Bytes of code and constants of our firmware, by processor and compiler. Source: link maps of probe programs.",
)


class CodePart:
    """Code and constants; see :class:`~pipeline.calibration.part.Part`."""

    name, suffix = "code", ""

    def measure(self, workshop: Workshop, say: Callable[[str], None]) -> str:
        """Build every probe; the table's text."""
        return toml(_COMMENT, measure(workshop, say))


@dataclass(frozen=True)
class Built:
    """A probe, the program that it became, and what that is made of."""

    graph: Graph
    plan: MemoryPlan
    forms: Forms
    firmware: Firmware
    anatomy: Anatomy

    @property
    def names(self) -> frozenset[str]:
        """Its kernels and features."""
        return frozenset(self.forms.kernels) | self.forms.features.names


def make(workshop: Workshop, graph: Graph, *, streamed: bool = False) -> Built:
    """Build a probe."""
    memory = plan(graph, streamed_input=streamed)
    firmware = workshop.build(graph, streamed=streamed)
    return Built(graph, memory, forms(graph, memory), firmware, dissect(firmware.report, firmware.map))


def measure(workshop: Workshop, say: Callable[[str], None]) -> Table:
    """Build every probe."""
    long: dict[str, Built] = {}
    programs: list[Built] = []
    for name, probe in PROBES.items():
        say(name)
        few, many = make(workshop, probe(FEW)), make(workshop, probe(MANY))
        programs += [few, many]
        long[name] = many
    for number, part in enumerate(PARTS):
        say(f"part {number + 1} of {len(PARTS)}")
        programs.append(make(workshop, part()))
    programs.append(make(workshop, mixed()))
    for genotype in LONG:
        say(genotype)
        programs.append(make(workshop, filled(from_genotype(Genotype.parse(genotype), 2), seed=0)))
    say("streamed input")
    streamed = make(workshop, programs[-1].graph, streamed=True)
    causes = Causes()
    for built in programs:
        causes.add(built.names, built.anatomy)
    owned = causes.owned()
    # What every program has is the program's.
    shared = frozenset.intersection(*(owned[name] for name in PROBES))
    calls = fitting.calls(
        [
            (built.anatomy.bytes(RUNTIME), built.forms.kernels, row_operands(built.graph, built.plan))
            for built in programs
        ]
    )
    pieces, growth = fitting.sizes([(built.names, built.anatomy.pieces) for built in programs])
    runtime = calls.base + sum(calls.kernels[name] for name in streamed.forms.kernels)
    runtime += calls.rows * row_operands(streamed.graph, streamed.plan)
    return Table(
        schema_version=4,
        profile=workshop.profile("linked ELF"),
        row_call=round(calls.rows, 3),
        program=Program(
            port=max(built.anatomy.bytes(PORT) for built in programs),
            runtime=calls.base,
            streaming=max(0, round(streamed.anatomy.bytes(RUNTIME) - runtime)),
            static=max(map(_static, programs)),
            pieces=tuple(sorted(shared)),
        ),
        ports=_ports(workshop),
        kernels={
            name: Kernel(
                call=round(calls.kernels[name], 3),
                parameters=_parameters(built),
                pieces=tuple(sorted(owned[name] - shared)),
            )
            for name, built in long.items()
        },
        parts={
            name: tuple(sorted(one - shared))
            for name, one in sorted(owned.items())
            if name not in PROBES and one - shared
        },
        pieces=pieces,
        growth=growth,
    )


def _static(built: Built) -> int:
    """Bytes of .data and .bss that are neither the runtime's state nor the copy of an output."""
    own = stage_state(len(built.plan.stages)) + words(built.graph.output.nbytes)
    return built.firmware.report.static_bytes - own


def _parameters(built: Built) -> int:
    """Bytes of the parameters of one call, in a model of such calls alone."""
    model = next(item for item in built.anatomy.items if item.name == "model")
    total = sum(part.bytes for part in model.parts if part.name == "parameters")
    return total // len(built.plan.stages)


def _ports(workshop: Workshop) -> dict[str, Port]:
    """Of every board with this processor, against the measured one: one program on each; and the largest of a port."""
    graph = PROBES["softmax"](FEW)
    base = make(workshop, graph).firmware.report
    of_boards = {workshop.board.name: Port(flash=0, static=0)}
    of_families = {workshop.board.port: Port(flash=0, static=0)}
    for other in map(boards.load, boards.names()):
        if other.core.cpu != workshop.board.core.cpu or other.name in of_boards or other.build.framework is not None:
            continue
        found = make(workshop.other(other), graph).firmware.report
        theirs = toolchain.flags(other)
        port = Port(
            flash=found.flash_bytes - base.flash_bytes,
            static=found.static_bytes - base.static_bytes,
            flags="" if compilers.decisive(theirs) == compilers.decisive(toolchain.flags(workshop.board)) else theirs,
        )
        of_boards[other.name] = port
        before = of_families.get(other.port)
        if before is None or before.flash < port.flash:
            of_families[other.port] = port
    return dict(sorted({**of_families, **of_boards}.items()))
