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
from typing import NamedTuple

from pipeline.errors import UsageError
from pipeline.estimate import profiles
from pipeline.estimate.features import Features, expected
from pipeline.estimate.kernels import (
    constant_bytes,
    kernel_name,
    stage_constant_bytes,
    structure_bytes,
    window_elements,
    words,
)
from pipeline.estimate.model import Item, MemoryPlan, Segment, leaf
from pipeline.estimate.shapes import of_segment, of_shapes
from pipeline.estimate.stages import ELEMENTWISE, Stage, StageKind
from pipeline.estimate.table import Table
from pipeline.graph.model import Graph, OpCode, Operator

#: The item of an estimate from shapes alone.
UNDECIDED = "forms that weights decide"
_FORMED = (OpCode.CONV_2D, OpCode.DEPTHWISE_CONV_2D, OpCode.FULLY_CONNECTED)
#: Bytes of bias, multiplier and shift of a channel.
_PLAIN_RECORD = 12
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
    known = [_known(graph, segment) for segment in plan.segments]
    usual = _usual(graph, plan, known) if forms is None else forms
    _demand(plan, usual, table)
    items = _items(graph, plan, table, usual, sum([each.row_operands for each in known]))
    if forms is not None:
        return items
    more = _worst(sum([each.more_if_plain for each in known]), table, usual)
    return (*items, Item(name=UNDECIDED, bytes=sum(part.bytes for part in more), parts=more)) if more else items


def _items(graph: Graph, plan: MemoryPlan, table: Table, forms: Forms, operands: int) -> tuple[Item, ...]:
    program = table.program
    kernels, libraries, _ = _code(table, frozenset(forms.kernels), forms.features)
    calls = math.ceil(sum(table.kernels[name].call for name in forms.kernels) + table.row_call * operands)
    streaming = program.streaming if plan.streams(graph.input.index) else 0
    return (
        _item(
            "model",
            {
                "weights and tables": forms.constants,
                "parameters": sum(table.kernels[name].parameters for name in forms.kernels),
                "schedule": structure_bytes(graph, plan),
            },
        ),
        kernels,
        _item("runtime", {"calls": calls, "executor": program.runtime + streaming}),
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
    return sum([_known(graph, segment).row_operands for segment in plan.segments])


class _Known(NamedTuple):
    """What follows from a segment's shapes: its stages' kernels, and bytes of constants.

    ``more_if_plain`` are those that the form plain takes beyond the usual one.
    """

    kernels: tuple[str, ...]
    constants: int
    more_if_plain: int
    row_operands: int


@of_segment
def _known(graph: Graph, segment: Segment) -> _Known:
    return _Known(
        tuple(kernel_name(graph, stage) for stage in segment.stages),
        sum(stage_constant_bytes(graph, stage) for stage in segment.stages),
        sum(_more_if_plain(graph, stage) for stage in segment.stages),
        sum(
            len(stage.feeds) + len(stage.outputs)
            for stage in segment.stages
            if stage.kind is StageKind.ROWS and not segment.flat and stage.operators[0].code in ELEMENTWISE
        ),
    )


def _usual(graph: Graph, plan: MemoryPlan, known: Sequence[_Known]) -> Forms:
    """As far as shapes and activations tell."""
    return Forms(
        kernels=tuple([name for each in known for name in each.kernels]),
        features=expected(graph, plan),
        constants=sum([each.constants for each in known]),
    )


def _demand(plan: MemoryPlan, forms: Forms, table: Table) -> None:
    if table.kernels.keys() >= set(forms.kernels):
        return
    for stage, name in zip(plan.stages, forms.kernels, strict=True):
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


@of_shapes
def _more_if_plain(graph: Graph, stage: Stage) -> int:
    return sum(max(0, _plain_bytes(graph, operator) - constant_bytes(graph, operator)) for operator in stage.operators)


def _plain_bytes(graph: Graph, operator: Operator) -> int:
    """Bytes of a layer's constants in the form plain: three words a channel; 0 for what has no such form."""
    index = operator.inputs[1] if len(operator.inputs) > 1 else None
    if operator.code not in _FORMED or index is None:
        return 0
    weights = graph.tensors[index]
    channels = graph.tensors[operator.outputs[0]].shape[-1]
    if operator.code is OpCode.DEPTHWISE_CONV_2D:
        return words(_PLAIN_RECORD * channels + weights.nbytes)
    return channels * (_PLAIN_RECORD + window_elements(weights))
