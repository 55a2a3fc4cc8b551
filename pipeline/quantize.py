"""A finalist becomes a product: cut out of its supernet, fine-tuned alone, converted to a full-int8 .tflite.

The network is a plain Keras model of the genotype's own shapes; stride-2 convolutions use SAME padding, so that no PAD
operator sets the memory peak; the converter folds batch normalisation. Input is int8, pixel − 128: the calibration
images are of the training split and include a black and a white one, which pins the input's scale to 1/255 and its
zero point to −128. Outputs are int8 probabilities, one a class.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.datasets import DatasetSource, Split, View
from pipeline.errors import DanasError, UsageError, printable
from pipeline.files import write_atomic
from pipeline.genotype import Genotype, architecture
from pipeline.search import layers, subnet, supernets, training
from pipeline.search.backend import captured, tensorflow
from pipeline.search.batches import Batches
from pipeline.search.network import Network

SCHEMA_VERSION = 1
_FINALIST = 11


@dataclass(frozen=True, kw_only=True)
class QuantizeSettings:
    """How a finalist is finished.

    Args:
        fine_tuning_steps: Steps on the finalist's own copy of the weights.
        batch: Images a step.
        rate: Peak learning rate.
        calibration_images: Training images that batch-norm statistics and activation ranges are taken on.
    """

    fine_tuning_steps: int = 200
    batch: int = 64
    rate: float = 2e-3
    calibration_images: int = 512

    def __post_init__(self) -> None:
        if self.fine_tuning_steps < 0 or self.batch < 2 or self.rate <= 0 or self.calibration_images < 1:
            raise ValueError("fine-tuning steps are not negative, batch is at least 2, rate and images are positive")


@dataclass(frozen=True, kw_only=True)
class Quantized:
    """A converted finalist.

    Attributes:
        genotype: The network.
        path: The .tflite.
        record: The JSON beside it: these fields, and what they were made with.
        float_accuracy: Of the fine-tuned network before conversion, on validation.
        int8_accuracy: Of the .tflite, on validation, see :func:`evaluate`.
        tflite_bytes: Size of the file.
    """

    genotype: Genotype
    path: Path
    record: Path
    float_accuracy: float
    int8_accuracy: float
    tflite_bytes: int


def keras_model(network: subnet.Subnet) -> Any:
    """The subnet as a Keras model: float [N, H, W, C] in 0..1 to probabilities [N, classes]."""
    keras = tensorflow().keras
    # Names that Keras makes up count on from model to model, and get into the .tflite.
    keras.backend.clear_session()

    def relu6(name: str, x: Any) -> Any:
        return keras.layers.ReLU(6.0, name=f"{name}_relu6")(x)

    def normalise(name: str, x: Any) -> Any:
        return keras.layers.BatchNormalization(epsilon=layers.EPSILON, name=f"{name}_norm")(x)

    def convolve(name: str, x: Any, filters: int, size: int, stride: int) -> Any:
        layer = keras.layers.Conv2D(filters, size, stride, padding="same", use_bias=False, name=f"{name}_conv")
        return normalise(name, layer(x))

    inputs = keras.Input(network.genotype.data.shape, batch_size=1, name="image")
    blocks = architecture(network.genotype)
    x = relu6("stem", convolve("stem", inputs, blocks[0].inputs, 3, 2))
    for block in blocks:
        y = x
        if block.expands:
            y = relu6(f"{block.name}_expand", convolve(f"{block.name}_expand", y, block.hidden, 1, 1))
        y = keras.layers.DepthwiseConv2D(
            block.kernel, block.stride, padding="same", use_bias=False, name=f"{block.name}_depthwise_conv"
        )(y)
        y = relu6(f"{block.name}_depthwise", normalise(f"{block.name}_depthwise", y))
        y = convolve(f"{block.name}_project", y, block.outputs, 1, 1)
        x = keras.layers.Add(name=f"{block.name}_sum")([x, y]) if block.residual else y
    x = keras.layers.GlobalAveragePooling2D(name="mean")(x)
    outputs = keras.layers.Dense(network.classes, activation="softmax", name="head")(x)
    model = keras.Model(inputs, outputs, name="network")
    _set_weights(model, network)
    return model


def _set_weights(model: Any, network: subnet.Subnet) -> None:
    for layer in model.layers:
        name, _, kind = layer.name.rpartition("_")
        if kind == "norm":
            source = _layer_name(name)
            mean, variance = network.statistics[source]
            layer.set_weights([network.weights[f"{source}/gamma"], network.weights[f"{source}/beta"], mean, variance])
        elif kind == "conv":
            layer.set_weights([network.weights[f"{_layer_name(name)}/kernel"]])
        elif layer.name == "head":
            stage = architecture(network.genotype)[-1].stage
            layer.set_weights([network.weights[f"head{stage}/kernel"], network.weights[f"head{stage}/bias"]])


def _layer_name(keras_name: str) -> str:
    """``stage3_block0_expand`` -> ``stage3_block0/expand``; the stem is one layer."""
    block, _, part = keras_name.rpartition("_")
    return f"{block}/{part}" if block else keras_name


def convert(network: subnet.Subnet, calibration: NDArray[np.uint8]) -> bytes:
    """The full-int8 flatbuffer of a subnet; the same bytes for the same weights and images.

    Args:
        network: The float network.
        calibration: uint8 [N, H, W, C] of the training split.

    Raises:
        DanasError: ``conversion``: TensorFlow's converter failed; a bug.
    """
    tf = tensorflow()
    ends = np.stack([np.full(calibration.shape[1:], value, np.uint8) for value in (0, 255)])

    def representative() -> Iterator[list[layers.Array]]:
        for image in np.concatenate([ends, calibration]):
            yield [subnet.as_input(image[None])]

    with captured() as noise, warnings.catch_warnings():
        # It misses ranges for the int8 input that it takes from the calibration.
        warnings.simplefilter("ignore")
        try:
            converter = tf.lite.TFLiteConverter.from_keras_model(keras_model(network))
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
            converter.representative_dataset = representative
            converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
            converter.inference_input_type = tf.int8
            converter.inference_output_type = tf.int8
            flatbuffer = bytes(converter.convert())
        except (ValueError, RuntimeError, tf.errors.OpError) as error:
            failure: Exception | None = error
        else:
            failure = None
    if failure is not None:
        raise DanasError(
            "conversion",
            f"TensorFlow cannot convert {network.genotype.id}",
            why=printable(f"{failure} {noise.text[-500:]}", 600),
            next="Report it with the run directory.",
        ) from failure
    return flatbuffer


def device_accuracy(path: Path, view: View) -> float:
    """Accuracy 0..1 of one of our .tflite files on a view by LiteRT's reference kernels: a device's, to the bit."""
    from pipeline.graph.inputs import quantize_images
    from pipeline.graph.reader import read
    from pipeline.graph.reference import Reference

    outputs = Reference(path).run(quantize_images(np.asarray(view.images), read(path).input))
    return float(np.mean(outputs.reshape(len(view), -1).argmax(axis=1) == view.labels))


def evaluate(path: Path, view: View) -> float:
    """Accuracy 0..1 of one of our .tflite files on a view, by LiteRT's optimised kernels.

    They are many times faster than the reference kernels, which :func:`device_accuracy` runs, and differ from them by
    a few steps of the output, so that an image on the edge may fall to the other side: good enough to choose by.
    """
    from ai_edge_litert.interpreter import Interpreter

    with captured():
        interpreter = Interpreter(model_path=str(path), num_threads=1)
        interpreter.allocate_tensors()
    source, target = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    hits = 0
    for image, label in zip(view.images, view.labels, strict=True):
        interpreter.set_tensor(source["index"], (image[None].astype(np.int16) - 128).astype(np.int8))
        interpreter.invoke()
        hits += int(interpreter.get_tensor(target["index"])[0].argmax() == label)
    return hits / len(view)


def quantize(
    genotype: Genotype,
    source: DatasetSource,
    *,
    search_folder: Path,
    out: Path,
    seed: int,
    settings: QuantizeSettings | None = None,
    report: Callable[[training.Step], None] | None = None,
) -> Quantized:
    """Finish one finalist; the result depends on the arguments alone, and an existing one is made again.

    Args:
        genotype: A candidate of the search.
        source: Its images.
        search_folder: The search's folder, with the trained supernet.
        out: Where to put ``GENOTYPE.tflite`` and ``GENOTYPE.json``.
        seed: The run's seed.
        settings: See there.
        report: Called after each fine-tuning step.

    Raises:
        UsageError: ``no-supernet``: the search never trained this data configuration.
        EnvironmentProblem: ``disk-full``, ``not-writable``.
        DanasError: ``conversion``.
    """
    settings = settings if settings is not None else QuantizeSettings()
    classes = len(source.class_names)
    weights = supernets.stored_weights(search_folder, genotype.data)
    if weights is None:
        raise UsageError(
            "no-supernet",
            f"there is no supernet of {genotype.data.id} in {printable(search_folder)}",
            why="The search did not train one, or its checkpoint is damaged.",
            next="Run the search again; what it has is kept.",
        )
    train, validation = source.view(Split.TRAIN, genotype.data), source.view(Split.VALIDATION, genotype.data)
    words = (*subnet.fine_tuning_seed(seed, genotype), _FINALIST)
    own: layers.Weights = layers.cut(weights, genotype, classes)
    if settings.fine_tuning_steps:
        own = training.fine_tune(
            Network(genotype, classes, own),
            Batches({genotype.data: train.images}, train.labels, classes, settings.batch, words).of(genotype.data),
            genotype,
            steps=settings.fine_tuning_steps,
            peak=settings.rate,
            report=report,
        )
    calibration = subnet.calibration_images(train.images, settings.calibration_images, seed)
    network = subnet.settle(own, genotype, classes, calibration)
    path, record = out / f"{genotype.id}.tflite", out / f"{genotype.id}.json"
    flatbuffer = convert(network, calibration)
    write_atomic(path, flatbuffer)
    quantized = Quantized(
        genotype=genotype,
        path=path,
        record=record,
        float_accuracy=network.scores(np.asarray(validation.images), validation.labels).accuracy,
        int8_accuracy=evaluate(path, validation),
        tflite_bytes=len(flatbuffer),
    )
    values = {
        "schema_version": SCHEMA_VERSION,
        "genotype": genotype.id,
        "tflite": path.name,
        "tflite_bytes": quantized.tflite_bytes,
        "validation": {"float_accuracy": quantized.float_accuracy, "int8_accuracy": quantized.int8_accuracy},
        "images": source.fingerprint,
        "seed": seed,
        "settings": asdict(settings),
    }
    write_atomic(record, (json.dumps(values, indent=2) + "\n").encode())
    return quantized
