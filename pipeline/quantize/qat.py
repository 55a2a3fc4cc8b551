"""Quantization-aware training: a float network learns to be an int8 one.

The network is trained as :mod:`pipeline.quantize.fake_quant` computes it, on the float network's own answers mixed with
the labels. An activation's range starts as the calibration images have it and follows the batches' extremes by a moving
average; for the last third of the steps ranges stand still, and the weights settle on exactly what ships.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.quantize.fake_quant import FakeQuantKit
from pipeline.quantize.finishing import Teacher
from pipeline.quantize.topology import assemble
from pipeline.search import checkpoint, subnet, training
from pipeline.search.backend import tensorflow
from pipeline.search.batches import SingleBatches
from pipeline.search.standalone import targets

_BETA1, _BETA2, _EPSILON = 0.9, 0.999, 1e-7
_MOMENTUM = 0.95
_MOVING = 2 / 3
_DISTILLATION = 0.7
_NARROWEST = 1e-3
_CHECKPOINT_EVERY = 50
_BATCH = 128


@dataclass(frozen=True)
class Aware:
    """A network trained for its quantization: weights, and the range of each activation (least, greatest)."""

    network: subnet.Subnet
    ranges: dict[str, tuple[float, float]]


def train(
    network: subnet.Subnet,
    batches: SingleBatches,
    calibration: NDArray[np.uint8],
    *,
    steps: int,
    peak: float,
    file: Path,
    meta: Mapping[str, Any],
    report: Callable[[training.Step], None] | None = None,
) -> Aware:
    """Train for int8, from the checkpoint ``file`` if it is of the same ``meta``.

    Args:
        network: The float network; it is the teacher, too.
        batches: The training split, augmented.
        calibration: uint8 [N, H, W, C] of the training split; its extremes are the ranges' start.
        steps: At least 1.
        peak: Learning rate; warm-up, then cosine.
        file: Where checkpoints go.
        meta: All that the result depends on, as JSON.
        report: Called after each step.

    Raises:
        EnvironmentProblem: ``disk-full``, ``not-writable``.
    """
    trainer = _Trainer(network, extremes(network, calibration))
    teacher = Teacher(network)
    stored = checkpoint.load(file, meta)
    if stored is not None:
        trainer.restore(stored)
    while trainer.step < steps:
        number = trainer.step
        images, labels = batches(number)
        soft = targets(labels, teacher(images), smoothing=0, distillation=_DISTILLATION)
        moving = number < steps * _MOVING
        loss, answer = trainer(images, soft, training.rate(number, steps, peak), _MOMENTUM if moving else 1.0)
        if trainer.step % _CHECKPOINT_EVERY == 0 or trainer.step == steps:
            checkpoint.save(file, trainer.state(), meta)
        if report is not None:
            correct = float(np.mean(answer.argmax(axis=1) == labels.argmax(axis=1)))
            report(training.Step(trainer.step, loss, correct))
    return trainer.trained()


def extremes(network: subnet.Subnet, images: NDArray[np.uint8]) -> dict[str, tuple[float, float]]:
    """Least and greatest value of each activation over the images, zero within; of the input always 0 and 1."""
    tf = tensorflow()
    weights = {name: tf.constant(values) for name, values in network.weights.items()}
    found: dict[str, tuple[float, float]] = {}
    for start in range(0, len(images), _BATCH):
        kit = FakeQuantKit(weights, network.statistics, None)
        assemble(network.genotype, kit, tf.constant(subnet.as_input(images[start : start + _BATCH])))
        for layer, (least, greatest) in kit.seen.items():
            before = found.get(layer, (0.0, _NARROWEST))
            found[layer] = min(before[0], float(least)), max(before[1], float(greatest))
    return {**found, "image": (0.0, 1.0)}


class _Trainer:
    """Weights and ranges as variables, Adam, and one traced step."""

    def __init__(self, network: subnet.Subnet, ranges: Mapping[str, tuple[float, float]]) -> None:
        tf = tensorflow()
        self.step = 0
        self._network = network
        self._layers = list(ranges)
        self._weights = {name: tf.Variable(values) for name, values in network.weights.items()}
        self._first = {name: tf.Variable(np.zeros_like(values)) for name, values in network.weights.items()}
        self._second = {name: tf.Variable(np.zeros_like(values)) for name, values in network.weights.items()}
        self._ranges = tf.Variable(np.array([ranges[layer] for layer in self._layers], np.float32))
        self._run = tf.function(
            self._trace,
            autograph=False,
            input_signature=[
                tf.TensorSpec([None, *network.genotype.data.shape], tf.uint8),
                tf.TensorSpec([None, network.classes], tf.float32),
                tf.TensorSpec([], tf.float32),
                tf.TensorSpec([], tf.float32),
                tf.TensorSpec([2], tf.float32),
            ],
        )

    def _trace(self, images: Any, soft: Any, rate: Any, momentum: Any, powers: Any) -> tuple[Any, Any]:
        tf = tensorflow()
        names = list(self._weights)
        with tf.GradientTape() as tape:
            values = {name: tf.identity(variable) for name, variable in self._weights.items()}
            ranges = {layer: (self._ranges[n, 0], self._ranges[n, 1]) for n, layer in enumerate(self._layers)}
            kit = FakeQuantKit(values, self._network.statistics, ranges)
            logits = assemble(self._network.genotype, kit, tf.cast(images, tf.float32) / 255)
            loss = tf.reduce_mean(tf.nn.softmax_cross_entropy_with_logits(soft, logits))
        gradients = tape.gradient(loss, [self._weights[name] for name in names], unconnected_gradients="zero")
        for name, gradient in zip(names, gradients, strict=True):
            tf.raw_ops.ResourceApplyAdam(
                var=self._weights[name].handle,
                m=self._first[name].handle,
                v=self._second[name].handle,
                beta1_power=powers[0],
                beta2_power=powers[1],
                lr=rate,
                beta1=_BETA1,
                beta2=_BETA2,
                epsilon=_EPSILON,
                grad=gradient,
            )
        least = [tf.minimum(kit.seen[layer][0], 0.0) for layer in self._layers]
        greatest = [tf.maximum(kit.seen[layer][1], _NARROWEST) for layer in self._layers]
        least[self._layers.index("image")], greatest[self._layers.index("image")] = tf.constant(0.0), tf.constant(1.0)
        now = tf.stack([tf.stack(least), tf.stack(greatest)], axis=1)
        self._ranges.assign(momentum * self._ranges + (1 - momentum) * now)
        return loss, tf.nn.softmax(logits)

    def __call__(
        self, images: NDArray[np.uint8], soft: NDArray[np.float32], rate: float, momentum: float
    ) -> tuple[float, NDArray[np.float32]]:
        """One step; the loss and the probabilities [N, classes]."""
        self.step += 1
        powers = np.array([_BETA1**self.step, _BETA2**self.step], np.float32)
        loss, answer = self._run(images, soft, np.float32(rate), np.float32(momentum), powers)
        return float(loss), answer.numpy()

    def _groups(self) -> dict[str, Mapping[str, Any]]:
        return {"weights": self._weights, "first": self._first, "second": self._second}

    def state(self) -> dict[str, NDArray[Any]]:
        """All that the next step depends on besides its batch."""
        found = {"step": np.array(self.step), "ranges": self._ranges.numpy()}
        for kind, variables in self._groups().items():
            found.update({f"{kind}:{name}": variable.numpy() for name, variable in variables.items()})
        return found

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Take up a :meth:`state`."""
        self.step = int(state["step"])
        self._ranges.assign(state["ranges"])
        for kind, variables in self._groups().items():
            for name, variable in variables.items():
                variable.assign(state[f"{kind}:{name}"])

    def trained(self) -> Aware:
        """A copy of the weights and the ranges."""
        weights = {name: variable.numpy().copy() for name, variable in self._weights.items()}
        bounds = self._ranges.numpy()
        ranges = {layer: (float(low), float(high)) for layer, (low, high) in zip(self._layers, bounds, strict=True)}
        own = subnet.Subnet(self._network.genotype, self._network.classes, weights, self._network.statistics)
        return Aware(own, ranges)
