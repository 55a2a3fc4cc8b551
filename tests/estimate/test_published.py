"""The published formulas, worked out by hand."""

import numpy as np
import pytest

from pipeline.estimate.published import Published, percent, published
from pipeline.genotype import Genotype
from pipeline.graph.model import ActivationOptions, DType, MeanOptions, NoOptions, OpCode, Padding, WindowOptions
from pipeline.graph.reader import parse
from pipeline.graph.skeleton import from_genotype
from pipeline.graph.writer import ModelWriter


def _network(side: int) -> bytes:
    """Stem to 4 channels, depthwise, addition of both, mean, dense of 2."""
    made = ModelWriter()

    def activation(*shape: int) -> int:
        return made.tensor(shape, DType.INT8, scale=0.5)

    def weights(*shape: int) -> int:
        return made.tensor(shape, DType.INT8, scale=0.5, data=np.ones(shape, np.int8))

    def bias(count: int) -> int:
        return made.tensor((count,), DType.INT32, scale=0.25, data=np.ones(count, np.int32))

    given, stem, deep, both = activation(1, side, side, 3), *(activation(1, 8, 8, 4) for _ in range(3))
    mean, out = activation(1, 4), activation(1, 2)
    stride = side // 8
    window, alike = (WindowOptions((step, step), padding=Padding.SAME) for step in (stride, 1))
    made.operator(OpCode.CONV_2D, [given, weights(4, 3, 3, 3), bias(4)], [stem], window)
    made.operator(OpCode.DEPTHWISE_CONV_2D, [stem, weights(1, 3, 3, 4), bias(4)], [deep], alike)
    made.operator(OpCode.ADD, [stem, deep], [both], ActivationOptions())
    axes = made.tensor((2,), DType.INT32, data=np.array([1, 2], np.int32))
    made.operator(OpCode.MEAN, [both, axes], [mean], MeanOptions((1, 2)))
    made.operator(OpCode.FULLY_CONNECTED, [mean, weights(2, 4), bias(2)], [out], ActivationOptions())
    return made.finish([given], [out])


#: Weights and biases: 4·3·3·3 + 4, 3·3·4 + 4, 2·4 + 2.
PARAMETERS = 112 + 40 + 10


def test_the_addition_decides_with_both_its_inputs() -> None:
    # Layers: 192 + 256, 256 + 256, 256 + 256 + 256, 256 + 4, 4 + 2 elements.
    assert published(parse(_network(8))) == Published(768, PARAMETERS, 2)


def test_the_first_layer_decides_where_the_input_is_large() -> None:
    assert published(parse(_network(32))) == Published(32 * 32 * 3 + 256, PARAMETERS, 0)


def test_where_nothing_is_computed_the_input_decides() -> None:
    made = ModelWriter()
    given, out = (made.tensor(shape, DType.INT8, scale=0.5) for shape in ((1, 4, 4, 2), (1, 32)))
    made.operator(OpCode.RESHAPE, [given], [out], NoOptions())
    assert published(parse(made.finish([given], [out]))) == Published(64, 0, 0)


def test_a_mobilenets_formula_is_that_of_its_widest_block() -> None:
    """96×96×3 with the first expansion at a third: 48·48·32 (stem) twice, for the depthwise convolution of stage 1."""
    found = published(from_genotype(Genotype.parse("96-rgb-d32100-a03"), 2))
    assert found.ram_bytes == 2 * 48 * 48 * 32


def test_the_difference_is_in_percent_of_the_second() -> None:
    assert percent(150, 100) == 50 and percent(50, 100) == -50 and percent(0, 0) == 0
    with pytest.raises(ZeroDivisionError):
        percent(1, 0)
