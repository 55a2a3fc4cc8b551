"""Flash of a program: the model's constants, code of kernels, runtime and port."""

from __future__ import annotations

from pipeline.errors import UsageError
from pipeline.estimate import profiles
from pipeline.estimate.features import expected
from pipeline.estimate.kernels import kernel_name, stage_constant_bytes, structure_bytes
from pipeline.estimate.model import Item, MemoryPlan
from pipeline.estimate.table import Kernel, Table
from pipeline.graph.model import Graph

#: What the linker's name of a function of ours begins with; the length and the name of the function follow.
_OURS = "_ZN5danas3aot"


def flash_items(graph: Graph, plan: MemoryPlan, table: Table) -> tuple[Item, ...]:
    """The items constants, one a kernel, one for the parts of kernels, runtime, port, and libraries, in bytes.

    Raises:
        UsageError: ``no-calibration`` for a kernel that the table does not have.
    """
    constants = structure_bytes(graph, plan)
    calls = 0
    used: dict[str, Kernel] = {}
    for stage in plan.stages:
        name = kernel_name(graph, stage)
        kernel = table.kernels.get(name)
        if kernel is None:
            operator = stage.operators[0]
            raise UsageError(
                "no-calibration",
                f"the calibration table for {table.cpu} has no kernel {name}",
                why=f"Operator {operator.index} is a {operator.code} version {operator.version}.",
                next=profiles.WRITE_AGAIN,
            )
        constants += stage_constant_bytes(graph, stage) + kernel.parameters
        calls += kernel.call
        used[name] = kernel
    # A feature that the table does not know adds no function of its own.
    parts = {function for name in expected(graph, plan).names for function in table.parts.get(name, ())}
    program = table.program
    functions = parts.union(program.functions, *(kernel.functions for kernel in used.values()))
    # A function that several kernels share is counted with the first that has it, one of a part by itself.
    kernels = []
    for name, kernel in sorted(used.items()):
        own = {function for function in kernel.functions if function in functions and function.startswith(_OURS)}
        kernels.append(Item(name=f"kernel {name}", bytes=kernel.constants + sum(map(table.functions.__getitem__, own))))
        functions -= own
    own = {function for function in parts & functions if function.startswith(_OURS)}
    functions -= own
    if own:
        kernels.append(Item(name="kernel parts", bytes=sum(map(table.functions.__getitem__, own))))
    return (
        Item(name="constants", bytes=constants),
        *kernels,
        Item(name="runtime", bytes=program.runtime_code + calls),
        Item(name="port", bytes=program.port_code + program.constants + program.initialised),
        Item(name="libraries", bytes=sum(map(table.functions.__getitem__, functions))),
    )
