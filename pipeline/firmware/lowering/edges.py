"""Operators at a model's edges: into int8, out of it, and from one quantization to another."""

from __future__ import annotations

from pipeline.firmware.lowering.site import Site, scale
from pipeline.firmware.lowering.values import Call, Field, Float32
from pipeline.graph.model import DType, Tensor


def quantize(site: Site) -> Call:
    """QUANTIZE of floats, or of an 8-bit tensor that gets another quantization."""
    source, output = site.input(), site.output
    flip, zero_point = _signed(site, output)
    if source.elements != output.elements:
        raise site.mismatch(output)
    if source.dtype is DType.FLOAT32:
        return site.call(
            "quantize",
            "QuantizeParams",
            Field("elements", output.elements),
            Field("scale", Float32(scale(output))),
            Field("zero_point", zero_point),
            Field("output_flip", flip),
            input_type=DType.FLOAT32,
        )
    source_flip, source_zero_point = _signed(site, source)
    multiplier, shift = site.multiplier(scale(source) / scale(output))
    return site.call(
        "quantize",
        "RequantizeParams",
        Field("elements", output.elements),
        Field("multiplier", multiplier),
        Field("shift", shift),
        Field("input_zero_point", source_zero_point),
        Field("output_zero_point", zero_point),
        Field("input_flip", source_flip),
        Field("output_flip", flip),
        function="requantize",
    )


def dequantize(site: Site) -> Call:
    """DEQUANTIZE of an 8-bit tensor."""
    source, output = site.input(), site.output
    flip, zero_point = _signed(site, source)
    if output.dtype is not DType.FLOAT32:
        raise site.wrong_type(output)
    if source.elements != output.elements:
        raise site.mismatch(output)
    return site.call(
        "dequantize",
        "DequantizeParams",
        Field("elements", output.elements),
        Field("scale", Float32(scale(source))),
        Field("zero_point", zero_point),
        Field("input_flip", flip),
        output_type=DType.FLOAT32,
    )


def _signed(site: Site, tensor: Tensor) -> tuple[int, int]:
    """(flip, zero point) of an int8 or uint8 tensor seen as int8, see quantize.h."""
    if tensor.dtype not in (DType.INT8, DType.UINT8):
        raise site.wrong_type(tensor)
    quantization = tensor.quantization
    if quantization is None or len(quantization.scales) != 1 or not quantization.scale > 0.0:
        raise site.refused(tensor, "it needs one positive scale")
    unsigned = tensor.dtype is DType.UINT8
    zero_point = quantization.zero_point - (128 if unsigned else 0)
    if not -128 <= zero_point <= 127:
        raise site.refused(tensor, "its zero point does not fit its type")
    return (0x80 if unsigned else 0, zero_point)
