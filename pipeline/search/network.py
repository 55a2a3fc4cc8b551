"""Trainable weights with an optimizer, and one traced graph that serves every subnet of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.genotype import Genotype
from pipeline.search import layers
from pipeline.search.backend import tensorflow

_BETA1, _BETA2, _EPSILON = 0.9, 0.999, 1e-7


class Network:
    """The weights of an envelope, as TensorFlow variables, and Adam.

    Tracing costs some seconds, once: the subnet is given by tensors (see :func:`layers.forward_sliced`), so that no
    subnet needs a graph of its own and a narrow one costs as little as it should.

    Args:
        envelope: The largest network held.
        classes: Outputs of the head.
        weights: Starting weights by parameter name.
        exits: Stages with a head, None for the last alone.
    """

    def __init__(
        self, envelope: Genotype, classes: int, weights: layers.Weights, *, exits: tuple[int, ...] | None = None
    ) -> None:
        tf = tensorflow()
        self.envelope = envelope
        self.classes = classes
        self.step = 0
        self._names = [parameter.name for parameter in layers.parameters(envelope, classes, exits=exits)]
        self._variables = {name: tf.Variable(weights[name]) for name in self._names}
        self._first = {name: tf.Variable(np.zeros_like(weights[name])) for name in self._names}
        self._second = {name: tf.Variable(np.zeros_like(weights[name])) for name in self._names}
        self._sums = {name: tf.Variable(np.zeros_like(weights[name])) for name in self._names}
        self._accumulate = tf.function(
            self._trace_accumulate,
            autograph=False,
            input_signature=[
                tf.TensorSpec([None, *envelope.data.shape], tf.uint8),
                tf.TensorSpec([None, classes], tf.float32),
                tf.TensorSpec([len(layers.widths(envelope, envelope)[0])], tf.int32),
                tf.TensorSpec([], tf.int32),
            ],
        )
        self._apply = tf.function(
            self._trace_apply, autograph=False, input_signature=[tf.TensorSpec([], tf.float32) for _ in range(4)]
        )

    def _trace_accumulate(self, images: Any, targets: Any, counts: Any, last: Any) -> tuple[Any, Any]:
        tf = tensorflow()
        variables = [self._variables[name] for name in self._names]
        with tf.GradientTape() as tape:
            # Reading each variable once makes its gradient dense before it is summed.
            values = {name: tf.identity(variable) for name, variable in self._variables.items()}
            logits = layers.forward_sliced(values, self.envelope, counts, last, tf.cast(images, tf.float32) / 255)
            loss = tf.reduce_mean(tf.nn.softmax_cross_entropy_with_logits(targets, logits))
        gradients = tape.gradient(loss, variables, unconnected_gradients="zero")
        for name, gradient in zip(self._names, gradients, strict=True):
            self._sums[name].assign_add(gradient)
        return loss, tf.nn.softmax(logits)

    def _trace_apply(self, rate: Any, scale: Any, power1: Any, power2: Any) -> None:
        tf = tensorflow()
        for name in self._names:
            tf.raw_ops.ResourceApplyAdam(
                var=self._variables[name].handle,
                m=self._first[name].handle,
                v=self._second[name].handle,
                beta1_power=power1,
                beta2_power=power2,
                lr=rate,
                beta1=_BETA1,
                beta2=_BETA2,
                epsilon=_EPSILON,
                grad=self._sums[name] * scale,
            )
            self._sums[name].assign(tf.zeros_like(self._sums[name]))

    def accumulate(
        self, images: NDArray[np.uint8], targets: NDArray[np.float32], genotype: Genotype
    ) -> tuple[float, NDArray[np.float32]]:
        """Add the gradient of one subnet's cross-entropy on a batch to what the next :meth:`apply` uses.

        Args:
            images: uint8 [N, H, W, C].
            targets: [N, classes], rows sum to 1.
            genotype: A subnet of the envelope.

        Returns:
            The loss and the subnet's probabilities [N, classes].
        """
        counts, last = layers.widths(self.envelope, genotype)
        loss, probabilities = self._accumulate(images, targets, counts, last)
        return float(loss), probabilities.numpy()

    def apply(self, rate: float, *, of: int) -> None:
        """One step of Adam with the mean of the ``of`` gradients accumulated; the sum starts anew."""
        self.step += 1
        self._apply(np.float32(rate), np.float32(1 / of), np.float32(_BETA1**self.step), np.float32(_BETA2**self.step))

    def load(self, weights: layers.Weights) -> None:
        """Start anew from these weights: step 0, optimizer and gradients forgotten."""
        self.step = 0
        for name, variable in self._variables.items():
            variable.assign(weights[name])
            for other in (self._first, self._second, self._sums):
                other[name].assign(np.zeros_like(weights[name]))

    def values(self) -> dict[str, layers.Array]:
        """A copy of the weights."""
        return {name: variable.numpy().copy() for name, variable in self._variables.items()}

    def state(self) -> dict[str, NDArray[Any]]:
        """Weights, optimizer state and step: everything that the next step depends on besides its batch."""
        found: dict[str, NDArray[Any]] = {"step": np.array(self.step)}
        for kind, variables in (("weights", self._variables), ("first", self._first), ("second", self._second)):
            found.update({f"{kind}:{name}": variable.numpy() for name, variable in variables.items()})
        return found

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Take up a :meth:`state`."""
        self.step = int(state["step"])
        for kind, variables in (("weights", self._variables), ("first", self._first), ("second", self._second)):
            for name, variable in variables.items():
                variable.assign(state[f"{kind}:{name}"])
