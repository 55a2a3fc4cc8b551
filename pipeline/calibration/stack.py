"""The table of the stack: frames and calls of every function, from the call graphs of probes.

Probes are the code part's (its kernels several times, its parts of kernels), long models, models with a streamed
input, and one program on each other board with the same processor. Of a function the largest frame counts, and the
calls of all programs together.

How many registers the model's own functions save depends on the model. So of them counts what they have on the stack
beside saved registers, and the room for all the core registers that a function can save.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from pipeline import boards
from pipeline.calibration.probes import PARTS, PROBES
from pipeline.calibration.workshop import Workshop
from pipeline.calibration.writing import toml
from pipeline.estimate import stack
from pipeline.estimate.calls import Function
from pipeline.estimate.features import by_shape
from pipeline.estimate.planner import plan
from pipeline.estimate.stack import StackTable
from pipeline.firmware import callgraph, code
from pipeline.firmware.model_sources import model_sources
from pipeline.genotype import Genotype
from pipeline.graph.filling import filled
from pipeline.graph.model import Graph
from pipeline.graph.skeleton import from_genotype

#: Calls of a kernel: so many that the compiler makes the program's usual form; and the kernels that are also called
#: once, in another form, one of them row by row.
_CALLS = 10
_ONCE = ("conv_2d", "softmax")
#: Kernels that are also probed with a streamed input.
_STREAMED = ("conv_2d", "max_pool_2d", "separable_conv_2d")
_LONG = ("32-mono-d00000-a01", "64-rgb-d34331-a03", "96-rgb-d21100-a02")
#: r4 to r11 and lr (Procedure Call Standard for the Arm Architecture), in frames that are multiples of 8.
_ALL_SAVED, _FRAME_ALIGNMENT = 36, 8
#: The model's own functions, and of them those that are others where the input is streamed.
_MODEL = re.compile(r"(?:model\.cpp:)?_ZZ?N5danas7runtime")
_INVOKE = re.compile(r"(?:model\.cpp:)?_ZZ?N5danas7runtime6invoke")
_COMMENT = (
    "Stack frames in bytes, and calls, of the functions of our firmware, by processor and compiler. Source: the call",
    "graphs that the compiler leaves of probe programs, and the programs' debug information.",
)


class StackPart:
    """Frames and calls; see :class:`~pipeline.calibration.part.Part`."""

    name, suffix = "stack", ".stack"

    def measure(self, workshop: Workshop, say: Callable[[str], None]) -> str:
        """Build every probe; the table's text."""
        return toml(_COMMENT, measure(workshop, say))


def measure(workshop: Workshop, say: Callable[[str], None]) -> StackTable:
    """Build every probe."""
    program: dict[str, Function] = {}
    model: dict[bool, dict[str, Function]] = {False: {}, True: {}}
    needs: dict[str, frozenset[str]] = {}
    for made, graph, streamed in _programs(workshop):
        features = by_shape(model_sources(graph, plan(graph, streamed_input=streamed)).features.names)
        firmware = made.build(graph, streamed=streamed)
        functions = callgraph.functions_of(firmware.elf, firmware.elf.parent)
        bound = callgraph.bounds(functions)
        say(f"{made.board.name}: {bound.bytes} bytes of stack, {bound.inference.bytes} with an inference")
        saved = {
            key: one.frame.saved for key, one in code.read(firmware.elf).functions.items() if one.frame is not None
        }
        for key, function in functions.items():
            # What another board's port has is in one program alone, which says nothing of what needs it.
            first = features if made.board == workshop.board else frozenset[str]()
            needs[key] = needs.get(key, first) & features
            group = model[streamed] if _INVOKE.match(key) else program
            frame = any_registers(function.frame, saved.get(key, 0)) if _MODEL.match(key) else function.frame
            before = group.get(key, Function(0, frozenset()))
            group[key] = Function(max(frame, before.frame), function.calls | before.calls)
    return StackTable(
        schema_version=1,
        profile=workshop.profile("linked ELF"),
        kernels={name: _entry(name, program) for name in sorted(PROBES)},
        needs={key: tuple(sorted(names)) for key, names in sorted(needs.items()) if names},
        program=stack.functions_of(program),
        resident=stack.functions_of(model[False]),
        streamed=stack.functions_of(model[True]),
    )


def _programs(workshop: Workshop) -> Iterator[tuple[Workshop, Graph, bool]]:
    """Where they are built, the model, and whether its input is streamed."""
    for probe in PROBES.values():
        yield workshop, probe(_CALLS), False
    for name in _ONCE:
        yield workshop, PROBES[name](1), False
    for make in PARTS:
        yield workshop, make(), False
    long = [filled(from_genotype(Genotype.parse(name), 2), seed=0) for name in _LONG]
    for graph in long:
        yield workshop, graph, False
        yield workshop, graph, True
    for name in _STREAMED:
        yield workshop, PROBES[name](_CALLS), True
    for other in map(boards.load, boards.names()):
        ours = other.build.framework is None
        if ours and other.core.cpu == workshop.board.core.cpu and other.name != workshop.board.name:
            yield workshop.other(other), long[0], False


def any_registers(frame: int, saved: int) -> int:
    """A frame that saves all registers that there are."""
    return -(-(frame - saved + _ALL_SAVED) // _FRAME_ALIGNMENT) * _FRAME_ALIGNMENT


def _entry(kernel: str, program: dict[str, Function]) -> str:
    """The function of a kernel: danas::aot:: and its name, mangled."""
    (found,) = (name for name in program if name.startswith(f"_ZN5danas3aot{len(kernel)}{kernel}E"))
    return found
