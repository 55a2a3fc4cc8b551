"""A network computed as its int8 form will: weights and activations rounded to what int8 can hold, gradients straight.

The scheme is the converter's own (TensorFlow Lite 8-bit quantization specification): weights symmetric, a scale an
output channel, the greatest magnitude over 127; activations affine, a scale and a zero point a tensor. Batch
normalisation is folded into weights and biases with its statistics frozen, so that what is rounded here is what the
converter rounds. A rounding's gradient is that of no rounding, and zero for an activation beyond its range
(Jacob et al., arXiv 1712.05877).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pipeline.quantize.topology import Convolution
from pipeline.search import layers
from pipeline.search.backend import tensorflow

_GREATEST = 127.0
_TINY = 1e-12


def weights_as_int8(kernel: Any, axes: tuple[int, ...]) -> Any:
    """A kernel rounded to int8 multiples of its channels' scales; ``axes`` are those within a channel."""
    tf = tensorflow()
    scale = tf.maximum(tf.reduce_max(tf.abs(kernel), axis=axes, keepdims=True) / _GREATEST, _TINY)
    return kernel + tf.stop_gradient(tf.round(kernel / scale) * scale - kernel)


class FakeQuantKit:
    """TensorFlow arithmetic on the weights of a subnet.

    Args:
        weights: Tensors or variables by parameter name.
        statistics: Frozen batch-norm statistics.
        ranges: Tensor of activation -> (least, greatest), scalars. None rounds nothing and only looks.

    Attributes:
        seen: Activation -> (least, greatest) of this very batch, before rounding, in the order of the layers.
    """

    def __init__(
        self, weights: Mapping[str, Any], statistics: layers.Statistics, ranges: Mapping[str, tuple[Any, Any]] | None
    ) -> None:
        self._weights = weights
        self._statistics = statistics
        self._ranges = ranges
        self.seen: dict[str, tuple[Any, Any]] = {}

    def _ranged(self, layer: str, x: Any) -> Any:
        tf = tensorflow()
        self.seen[layer] = tf.reduce_min(x), tf.reduce_max(x)
        if self._ranges is None:
            return x
        return tf.quantization.fake_quant_with_min_max_vars(x, *self._ranges[layer], num_bits=8)

    def _rounded(self, kernel: Any, axes: tuple[int, ...]) -> Any:
        return kernel if self._ranges is None else weights_as_int8(kernel, axes)

    def image(self, x: Any) -> Any:
        """The input."""
        return self._ranged("image", x)

    def convolve(self, convolution: Convolution, x: Any) -> Any:
        """Convolution with batch normalisation folded into it, activation."""
        tf = tensorflow()
        layer, weights = convolution.layer, self._weights
        mean, variance = self._statistics[layer]
        factor = weights[f"{layer}/gamma"] * (1 / (variance + layers.EPSILON) ** 0.5)
        bias = weights[f"{layer}/beta"] - mean * factor
        kernel, stride = weights[f"{layer}/kernel"], convolution.stride
        if convolution.depthwise:
            kernel = self._rounded(kernel * factor[:, None], (0, 1, 3))
            y = tf.nn.depthwise_conv2d(x, kernel, [1, stride, stride, 1], "SAME")
        else:
            y = tf.nn.conv2d(x, self._rounded(kernel * factor, (0, 1, 2)), stride, "SAME")
        y += bias
        return self._ranged(layer, tf.nn.relu6(y) if convolution.activated else y)

    def add(self, layer: str, x: Any, y: Any) -> Any:
        """The residual sum."""
        return self._ranged(layer, x + y)

    def mean(self, x: Any) -> Any:
        """Global average."""
        return self._ranged("mean", tensorflow().reduce_mean(x, [1, 2]))

    def head(self, layer: str, x: Any) -> Any:
        """Logits."""
        kernel = self._rounded(self._weights[f"{layer}/kernel"], (0,))
        return self._ranged(layer, x @ kernel + self._weights[f"{layer}/bias"])
