"""Pools: a window that slides over an image and keeps the mean or the largest value."""

from __future__ import annotations

from pipeline.estimate.stages import StageKind
from pipeline.firmware.lowering.site import Site
from pipeline.firmware.lowering.values import Call, Field, Form
from pipeline.firmware.lowering.windows import window_fields
from pipeline.graph.model import OpCode, WindowOptions


def pool_2d(site: Site) -> Call:
    """AVERAGE_POOL_2D and MAX_POOL_2D."""
    average = site.operator.code is OpCode.AVERAGE_POOL_2D
    options = site.options(WindowOptions)
    source, output = site.int8(rank=4)
    if source.shape[3] != output.shape[3]:
        raise site.mismatch(output)
    sums = site.stage.kind is StageKind.SUMS
    return site.call(
        "average_pool_2d" if average else "max_pool_2d",
        "AveragePool2dParams" if average else "MaxPool2dParams",
        Field("window", window_fields(site)),
        *site.output_range(options.activation),
        function="average_of_rows" if sums else None,
        form=Form.SUMS if sums else Form.WINDOW,
    )
