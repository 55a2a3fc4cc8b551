"""A network stage by stage, as a page draws it: from a genotype, or from any Graph by the sizes of its maps."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from itertools import groupby

from pipeline.estimate.macs import operator_macs
from pipeline.genotype import Block, Genotype, architecture
from pipeline.graph.model import ALIASES, Graph, Operator

#: Stages of a Graph that are drawn; a network with more has its last ones in one.
MOST = 16
#: Sides of the largest slab, in pixels of the page; the smallest is seen all the same.
_TALL, _WIDE, _LEAST = 92, 60, 4


@dataclass(frozen=True)
class Stage:
    """Layers that work on maps of one size.

    Attributes:
        name: What people call it.
        shape: Of its output, without the batch.
        lines: What is in it, a line each.
    """

    name: str
    shape: tuple[int, ...]
    lines: tuple[str, ...] = ()

    @property
    def size(self) -> str:
        """The shape as people write it: ``16×16×32``."""
        return "×".join(map(str, self.shape))


def slab(stage: Stage, stages: tuple[Stage, ...]) -> tuple[int, int]:
    """Width and height of a stage's drawing: by its channels and by its map's side, each beside the network's most."""
    tallest = max((one.shape[0] for one in stages if len(one.shape) == 3), default=1)
    widest = max(one.shape[-1] for one in stages)
    side = stage.shape[0] if len(stage.shape) == 3 else 1
    # Square roots: channels and sides span two orders of magnitude.
    tall = max(_LEAST, round(_TALL * (side / tallest) ** 0.5)) if len(stage.shape) == 3 else _LEAST
    return max(_LEAST, round(_WIDE * (stage.shape[-1] / widest) ** 0.5)), tall


def of_genotype(genotype: Genotype, classes: int) -> tuple[Stage, ...]:
    """The stages that the search chose: input, stem, stages 1-7 as far as there are any, head."""
    data, blocks = genotype.data, architecture(genotype)
    side = -(-data.resolution // 2)
    found = [
        Stage("input", data.shape, (f"{data.resolution}×{data.resolution} px", data.colour.value)),
        Stage("stem", (side, side, blocks[0].inputs), ("convolution 3×3", "stride 2")),
    ]
    for number, group in groupby(blocks, key=lambda block: block.stage):
        of = tuple(group)
        side = -(-side // of[0].stride)
        found.append(Stage(f"stage {number}", (side, side, of[-1].outputs), _lines(of)))
    return (
        *found,
        Stage("mean", (blocks[-1].outputs,), ("over the map",)),
        Stage("head", (classes,), ("dense", "softmax")),
    )


def _lines(blocks: tuple[Block, ...]) -> tuple[str, ...]:
    first = blocks[0]
    hidden = ", ".join(str(block.hidden) for block in blocks)
    lines = [f"{len(blocks)} block{'s' if len(blocks) > 1 else ''}", f"depthwise {first.kernel}×{first.kernel}"]
    if any(block.expands for block in blocks):
        lines.append(f"hidden {hidden}")
    if first.stride > 1:
        lines.append(f"stride {first.stride}")
    return tuple(lines)


def of_graph(graph: Graph) -> tuple[Stage, ...]:
    """The operators of any network, those next to each other whose outputs are of one height and width in one stage."""
    found = [Stage("input", graph.input.shape[1:] or (1,), (graph.input.dtype.value,))]
    operators = [operator for operator in graph.operators if operator.code not in ALIASES]
    groups = [tuple(group) for _, group in groupby(operators, key=lambda operator: _side(graph, operator))]
    if len(groups) > MOST:
        groups[MOST - 1 :] = [tuple(operator for group in groups[MOST - 1 :] for operator in group)]
    for group in groups:
        shape = graph.tensors[group[-1].outputs[0]].shape[1:] or (1,)
        kinds = Counter(operator.code.value for operator in group)
        macs = sum(operator_macs(graph.tensors, operator) for operator in group)
        lines = [f"{count} {kind}" for kind, count in kinds.most_common(3)]
        if len(kinds) > 3:
            lines.append(f"{sum(kinds.values()) - sum(count for _, count in kinds.most_common(3))} others")
        numbers = f"{group[0].index}" if len(group) == 1 else f"{group[0].index}–{group[-1].index}"
        found.append(Stage(f"operators {numbers}", shape, (*lines, f"{macs:,} MAC")))
    return tuple(found)


def _side(graph: Graph, operator: Operator) -> tuple[int, ...]:
    """What operators of one stage have in common: a map's height and width, or that there is no map."""
    shape = graph.tensors[operator.outputs[0]].shape
    return shape[1:-1]
