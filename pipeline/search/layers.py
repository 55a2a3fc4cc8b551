"""The network as functions of weights: one set of names for supernet, subnet, checkpoint and Keras model.

A subnet's weights are parts of the supernet's: the first channels of every block it keeps, and the centre of every
kernel. Slicing a weight to the subnet's own shape is all there is to it. Three ways to compute a subnet share one block
function and agree to float rounding:

* :func:`forward`: weights of exactly the subnet's shapes; the network that ships.
* :func:`forward_sliced`: the supernet's weights, cut inside the graph by *tensors*; a traced graph of it serves every
  subnet at the cost of that subnet, without tracing again. Training and scoring use it.
* :func:`forward_masked`: the whole supernet, channels beyond the subnet's multiplied by zero *after* batch
  normalisation and activation, so that they contribute exactly nothing. It is the definition the others are tested on.

A monochrome subnet of a supernet for both colours has the stem's kernel summed over its three input channels: a grey
image in three equal channels gives the same.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.genotype import FIXED_STAGES, STEM_CHANNELS, Block, Genotype, architecture
from pipeline.search.backend import tensorflow

#: Added to the variance in batch normalisation; Keras' default.
EPSILON = 1e-3

Tensor = Any
Array = NDArray[np.float32]
Weights = Mapping[str, Array]
#: (layer, input, gamma, beta) -> normalised input.
Normalise = Callable[[str, Tensor, Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Parameter:
    """A trained tensor. ``fan_in`` scales its random start; 0 stands for one that starts at ``start``."""

    name: str
    shape: tuple[int, ...]
    fan_in: int = 0
    start: float = 0.0


def _convolution(layer: str, shape: tuple[int, ...], fan_in: int, channels: int) -> tuple[Parameter, ...]:
    return (
        Parameter(f"{layer}/kernel", shape, fan_in),
        Parameter(f"{layer}/gamma", (channels,), start=1.0),
        Parameter(f"{layer}/beta", (channels,)),
    )


def parameters(envelope: Genotype, classes: int, *, exits: Sequence[int] | None = None) -> tuple[Parameter, ...]:
    """Every parameter of the network, in the order of the layers.

    Args:
        envelope: The network.
        classes: Outputs of the head.
        exits: Stages behind which a head stands; None for the last stage alone, as a subnet has it.
    """
    found = list(_convolution("stem", (3, 3, envelope.data.channels, STEM_CHANNELS), 9 * envelope.data.channels, 32))
    blocks = architecture(envelope)
    outputs: dict[int, int] = {}
    for block in blocks:
        name, hidden = block.name, block.hidden
        if block.expands:
            found += _convolution(f"{name}/expand", (1, 1, block.inputs, hidden), block.inputs, hidden)
        found += _convolution(f"{name}/depthwise", (3, 3, hidden, 1), 9, hidden)
        found += _convolution(f"{name}/project", (1, 1, hidden, block.outputs), hidden, block.outputs)
        outputs[block.stage] = block.outputs
    for stage in (blocks[-1].stage,) if exits is None else exits:
        found.append(Parameter(f"head{stage}/kernel", (outputs[stage], classes), outputs[stage]))
        found.append(Parameter(f"head{stage}/bias", (classes,)))
    return tuple(found)


def exit_stages(envelope: Genotype) -> tuple[int, ...]:
    """The stages that can be the last of a subnet of the envelope."""
    return tuple(range(FIXED_STAGES, architecture(envelope)[-1].stage + 1))


def initial(wanted: Sequence[Parameter], seed: Sequence[int]) -> dict[str, Array]:
    """Random starting weights (He, normal), from the seed alone."""
    rng = np.random.default_rng(list(seed))
    weights: dict[str, Array] = {}
    for parameter in wanted:
        if parameter.fan_in:
            values = rng.standard_normal(parameter.shape) * np.sqrt(2 / parameter.fan_in)
        else:
            values = np.full(parameter.shape, parameter.start)
        weights[parameter.name] = values.astype(np.float32)
    return weights


def cut(weights: Weights, genotype: Genotype, classes: int) -> dict[str, Array]:
    """A private copy of a subnet's weights: prefixes of the supernet's."""
    return {
        parameter.name: weights[parameter.name][tuple(slice(0, length) for length in parameter.shape)].copy()
        for parameter in parameters(genotype, classes)
    }


def by_batch(_layer: str, x: Tensor, gamma: Tensor, beta: Tensor) -> Tensor:
    """Batch normalisation by the statistics of the batch itself, as in training."""
    return _batch_norm(x, gamma, beta)[0]


def _batch_norm(x: Tensor, gamma: Tensor, beta: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    tf = tensorflow()
    result = tf.raw_ops.FusedBatchNormV3(
        x=x, scale=gamma, offset=beta, mean=[], variance=[], epsilon=EPSILON, is_training=True
    )
    return result.y, result.batch_mean, result.batch_variance


@dataclass
class Recorder:
    """Normalises by the batch and pools mean and variance of every layer over the batches it saw."""

    _sums: dict[str, list[NDArray[np.float64]]] = field(default_factory=dict)

    def __call__(self, layer: str, x: Tensor, gamma: Tensor, beta: Tensor) -> Tensor:
        """As :func:`by_batch`, with a memory."""
        y, mean, variance = _batch_norm(x, gamma, beta)
        count = float(np.prod(x.shape[:3]))
        centre = mean.numpy().astype(np.float64)
        # The kernel gives the unbiased variance; the biased one is what pools.
        spread = variance.numpy().astype(np.float64) * (count - 1) / count
        sums = self._sums.setdefault(layer, [np.zeros(1), np.zeros_like(centre), np.zeros_like(centre)])
        sums[0] = sums[0] + count
        sums[1] = sums[1] + centre * count
        sums[2] = sums[2] + (spread + centre**2) * count
        return y

    def statistics(self) -> dict[str, tuple[Array, Array]]:
        """Layer -> (mean, variance) over everything seen."""
        found = {}
        for layer, (count, first, second) in self._sums.items():
            mean = first / count
            found[layer] = (mean.astype(np.float32), np.maximum(second / count - mean**2, 0).astype(np.float32))
        return found


Statistics = Mapping[str, tuple[Array, Array]]


def by_statistics(statistics: Statistics) -> Normalise:
    """Batch normalisation by fixed statistics, as in inference."""
    tf = tensorflow()

    def normalise(layer: str, x: Tensor, gamma: Tensor, beta: Tensor) -> Tensor:
        mean, variance = statistics[layer]
        return tf.nn.batch_normalization(x, mean, variance, beta, gamma, EPSILON)

    return normalise


def _stem(weights: Mapping[str, Tensor], images: Tensor, normalise: Normalise) -> Tensor:
    tf = tensorflow()
    x = tf.nn.conv2d(images, weights["stem/kernel"], 2, "SAME")
    return tf.nn.relu6(normalise("stem", x, weights["stem/gamma"], weights["stem/beta"]))


def _block(
    block: Block, take: Callable[[str], Tensor], x: Tensor, normalise: Normalise, mask: Tensor | None = None
) -> Tensor:
    """An inverted residual; ``take`` gives a weight by its name within the block, already cut to width."""
    tf = tensorflow()

    def finish(layer: str, y: Tensor) -> Tensor:
        return normalise(f"{block.name}/{layer}", y, take(f"{layer}/gamma"), take(f"{layer}/beta"))

    def hidden(layer: str, y: Tensor) -> Tensor:
        y = tf.nn.relu6(finish(layer, y))
        return y if mask is None else y * mask

    y = x
    if block.expands:
        y = hidden("expand", tf.nn.conv2d(y, take("expand/kernel"), 1, "SAME"))
    strides = [1, block.stride, block.stride, 1]
    y = hidden("depthwise", tf.nn.depthwise_conv2d(y, take("depthwise/kernel"), strides, "SAME"))
    y = finish("project", tf.nn.conv2d(y, take("project/kernel"), 1, "SAME"))
    return x + y if block.residual else y


def _of(weights: Mapping[str, Tensor], block: Block) -> Callable[[str], Tensor]:
    """Gives a block's weights by their names within it."""
    return lambda name: weights[f"{block.name}/{name}"]


def _head(weights: Mapping[str, Tensor], stage: int, x: Tensor) -> Tensor:
    tf = tensorflow()
    return tf.reduce_mean(x, [1, 2]) @ weights[f"head{stage}/kernel"] + weights[f"head{stage}/bias"]


def forward(weights: Mapping[str, Tensor], genotype: Genotype, images: Tensor, normalise: Normalise) -> Tensor:
    """Logits [N, classes] of a network whose weights have exactly the genotype's shapes.

    Args:
        weights: From :func:`cut`, or of a network of its own.
        genotype: The network.
        images: float32 [N, H, W, C] in 0..1.
        normalise: The kind of batch normalisation.
    """
    x = _stem(weights, images, normalise)
    blocks = architecture(genotype)
    for block in blocks:
        x = _block(block, _of(weights, block), x, normalise)
    return _head(weights, blocks[-1].stage, x)


def forward_masked(
    weights: Mapping[str, Tensor], envelope: Genotype, genotype: Genotype, images: Tensor, normalise: Normalise
) -> Tensor:
    """As :func:`forward`, computed with the supernet's whole weights and zeroed hidden channels.

    ``normalise`` sees full-width tensors; statistics of the masked channels may be anything.
    """
    kept = {block.name: block for block in architecture(genotype)}
    x = _stem(weights, images, normalise)
    for block in architecture(envelope):
        if block.name in kept:
            mask = (np.arange(block.hidden) < kept[block.name].hidden).astype(np.float32)
            x = _block(block, _of(weights, block), x, normalise, mask)
    return _head(weights, architecture(genotype)[-1].stage, x)


def widths(envelope: Genotype, genotype: Genotype) -> tuple[NDArray[np.int32], np.int32]:
    """What :func:`forward_sliced` needs: hidden channels of each of the envelope's blocks (0: absent), last stage."""
    kept = {block.name: block.hidden for block in architecture(genotype)}
    counts = np.array([kept.get(block.name, 0) for block in architecture(envelope)], np.int32)
    return counts, np.int32(architecture(genotype)[-1].stage)


_HIDDEN_AXIS = {"expand/kernel": 3, "depthwise/kernel": 2, "project/kernel": 2}
_FULL = frozenset({"project/gamma", "project/beta"})


def _prefix(name: str, weight: Tensor, hidden: Tensor) -> Tensor:
    if name in _FULL:
        return weight
    axis = _HIDDEN_AXIS.get(name, 0)
    return weight[(slice(None),) * axis + (slice(0, hidden),)]


def forward_sliced(
    weights: Mapping[str, Tensor], envelope: Genotype, counts: Tensor, last: Tensor, images: Tensor
) -> Tensor:
    """As :func:`forward` in training mode, for use in a traced graph: the subnet is given by tensors.

    Args:
        weights: The supernet's.
        envelope: The supernet's genotype.
        counts: int32 [blocks], see :func:`widths`.
        last: int32 scalar, the subnet's last stage.
        images: float32 [N, H, W, C] in 0..1; H, W, C static.
    """
    tf = tensorflow()
    blocks = architecture(envelope)
    x = _stem(weights, images, by_batch)
    logits = tf.zeros([])
    for number, block in enumerate(blocks):
        hidden = counts[number]

        def compute(x: Tensor = x, block: Block = block, hidden: Tensor = hidden) -> Tensor:
            def take(name: str) -> Tensor:
                weight = weights[f"{block.name}/{name}"]
                return _prefix(name, weight, hidden) if block.expands else weight

            return _block(block, take, x, by_batch)

        if block.stage <= FIXED_STAGES:
            x = compute()
        else:
            side = -(-x.shape[1] // block.stride)

            def skip(x: Tensor = x, side: int = side, block: Block = block) -> Tensor:
                # Behind a stage that is absent nothing is used any more; zeros only keep the shapes.
                return x if block.residual else tf.zeros([tf.shape(x)[0], side, side, block.outputs])

            x = tf.cond(hidden > 0, compute, skip)
            x.set_shape([None, side, side, block.outputs])
        ends = number + 1 == len(blocks) or blocks[number + 1].stage != block.stage
        if ends and f"head{block.stage}/kernel" in weights:
            logits += tf.cast(tf.equal(last, block.stage), tf.float32) * _head(weights, block.stage, x)
    return logits
