"""Supernet training (sandwich rule, in-place distillation) and private fine-tuning.

Every step trains the largest subnet on the labels and, with its answers as soft targets, a smallest and two random
ones (BigNAS, arXiv 2003.11142), each on the whole batch. What stands behind an earlier stage of a subnet and has a head
is a subnet too, and learns from the same pass: of the 268 depths only one ends behind stage 2 and three behind stage 3,
so that their heads would otherwise hardly ever be trained. Where a supernet serves several data configurations, the
largest sees the images at the highest resolution, the smallest at each in turn, and each random one at a random one:
always the same images, so that distillation goes across resolutions, and a step costs less than four of the largest.
All randomness is a function of (seed, step), so that a checkpoint of weights, optimizer and step is enough to go on
with exactly the same bits.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from pipeline.genotype import DataConfig, Genotype
from pipeline.search import checkpoint, layers
from pipeline.search.batches import Batches, SingleBatches
from pipeline.search.feeding import Batch, Feeder
from pipeline.search.network import Network
from pipeline.search.population import Population

_SUBNETS = 3
_WARM_UP = 0.05

Sharing = Literal["per-config", "per-colour", "shared"]
SHARINGS: tuple[Sharing, ...] = get_args(Sharing)


@dataclass(frozen=True, kw_only=True)
class TrainingSettings:
    """How a supernet is trained.

    Args:
        steps: Optimizer steps.
        batch: Images a step.
        rate: Peak learning rate of Adam; linear warm-up over 5 % of the steps, then cosine to zero.
        distillation: Share of the largest subnet's answer in the targets of the others.
        random_subnets: Random subnets a step beside the largest and the smallest.
        early: Weight of a subnet's loss behind each earlier stage, that behind its last being 1.
        decay: Weight decay of kernels: a step takes rate x decay of each away.
        smoothing: Share of the labels spread evenly over the classes.
        checkpoint_every: Steps between checkpoints.
        sharing: What has a supernet of its own: each data configuration, each colour, or one serves all.
        population: What is trained: the subnets that are feasible, or all of the space; the latter can be shared by
            searches with other limits.
    """

    steps: int
    batch: int = 64
    rate: float = 3e-3
    distillation: float = 0.5
    random_subnets: int = 2
    early: float = 0.5
    decay: float = 0.05
    smoothing: float = 0.1
    checkpoint_every: int = 50
    sharing: Sharing = "per-config"
    population: Literal["feasible", "space"] = "feasible"

    def __post_init__(self) -> None:
        if self.steps < 1 or self.batch < 2 or self.checkpoint_every < 1 or self.random_subnets < 0:
            raise ValueError("steps and checkpoint_every are at least 1, batch at least 2")
        if not (0 <= self.distillation <= 1 and self.rate > 0):
            raise ValueError("distillation is within 0..1 and rate positive")
        if not (self.early >= 0 and self.decay >= 0 and 0 <= self.smoothing < 1):
            raise ValueError("early and decay are not negative, smoothing is within 0..1")
        if self.sharing not in SHARINGS or self.population not in ("feasible", "space"):
            raise ValueError(f"sharing is one of {SHARINGS}, population feasible or space")


def rate(step: int, steps: int, peak: float) -> float:
    """Learning rate of a step: linear warm-up, then half a cosine down to zero."""
    warm_up = max(1, round(steps * _WARM_UP))
    if step < warm_up:
        return peak * (step + 1) / warm_up
    return peak * 0.5 * (1 + math.cos(math.pi * (step - warm_up) / max(1, steps - warm_up)))


def smoothed(labels: NDArray[np.float32], share: float) -> NDArray[np.float32]:
    """One-hot labels [N, classes] of which a share is spread evenly over the classes."""
    return labels * np.float32(1 - share) + np.float32(share / labels.shape[1])


@dataclass(frozen=True)
class Step:
    """What one step saw of the largest subnet: its loss and its accuracy on the augmented batch.

    ``waiting`` is the share of the time so far, 0..1, in which training stood still for want of images.
    """

    number: int
    loss: float
    accuracy: float
    waiting: float = 0.0


def subnets(population: Population, settings: TrainingSettings, seed: Sequence[int], step: int) -> tuple[Genotype, ...]:
    """What a step trains: a largest one, a smallest one, and random ones."""
    rng = np.random.default_rng([*seed, _SUBNETS, step])
    others = (population.draw(rng) for _ in range(settings.random_subnets))
    ends = (population.tops[step % len(population.tops)], population.bottoms[step % len(population.bottoms)])
    return (*ends, *others)


def sandwich_step(network: Network, batch: Batch, chosen: Sequence[Genotype], *, settings: TrainingSettings) -> Step:
    """One step of the sandwich rule.

    Args:
        network: The supernet.
        batch: The step's images at the data configuration of each of ``chosen``, and its targets.
        chosen: The subnets of the step, the largest one first; see :func:`subnets`.
        settings: See there.
    """
    number = network.step
    images, hard = batch
    targets = smoothed(hard, settings.smoothing)
    largest, *others = chosen
    loss, answer = network.accumulate(images[largest.data], targets, largest, early=settings.early)
    soft = settings.distillation * answer + (1 - settings.distillation) * targets
    for genotype in others:
        network.accumulate(images[genotype.data], soft, genotype, early=settings.early)
    network.apply(rate(number, settings.steps, settings.rate), of=len(chosen), decay=settings.decay)
    correct = float(np.mean(answer.numpy().argmax(axis=1) == hard.argmax(axis=1)))
    return Step(number + 1, float(loss), correct)


def train_supernet(
    network: Network,
    batches: Batches,
    population: Population,
    *,
    settings: TrainingSettings,
    seed: Sequence[int],
    file: Path,
    meta: dict[str, Any],
    report: Callable[[Step], None],
    keep_going: Callable[[], bool],
) -> bool:
    """Train to the end, from the checkpoint ``file`` if it is of the same settings.

    Args:
        network: Freshly started weights.
        batches: The training split at every data configuration of the population.
        population: What is trained.
        settings: See there.
        seed: Words of the random seed.
        file: Where checkpoints go.
        meta: All that the weights depend on.
        report: Called after each step.
        keep_going: Asked before each step; False (the time is up) saves what is done and ends.

    Returns:
        True if all the steps are done.
    """
    stored = checkpoint.load(file, meta)
    if stored is not None:
        network.restore(stored)
    saved = network.step

    def plan(step: int) -> tuple[DataConfig, ...]:
        return tuple(genotype.data for genotype in subnets(population, settings, seed, step))

    with Feeder(batches, plan, first=network.step, steps=settings.steps) as feeder:
        while network.step < settings.steps and keep_going():
            chosen = subnets(population, settings, seed, network.step)
            done = sandwich_step(network, feeder(network.step), chosen, settings=settings)
            report(replace(done, waiting=feeder.waiting))
            if network.step % settings.checkpoint_every == 0 or network.step == settings.steps:
                checkpoint.save(file, network.state(), meta)
                saved = network.step
    if network.step != saved:
        checkpoint.save(file, network.state(), meta)
    return network.step >= settings.steps


def fine_tune(
    network: Network,
    batches: SingleBatches,
    genotype: Genotype,
    *,
    steps: int,
    peak: float,
    report: Callable[[Step], None] | None = None,
) -> layers.Weights:
    """Train one network alone for some steps, on the labels; the result is a copy of its weights."""
    for number in range(steps):
        images, targets = batches(number)
        loss, answer = network.accumulate(images, targets, genotype)
        network.apply(rate(number, steps, peak), of=1)
        if report is not None:
            correct = float(np.mean(answer.numpy().argmax(axis=1) == targets.argmax(axis=1)))
            report(Step(number + 1, float(loss), correct))
    return network.values()
