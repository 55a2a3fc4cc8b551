"""A subnet as a full-int8 .tflite.

Input is int8, pixel − 128. Without ranges the converter calibrates: the images are of the training split and include a
black and a white one, which pins the input's scale to 1/255 and its zero point to −128. With ranges it calibrates
nothing: fake quantizations in the graph give the scale of every activation, and a weight's scale is its channel's
greatest magnitude over 127, as in training. Outputs are int8 probabilities, one a class.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import DanasError, printable
from pipeline.quantize.keras_network import Ranges, keras_model
from pipeline.search import layers, subnet
from pipeline.search.backend import captured, tensorflow


def convert(network: subnet.Subnet, calibration: NDArray[np.uint8], *, ranges: Ranges | None = None) -> bytes:
    """The full-int8 flatbuffer of a subnet; the same bytes for the same weights and images.

    Args:
        network: The float network.
        calibration: uint8 [N, H, W, C] of the training split; unused with ``ranges``.
        ranges: Of every activation, from quantization-aware training.

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
            converter = tf.lite.TFLiteConverter.from_keras_model(keras_model(network, ranges))
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
            if ranges is None:
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
