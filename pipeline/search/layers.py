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

from pipeline.genotype import FIXED_STAGES, Block, Genotype, architecture
from pipeline.search.backend import tensorflow

#: Added to the variance in batch normalisation; Keras' default.
EPSILON = 1e-3

Tensor = Any
Array = NDArray[np.float32]
Weights = Mapping[str, Array]
#: (layer, input, gamma, beta) -> normalised input.
Normalise = Callable[[str, Tensor, Tensor, Tensor], Tensor]

STEM_KERNEL = "stem/kernel"


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
    blocks = architecture(envelope)
    colours, stem = envelope.data.channels, blocks[0].inputs
    found = list(_convolution("stem", (3, 3, colours, stem), 9 * colours, stem))
    outputs: dict[int, int] = {}
    for block in blocks:
        name, hidden, side = block.name, block.hidden, block.kernel
        if block.expands:
            found += _convolution(f"{name}/expand", (1, 1, block.inputs, hidden), block.inputs, hidden)
        found += _convolution(f"{name}/depthwise", (side, side, hidden, 1), side * side, hidden)
        found += _convolution(f"{name}/project", (1, 1, hidden, block.outputs), hidden, block.outputs)
        outputs[block.stage] = block.outputs
    for stage in (blocks[-1].stage,) if exits is None else exits:
        found.append(Parameter(f"head{stage}/kernel", (outputs[stage], classes), outputs[stage]))
        found.append(Parameter(f"head{stage}/bias", (classes,)))
    return tuple(found)


def normalised(network: Genotype) -> tuple[tuple[str, int, int], ...]:
    """(layer, channels, pixels of its map) of every layer with batch normalisation, in the order of the layers."""
    blocks = architecture(network)
    side = -(-network.data.resolution // 2)
    found = [("stem", blocks[0].inputs, side * side)]
    for block in blocks:
        if block.expands:
            found.append((f"{block.name}/expand", block.hidden, side * side))
        side = -(-side // block.stride)
        found.append((f"{block.name}/depthwise", block.hidden, side * side))
        found.append((f"{block.name}/project", block.outputs, side * side))
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


def part(shape: Sequence[int], of: Sequence[int]) -> tuple[slice, ...]:
    """Which part of a weight of the shape ``of`` a smaller network has: first channels, the centre of a kernel."""
    starts = [(whole - length) // 2 if axis < 2 and len(of) == 4 else 0 for axis, (length, whole) in _pairs(shape, of)]
    return tuple(slice(start, start + length) for start, length in zip(starts, shape, strict=True))


def _pairs(shape: Sequence[int], of: Sequence[int]) -> enumerate[tuple[int, int]]:
    return enumerate(zip(shape, of, strict=True))


def cut(weights: Weights, genotype: Genotype, classes: int) -> dict[str, Array]:
    """A private copy of a subnet's weights: parts of the supernet's."""
    own: dict[str, Array] = {}
    for parameter in parameters(genotype, classes):
        whole = weights[parameter.name]
        if parameter.name == STEM_KERNEL and whole.shape[2] != parameter.shape[2]:
            whole = whole.sum(axis=2, keepdims=True)
        own[parameter.name] = whole[part(parameter.shape, whole.shape)].copy()
    return own


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
class Pool:
    """Mean and variance of every layer over the batches it saw, pooled in double precision."""

    _sums: dict[str, list[NDArray[np.float64]]] = field(default_factory=dict)

    def add(self, layer: str, count: float, mean: Array, variance: Array) -> None:
        """Take up a batch: values a channel, their mean, and their unbiased variance as the kernel gives it."""
        centre = mean.astype(np.float64)
        # The biased variance is what pools.
        spread = variance.astype(np.float64) * (count - 1) / count
        sums = self._sums.setdefault(layer, [np.zeros(1), np.zeros_like(centre), np.zeros_like(centre)])
        sums[0] = sums[0] + count
        sums[1] = sums[1] + centre * count
        sums[2] = sums[2] + (spread + centre**2) * count

    def statistics(self) -> dict[str, tuple[Array, Array]]:
        """Layer -> (mean, variance) over everything seen."""
        found = {}
        for layer, (count, first, second) in self._sums.items():
            mean = first / count
            found[layer] = (mean.astype(np.float32), np.maximum(second / count - mean**2, 0).astype(np.float32))
        return found


@dataclass
class Recorder:
    """Normalises by the batch and pools mean and variance of every layer over the batches it saw."""

    pool: Pool = field(default_factory=Pool)

    def __call__(self, layer: str, x: Tensor, gamma: Tensor, beta: Tensor) -> Tensor:
        """As :func:`by_batch`, with a memory."""
        y, mean, variance = _batch_norm(x, gamma, beta)
        self.pool.add(layer, float(np.prod(x.shape[:3])), mean.numpy(), variance.numpy())
        return y

    def statistics(self) -> dict[str, tuple[Array, Array]]:
        """Layer -> (mean, variance) over everything seen."""
        return self.pool.statistics()


Statistics = Mapping[str, tuple[Array, Array]]


def by_statistics(statistics: Mapping[str, tuple[Tensor, Tensor]]) -> Normalise:
    """Batch normalisation by fixed statistics, as in inference."""
    tf = tensorflow()

    def normalise(layer: str, x: Tensor, gamma: Tensor, beta: Tensor) -> Tensor:
        mean, variance = statistics[layer]
        return tf.nn.batch_normalization(x, mean, variance, beta, gamma, EPSILON)

    return normalise


def _stem(take: Callable[[str], Tensor], images: Tensor, normalise: Normalise) -> Tensor:
    tf = tensorflow()
    kernel = take("kernel")
    if kernel.shape[2] != images.shape[-1]:
        kernel = tf.reduce_sum(kernel, axis=2, keepdims=True)
    x = tf.nn.conv2d(images, kernel, 2, "SAME")
    return tf.nn.relu6(normalise("stem", x, take("gamma"), take("beta")))


@dataclass(frozen=True)
class _Masks:
    """What a block multiplies by to be narrower than its weights; the window is the depthwise kernel's."""

    hidden: Array
    outputs: Array
    window: Array


def _block(
    block: Block, take: Callable[[str], Tensor], x: Tensor, normalise: Normalise, masks: _Masks | None = None
) -> Tensor:
    """An inverted residual without its sum; ``take`` gives a weight by its name in the block, already cut."""
    tf = tensorflow()

    def finish(layer: str, y: Tensor) -> Tensor:
        return normalise(f"{block.name}/{layer}", y, take(f"{layer}/gamma"), take(f"{layer}/beta"))

    def hidden(layer: str, y: Tensor) -> Tensor:
        y = tf.nn.relu6(finish(layer, y))
        return y if masks is None else y * masks.hidden

    y = x
    if block.expands:
        y = hidden("expand", tf.nn.conv2d(y, take("expand/kernel"), 1, "SAME"))
    strides = [1, block.stride, block.stride, 1]
    window = take("depthwise/kernel")
    window = window if masks is None else window * masks.window
    y = hidden("depthwise", tf.nn.depthwise_conv2d(y, window, strides, "SAME"))
    y = finish("project", tf.nn.conv2d(y, take("project/kernel"), 1, "SAME"))
    return y if masks is None else y * masks.outputs


def _of(weights: Mapping[str, Tensor], layer: str) -> Callable[[str], Tensor]:
    """Gives a layer's or block's weights by their names within it."""
    return lambda name: weights[f"{layer}/{name}"]


def _head(weights: Mapping[str, Tensor], stage: int, x: Tensor) -> Tensor:
    tf = tensorflow()
    kernel = weights[f"head{stage}/kernel"]
    if x.shape[-1] != kernel.shape[0]:
        kernel = kernel[: tf.shape(x)[-1]]
    # The mean over a whole map wants full precision, whatever the convolutions had.
    return tf.reduce_mean(tf.cast(x, kernel.dtype), [1, 2]) @ kernel + weights[f"head{stage}/bias"]


def forward(weights: Mapping[str, Tensor], genotype: Genotype, images: Tensor, normalise: Normalise) -> Tensor:
    """Logits [N, classes] of a network whose weights have exactly the genotype's shapes.

    Args:
        weights: From :func:`cut`, or of a network of its own.
        genotype: The network.
        images: float32 [N, H, W, C] in 0..1.
        normalise: The kind of batch normalisation.
    """
    x = _stem(_of(weights, "stem"), images, normalise)
    blocks = architecture(genotype)
    for block in blocks:
        y = _block(block, _of(weights, block.name), x, normalise)
        x = x + y if block.residual else y
    return _head(weights, blocks[-1].stage, x)


def forward_masked(
    weights: Mapping[str, Tensor], envelope: Genotype, genotype: Genotype, images: Tensor, normalise: Normalise
) -> Tensor:
    """As :func:`forward`, computed with the supernet's whole weights and zeroed channels.

    ``normalise`` sees full-width tensors; statistics of the masked channels may be anything.
    """
    kept = {block.name: block for block in architecture(genotype)}
    blocks = architecture(envelope)
    stem = blocks[0].inputs
    x = _stem(_of(weights, "stem"), images, normalise) * _first(kept[blocks[0].name].inputs, stem)
    for block in blocks:
        if block.name in kept:
            masks = _masks(kept[block.name], block)
            y = _block(block, _of(weights, block.name), x, normalise, masks)
            x = x + y if block.residual else y
    return _head(weights, architecture(genotype)[-1].stage, x)


def _first(count: int, of: int) -> Array:
    return (np.arange(of) < count).astype(np.float32)


def _masks(own: Block, whole: Block) -> _Masks:
    window = np.zeros((whole.kernel, whole.kernel, 1, 1), np.float32)
    window[part((own.kernel, own.kernel, 1, 1), window.shape)] = 1
    return _Masks(_first(own.hidden, whole.hidden), _first(own.outputs, whole.outputs), window)


#: Columns of what :func:`sizes` gives.
INPUTS, HIDDEN, OUTPUTS, KERNEL = range(4)


def sizes(envelope: Genotype, genotype: Genotype) -> tuple[NDArray[np.int32], np.int32]:
    """What :func:`forward_sliced` needs of a subnet.

    Returns:
        int32 [blocks of the envelope, 4]: inputs, hidden, outputs, kernel; zeros where the block is absent. And the
        subnet's last stage.
    """
    kept = {block.name: block for block in architecture(genotype)}
    found = np.zeros((len(architecture(envelope)), 4), np.int32)
    for row, block in zip(found, architecture(envelope), strict=True):
        if (own := kept.get(block.name)) is not None:
            row[:] = own.inputs, own.hidden, own.outputs, own.kernel
    return found, np.int32(architecture(genotype)[-1].stage)


@dataclass(frozen=True)
class _Cutter:
    """Cuts a block's weights by its row of sizes, within a graph; ``free``: not the hidden size alone varies."""

    weights: Mapping[str, Tensor]
    block: Block
    row: Tensor
    free: bool

    def __call__(self, name: str) -> Tensor:
        weight = self.weights[f"{self.block.name}/{name}"]
        layer, kind = name.split("/")
        inputs, outputs = {"expand": (INPUTS, HIDDEN), "depthwise": (HIDDEN, None), "project": (HIDDEN, OUTPUTS)}[layer]
        if kind != "kernel":
            return self._first(weight, 0, HIDDEN if outputs is None else outputs)
        if layer == "depthwise" and self.free and self.block.kernel > 3:
            start = (self.block.kernel - self.row[KERNEL]) // 2
            window = slice(start, start + self.row[KERNEL])
            weight = weight[window, window]
        weight = self._first(weight, 2, inputs)
        return weight if outputs is None else self._first(weight, 3, outputs)

    def _first(self, weight: Tensor, axis: int, column: int) -> Tensor:
        if not (self.free or (column == HIDDEN and self.block.expands)):
            return weight
        return weight[(slice(None),) * axis + (slice(0, self.row[column]),)]


def forward_sliced(
    weights: Mapping[str, Tensor],
    envelope: Genotype,
    subnet: Tensor | NDArray[np.int32],
    last: Tensor | np.int32,
    images: Tensor,
    *,
    free: bool = False,
    statistics: Tensor | None = None,
    seen: list[Tensor] | None = None,
    heads: dict[int, Tensor] | None = None,
) -> Tensor:
    """As :func:`forward`, for use in a traced graph: the subnet is given by tensors.

    Args:
        weights: The supernet's.
        envelope: The supernet's genotype.
        subnet: int32 [blocks, 4], see :func:`sizes`; an array instead of a tensor makes a graph for that subnet alone.
        last: int32 scalar, the subnet's last stage.
        images: float32 [N, H, W, C] in 0..1; H, W, C static.
        free: Whether subnets differ in more than depth and hidden channels.
        statistics: float32 [2, channels of the subnet's normalised layers, one after the other]: mean and variance to
            normalise by; None to normalise by the batch.
        seen: Takes up, in the same order, mean and unbiased variance [2, channels] of each layer over the batch; an
            absent one is empty.
        heads: Takes up the logits behind every stage that has a head; those behind the subnet's last mean nothing.
    """
    tf = tensorflow()
    blocks = architecture(envelope)
    alone = isinstance(subnet, np.ndarray)
    position = tf.constant(0)

    def stage(present: Callable[[Normalise], Tensor], at: Tensor) -> tuple[Tensor, ...]:
        """Output, place in the statistics behind it, and what was seen."""
        found: list[Tensor] = []
        place = [at]

        def normalise(_layer: str, x: Tensor, gamma: Tensor, beta: Tensor) -> Tensor:
            if statistics is None:
                y, mean, variance = _batch_norm(x, gamma, beta)
                found.append(tf.stack([mean, variance]))
                return y
            end = place[0] + tf.shape(gamma)[0]
            mean, variance = tf.unstack(statistics[:, place[0] : end])
            place[0] = end
            scale = gamma * tf.math.rsqrt(variance + EPSILON)
            return x * scale + (beta - mean * scale)

        y = present(normalise)
        return (y, place[0], *(found if seen is not None else ()))

    def take_stem(name: str) -> Tensor:
        weight = weights[f"stem/{name}"]
        return weight[..., : subnet[0, INPUTS]] if free else weight

    x, position, *found = stage(lambda normalise: _stem(take_stem, images, normalise), position)
    if seen is not None:
        seen += found
    logits = tf.zeros([])
    for number, block in enumerate(blocks):
        take = _Cutter(weights, block, subnet[number], free)

        def present(normalise: Normalise, x: Tensor = x, block: Block = block, take: _Cutter = take) -> Tensor:
            y = _block(block, take, x, normalise)
            return x + y if block.residual else y

        def compute(present: Callable[[Normalise], Tensor] = present, at: Tensor = position) -> tuple[Tensor, ...]:
            return stage(present, at)

        if block.stage <= FIXED_STAGES or (alone and subnet[number, HIDDEN] > 0):
            x, position, *found = compute()
        else:
            side = -(-x.shape[1] // block.stride)
            layers = 0 if seen is None else 3

            def skip(
                x: Tensor = x, side: int = side, block: Block = block, at: Tensor = position, layers: int = layers
            ) -> tuple[Tensor, ...]:
                # Behind a stage that is absent nothing is used any more; zeros only keep the shapes.
                y = x if block.residual else tf.zeros([tf.shape(x)[0], side, side, block.outputs], x.dtype)
                return (y, at, *(tf.zeros([2, 0]) for _ in range(layers)))

            x, position, *found = skip() if alone else tf.cond(subnet[number, HIDDEN] > 0, compute, skip)
            x.set_shape([None, side, side, None if free else block.outputs])
        if seen is not None:
            seen += found
        ends = number + 1 == len(blocks) or blocks[number + 1].stage != block.stage
        if ends and f"head{block.stage}/kernel" in weights:
            answer = _head(weights, block.stage, x)
            if heads is not None:
                heads[block.stage] = answer
            logits += tf.cast(tf.equal(last, block.stage), tf.float32) * answer
    return logits
