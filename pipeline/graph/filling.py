"""A skeleton with random weights: a model of real shapes and plausible scales, without training.

Calibration probes and tests build and run such models; what they compute means nothing.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.graph.model import (
    Activation,
    DType,
    Graph,
    OpCode,
    Operator,
    Quantization,
    Tensor,
    WindowOptions,
)
from pipeline.graph.reader import parse
from pipeline.graph.writer import write

_INPUT = Quantization((float(np.float32(1 / 255)),), (-128,))
_RELU6 = Quantization((float(np.float32(6 / 255)),), (-128,))
_PROBABILITIES = Quantization((1 / 256,), (-128,))
#: Spread of uniformly random int8 numbers around their mean.
_SPREAD = 74.0


def filled(skeleton: Graph, seed: int) -> Graph:
    """The Graph of a .tflite with this skeleton's operators and shapes, and with random weights.

    Args:
        skeleton: From :func:`pipeline.graph.skeleton.from_genotype`.
        seed: The same seed gives the same model.
    """
    return parse(filled_bytes(skeleton, seed))


def filled_bytes(skeleton: Graph, seed: int, *, bell: bool = False) -> bytes:
    """The same as the bytes of the .tflite file.

    Args:
        skeleton: From :func:`pipeline.graph.skeleton.from_genotype`.
        seed: The same seed gives the same model.
        bell: Weights of a normal distribution, each channel's largest at 127, as initialisation and training leave
            them; else uniform ones, whose sums are about twice as large.
    """
    rng = np.random.default_rng(seed)
    tensors = list(skeleton.tensors)
    tensors[skeleton.inputs[0]] = dataclasses.replace(skeleton.input, quantization=_INPUT)
    for operator in skeleton.operators:
        _fill(tensors, operator, rng, bell=bell)
    return write(dataclasses.replace(skeleton, tensors=tuple(tensors)))


def _fill(tensors: list[Tensor], operator: Operator, rng: np.random.Generator, *, bell: bool) -> None:
    source, output = operator.inputs[0], operator.outputs[0]
    quantization = _output_quantization(operator, rng)
    if operator.code is OpCode.RESHAPE and source is not None:
        quantization = tensors[source].quantization or quantization
    tensors[output] = dataclasses.replace(tensors[output], quantization=quantization)
    constants = [index for index in operator.inputs if index is not None and tensors[index].constant]
    for index in constants:
        tensor = tensors[index]
        if operator.code is OpCode.MEAN:
            tensors[index] = dataclasses.replace(tensor, data=np.array([1, 2], np.int32))
        elif operator.code is OpCode.RESHAPE:
            tensors[index] = dataclasses.replace(tensor, data=np.array(tensors[output].shape, np.int32))
        elif tensor.dtype is DType.INT32:
            biases: NDArray[Any] = rng.integers(-3000, 3000, tensor.shape, dtype=np.int32)
            tensors[index] = dataclasses.replace(tensor, data=biases)
        else:
            axis = 3 if operator.code is OpCode.DEPTHWISE_CONV_2D else 0
            channels = tensor.shape[axis]
            weights: NDArray[Any] = (
                _bell(rng, tensor.shape, axis)
                if bell
                else rng.integers(-127, 127, tensor.shape, dtype=np.int8, endpoint=True)
            )
            scales = _weight_scale(tensors, operator, tensor.elements // channels) * rng.uniform(0.5, 2.0, channels)
            scaling = Quantization(tuple(float(s) for s in scales.astype(np.float32)), (0,) * channels, axis)
            tensors[index] = dataclasses.replace(tensor, data=weights, quantization=scaling)


def _bell(rng: np.random.Generator, shape: tuple[int, ...], axis: int) -> NDArray[np.int8]:
    """Normally distributed numbers, the largest of each channel at 127 or -127."""
    values = rng.normal(size=shape)
    others = tuple(one for one in range(len(shape)) if one != axis)
    largest = np.abs(values).max(axis=others, keepdims=True)
    return np.asarray(np.round(127 * values / largest), np.int8)


def _output_quantization(operator: Operator, rng: np.random.Generator) -> Quantization:
    if operator.code is OpCode.SOFTMAX:
        return _PROBABILITIES
    if isinstance(operator.options, WindowOptions) and operator.options.activation is Activation.RELU6:
        return _RELU6
    return Quantization((float(np.float32(rng.uniform(0.02, 0.06))),), (int(rng.integers(-20, 20)),))


def _weight_scale(tensors: list[Tensor], operator: Operator, taps: int) -> float:
    """Such that sums of ``taps`` products fill the output's range."""
    source = operator.inputs[0]
    before = tensors[source].quantization if source is not None else None
    after = tensors[operator.outputs[0]].quantization
    if before is None or after is None:
        raise ValueError(f"operator {operator.index} comes before its input's quantization is known")
    return after.scale / (before.scale * math.sqrt(taps) * _SPREAD)
