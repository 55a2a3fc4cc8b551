"""A subnet on its own: cut out, batch-norm statistics taken anew, validated. The shared weights stay untouched.

Nothing here depends on which subnets were scored before: a private copy goes in, statistics come from fixed training
images, and randomness, where there is any, comes from the run's seed and the genotype.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.genotype import Genotype
from pipeline.search import layers
from pipeline.search.backend import tensorflow
from pipeline.search.fitness import Scores, scores
from pipeline.search.network import Network

_CALIBRATION, _FINE_TUNING = 4, 5
_BATCH = 128


@dataclass(frozen=True)
class Subnet:
    """A network of exactly the genotype's shapes, ready for inference."""

    genotype: Genotype
    classes: int
    weights: layers.Weights
    statistics: layers.Statistics

    def logits(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Logits [N, classes] of uint8 images [N, H, W, C]."""
        tf = tensorflow()
        weights = {name: tf.constant(value) for name, value in self.weights.items()}
        normalise = layers.by_statistics(self.statistics)
        found = [
            layers.forward(weights, self.genotype, as_input(images[start : start + _BATCH]), normalise).numpy()
            for start in range(0, len(images), _BATCH)
        ]
        return np.concatenate(found)

    def scores(self, images: NDArray[np.uint8], labels: NDArray[np.int64]) -> Scores:
        """Accuracy, precision and recall on labelled images."""
        return scores(self.logits(images).argmax(axis=1), labels, self.classes)


def as_input(images: NDArray[np.uint8]) -> layers.Array:
    """The network's float input: pixel / 255."""
    return images.astype(np.float32) / np.float32(255)


def calibration_images(images: NDArray[np.uint8], count: int, seed: int) -> NDArray[np.uint8]:
    """A fixed choice of at most ``count`` images of the training split, the same for every candidate of a run."""
    chosen = np.random.default_rng([seed, _CALIBRATION]).permutation(len(images))[:count]
    return np.stack([images[number] for number in chosen])


def fine_tuning_seed(seed: int, genotype: Genotype) -> tuple[int, ...]:
    """Words of the seed of a candidate's own randomness: the run's seed and the genotype, nothing else."""
    return (seed, _FINE_TUNING, genotype.seed)


def settle(weights: layers.Weights, genotype: Genotype, classes: int, calibration: NDArray[np.uint8]) -> Subnet:
    """Take batch-norm statistics on the calibration images and make a subnet of a private copy of its weights.

    Args:
        weights: A supernet's or a network's own; only the subnet's prefixes are read.
        genotype: The subnet.
        classes: Outputs of the head.
        calibration: uint8 [N, H, W, C] of the training split, not augmented.
    """
    tf = tensorflow()
    own = layers.cut(weights, genotype, classes)
    tensors = {name: tf.constant(value) for name, value in own.items()}
    recorder = layers.Recorder()
    # calibration_images are in random order, so that every batch looks like the whole.
    for start in range(0, len(calibration), _BATCH):
        layers.forward(tensors, genotype, as_input(calibration[start : start + _BATCH]), recorder)
    return Subnet(genotype, classes, own, recorder.statistics())


def score(
    network: Network,
    genotype: Genotype,
    *,
    calibration: NDArray[np.uint8],
    images: NDArray[np.uint8],
    labels: NDArray[np.int64],
) -> Scores:
    """What :func:`settle` and :meth:`Subnet.scores` give, by the traced graphs of a network that holds the weights.

    Args:
        network: See :func:`logits`.
        genotype: The subnet.
        calibration: See :func:`logits`.
        images: uint8 [N, H, W, C] to score on.
        labels: int64 [N].
    """
    found = logits(network, genotype, calibration=calibration, images=images)
    return scores(found.argmax(axis=1), labels, network.classes)


def logits(
    network: Network, genotype: Genotype, *, calibration: NDArray[np.uint8], images: NDArray[np.uint8]
) -> layers.Array:
    """Logits [N, classes] of a subnet, its batch-norm statistics taken anew.

    Args:
        network: Holds the weights; only the subnet's parts are read.
        genotype: The subnet.
        calibration: uint8 [N, H, W, C] of the training split, not augmented.
        images: uint8 [N, H, W, C].
    """
    batch = _BATCH
    while True:
        try:
            return _logits(network, genotype, calibration, images, batch)
        except tensorflow().errors.ResourceExhaustedError:
            if batch < 2:
                raise
            # Every candidate begins with whole batches again, so that no score depends on those before it.
            batch //= 2


def _logits(
    network: Network, genotype: Genotype, calibration: NDArray[np.uint8], images: NDArray[np.uint8], batch: int
) -> layers.Array:
    pool = layers.Pool()
    for start in range(0, len(calibration), batch):
        network.record(calibration[start : start + batch], genotype, pool)
    statistics = pool.statistics()
    found = [
        network.logits(images[start : start + batch], genotype, statistics) for start in range(0, len(images), batch)
    ]
    return np.concatenate(found)
