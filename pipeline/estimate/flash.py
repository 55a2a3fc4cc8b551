"""Flash of a program: the model's constants, code of kernels, runtime and port."""

from __future__ import annotations

from pipeline.errors import UsageError
from pipeline.estimate.kernels import constant_bytes, kernel_name, name_bytes
from pipeline.estimate.model import Item
from pipeline.estimate.table import Table
from pipeline.graph.model import ALIASES, Graph


def flash_items(graph: Graph, table: Table) -> tuple[Item, ...]:
    """The items constants, one a kernel, runtime, port, and libraries, in bytes.

    Raises:
        UsageError: ``no-calibration`` for a kernel that the table does not have.
    """
    constants = name_bytes(graph)
    calls = 0
    names: list[str] = []
    for operator in graph.operators:
        if operator.code in ALIASES:
            continue  # The plan lets it share its input's bytes: no call.
        name = kernel_name(graph, operator)
        kernel = table.kernels.get(name)
        if kernel is None:
            raise UsageError(
                "no-calibration",
                f"the calibration table for {table.cpu} has no kernel {name}",
                why=f"Operator {operator.index} is a {operator.code} version {operator.version}.",
                next="Write the table again: python benchmarks/calibrate.py",
            )
        constants += constant_bytes(graph, operator) + kernel.parameters
        calls += kernel.call
        if name not in names:
            names.append(name)
    kernels = [table.kernels[name] for name in names]
    routines = set(table.program.routines).union(*(kernel.routines for kernel in kernels))
    program = table.program
    return (
        Item(name="constants", bytes=constants),
        *(
            Item(name=f"kernel {name}", bytes=kernel.code + kernel.constants)
            for name, kernel in sorted(zip(names, kernels, strict=True))
        ),
        Item(name="runtime", bytes=program.runtime_code + calls),
        Item(name="port", bytes=program.port_code + program.constants + program.initialised),
        Item(name="libraries", bytes=sum(table.routines[routine] for routine in routines)),
    )
