"""Final training: a finalist's own copy of the weights, trained alone on the training split.

Targets are the labels, smoothed, mixed with the answer of a teacher, the supernet's largest subnet, to the same images.
The learning rate follows a cosine. Validation is looked at a few times on the way, batch-norm statistics taken anew for
each look, and the best of these states is kept, the inherited one among them: training never makes a finalist worse on
validation. All randomness is a function of (seed, step), so that a checkpoint is enough to go on with the same bits.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.datasets import View
from pipeline.quantize.settings import QuantizeSettings
from pipeline.search import checkpoint, layers, subnet, training
from pipeline.search.backend import tensorflow
from pipeline.search.batches import Batches
from pipeline.search.network import Network

_CHECKPOINT_EVERY = 50
_BEST = "best:"


@dataclass(frozen=True)
class Point:
    """A look at validation.

    Attributes:
        step: Steps done.
        loss: Mean training loss since the look before; None for the first.
        accuracy: On validation, 0..1.
    """

    step: int
    loss: float | None
    accuracy: float


@dataclass(frozen=True)
class Finished:
    """A network after its final training.

    Attributes:
        network: The best state, ready for inference.
        accuracy: Its accuracy on validation, 0..1.
        curve: All looks, the first before any step.
        kept: The step that the network is of; 0: as inherited.
    """

    network: subnet.Subnet
    accuracy: float
    curve: tuple[Point, ...]
    kept: int


class Teacher:
    """A network whose answers are learned from: uint8 images [N, H, W, C] to probabilities [N, classes]."""

    def __init__(self, network: subnet.Subnet) -> None:
        tf = tensorflow()
        self.genotype = network.genotype
        weights = {name: tf.constant(value) for name, value in network.weights.items()}
        normalise = layers.by_statistics(network.statistics)

        def answer(images: Any) -> Any:
            x = tf.cast(images, tf.float32) / 255
            return tf.nn.softmax(layers.forward(weights, network.genotype, x, normalise))

        shape = [None, *network.genotype.data.shape]
        self._answer = tf.function(answer, autograph=False, input_signature=[tf.TensorSpec(shape, tf.uint8)])

    def __call__(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Probabilities [N, classes]."""
        answers: NDArray[np.float32] = self._answer(images).numpy()
        return answers


def targets(
    labels: NDArray[np.float32], answers: NDArray[np.float32] | None, *, smoothing: float, distillation: float
) -> NDArray[np.float32]:
    """What is learned: smoothed labels and, where there is a teacher, its answers.

    Args:
        labels: One-hot [N, classes].
        answers: Probabilities [N, classes] or None.
        smoothing: Share of the labels spread evenly over the classes.
        distillation: Share of the answers.

    >>> targets(np.eye(2, dtype=np.float32)[:1], None, smoothing=0.5, distillation=0.5).tolist()
    [[0.75, 0.25]]
    """
    smooth = labels * np.float32(1 - smoothing) + np.float32(smoothing / labels.shape[1])
    if answers is None:
        return smooth
    return np.float32(1 - distillation) * smooth + np.float32(distillation) * answers


def looks(steps: int, watched: int) -> frozenset[int]:
    """After which steps validation is looked at; the last is always among them."""
    return frozenset(round(steps * number / watched) for number in range(1, watched + 1)) if steps else frozenset()


def finish(
    start: Mapping[str, layers.Array],
    network: Network,
    batches: Batches,
    teacher: Teacher | None,
    *,
    steps: int,
    settings: QuantizeSettings,
    settle: Callable[[layers.Weights], subnet.Subnet],
    validation: View,
    file: Path,
    meta: Mapping[str, Any],
    report: Callable[[training.Step], None] | None = None,
) -> Finished:
    """Train to the end, from the checkpoint ``file`` if it is of the same ``meta``.

    Args:
        start: The inherited weights, of the genotype's own shapes.
        network: A network of these shapes; its weights are overwritten.
        batches: The training split, augmented.
        teacher: None: labels alone.
        steps: 0 leaves the network as inherited.
        settings: Rate, smoothing, distillation, and how often validation is looked at.
        settle: Makes a network ready for inference of its weights.
        validation: What is looked at.
        file: Where checkpoints go.
        meta: All that the result depends on, as JSON.
        report: Called after each step.

    Raises:
        EnvironmentProblem: ``disk-full``, ``not-writable``.
    """
    images, labels = np.asarray(validation.images), validation.labels
    stored = checkpoint.load(file, meta)
    network.load(start)
    if stored is None:
        best: layers.Weights = dict(start)
        curve = [Point(0, None, settle(best).scores(images, labels).accuracy)]
        kept, losses = 0, [0.0, 0.0]
    else:
        network.restore(stored)
        best = {name.removeprefix(_BEST): values for name, values in stored.items() if name.startswith(_BEST)}
        curve = [Point(int(s), None if np.isnan(loss) else float(loss), float(a)) for s, loss, a in stored["curve"]]
        kept, losses = int(stored["kept"]), [float(value) for value in stored["losses"]]
    at = looks(steps, settings.watched)
    while network.step < steps:
        number = network.step
        seen, hard = batches(number)
        answers = teacher(seen) if teacher is not None else None
        loss, answer = network.accumulate(
            seen,
            targets(hard, answers, smoothing=settings.smoothing, distillation=settings.distillation),
            network.envelope,
        )
        network.apply(training.rate(number, steps, settings.rate), of=1)
        losses = [losses[0] + loss, losses[1] + 1]
        if network.step in at:
            values = network.values()
            accuracy = settle(values).scores(images, labels).accuracy
            curve.append(Point(network.step, losses[0] / losses[1], accuracy))
            losses = [0.0, 0.0]
            if accuracy >= max(point.accuracy for point in curve):
                best, kept = values, network.step
        if network.step in at or network.step % _CHECKPOINT_EVERY == 0:
            points = [[p.step, np.nan if p.loss is None else p.loss, p.accuracy] for p in curve]
            state = {**network.state(), "curve": np.array(points), "kept": np.array(kept), "losses": np.array(losses)}
            checkpoint.save(file, {**state, **{f"{_BEST}{name}": values for name, values in best.items()}}, meta)
        if report is not None:
            correct = float(np.mean(answer.argmax(axis=1) == hard.argmax(axis=1)))
            report(training.Step(network.step, loss, correct))
    accuracy = next(point.accuracy for point in curve if point.step == kept)
    return Finished(settle(best), accuracy, tuple(curve), kept)
