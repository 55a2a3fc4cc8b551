"""Which forms of its kernels a model with data takes: what an estimate needs beyond shapes to be exact."""

from __future__ import annotations

from pipeline.estimate.flash import Forms
from pipeline.estimate.kernels import words
from pipeline.estimate.model import MemoryPlan
from pipeline.firmware.features import features
from pipeline.firmware.lowering import Lowering
from pipeline.graph.model import Graph


def forms(graph: Graph, plan: MemoryPlan) -> Forms:
    """The forms of a Graph whose constants have data.

    Raises:
        UsageError: A kernel does not cover an operator; see :meth:`pipeline.firmware.lowering.Lowering.call`.
    """
    lowering = Lowering(graph)
    calls = [lowering.call(stage, flat=segment.flat) for segment in plan.segments for stage in segment.stages]
    return Forms(
        kernels=tuple(call.function for call in calls),
        features=features(calls),
        constants=sum(words(array.nbytes) for array in lowering.pool.arrays),
    )
