"""How many instructions a stage executes, roughly: enough to choose between ways to run it.

A convolution works on blocks of four pixels or three; what is left of a row is made in blocks of two and one, which
share less of the work. So a row of seven pixels takes longer than one of eight, and an image taken for one long row has
a single rest. The factors are rounded from counts on the emulated Cortex-M7; figures that are shown to anybody are
counted, never taken from here.
"""

from __future__ import annotations

from functools import lru_cache
from math import prod

from pipeline.estimate.shapes import of_shapes
from pipeline.estimate.stages import Stage, StageKind, blocks
from pipeline.graph.model import Graph, OpCode, Operator

#: Of choosing a stage and calling its kernel.
_STEP = 90
#: Of an output beside its sum, of a multiply-accumulate, of an input that is gathered.
_OUTPUT, _MAC, _GATHERED = 10.0, 0.75, 1.3
_DEPTHWISE_MAC = 2.7
#: Sizes of blocks, and how many pixels of a block of four each costs.
_PRICES = {4: 4.0, 3: 3.1, 2: 2.7, 1: 2.0}


@of_shapes
def instructions(graph: Graph, stage: Stage, *, flat: bool) -> int:
    """Instructions of all steps of a stage; ``flat``: the image is one long row."""
    steps = 1 if flat else stage.steps
    total = float(steps * _STEP)
    for operator in stage.operators:
        total += _operator(graph, operator, steps if stage.kind is StageKind.ROWS else 1, stage.block)
    return round(total)


def _operator(graph: Graph, operator: Operator, rows: int, block: int) -> float:
    shape = graph.tensors[operator.outputs[0]].shape
    elements = prod(shape)
    if operator.code is OpCode.CONV_2D and len(shape) == 4:
        weights = graph.tensors[operator.inputs[1] or 0].shape
        patch = prod(weights[1:])
        pixels = rows * _block_pixels(elements // (shape[3] * rows), block)
        return pixels * (patch * _GATHERED + shape[3] * (patch * _MAC + _OUTPUT))
    if operator.code is OpCode.DEPTHWISE_CONV_2D and len(shape) == 4:
        weights = graph.tensors[operator.inputs[1] or 0].shape
        return elements * prod(weights[1:3]) * _DEPTHWISE_MAC
    if operator.code is OpCode.FULLY_CONNECTED:
        return graph.tensors[operator.inputs[1] or 0].elements * 1.5
    return elements * 7.0


@lru_cache(maxsize=1024)
def _block_pixels(width: int, block: int) -> float:
    """Pixels of a block of four that a row of ``width`` costs as much as, where no block is larger than ``block``."""
    return sum(_PRICES[pixels] for pixels in blocks(width, block))
