"""How a layer's accumulators become int8: which of the kernels' forms gives TensorFlow Lite's result, and its data.

The kernels know three forms (firmware_templates/runtime/aot/requantize.h, which holds the inequalities):

- ``RELU``: three or four instructions. Exact where outputs below the zero point do not occur.
- ``LINEAR``: five or six. Exact everywhere.
- ``PLAIN``: the reference's own steps, for factors and accumulators that leave the range of the other two.

Nothing is approximated: the first two ask the reference's question — is the product above a threshold? — with both
sides multiplied by a power of two. What has to hold is that no intermediate value leaves 32 bits, which
:func:`choose` decides from the accumulators that can occur.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from pipeline.firmware.lowering.values import Enumerator

#: requantize.h, Relu: fractional bits of its product.
_RELU_FRACTION = 15
#: The short forms keep 256 · accumulator in 32 bits.
_ACCUMULATOR_LIMIT = 2**23


class Form(IntEnum):
    """requantize.h, Form."""

    RELU = 0
    LINEAR = 1
    PLAIN = 2

    @property
    def enumerator(self) -> Enumerator:
        """Its name in the kernels."""
        return Enumerator(f"Form::k{self.name.title()}")


@dataclass(frozen=True)
class Sums:
    """The accumulators of a layer, by output channel, with the input's zero point folded into the bias.

    Attributes:
        bias: bias − zero point · sum of the weights, where an accumulator starts.
        low: The least accumulator that any input gives at the end.
        high: The greatest one.
    """

    bias: NDArray[np.int64]
    low: NDArray[np.int64]
    high: NDArray[np.int64]


def sums(weights: NDArray[np.int8], bias: NDArray[np.int32], zero_point: int) -> Sums:
    """The accumulators of weights [channel, element], whose inputs are any int8 values."""
    wide = weights.astype(np.int64)
    total = wide.sum(axis=1)
    positive = np.maximum(wide, 0).sum(axis=1)
    folded = bias.astype(np.int64) - zero_point * total
    # Each positive weight meets 127 at most and each negative one -128, and the reverse.
    negative = total - positive
    return Sums(folded, folded - 128 * positive + 127 * negative, folded + 127 * positive - 128 * negative)


@dataclass(frozen=True)
class Requantization:
    """A form and its records, in the order of the output channels.

    ``records`` is [channels, 2] (requantize.h, Channel: 256 · bias + e, multiplier), or [channels, 3] in the form
    PLAIN (PlainChannel: bias, multiplier, shift).
    """

    form: Form
    records: NDArray[np.int32]


def choose(
    accumulators: Sums,
    multipliers: Sequence[tuple[int, int]],
    zero_point: int,
    output_min: int,
    *,
    shared: bool = True,
) -> Requantization:
    """The shortest exact form of a layer.

    Args:
        accumulators: What its channels can add up.
        multipliers: (multiplier, shift) of each channel, as the reference takes them.
        zero_point: That of the output.
        output_min: The least output that the fused activation lets through.
        shared: Whether the kernel's short forms can take the layer's weights at all.
    """
    multiplier = np.array([pair[0] for pair in multipliers], np.int64)
    exponent = -np.array([pair[1] for pair in multipliers], np.int64)
    largest = np.maximum(np.abs(accumulators.low), np.abs(accumulators.high))
    largest = np.maximum(largest, np.abs(accumulators.bias))
    if shared and bool(np.all((largest < _ACCUMULATOR_LIMIT) & (exponent >= 1) & (exponent <= 22))):
        # 2^left · accumulator must fit, and the smallest addend, 2^(fraction − 1 − e), be whole.
        left = _RELU_FRACTION + 1 - exponent
        fits = (exponent < _RELU_FRACTION) & (largest << np.maximum(left, 0) < 2**31)
        form = Form.RELU if output_min >= zero_point and bool(np.all(fits)) else Form.LINEAR
        return Requantization(form, _records(256 * accumulators.bias + exponent, multiplier))
    return Requantization(Form.PLAIN, _records(accumulators.bias, multiplier, -exponent))


def _records(*columns: NDArray[np.int64]) -> NDArray[np.int32]:
    return np.stack(columns, axis=1).astype(np.int32)
