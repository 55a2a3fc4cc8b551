"""Operators that move elements and change none: slices, another order of the dimensions, equal parts."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from pipeline.firmware.lowering.site import Site
from pipeline.firmware.lowering.values import Call, Field, array
from pipeline.graph.model import SplitOptions, StridedSliceOptions, Tensor, TransposeOptions

_RANK = 4


def strided_slice(site: Site) -> Call:
    """STRIDED_SLICE of up to four dimensions."""
    options = site.options(StridedSliceOptions)
    source, output = site.int8()
    steps = _steps(source.shape)
    taken = list(zip(source.shape, options.starts, options.strides, options.sizes, strict=True))
    inside = all(0 <= start < size and 0 <= start + (n - 1) * stride < size for size, start, stride, n in taken)
    if not inside or prod(options.sizes) != output.elements:
        raise site.mismatch(output)
    start = sum(place * step for place, step in zip(options.starts, steps, strict=True))
    walk = [stride * step for stride, step in zip(options.strides, steps, strict=True)]
    return _copy(site, source, options.sizes, walk, start)


def transpose(site: Site) -> Call:
    """TRANSPOSE of up to four dimensions."""
    permutation = site.options(TransposeOptions).permutation
    source, output = site.int8()
    steps = _steps(source.shape)
    if output.shape != tuple(source.shape[axis] for axis in permutation):
        raise site.mismatch(output)
    return _copy(site, source, output.shape, [steps[axis] for axis in permutation], 0)


def split(site: Site) -> Call:
    """SPLIT: a row is what lies inside the axis, and is dealt out."""
    axis = site.options(SplitOptions).axis
    source, outputs = site.expect(site.input(1)), site.outputs
    shape = (*source.shape[:axis], source.shape[axis] // len(outputs), *source.shape[axis + 1 :])
    for output in outputs:
        site.expect(output)
        if output.shape != shape or output.elements * len(outputs) != source.elements:
            raise site.mismatch(output)
    rows = prod(shape[:axis])
    return site.call(
        "split",
        "SplitParams",
        Field("rows", rows),
        Field("width", outputs[0].elements // rows),
        inputs=(source,),
        scattered=tuple(output.index for output in outputs),
    )


def _steps(shape: Sequence[int]) -> list[int]:
    """Elements from one place to the next along each dimension."""
    return [prod(shape[axis + 1 :]) for axis in range(len(shape))]


def _copy(site: Site, source: Tensor, sizes: Sequence[int], steps: Sequence[int], start: int) -> Call:
    missing = _RANK - len(sizes)
    if missing < 0:
        raise site.unsupported(f"{len(sizes)} dimensions", f"At most {_RANK} are possible.")
    site.check_dimensions(*sizes)
    if source.elements >= 2**31:
        raise site.unsupported(f"{source.elements} elements", "Take a smaller tensor.")
    return site.call(
        "strided_copy",
        "StridedCopyParams",
        Field("steps", array((0,) * missing + tuple(steps))),
        Field("start", start),
        Field("sizes", array((1,) * missing + tuple(sizes))),
    )
