"""Activations that are operators of their own: RELU and RELU6 by their bounds, LOGISTIC and HARD_SWISH by a table."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipeline.firmware import lookup_tables
from pipeline.firmware.lowering.site import Site, scale, zero_point
from pipeline.firmware.lowering.values import Call, Field, Form
from pipeline.graph.logistic import logistic_table
from pipeline.graph.model import Activation, OpCode, Tensor


def relu(site: Site) -> Call:
    """RELU and RELU6."""
    source, output = _tensors(site)
    # The quotient is made in float. Source: activations.cc, ReluPrepare.
    multiplier, shift = site.multiplier(float(np.float32(scale(source)) / np.float32(scale(output))))
    return site.call(
        "relu",
        "ReluParams",
        Field("elements", site.elements),
        Field("multiplier", multiplier),
        Field("shift", shift),
        Field("input_zero_point", zero_point(source)),
        Field("output_zero_point", zero_point(output)),
        *site.output_range(Activation.RELU if site.operator.code is OpCode.RELU else Activation.RELU6),
        form=Form.ELEMENTS,
    )


def logistic(site: Site) -> Call:
    """LOGISTIC."""
    source, output = _tensors(site)
    if (scale(output), zero_point(output)) != (1 / 256, -128):
        raise site.refused(output, "LOGISTIC gives scale 1/256 and zero point -128")
    return _lookup(site, logistic_table(scale(source), zero_point(source)))


def hard_swish(site: Site) -> Call:
    """HARD_SWISH."""
    source, output = _tensors(site)
    table = lookup_tables.hard_swish(scale(source), zero_point(source), scale(output), zero_point(output))
    if table is None:
        raise site.unsupported(
            f"scales of {scale(source):.3g} and {scale(output):.3g}", "Check the scales of its tensors."
        )
    return _lookup(site, table)


def _tensors(site: Site) -> tuple[Tensor, Tensor]:
    source, output = site.int8()
    if source.shape != output.shape:
        raise site.mismatch(output)
    return source, output


def _lookup(site: Site, table: NDArray[np.int8]) -> Call:
    fields = (Field("table", site.pool.add(table)), Field("elements", site.elements))
    return site.call("lookup", "LookupParams", *fields, form=Form.ELEMENTS)
