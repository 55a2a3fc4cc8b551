"""The published supernet: trained at full size, masked before batch normalisation, subnets without residuals.

It is here to be compared with, not to be used: a masked channel is normalised like any other, so that it passes on
``relu6(beta)`` instead of nothing, and the network that is scored is not the one that could be deployed. Its running
batch-norm statistics follow with momentum 0.999, too slowly for the steps a candidate gets.

Source: arXiv 2502.12690 and the description of its authors' code; weaknesses as named in docs/search.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.genotype import Block, Genotype, architecture
from pipeline.search import layers
from pipeline.search.backend import tensorflow

_BETA1, _BETA2, _EPSILON = 0.9, 0.999, 1e-7
_VALIDATION_BATCH = 128
_KINDS = ("weights", "means", "variances", "first", "second")


class PublishedNetwork:
    """Shared weights with running statistics, and Adam for whatever is in training.

    A graph is traced for each depth tuple, and only the latest is kept; widths are tensors. (The authors' code traces
    for each candidate.)

    Args:
        envelope: The full network.
        classes: Outputs of the head.
        seed: Words of the random start.
        momentum: Of the running statistics.
    """

    def __init__(self, envelope: Genotype, classes: int, *, seed: tuple[int, ...], momentum: float) -> None:
        tf = tensorflow()
        self.envelope = envelope
        self.classes = classes
        self._momentum = momentum
        start = layers.initial(layers.parameters(envelope, classes, exits=layers.exit_stages(envelope)), seed)
        self._weights = {name: tf.Variable(value) for name, value in start.items()}
        channels = {
            name.removesuffix("/gamma"): value.shape for name, value in start.items() if name.endswith("/gamma")
        }
        self._means = {name: tf.Variable(np.zeros(shape, np.float32)) for name, shape in channels.items()}
        self._variances = {name: tf.Variable(np.ones(shape, np.float32)) for name, shape in channels.items()}
        self._first = {name: tf.Variable(np.zeros_like(value)) for name, value in start.items()}
        self._second = {name: tf.Variable(np.zeros_like(value)) for name, value in start.items()}
        self._graphs: tuple[Any, Any, Any] | None = None
        self._step = 0

    def begin(self) -> None:
        """Forget the optimizer's state: the full network and each candidate are trained with an Adam of their own."""
        self._step = 0
        for slots in (self._first, self._second):
            for variable in slots.values():
                variable.assign(np.zeros(variable.shape, np.float32))

    def train(
        self, images: NDArray[np.uint8], targets: NDArray[np.float32], genotype: Genotype, rate: float
    ) -> tuple[float, float]:
        """One step of a subnet on the shared weights.

        Args:
            images: uint8 [N, H, W, C].
            targets: One-hot [N, classes].
            genotype: A subnet of the envelope, or the envelope itself.
            rate: Learning rate.

        Returns:
            Loss and accuracy on the batch, in training mode.
        """
        self._step += 1
        correction = np.sqrt(1 - _BETA2**self._step) / (1 - _BETA1**self._step)
        train, _ = self._traced(genotype)
        loss, accuracy = train(images, targets, _masks(self.envelope, genotype), np.float32(rate * correction))
        return float(loss), float(accuracy)

    def logits(self, images: NDArray[np.uint8], genotype: Genotype) -> NDArray[np.float32]:
        """Logits [N, classes] of a subnet in inference mode: by the running statistics."""
        _, infer = self._traced(genotype)
        masks = _masks(self.envelope, genotype)
        batches = range(0, len(images), _VALIDATION_BATCH)
        return np.concatenate([infer(images[start : start + _VALIDATION_BATCH], masks).numpy() for start in batches])

    def accuracy(self, images: NDArray[np.uint8], labels: NDArray[np.int64], genotype: Genotype) -> float:
        """Accuracy 0..1 of a subnet in inference mode."""
        return float(np.mean(self.logits(images, genotype).argmax(axis=1) == labels))

    @property
    def step(self) -> int:
        """Steps since :meth:`begin`."""
        return self._step

    def state(self, *, optimizer: bool) -> dict[str, NDArray[Any]]:
        """Weights and running statistics; with ``optimizer`` also what the next step depends on besides."""
        held = {"weights": self._weights, "means": self._means, "variances": self._variances}
        if optimizer:
            held |= {"first": self._first, "second": self._second}
        found = {f"{kind}:{name}": variable.numpy() for kind, group in held.items() for name, variable in group.items()}
        return found | ({"step": np.array(self._step)} if optimizer else {})

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Take up a :meth:`state`; one without the optimizer's part begins it anew."""
        self.begin()
        groups = (self._weights, self._means, self._variances, self._first, self._second)
        for kind, group in zip(_KINDS, groups, strict=True):
            for name, variable in group.items():
                if f"{kind}:{name}" in state:
                    variable.assign(state[f"{kind}:{name}"])
        self._step = int(state.get("step", np.array(0)))

    def _traced(self, genotype: Genotype) -> tuple[Any, Any]:
        # The full network is trained as MobileNetV2, with residuals; subnets are made without them.
        key = (genotype.depths, genotype == self.envelope)
        if self._graphs is None or self._graphs[0] != key:
            self._graphs = (key, *self._trace(genotype, residuals=genotype == self.envelope))
        return self._graphs[1], self._graphs[2]

    def _trace(self, genotype: Genotype, *, residuals: bool) -> tuple[Any, Any]:
        tf = tensorflow()
        blocks = architecture(Genotype(genotype.data, genotype.depths, self.envelope.alpha))
        images = tf.TensorSpec([None, *genotype.data.shape], tf.uint8)
        masks = {block.name: tf.TensorSpec([block.hidden], tf.float32) for block in blocks}

        def logits(pixels: Any, hidden: Mapping[str, Any], *, training: bool) -> Any:
            return self._forward(blocks, tf.cast(pixels, tf.float32) / 255, hidden, residuals, training)

        def train(pixels: Any, targets: Any, hidden: Mapping[str, Any], rate: Any) -> tuple[Any, Any]:
            with tf.GradientTape() as tape:
                found = logits(pixels, hidden, training=True)
                loss = tf.reduce_mean(tf.nn.softmax_cross_entropy_with_logits(targets, found))
            names = list(self._weights)
            for name, gradient in zip(names, tape.gradient(loss, list(self._weights.values())), strict=True):
                if gradient is not None:
                    self._adam(name, gradient, rate)
            hits = tf.equal(tf.argmax(found, axis=1), tf.argmax(targets, axis=1))
            return loss, tf.reduce_mean(tf.cast(hits, tf.float32))

        def infer(pixels: Any, hidden: Mapping[str, Any]) -> Any:
            return logits(pixels, hidden, training=False)

        step = tf.TensorSpec([], tf.float32)
        targets = tf.TensorSpec([None, self.classes], tf.float32)
        return (
            tf.function(train, autograph=False, input_signature=[images, targets, masks, step]),
            tf.function(infer, autograph=False, input_signature=[images, masks]),
        )

    def _adam(self, name: str, gradient: Any, rate: Any) -> None:
        tf = tensorflow()
        first, second = self._first[name], self._second[name]
        first.assign(_BETA1 * first + (1 - _BETA1) * gradient)
        second.assign(_BETA2 * second + (1 - _BETA2) * gradient * gradient)
        self._weights[name].assign_sub(rate * first / (tf.sqrt(second) + _EPSILON))

    def _forward(
        self, blocks: tuple[Block, ...], images: Any, masks: Mapping[str, Any], residuals: bool, training: bool
    ) -> Any:
        tf = tensorflow()
        weights = self._weights

        def normalise(layer: str, x: Any, mask: Any = None) -> Any:
            if mask is not None:
                x = x * mask  # before batch normalisation: what is published
            return self._normalised(layer, x, training)

        x = tf.nn.relu6(normalise("stem", tf.nn.conv2d(images, weights["stem/kernel"], 2, "SAME")))
        for block in blocks:
            y, mask = x, masks[block.name]
            if block.expands:
                y = tf.nn.conv2d(y, weights[f"{block.name}/expand/kernel"], 1, "SAME")
                y = tf.nn.relu6(normalise(f"{block.name}/expand", y, mask))
            strides = [1, block.stride, block.stride, 1]
            y = tf.nn.depthwise_conv2d(y, weights[f"{block.name}/depthwise/kernel"], strides, "SAME")
            y = tf.nn.relu6(normalise(f"{block.name}/depthwise", y, mask))
            y = tf.nn.conv2d(y, weights[f"{block.name}/project/kernel"], 1, "SAME")
            y = normalise(f"{block.name}/project", y)
            x = x + y if residuals and block.residual else y
        stage = blocks[-1].stage
        return tf.reduce_mean(x, [1, 2]) @ weights[f"head{stage}/kernel"] + weights[f"head{stage}/bias"]

    def _normalised(self, layer: str, x: Any, training: bool) -> Any:
        tf = tensorflow()
        gamma, beta = self._weights[f"{layer}/gamma"], self._weights[f"{layer}/beta"]
        means, variances = self._means[layer], self._variances[layer]
        if not training:
            return tf.nn.batch_normalization(x, means, variances, beta, gamma, layers.EPSILON)
        result = tf.raw_ops.FusedBatchNormV3(
            x=x, scale=gamma, offset=beta, mean=[], variance=[], epsilon=layers.EPSILON, is_training=True
        )
        means.assign(self._momentum * means + (1 - self._momentum) * result.batch_mean)
        variances.assign(self._momentum * variances + (1 - self._momentum) * result.batch_variance)
        return result.y


def _masks(envelope: Genotype, genotype: Genotype) -> dict[str, NDArray[np.float32]]:
    """Ones for the hidden channels that a subnet keeps of each of its blocks, zeros for the others."""
    whole = {block.name: block.hidden for block in architecture(envelope)}
    return {
        block.name: (np.arange(whole[block.name]) < block.hidden).astype(np.float32) for block in architecture(genotype)
    }
