"""Flash of a program, by the items of its link map: the model, kernels, runtime, port, libraries.

A layer's weights and scales decide which form of its kernel computes it. From the Graph with its data the form is
known, and the figures are exact but for what a compiler may do with code that it has not been measured on. From shapes
it is not: then the usual form is counted, and an item of its own holds what the worst case takes beyond that, each
layer in the form that needs the most, and the code of all of them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from pipeline.errors import UsageError
from pipeline.estimate import profiles
from pipeline.estimate.features import Features, of_bits
from pipeline.estimate.kernels import schedule_bytes
from pipeline.estimate.model import Item, MemoryPlan, leaf
from pipeline.estimate.table import Table
from pipeline.estimate.tally import Tally, tally
from pipeline.graph.model import Graph

#: The item of an estimate from shapes alone.
UNDECIDED = "forms that weights decide"
#: Kernels whose reference form is another function, with parameters of its own.
_REFERENCE = {"add": "add_reference", "add_broadcast": "add_reference"}


@dataclass(frozen=True)
class Forms:
    """What a model's weights and scales have decided.

    Attributes:
        kernels: The function of each stage.
        features: What they need of kernels that come in parts.
        constants: Bytes of all constant arrays, each filled up to whole words.
    """

    kernels: tuple[str, ...]
    features: Features
    constants: int


def flash_items(graph: Graph, plan: MemoryPlan, table: Table, forms: Forms | None = None) -> tuple[Item, ...]:
    """The items model, kernels, runtime, port and libraries, in bytes; without forms one for what weights decide.

    Raises:
        UsageError: ``no-calibration`` for a kernel that the table does not have.
    """
    found = tally(graph, plan.segments)
    _demand(plan, found.kernels if forms is None else forms.kernels, table)
    return tallied(found, table, streams=plan.streams(graph.input.index), forms=forms)


def tallied(found: Tally, table: Table, *, streams: bool, forms: Forms | None = None) -> tuple[Item, ...]:
    """The same of a plan's Tally, whose kernels the table has; ``streams``: the input is never there in whole."""
    # As far as shapes and activations tell, where weights have not decided.
    usual = forms or Forms(found.kernels, of_bits(found.bits), found.constants)
    items = _items(found, table, usual, streams=streams)
    if forms is not None:
        return items
    more = _worst(found.more_if_plain, table, usual)
    return (*items, Item(name=UNDECIDED, bytes=sum(part.bytes for part in more), parts=more)) if more else items


def _items(found: Tally, table: Table, forms: Forms, *, streams: bool) -> tuple[Item, ...]:
    program = table.program
    kernels, libraries, _ = _code(table, frozenset(forms.kernels), forms.features)
    of_kernels = [table.kernels[name] for name in forms.kernels]
    calls = math.ceil(sum([kernel.call for kernel in of_kernels]) + table.row_call * found.row_operands)
    return (
        _item(
            "model",
            {
                "weights and tables": forms.constants,
                "parameters": sum([kernel.parameters for kernel in of_kernels]),
                "schedule": schedule_bytes(
                    found.names, stages=len(found.kernels), segments=found.segments, rows=found.rows, streams=streams
                ),
            },
        ),
        kernels,
        _item("runtime", {"calls": calls, "executor": program.runtime + (program.streaming if streams else 0)}),
        leaf("port", program.port),
        libraries,
    )


def _code(table: Table, kernels: frozenset[str], features: Features) -> tuple[Item, Item, int]:
    """The items kernels and libraries, and how much more code there is where layers take all forms; remembered."""
    known = table.code.get((kernels, features))
    if known is None:
        sizes = table.sizes(kernels, features.names)
        libraries = {file: size for file, size in sizes.items() if file in table.libraries}
        others = {_REFERENCE[name] for name in kernels if _REFERENCE.get(name, "") in table.kernels}
        most = table.sizes(kernels | others, _all_forms(features, kernels).names)
        known = table.code[kernels, features] = (
            _item("kernels", {file: size for file, size in sizes.items() if file not in libraries}),
            _item("libraries", libraries),
            max(0, sum(most.values()) - sum(sizes.values())),
        )
    return known


def _item(name: str, parts: dict[str, int]) -> Item:
    return Item(name=name, bytes=sum(parts.values()), parts=tuple([leaf(part, size) for part, size in parts.items()]))


def row_operands(graph: Graph, plan: MemoryPlan) -> int:
    """Operands that stages of single elements find row by row, in segments that run by rows."""
    return tally(graph, plan.segments).row_operands


def _demand(plan: MemoryPlan, kernels: Sequence[str], table: Table) -> None:
    if table.kernels.keys() >= set(kernels):
        return
    for stage, name in zip(plan.stages, kernels, strict=True):
        if name not in table.kernels:
            operator = stage.operators[0]
            raise UsageError(
                "no-calibration",
                f"the calibration table for {table.cpu} has no kernel {name}",
                why=f"Operator {operator.index} is a {operator.code} version {operator.version}.",
                next=profiles.WRITE_AGAIN,
            )


def _worst(constants: int, table: Table, usual: Forms) -> tuple[Item, ...]:
    """What each layer's largest form takes beyond the usual one: constants, parameters, and the code of all forms."""
    parameters = 0
    for name, reference in _REFERENCE.items():
        if reference in table.kernels and name in table.kernels:
            more = table.kernels[reference].parameters - table.kernels[name].parameters
            parameters += usual.kernels.count(name) * max(0, more)
    _, _, code = _code(table, frozenset(usual.kernels), usual.features)
    found = {"weights and tables": constants, "parameters": parameters, "kernels": code}
    return tuple([leaf(name, size) for name, size in found.items() if size])


def _all_forms(usual: Features, kernels: frozenset[str]) -> Features:
    """What a model needs whose layers take every form that they could."""
    found = usual
    if kernels & {"conv_2d", "separable_conv_2d"}:
        sizes = usual.relu | usual.linear
        found = replace(found, relu=sizes, linear=sizes, plain=1, clamped=1)
    if kernels & {"depthwise_conv_2d", "separable_conv_2d"}:
        short = usual.depthwise_relu | usual.depthwise_linear
        found = replace(found, depthwise_relu=short, depthwise_linear=short, depthwise_plain=1, depthwise_clamped=short)
    return found
