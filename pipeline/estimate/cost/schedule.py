"""How often each stage of a segment takes a step, and how far the executor goes to find it.

Source: firmware_templates/runtime/aot/pipeline.h. The executor begins at the last stage of a segment and goes back to
the stage that makes the first lacking row; a stage whose last rows nobody needs does not make them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from pipeline.estimate.model import Segment
from pipeline.estimate.stages import Stage, StageKind


class Run(NamedTuple):
    """A stage in its segment.

    Attributes:
        stage: The stage.
        flat: It takes its image for one long row.
        steps: The steps that it takes.
        hops: Stages of the segment that the executor goes through before it, each time.
        feeds: Its inputs that stages of the segment make.
    """

    stage: Stage
    flat: bool
    steps: int
    hops: int
    feeds: int


def runs(segment: Segment, streamed: int | None = None) -> Iterator[Run]:
    """The stages of a segment as they run.

    Args:
        segment: Of a memory plan.
        streamed: The model's input, where its rows come one by one: a stage of the first segment makes them.
    """
    stages = segment.stages
    if len(stages) == 1:
        (stage,) = stages
        feeds = sum(1 for feed in stage.feeds if feed.tensor == streamed)
        yield Run(stage, segment.flat, 1 if segment.flat else stage.steps, 0, feeds)
        return
    writer = {output: position for position, stage in enumerate(stages) for output in stage.outputs}
    steps = [0] * len(stages)
    hops = [0] * len(stages)
    steps[-1] = stages[-1].steps
    for position in range(len(stages) - 1, -1, -1):
        stage = stages[position]
        for number, feed in enumerate(stage.feeds):
            source = writer.get(feed.tensor)
            if source is None:
                continue
            needed = 1
            if stages[source].kind is StageKind.ROWS:
                needed = feed.end(steps[position] - 1, stages[source].steps)
            elif stages[source].kind is StageKind.SUMS:
                needed = stages[source].steps
            steps[source] = max(steps[source], needed)
            if number == 0 or not hops[source]:
                hops[source] = hops[position] + 1
    for position, stage in enumerate(stages):
        feeds = sum(1 for feed in stage.feeds if feed.tensor in writer or feed.tensor == streamed)
        yield Run(stage, segment.flat, steps[position], hops[position], feeds)
