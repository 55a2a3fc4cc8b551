"""What needs room in the arena: each activation's bytes, from the stage that writes it to the last one that reads it.

Activations that share their bytes are one Store: an input and the output that is written over it, and what RESHAPE
and SQUEEZE name anew. A Store whose rows are made and read within one segment is a ring of its newest rows;
:func:`ring_rows` says how many it takes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from pipeline.estimate.roots import roots
from pipeline.estimate.shapes import of_graph
from pipeline.estimate.stages import Feed, Stage, StageKind, image_rows, stages
from pipeline.graph.model import ALIASES, Graph, Operator

#: What the fields of the firmware's schedule hold: steps of a stage, a feed's stride, the rows that step 0 needs.
MOST_STEPS, MOST_STRIDE, MOST_AHEAD = 65_535, 254, 32_767


@dataclass(frozen=True)
class Store:
    """Bytes that one or several activations take one after another.

    Attributes:
        tensors: Roots in the order in which they are written.
        nbytes: Bytes of the whole.
        rows: Its rows; ``row_bytes`` bytes each.
        first: The stage that writes it, −1 for the model's input.
        last: The last stage that reads it, or that it is there for; the number of stages for the model's output.
        ring: Rows that a ring must hold, 0 where it cannot be one.
        joined: The stage at which all that is made from it has come together: a ring needs it in the same segment.
        uniform: Under all its names it has the same rows, so that what is known of rows holds for each of them.
        streams: It may be read in the segment that makes it: uniform, and within the firmware's fields.
    """

    tensors: tuple[int, ...]
    nbytes: int
    rows: int
    first: int
    last: int
    ring: int
    joined: int
    uniform: bool
    streams: bool

    @property
    def row_bytes(self) -> int:
        """Bytes of a row."""
        return self.nbytes // self.rows

    @property
    def ring_bytes(self) -> int:
        """Bytes of a ring."""
        return self.ring * self.row_bytes


@of_graph
def stores(graph: Graph) -> tuple[Store, ...]:
    """The Stores of a Graph, in the order in which they are first written; those of its trunk are its first.

    The one that its trunk's output is part of is another, since it is read, and may be written over.

    Raises:
        UsageError: As :func:`stages` and :func:`roots`.
    """
    made, root_of = stages(graph), roots(graph)
    trunk = graph.trunk
    if trunk is None:
        return tuple(_made(graph, made, root_of, list(graph.inputs), made, renamed=graph.operators, since=0))
    found = list(stores(trunk))
    last = next(number for number, store in enumerate(found) if trunk.outputs[0] in store.tensors)
    later = made[len(stages(trunk)) :]
    renamed = graph.operators[len(trunk.operators) :]
    again = _made(graph, made, root_of, [found[last].tensors[0]], later, renamed=renamed, since=found[last].first)
    found[last] = again.pop(0)
    return (*found, *again)


def _made(
    graph: Graph,
    made: Sequence[Stage],
    root_of: Mapping[int, int],
    given: list[int],
    later: Sequence[Stage],
    *,
    renamed: Sequence[Operator],
    since: int,
) -> list[Store]:
    """The Stores that begin with the activations that are given or with what ``later`` stages write.

    ``since`` is the stage that writes the first of them.
    """
    # What begins with the first of them is written and read by no stage before.
    recent = made[max(0, since) :]
    writer = {output: stage.index for stage in recent for output in stage.outputs}
    readers: dict[int, list[Stage]] = {}
    for stage in recent:
        for feed in stage.feeds:
            readers.setdefault(feed.tensor, []).append(stage)
    kept = {root_of[index] for index in graph.outputs}
    mixed = set()
    for operator in renamed:
        if operator.code in ALIASES:
            name = operator.outputs[0]
            if image_rows(graph.tensors[name]) != image_rows(graph.tensors[root_of[name]]):
                mixed.add(root_of[name])
    over = {stage.overwrites: stage.outputs[0] for stage in recent if stage.overwrites is not None}
    parts = set(over.values())
    found: list[Store] = []
    for root in (*given, *(output for stage in later for output in stage.outputs)):
        if root in parts and root not in given:
            continue  # Part of the Store of what it is written over.
        chain = [root]
        while chain[-1] in over:
            chain.append(over[chain[-1]])
        reading = [stage for tensor in chain for stage in readers.get(tensor, ())]
        first = writer.get(root, -1)
        last = max((stage.index for stage in reading), default=max(first, 0))
        if not kept.isdisjoint(chain):
            last = len(made)
        rows = image_rows(graph.tensors[root])
        uniform = mixed.isdisjoint(chain)
        feeds = [feed for stage in reading for feed in stage.feeds if feed.tensor in chain]
        streams = uniform and rows <= MOST_STEPS and all(map(_fits, feeds))
        ring, joined = 0, last
        if streams and last < len(made) and reading:
            ring, joined = _ring(made, tuple(chain), readers, rows)
        found.append(Store(tuple(chain), graph.tensors[root].nbytes, rows, first, last, ring, joined, uniform, streams))
    return sorted(found, key=lambda store: store.first)


def _fits(feed: Feed) -> bool:
    """Whether the schedule's fields (firmware_templates/runtime/aot/pipeline.h) hold a feed."""
    return feed.stride <= MOST_STRIDE and -MOST_AHEAD <= feed.kernel - feed.pad <= MOST_AHEAD


def _ring(made: Sequence[Stage], chain: tuple[int, ...], readers: dict[int, list[Stage]], rows: int) -> tuple[int, int]:
    """(rows of a ring, the stage at which its readers' results have come together)."""
    writing = {reader.index for tensor in chain for reader in readers.get(tensor, ()) if reader.overwrites in chain}
    outside = [stage for tensor in chain for stage in readers.get(tensor, []) if stage.index not in writing]
    if not outside or any(stage.kind is StageKind.WHOLE for stage in outside):
        return 0, -1
    if len({stage.index for stage in outside}) == 1:
        (reader,) = {stage.index: stage for stage in outside}.values()
        feed = next(feed for feed in reader.feeds if feed.tensor in chain)
        return min(rows, feed.kernel), reader.index
    joined = max(stage.index for stage in outside)
    start = min(stage.index for stage in outside)
    position = start
    while position < joined:  # What is made on the way must have come together too.
        for output in made[position].outputs:
            joined = max([joined, *(stage.index for stage in readers.get(output, []))])
        position += 1
    between = made[start : joined + 1]
    if any(stage.kind is StageKind.WHOLE for stage in between):
        return 0, -1
    numbers: dict[int, int] = dict.fromkeys(chain, 0)
    geometry: list[tuple[tuple[tuple[int, int, int, int], ...], int]] = []
    for stage in between:
        feeds = tuple(
            (numbers.get(feed.tensor, -1), feed.kernel, feed.stride, feed.pad)
            for feed in stage.feeds
            if feed.tensor in numbers
        )
        for output in stage.outputs:
            numbers.setdefault(output, len(geometry) + 1)
        geometry.append((feeds, stage.steps))
    return _rows_alive(tuple(geometry), rows), joined


@lru_cache(maxsize=4096)
def _rows_alive(geometry: tuple[tuple[tuple[tuple[int, int, int, int], ...], int], ...], rows: int) -> int:
    """Most rows of image 0 that are alive at once while the last stage runs; image k + 1 is stage k's.

    0 where the last stage needs none of them.
    """
    made = [Stage(0, (), StageKind.ROWS, (), (0,), rows)]
    for position, (feeds, steps) in enumerate(geometry):
        fed = tuple(Feed(*feed) for feed in feeds)
        made.append(Stage(position + 1, (), StageKind.ROWS, fed, (position + 1,), steps))
    return rows_alive(made).get(0, 0)


def rows_alive(segment: Sequence[Stage]) -> dict[int, int]:
    """Most rows of each activation made in a segment that are alive at once, while its last stage runs to its end.

    The order of steps is the firmware's (firmware_templates/runtime/aot/pipeline.h): the last stage runs as soon as it
    can; while it cannot, the stage that makes the first of its lacking inputs, and so on backwards.
    """
    writer = {output: position for position, stage in enumerate(segment) for output in stage.outputs}
    done = [0] * len(segment)
    over = {stage.outputs[0]: stage.overwrites for stage in segment if stage.overwrites in writer}

    def origin(tensor: int) -> int:
        while tensor in over and over[tensor] is not None:
            tensor = over[tensor]
        return tensor

    readers: dict[int, list[tuple[int, Feed]]] = {}
    for position, stage in enumerate(segment):
        for feed in stage.feeds:
            if feed.tensor in writer:
                readers.setdefault(origin(feed.tensor), []).append((position, feed))
    most: dict[int, int] = {}
    while done[-1] < segment[-1].steps:
        position = len(segment) - 1
        while (lacking := _lacking(segment, done, writer, position)) is not None:
            position = lacking
        done[position] += 1
        stage = segment[position]
        for output in stage.outputs:
            root = origin(output)
            made = done[writer[root]] if segment[writer[root]].kind is StageKind.ROWS else 1
            low = min((_low(segment, done, reader, feed) for reader, feed in readers.get(root, [])), default=0)
            most[root] = max(most.get(root, 0), made - low)
    return {output: most[origin(output)] for output in writer if origin(output) in most}


def _lacking(segment: Sequence[Stage], done: list[int], writer: dict[int, int], position: int) -> int | None:
    stage = segment[position]
    for feed in stage.feeds:
        source = writer.get(feed.tensor)
        if source is not None and done[source] < feed.end(done[position], segment[source].steps):
            return source
    return None


def _low(segment: Sequence[Stage], done: list[int], reader: int, feed: Feed) -> int:
    """First row that a reader still needs."""
    steps = segment[reader].steps
    return feed.first(done[reader]) if done[reader] < steps else 1 << 30
