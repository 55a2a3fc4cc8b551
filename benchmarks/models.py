#!/usr/bin/env python3
"""The benchmark's networks, made with Keras: fixed seeds, no downloads, full int8, one scale a channel.

The weights are random, but what a device sees is like a trained network: batch normalisation takes its statistics from
images with structure, layer by layer, so that every activation uses its range; an output of a class may win.

    python benchmarks/models.py --into models
    python benchmarks/models.py --into models --only resnet8_32x32x3

A model that is there already, made by the same recipe, is not made again.

Sources of the architectures: MLPerf Tiny's reference models (Banbury et al., arXiv 2106.07597) for MobileNetV1,
ResNet-8, DS-CNN and the autoencoder; Sandler et al., arXiv 1801.04381, by Keras' own applications for MobileNetV2.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.files import write_atomic
from pipeline.search.backend import captured, tensorflow

#: Goes up with any change that makes other bytes.
RECIPE = 1
_MANIFEST = "models.json"


@dataclass(frozen=True, kw_only=True)
class Network:
    """A network of the benchmark.

    Attributes:
        name: Of its file, without ``.tflite``.
        title: For tables.
        build: The Keras model, weights as Keras sets them.
        shape: Of one input.
        low: The least real value of an input; the greatest is ``high``.
        field: Height, width and channels of what an input is a picture of, where that is not ``shape``.
        samples: Inputs that statistics and ranges are taken on.
        seed: Of weights and inputs.
    """

    name: str
    title: str
    build: Callable[[], Any]
    shape: tuple[int, ...]
    low: float = 0.0
    high: float = 1.0
    field: tuple[int, int, int] | None = None
    samples: int = 64
    seed: int = 0


def mobilenet_v2(shape: tuple[int, int, int], alpha: float, classes: int) -> Any:
    """MobileNetV2 as Keras has it."""
    return tensorflow().keras.applications.MobileNetV2(
        input_shape=shape, alpha=alpha, weights=None, classes=classes, classifier_activation="softmax"
    )


def mobilenet_v1(shape: tuple[int, int, int] = (96, 96, 3), classes: int = 2) -> Any:
    """MobileNetV1 0.25 of MLPerf Tiny's visual wake words."""
    keras = tensorflow().keras
    inputs = keras.Input(shape)
    x = _normalised(keras, keras.layers.Conv2D(8, 3, 2, padding="same", use_bias=False)(inputs))
    blocks = [(16, 1), (32, 2), (32, 1), (64, 2), (64, 1), (128, 2), *[(128, 1)] * 5, (256, 2), (256, 1)]
    for filters, stride in blocks:
        x = _normalised(keras, keras.layers.DepthwiseConv2D(3, stride, padding="same", use_bias=False)(x))
        x = _normalised(keras, keras.layers.Conv2D(filters, 1, use_bias=False)(x))
    x = keras.layers.AveragePooling2D(x.shape[1:3])(x)
    return keras.Model(inputs, _classified(keras, x, classes))


def resnet8(shape: tuple[int, int, int] = (32, 32, 3), classes: int = 10) -> Any:
    """ResNet-8 of MLPerf Tiny's image classification."""
    keras = tensorflow().keras

    def convolved(x: Any, filters: int, size: int, stride: int) -> Any:
        return keras.layers.Conv2D(filters, size, stride, padding="same", use_bias=False)(x)

    inputs = keras.Input(shape)
    x = _normalised(keras, convolved(inputs, 16, 3, 1))
    for filters, stride in ((16, 1), (32, 2), (64, 2)):
        y = _normalised(keras, convolved(x, filters, 3, stride))
        y = _normalised(keras, convolved(y, filters, 3, 1), relu=False)
        if stride != 1:
            # The reference has no normalisation on its shortcut; the variance of its weights keeps the scale.
            x = convolved(x, filters, 1, stride)
        x = keras.layers.ReLU()(keras.layers.Add()([x, y]))
    x = keras.layers.AveragePooling2D(x.shape[1:3])(x)
    return keras.Model(inputs, _classified(keras, x, classes))


def ds_cnn(shape: tuple[int, int, int] = (49, 10, 1), classes: int = 12) -> Any:
    """The depthwise-separable network of MLPerf Tiny's keyword spotting."""
    keras = tensorflow().keras
    inputs = keras.Input(shape)
    x = _normalised(keras, keras.layers.Conv2D(64, (10, 4), 2, padding="same", use_bias=False)(inputs))
    for _ in range(4):
        x = _normalised(keras, keras.layers.DepthwiseConv2D(3, padding="same", use_bias=False)(x))
        x = _normalised(keras, keras.layers.Conv2D(64, 1, use_bias=False)(x))
    x = keras.layers.AveragePooling2D(x.shape[1:3])(x)
    return keras.Model(inputs, _classified(keras, x, classes))


def autoencoder(size: int = 640) -> Any:
    """The autoencoder of MLPerf Tiny's anomaly detection."""
    keras = tensorflow().keras
    inputs = keras.Input((size,))
    x = inputs
    for units in (128, 128, 128, 128, 8, 128, 128, 128, 128):
        x = _normalised(keras, keras.layers.Dense(units, use_bias=False)(x))
    return keras.Model(inputs, keras.layers.Dense(size)(x))


def _normalised(keras: Any, x: Any, *, relu: bool = True) -> Any:
    x = keras.layers.BatchNormalization()(x)
    return keras.layers.ReLU()(x) if relu else x


def _classified(keras: Any, x: Any, classes: int) -> Any:
    return keras.layers.Dense(classes, activation="softmax")(keras.layers.Flatten()(x))


NETWORKS: tuple[Network, ...] = (
    Network(
        name="mobilenet_v2_035_96x96x1",
        title="MobileNetV2 0.35, 96×96×1",
        build=lambda: mobilenet_v2((96, 96, 1), 0.35, 2),
        shape=(96, 96, 1),
    ),
    Network(
        name="mobilenet_v1_025_96x96x3",
        title="MobileNetV1 0.25, 96×96×3",
        build=mobilenet_v1,
        shape=(96, 96, 3),
    ),
    Network(
        name="ds_cnn_49x10",
        title="DS-CNN, 49×10",
        build=ds_cnn,
        shape=(49, 10, 1),
        low=-100.0,
        high=50.0,
    ),
    Network(
        name="resnet8_32x32x3",
        title="ResNet-8, 32×32×3",
        build=resnet8,
        shape=(32, 32, 3),
    ),
    Network(
        name="mobilenet_v2_025_224x224x3",
        title="MobileNetV2 0.25, 224×224×3",
        build=lambda: mobilenet_v2((224, 224, 3), 0.25, 2),
        shape=(224, 224, 3),
        samples=24,
    ),
    Network(
        name="autoencoder_640",
        title="autoencoder 640-128-8-128-640",
        build=autoencoder,
        shape=(640,),
        low=-60.0,
        high=20.0,
        field=(5, 128, 1),
        samples=256,
    ),
)


def pictures(count: int, shape: tuple[int, int, int], rng: np.random.Generator) -> NDArray[np.float32]:
    """Random pictures with structure, values 0..1: noise in octaves, an edge, and a contrast of their own.

    Args:
        count: How many.
        shape: Height, width, channels.
        rng: Where they come from.
    """
    height, width, channels = shape
    made = np.empty((count, *shape), np.float32)
    for index in range(count):
        picture = np.zeros(shape)
        size = 2
        while size < 2 * max(height, width):
            grid = rng.normal(size=(size, size, channels)) + rng.normal(size=(size, size, 1))
            picture += _stretched(grid, height, width) / size**0.75
            size *= 2
        angle, offset = rng.uniform(0, 2 * np.pi), rng.uniform(-0.3, 0.3)
        y, x = np.mgrid[-0.5 : 0.5 : height * 1j, -0.5 : 0.5 : width * 1j]
        picture += np.where(np.cos(angle) * x + np.sin(angle) * y > offset, 1.0, 0.0)[..., None] * rng.normal(
            size=channels
        )
        low, high = np.percentile(picture, (1, 99))
        dark, bright = np.sort(rng.uniform(0, 1, 2)) * 0.6 + (0.0, 0.4)
        made[index] = np.clip(dark + (bright - dark) * (picture - low) / max(high - low, 1e-6), 0, 1)
    return made


def _stretched(grid: NDArray[np.float64], height: int, width: int) -> NDArray[np.float64]:
    """A square grid of values, stretched to height × width, linear between its points."""
    for axis, size in ((0, height), (1, width)):
        at = np.linspace(0, grid.shape[axis] - 1, size)
        before = np.minimum(at.astype(int), grid.shape[axis] - 2)
        part = (at - before).reshape([-1 if a == axis else 1 for a in range(3)])
        grid = np.take(grid, before, axis) * (1 - part) + np.take(grid, before + 1, axis) * part
    return grid


def inputs_of(network: Network) -> NDArray[np.float32]:
    """What its statistics and ranges are taken on: pictures, the first two all at the least and the greatest value."""
    rng = np.random.default_rng([network.seed, 1])
    field = network.field or (network.shape[0], network.shape[1], network.shape[2])
    made = pictures(network.samples, field, rng)
    made[0], made[1] = 0.0, 1.0
    return (network.low + (network.high - network.low) * made).reshape(-1, *network.shape).astype(np.float32)


def fill(network: Network, model: Any, inputs: NDArray[np.float32]) -> None:
    """Set the weights of a Keras model: random kernels, and batch normalisation as its own inputs ask for."""
    keras = tensorflow().keras
    rng = np.random.default_rng([network.seed, 2])
    normalising = [layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)]
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            size = int(layer.gamma.shape[0])
            layer.set_weights([rng.uniform(0.5, 1.5, size), rng.normal(0, 0.4, size), np.zeros(size), np.ones(size)])
            # One batch decides.
            layer.momentum = 0.0
        elif layer.get_weights():
            layer.set_weights([_weights(rng, array) for array in layer.get_weights()])
    if normalising:
        model(inputs, training=True)
    for layer in normalising:
        gamma, beta, mean, variance = layer.get_weights()
        layer.set_weights([gamma, beta, mean, np.maximum(variance, 1e-3)])


def _weights(rng: np.random.Generator, array: NDArray[Any]) -> NDArray[Any]:
    """Biases are small; a kernel keeps the variance of what goes through it, some channels stronger than others."""
    if array.ndim == 1:
        return rng.normal(0, 0.1, array.shape)
    depthwise = array.ndim == 4 and array.shape[3] == 1 and array.shape[2] > 1
    fan_in = np.prod(array.shape[:2]) if depthwise else np.prod(array.shape[:-1])
    strength = rng.lognormal(0, 0.3, (*array.shape[2:3], 1) if depthwise else array.shape[-1:])
    return np.asarray(rng.normal(0, np.sqrt(2 / fan_in), array.shape) * strength)


def convert(network: Network) -> bytes:
    """The full-int8 flatbuffer of a network; the same bytes each time."""
    tf = tensorflow()
    with captured(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        # Names that Keras makes up count on from model to model, and get into the .tflite.
        tf.keras.backend.clear_session()
        model = network.build()
        inputs = inputs_of(network)
        fill(network, model, inputs)

        def representative() -> Iterator[list[NDArray[np.float32]]]:
            for one in inputs:
                yield [one[None]]

        # A device takes one input at a time: the same network with a batch of 1.
        single = tf.keras.models.clone_model(model, tf.keras.Input(network.shape, batch_size=1, name="image"))
        single.set_weights(model.get_weights())
        converter = tf.lite.TFLiteConverter.from_keras_model(single)
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = representative
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = tf.int8
        converter.inference_output_type = tf.int8
        return bytes(converter.convert())


def make(folder: Path, names: Sequence[str] = ()) -> dict[str, Path]:
    """Make the networks that ``folder`` lacks, or has of another recipe.

    Args:
        folder: Where the .tflite files go, and ``models.json`` with their hashes.
        names: Those wanted; all where empty.

    Returns:
        Their files, by name.

    Raises:
        KeyError: A name that no network has.
    """
    known = {network.name: network for network in NETWORKS}
    wanted = [known[name] for name in names] if names else list(NETWORKS)
    folder.mkdir(parents=True, exist_ok=True)
    manifest = folder / _MANIFEST
    held: dict[str, dict[str, Any]] = json.loads(manifest.read_text()) if manifest.is_file() else {}
    made = {}
    for network in wanted:
        path = folder / f"{network.name}.tflite"
        record = held.get(network.name, {})
        if not path.is_file() or record != {"recipe": RECIPE, "sha256": _hash(path.read_bytes())}:
            print(f"making {path}", file=sys.stderr, flush=True)
            content = convert(network)
            write_atomic(path, content)
            held[network.name] = {"recipe": RECIPE, "sha256": _hash(content)}
            write_atomic(manifest, (json.dumps(held, indent=2) + "\n").encode())
        made[network.name] = path
    return made


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def main() -> None:
    """Make what is missing, and list all."""
    names = [network.name for network in NETWORKS]
    parser = argparse.ArgumentParser(description="Make the benchmark's int8 networks.")
    parser.add_argument("--into", type=Path, required=True, metavar="DIR", help="folder of the .tflite files")
    parser.add_argument("--only", action="append", choices=names, default=[], help="this one (may be repeated)")
    arguments = parser.parse_args()
    for path in make(arguments.into, arguments.only).values():
        content = path.read_bytes()
        print(f"{_hash(content)[:16]}  {len(content):>9,}  {path}")


if __name__ == "__main__":
    main()
