"""Terms of depthwise convolutions, alone or with the 1×1 convolution that reads them.

Sources: depthwise_conv_2d.cpp, depthwise_3x3.h and separable_conv_2d.cpp in firmware_templates/runtime/aot.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from pipeline.estimate.cost.blocks import Filters, multiply, rows_inside
from pipeline.estimate.cost.terms import Form, Terms
from pipeline.estimate.kernels import GROUP, depthwise_pixels, depthwise_special
from pipeline.estimate.stages import blocks
from pipeline.graph.windows import Axis


@dataclass(frozen=True)
class Depthwise:
    """A depthwise layer; ``filters`` are its output channels.

    Attributes:
        rows: Its window along the rows of the image.
        columns: And along the columns.
        channels: Input channels.
        filters: Output channels.
        form: How sums become int8; PLAIN where only the plain kernel takes the layer.
        clamped: Whether a fused activation is narrower than saturation.
    """

    rows: Axis
    columns: Axis
    channels: int
    filters: int
    form: Form
    clamped: bool = False

    @property
    def special(self) -> bool:
        """Whether it has the loops for 3×3 kernels."""
        return depthwise_special((self.rows.kernel, self.columns.kernel), self.columns.stride)


def depthwise(terms: Terms, layer: Depthwise, *, steps: int) -> None:
    """The first ``steps`` rows of a depthwise convolution: depthwise_conv_2d."""
    terms.count("depthwise_conv_2d.step", steps)
    if layer.form is Form.PLAIN:
        for x in range(layer.columns.output):
            _plain_pixel(terms, layer, x, steps)
        return
    _pixels(terms, layer, 0, layer.columns.output, steps)


def separable(terms: Terms, layer: Depthwise, filters: Filters, *, block: int, steps: int) -> None:
    """The first ``steps`` rows of both convolutions: separable_conv_2d."""
    terms.count("separable_conv_2d.step", steps)
    x = 0
    sizes = Counter[int]()
    for pixels in blocks(layer.columns.output, block):
        _pairs(terms, layer, x, pixels, steps)
        sizes[pixels] += 1
        x += pixels
    for pixels, count in sizes.items():
        multiply(terms, filters, pixels, count * steps)


def _pairs(terms: Terms, layer: Depthwise, x: int, pixels: int, steps: int) -> None:
    """A block of pixels as pairs: depthwise_block."""
    if layer.form is Form.PLAIN:
        for pixel in range(pixels):
            _plain_pixel(terms, layer, x + pixel, steps)
        return
    if layer.special:
        terms.count("depthwise.pairs", steps)
        _block(terms, layer, x, pixels, steps)
        if layer.clamped:
            terms.count("depthwise.clamp", steps * pixels * layer.filters)
        return
    _pixels(terms, layer, x, pixels, steps)
    terms.count(f"spread.{pixels}.call", steps)
    terms.count(f"spread.{pixels}.word", steps * -(-layer.filters // GROUP))


def _pixels(terms: Terms, layer: Depthwise, x: int, pixels: int, steps: int) -> None:
    """Pixels of a row as bytes: convolve_pixels."""
    most = depthwise_pixels((layer.rows.kernel, layer.columns.kernel), layer.columns.stride)
    if not layer.special:
        terms.count("depthwise_any.taps", steps * layer.rows.kernel)
    for first in range(0, pixels, most):
        count = min(most, pixels - first)
        terms.count("depthwise.block" if layer.special else "depthwise_any.block", steps)
        _block(terms, layer, x + first, count, steps)
    if layer.clamped:
        terms.count("clamp.call", steps)
        terms.count("clamp.byte", steps * pixels * layer.filters)


def _block(terms: Terms, layer: Depthwise, x: int, pixels: int, steps: int) -> None:
    """A block: its columns outside the image, then group after group; convolve_block."""
    rows, columns = layer.rows, layer.columns
    left = x * columns.stride - columns.before
    width = (pixels - 1) * columns.stride + columns.kernel
    inside = max(0, min(width, columns.size - left) - max(0, -left))
    groups = steps * (layer.filters // GROUP)
    padded = [rows.kernel - rows_inside(rows, y) for y in range(steps)]
    height = -(-rows.kernel // 2)
    terms.count("depthwise.pad_word", steps * (width - inside) * GROUP * height)
    if inside:
        calls = layer.filters // GROUP
        terms.count("depthwise.pad_call", calls * sum(1 for one in padded if one))
        terms.count("depthwise.pad_row", calls * sum(padded))
        terms.count("depthwise.pad_value", calls * sum(padded) * inside)
    if layer.special:
        _block_3x3(terms, layer, pixels, inside, groups)
    else:
        _block_any(terms, layer, pixels, inside, groups)


def _block_3x3(terms: Terms, layer: Depthwise, pixels: int, inside: int, groups: int) -> None:
    stride = layer.columns.stride
    fours, twos = runs(pixels)
    terms.count("depthwise.group", groups)
    terms.count("depthwise.column", groups * inside)
    terms.count(f"depthwise.{stride}.four", groups * GROUP * fours)
    terms.count(f"depthwise.{stride}.two", groups * GROUP * twos)
    if layer.form is Form.LINEAR:
        terms.count("depthwise.linear", groups * GROUP * (4 * fours + 2 * twos))


def runs(pixels: int) -> tuple[int, int]:
    """Runs of four and of two pixels that make a block under a 3×3 kernel: lane_of."""
    if pixels == 3:
        return 1, 0
    return pixels // 4, -(-(pixels % 4) // 2)


def _block_any(terms: Terms, layer: Depthwise, pixels: int, inside: int, groups: int) -> None:
    """A kernel of another shape: convolve."""
    height, half, width = -(-layer.rows.kernel // 2), layer.rows.kernel // 2, layer.columns.kernel
    fours = groups * GROUP * -(-pixels // 4)
    terms.count("depthwise_any.group", groups)
    terms.count("depthwise_any.transpose", groups * height)
    terms.count("depthwise_any.column", groups * height * inside)
    terms.count("depthwise_any.channel", groups * GROUP)
    terms.count("depthwise_any.four", fours)
    terms.count("depthwise_any.row", fours * half)
    terms.count("depthwise_any.pair", fours * half * width)
    terms.count("depthwise_any.tail", fours * (layer.rows.kernel % 2) * width)
    terms.count(f"depthwise_any.{layer.form}", groups * GROUP * pixels)


def _plain_pixel(terms: Terms, layer: Depthwise, x: int, steps: int) -> None:
    """A pixel in the form plain: convolve_plain."""
    left = x * layer.columns.stride - layer.columns.before
    width = max(0, min(layer.columns.kernel, layer.columns.size - left) - max(0, -left))
    height = sum(rows_inside(layer.rows, y) for y in range(steps))
    terms.count("depthwise_plain.pixel", steps)
    terms.count("depthwise_plain.filter", steps * layer.filters)
    terms.count("depthwise_plain.row", layer.filters * height)
    terms.count("depthwise_plain.tap", layer.filters * height * width)
