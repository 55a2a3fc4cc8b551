"""The network as a Keras model of the genotype's own shapes: what the converter reads.

Stride-2 convolutions use SAME padding, so that no PAD operator sets the memory peak; the converter folds batch
normalisation. With ranges every activation is followed by a fake-quantization of that range; the converter takes it as
the tensor's quantization and leaves nothing else of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pipeline.quantize.topology import Convolution, assemble
from pipeline.search import layers, subnet
from pipeline.search.backend import tensorflow

#: What an activation holds, by the name of what makes it: (least, greatest), with zero within.
Ranges = Mapping[str, tuple[float, float]]


def keras_model(network: subnet.Subnet, ranges: Ranges | None = None) -> Any:
    """The subnet as a Keras model: float [1, H, W, C] in 0..1 to probabilities [1, classes].

    Args:
        network: Weights and batch-norm statistics.
        ranges: Of every activation, as it was trained for; None leaves them to the converter's calibration.
    """
    keras = tensorflow().keras
    # Names that Keras makes up count on from model to model, and get into the .tflite.
    keras.backend.clear_session()
    kit = _KerasKit(keras, network, ranges)
    inputs = keras.Input(network.genotype.data.shape, batch_size=1, name="image")
    model = keras.Model(inputs, assemble(network.genotype, kit, inputs), name="network")
    for layer, values in kit.values:
        layer.set_weights(values)
    return model


class _KerasKit:
    """Keras layers; ``values`` are the weights that each is to get once the model is built."""

    def __init__(self, keras: Any, network: subnet.Subnet, ranges: Ranges | None) -> None:
        self._keras = keras
        self._network = network
        self._ranges = ranges
        self._fake_quant = _fake_quant_layer(keras)
        self.values: list[tuple[Any, list[layers.Array]]] = []

    def _ranged(self, layer: str, x: Any) -> Any:
        if self._ranges is None:
            return x
        least, greatest = self._ranges[layer]
        return self._fake_quant(least, greatest, name=f"{layer.replace('/', '_')}_range")(x)

    def image(self, x: Any) -> Any:
        """The input with its range."""
        return self._ranged("image", x)

    def convolve(self, convolution: Convolution, x: Any) -> Any:
        """Three layers and a range."""
        layer, make = convolution.layer, self._keras.layers
        name = layer.replace("/", "_")
        options = {"padding": "same", "use_bias": False, "name": f"{name}_conv"}
        if convolution.depthwise:
            convolved = make.DepthwiseConv2D(convolution.kernel, convolution.stride, **options)
        else:
            convolved = make.Conv2D(convolution.filters, convolution.kernel, convolution.stride, **options)
        normalised = make.BatchNormalization(epsilon=layers.EPSILON, name=f"{name}_norm")
        weights = self._network.weights
        self.values.append((convolved, [weights[f"{layer}/kernel"]]))
        scaling = [weights[f"{layer}/gamma"], weights[f"{layer}/beta"]]
        self.values.append((normalised, [*scaling, *self._network.statistics[layer]]))
        y = normalised(convolved(x))
        if convolution.activated:
            y = make.ReLU(6.0, name=f"{name}_relu6")(y)
        return self._ranged(layer, y)

    def add(self, layer: str, x: Any, y: Any) -> Any:
        """The sum and its range."""
        return self._ranged(layer, self._keras.layers.Add(name=layer.replace("/", "_"))([x, y]))

    def mean(self, x: Any) -> Any:
        """The mean and its range."""
        return self._ranged("mean", self._keras.layers.GlobalAveragePooling2D(name="mean")(x))

    def head(self, layer: str, x: Any) -> Any:
        """Probabilities; with ranges the logits have one, too, and int8 probabilities are fixed to 1/256."""
        make, weights = self._keras.layers, self._network.weights
        activation = "softmax" if self._ranges is None else None
        dense = make.Dense(self._network.classes, activation=activation, name="head")
        self.values.append((dense, [weights[f"{layer}/kernel"], weights[f"{layer}/bias"]]))
        y = dense(x)
        return y if self._ranges is None else make.Softmax(name="probabilities")(self._ranged(layer, y))


def _fake_quant_layer(keras: Any) -> Any:
    """A Keras layer around TensorFlow's fake quantization to eight bits with a fixed range."""
    tf = tensorflow()

    class FakeQuant(keras.layers.Layer):  # type: ignore[misc] # Keras is untyped
        def __init__(self, least: float, greatest: float, *, name: str) -> None:
            super().__init__(name=name)
            self._range = least, greatest

        def call(self, x: Any) -> Any:
            return tf.quantization.fake_quant_with_min_max_args(x, *self._range, num_bits=8)

    return FakeQuant
