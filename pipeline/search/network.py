"""Trainable weights with an optimizer, and one traced graph a data configuration that serves every subnet of them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.genotype import DataConfig, Genotype
from pipeline.search import layers
from pipeline.search.backend import Pace, pace, tensorflow

_BETA1, _BETA2, _EPSILON = 0.9, 0.999, 1e-7

Images = NDArray[np.uint8]


class Network:
    """The weights of an envelope, as one TensorFlow variable, and Adam.

    Tracing costs some seconds a data configuration, once: the subnet is given by tensors (see
    :func:`layers.forward_sliced`), so that no subnet needs a graph of its own and a narrow one costs as little as it
    should. All weights lie in one vector, so that gradients are summed and Adam runs in one operation each.

    Args:
        envelope: The largest network held; its data configuration has the most colours.
        classes: Outputs of the head.
        weights: Starting weights by parameter name.
        exits: Stages with a head, None for the last alone.
        often: Subnets that are trained again and again; where XLA is quicker, each gets a compiled graph of its own.
        at: Precision and compilation; what suits the device if None.
        throttled: Told when a batch has not fitted into memory, with the images at a time that are tried from then on.
    """

    def __init__(
        self,
        envelope: Genotype,
        classes: int,
        weights: layers.Weights,
        *,
        exits: tuple[int, ...] | None = None,
        often: Collection[Genotype] = (),
        at: Pace | None = None,
        throttled: Callable[[int], None] | None = None,
    ) -> None:
        tf = tensorflow()
        self.envelope = envelope
        self.classes = classes
        self.step = 0
        #: In how many parts a batch goes through, one after the other; doubled whenever memory does not suffice.
        self.parts = 1
        self._pace = pace() if at is None else at
        self._often = frozenset(often) if self._pace.compiled else frozenset()
        self._throttled = throttled
        self._parameters = layers.parameters(envelope, classes, exits=exits)
        self._lengths = [int(np.prod(parameter.shape)) for parameter in self._parameters]
        flat = self._joined(weights)
        self._weights = tf.Variable(flat)
        self._first = tf.Variable(np.zeros_like(flat))
        self._second = tf.Variable(np.zeros_like(flat))
        kernels = [np.full(n, p.name.endswith("/kernel")) for p, n in zip(self._parameters, self._lengths, strict=True)]
        self._kernels = tf.constant(np.concatenate(kernels).astype(np.float32))
        self._gradient: Any = None
        self._held: layers.Weights | None = None
        self._subnets: dict[Genotype, tuple[Any, Any]] = {}
        self._training: dict[DataConfig | Genotype, Any] = {}
        self._recording: dict[DataConfig, Any] = {}
        self._inference: dict[DataConfig, Any] = {}
        self._apply = tf.function(
            self._trace_apply,
            autograph=False,
            input_signature=[tf.TensorSpec(flat.shape, tf.float32), tf.TensorSpec([5], tf.float32)],
        )

    def _joined(self, weights: layers.Weights) -> layers.Array:
        return np.concatenate([np.ravel(weights[parameter.name]) for parameter in self._parameters]).astype(np.float32)

    def _apart(self, flat: layers.Array) -> dict[str, layers.Array]:
        parts = np.split(flat, np.cumsum(self._lengths)[:-1])
        return {p.name: part.reshape(p.shape).copy() for p, part in zip(self._parameters, parts, strict=True)}

    def _tensors(self, flat: Any, half: Any = None) -> dict[str, Any]:
        """The weights by name, within a graph; kernels of convolutions in half precision if one is given."""
        tf = tensorflow()
        parts = tf.split(flat, self._lengths)
        named = {p.name: tf.reshape(part, p.shape) for p, part in zip(self._parameters, parts, strict=True)}
        if half is None:
            return named
        return {name: tf.cast(value, half) if len(value.shape) == 4 else value for name, value in named.items()}

    def _graph(self, data: DataConfig, trace: Any, *more: Any, compiled: bool = False) -> Any:
        """A graph of (images, sizes, last stage, more …) at a data configuration."""
        tf = tensorflow()
        count = len(layers.sizes(self.envelope, self.envelope)[0])
        return tf.function(
            trace,
            autograph=False,
            jit_compile=compiled or None,
            input_signature=[
                tf.TensorSpec([None, *data.shape], tf.uint8),
                tf.TensorSpec([count, 4], tf.int32),
                tf.TensorSpec([], tf.int32),
                *more,
            ],
        )

    def _forward(self, weights: Mapping[str, Any], images: Any, subnet: Any, last: Any, **how: Any) -> Any:
        tf = tensorflow()
        free = self.envelope.wide is not None
        inputs = tf.cast(images, tf.float32) / 255
        if weights[layers.STEM_KERNEL].dtype != inputs.dtype:
            inputs = tf.cast(inputs, weights[layers.STEM_KERNEL].dtype)
        return layers.forward_sliced(weights, self.envelope, subnet, last, inputs, free=free, **how)

    def _trace_training(self, images: Any, subnet: Any, last: Any, *given: Any) -> tuple[Any, Any, Any]:
        """``given``: targets; a factor on the loss and the weight of earlier stages; what the gradient is added to."""
        tf = tensorflow()
        targets, numbers, before = given
        share, early = tf.unstack(numbers)
        heads: dict[int, Any] = {}

        def cross_entropy(logits: Any) -> Any:
            return tf.reduce_mean(tf.nn.softmax_cross_entropy_with_logits(targets, logits))

        with tf.GradientTape() as tape:
            flat = tf.identity(self._weights)
            tape.watch(flat)
            logits = self._forward(self._tensors(flat, self._pace.half), images, subnet, last, heads=heads)
            loss = share * cross_entropy(logits)
            weights = {stage: early * tf.cast(stage < last, tf.float32) for stage in heads}
            total = loss + tf.add_n([share * weights[stage] * cross_entropy(answer) for stage, answer in heads.items()])
            total /= 1 + tf.add_n(list(weights.values()))
        return loss, tf.nn.softmax(logits), before + tape.gradient(total, flat)

    def _trace_apply(self, gradient: Any, numbers: Any) -> None:
        """``numbers``: learning rate, scale of the gradient, the powers of Adam's two decays, weight decay."""
        tf = tensorflow()
        rate, scale, power1, power2, decay = tf.unstack(numbers)
        self._weights.assign(self._weights * (1 - rate * decay * self._kernels))
        tf.raw_ops.ResourceApplyAdam(
            var=self._weights.handle,
            m=self._first.handle,
            v=self._second.handle,
            beta1_power=power1,
            beta2_power=power2,
            lr=rate,
            beta1=_BETA1,
            beta2=_BETA2,
            epsilon=_EPSILON,
            grad=gradient * scale,
        )

    def _trace_recording(self, images: Any, subnet: Any, last: Any) -> Any:
        tf = tensorflow()
        seen: list[Any] = []
        self._forward(self._tensors(self._weights), images, subnet, last, seen=seen)
        return tf.concat(seen, axis=1)

    def _trace_inference(self, images: Any, subnet: Any, last: Any, statistics: Any) -> Any:
        return self._forward(self._tensors(self._weights), images, subnet, last, statistics=statistics)

    def _subnet(self, genotype: Genotype) -> tuple[Any, Any]:
        """A subnet as tensors."""
        tf = tensorflow()
        if genotype not in self._subnets:
            numbers, last = layers.sizes(self.envelope, genotype)
            self._subnets[genotype] = (tf.constant(numbers), tf.constant(last))
        return self._subnets[genotype]

    def accumulate(self, images: Images, targets: Any, genotype: Genotype, *, early: float = 0) -> tuple[Any, Any]:
        """Add the gradient of one subnet's cross-entropy on a batch to what the next :meth:`apply` uses.

        Args:
            images: uint8 [N, H, W, C], or a tensor of them, as the genotype's data configuration has them.
            targets: [N, classes], rows sum to 1; an array or a tensor.
            genotype: A subnet of the envelope.
            early: Weight of the same loss behind each earlier stage that has a head, that behind the last being 1:
                what is there are subnets as well, which the same pass trains.

        Returns:
            The loss and the subnet's probabilities [N, classes], as tensors.
        """
        tf = tensorflow()
        before = tf.zeros_like(self._weights) if self._gradient is None else self._gradient
        while True:
            try:
                loss, probabilities, self._gradient = self._in_parts(images, targets, genotype, early, before)
            except tf.errors.ResourceExhaustedError:
                if self.parts * 2 > len(images):
                    raise
                self.parts *= 2
                if self._throttled is not None:
                    self._throttled(-(-len(images) // self.parts))
            else:
                return loss, probabilities

    def _in_parts(self, images: Any, targets: Any, genotype: Genotype, *given: Any) -> tuple[Any, Any, Any]:
        """Loss, probabilities, and the gradient; ``given``: weight of earlier stages, and what it is added to."""
        tf = tensorflow()
        early, gradient = given
        training, subnet = self._training_of(genotype), self._subnet(genotype)
        size = -(-len(images) // self.parts)
        losses, answers = [], []
        for start in range(0, len(images), size):
            some = images[start : start + size]
            share = np.float32(len(some) / len(images))
            loss, answer, gradient = training(
                some, *subnet, targets[start : start + size], np.array([share, early], np.float32), gradient
            )
            losses.append(loss)
            answers.append(answer)
        return tf.add_n(losses), answers[0] if len(answers) == 1 else tf.concat(answers, axis=0), gradient

    def _training_of(self, genotype: Genotype) -> Any:
        """The graph that trains a subnet: its own, or that of its data configuration."""
        tf = tensorflow()
        own = genotype in self._often
        key = genotype if own else genotype.data
        if key not in self._training:

            def for_it_alone(images: Any, _subnet: Any, _last: Any, *given: Any) -> tuple[Any, Any, Any]:
                return self._trace_training(images, *layers.sizes(self.envelope, genotype), *given)

            self._training[key] = self._graph(
                genotype.data,
                for_it_alone if own else self._trace_training,
                tf.TensorSpec([None, self.classes], tf.float32),
                tf.TensorSpec([2], tf.float32),
                tf.TensorSpec(self._weights.shape, tf.float32),
                compiled=own,
            )
        return self._training[key]

    def apply(self, rate: float, *, of: int, decay: float = 0) -> None:
        """One step of Adam with the mean of the ``of`` gradients accumulated; the sum starts anew.

        Args:
            rate: Learning rate.
            of: How many gradients were accumulated.
            decay: Decoupled weight decay: the step takes rate x decay of each kernel away (arXiv 1711.05101).
        """
        self.step += 1
        numbers = (rate, 1 / of, _BETA1**self.step, _BETA2**self.step, decay)
        self._apply(self._gradient, np.array(numbers, np.float32))
        self._gradient = None
        self._held = None

    def record(self, images: Images, genotype: Genotype, pool: layers.Pool) -> None:
        """Let the pool see the batch statistics of a subnet's layers on images uint8 [N, H, W, C]."""
        if genotype.data not in self._recording:
            self._recording[genotype.data] = self._graph(genotype.data, self._trace_recording)
        seen = self._recording[genotype.data](images, *self._subnet(genotype)).numpy()
        at = 0
        for layer, channels, pixels in layers.normalised(genotype):
            mean, variance = seen[:, at : at + channels]
            pool.add(layer, float(len(images) * pixels), mean, variance)
            at += channels

    def logits(self, images: Images, genotype: Genotype, statistics: layers.Statistics) -> layers.Array:
        """Logits [N, classes] of a subnet in inference, normalised by these statistics."""
        tf = tensorflow()
        if genotype.data not in self._inference:
            self._inference[genotype.data] = self._graph(
                genotype.data, self._trace_inference, tf.TensorSpec([2, None], tf.float32)
            )
        flat = np.concatenate([np.stack(statistics[layer]) for layer, *_ in layers.normalised(genotype)], axis=1)
        found: layers.Array = self._inference[genotype.data](images, *self._subnet(genotype), flat).numpy()
        return found

    def load(self, weights: layers.Weights) -> None:
        """Start anew from these weights: step 0, optimizer and gradients forgotten."""
        self.step = 0
        self._gradient = None
        flat = self._joined(weights)
        self._weights.assign(flat)
        for other in (self._first, self._second):
            other.assign(np.zeros_like(flat))
        self._held = weights

    def hold(self, weights: layers.Weights) -> None:
        """:meth:`load`, unless these very weights were loaded and not trained since."""
        if self._held is not weights:
            self.load(weights)

    def values(self) -> dict[str, layers.Array]:
        """A copy of the weights."""
        return self._apart(self._weights.numpy())

    def state(self) -> dict[str, NDArray[Any]]:
        """Weights, optimizer state and step: everything that the next step depends on besides its batch."""
        found: dict[str, NDArray[Any]] = {"step": np.array(self.step), "parts": np.array(self.parts)}
        for kind, variable in (("weights", self._weights), ("first", self._first), ("second", self._second)):
            found.update({f"{kind}:{name}": value for name, value in self._apart(variable.numpy()).items()})
        return found

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Take up a :meth:`state`."""
        self.step, self.parts = int(state["step"]), int(state["parts"])
        self._gradient, self._held = None, None
        for kind, variable in (("weights", self._weights), ("first", self._first), ("second", self._second)):
            variable.assign(self._joined({p.name: state[f"{kind}:{p.name}"] for p in self._parameters}))
