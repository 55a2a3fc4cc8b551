"""Final training: a finalist's own copy of the weights, trained alone on the training split.

The training itself is :mod:`pipeline.search.standalone`: smoothed labels mixed with the answers of a teacher, the
supernet's largest subnet, to the same images, and a learning rate that follows a cosine. Validation is looked at before
and after it, and the better of both networks is kept, so that training never makes a finalist worse there.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.datasets import DatasetSource, View
from pipeline.quantize.evaluation import counted
from pipeline.quantize.settings import QuantizeSettings
from pipeline.search import checkpoint, layers, standalone, subnet, training
from pipeline.search.backend import tensorflow

_TIMED = 3
#: Share of the time left that a schedule is fitted to; a machine does not do every step as fast as the first ones.
_PLANNED = 0.9


@dataclass(frozen=True)
class Finished:
    """A network after its final training. Accuracies are on validation, 0..1.

    Attributes:
        network: The better of both, ready for inference.
        inherited: With the weights that training started from.
        trained: After training; equal to ``inherited`` where there was none.
        steps: Steps done.
        of: Steps that the schedule had.
        kept: Whether ``network`` is the trained one.
    """

    network: subnet.Subnet
    inherited: float
    trained: float
    steps: int
    of: int
    kept: bool

    @property
    def accuracy(self) -> float:
        """Of the network that is kept."""
        return self.trained if self.kept else self.inherited


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


def finish(
    inherited: subnet.Subnet,
    source: DatasetSource,
    teacher: Teacher | None,
    *,
    steps: int,
    settings: QuantizeSettings,
    seed: int,
    validation: View,
    balanced: bool,
    file: Path,
    meta: Mapping[str, Any],
    report: Callable[[training.Step], None] | None = None,
    keep_going: Callable[[], bool] | None = None,
) -> Finished:
    """Train to the end, from the checkpoint ``file`` if it is of the same ``meta``.

    Args:
        inherited: The finalist as the supernet has it.
        source: Its images.
        teacher: None: labels alone.
        steps: 0 leaves the network as inherited.
        settings: Rate, smoothing, distillation and so on.
        seed: Of order and augmentation, together with the genotype.
        validation: What both networks are looked at on.
        balanced: Whether classes count alike there, or images.
        file: Where checkpoints go.
        meta: All that the result depends on besides these, as JSON.
        report: Called after each step.
        keep_going: Asked before each step; False ends the training early.

    Raises:
        EnvironmentProblem: ``disk-full``, ``not-writable``.
    """
    images, labels = np.asarray(validation.images), validation.labels
    before = counted(inherited.scores(images, labels), balanced)
    if not steps:
        return Finished(inherited, before, before, 0, 0, kept=False)
    done = 0

    def count(step: training.Step) -> None:
        nonlocal done
        done = step.number
        if report is not None:
            report(step)

    network = standalone.train(
        inherited.genotype,
        source,
        steps=steps,
        seed=seed,
        settings=settings.standalone,
        report=count,
        teacher=teacher,
        start=inherited.weights,
        file=file,
        keep_going=keep_going,
        meta=meta,
    )
    after = counted(network.scores(images, labels), balanced)
    kept = after >= before
    done = done or _steps_of(file)  # a finished training that is taken up again reports no step
    return Finished(network if kept else inherited, before, after, done, steps, kept)


def _steps_of(file: Path) -> int:
    stored = checkpoint.load(file)
    return 0 if stored is None else int(stored["step"])


def steps_within(
    seconds: float,
    inherited: subnet.Subnet,
    source: DatasetSource,
    teacher: Teacher | None,
    *,
    settings: QuantizeSettings,
    most: int,
) -> int:
    """How many steps of final training a time is enough for, at least 1 and at most ``most``: some are made and timed.

    A cosine that is cut off ends at a high learning rate, with weights that are worth little; one that is as long as
    the time ends where it should.
    """
    moments = [time.monotonic()]
    standalone.train(
        inherited.genotype,
        source,
        steps=most,
        seed=0,
        settings=settings.standalone,
        report=lambda _: moments.append(time.monotonic()),
        teacher=teacher,
        start=inherited.weights,
        keep_going=lambda: len(moments) <= _TIMED + 1,
    )
    if len(moments) < _TIMED + 1:
        return most
    # The first step traces the graph.
    each = (moments[-1] - moments[1]) / (len(moments) - 2)
    left = seconds - (moments[-1] - moments[0])
    return max(1, min(most, int(_PLANNED * left / each)))
