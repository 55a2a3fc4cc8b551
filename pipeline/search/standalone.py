"""One network of a genotype's own shapes, trained alone: from scratch, or from weights that are given.

This is what a supernet's scores are held against, and what a search without a supernet does. Weights have exactly the
genotype's shapes; nothing is sliced. All randomness is a function of (seed, step), so that a checkpoint of weights,
optimizer and step is enough to go on with the same bits. Batch-norm statistics are taken on training images at the end,
as for a subnet of a supernet, so that both are scored alike.

The optimizers are the usual ones: Adam with decoupled weight decay (Loshchilov and Hutter, arXiv 1711.05101), and
stochastic gradient descent with Nesterov's momentum. Decay is for kernels alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from pipeline.datasets import DatasetSource, Split
from pipeline.genotype import Genotype
from pipeline.search import checkpoint, layers, subnet, training
from pipeline.search.backend import tensorflow
from pipeline.search.batches import Batches

_START, _BATCHES = 12, 13
_BETA1, _BETA2, _EPSILON = 0.9, 0.999, 1e-7

Optimizer = Literal["adamw", "sgd"]
#: uint8 images [N, H, W, C] as the student sees them -> probabilities [N, classes].
Teacher = Callable[[NDArray[np.uint8]], NDArray[np.float32]]


@dataclass(frozen=True, kw_only=True)
class StandaloneSettings:
    """How a network is trained alone.

    Args:
        optimizer: ``adamw``, or ``sgd`` with Nesterov's momentum.
        rate: Peak learning rate; linear warm-up over 5 % of the steps, then cosine to zero.
        decay: Weight decay of kernels: a step takes rate x decay of each away.
        momentum: Of ``sgd``.
        batch: Images a step.
        smoothing: Share of the labels spread evenly over the classes.
        distillation: Share of the teacher's answer in the targets, where there is a teacher.
        average: Decay of the weights' moving average a step, which is what is kept in the end; 0 keeps the weights.
        calibration_images: Training images that batch-norm statistics are taken on.
        checkpoint_every: Steps between checkpoints.
    """

    optimizer: Optimizer = "adamw"
    rate: float = 3e-3
    decay: float = 0.05
    momentum: float = 0.9
    batch: int = 64
    smoothing: float = 0.1
    distillation: float = 0.5
    average: float = 0.0
    calibration_images: int = 512
    checkpoint_every: int = 200

    def __post_init__(self) -> None:
        if self.optimizer not in get_args(Optimizer):
            raise ValueError(f"optimizer is one of {get_args(Optimizer)}")
        if self.batch < 2 or self.calibration_images < 1 or self.checkpoint_every < 1:
            raise ValueError("batch is at least 2, calibration_images and checkpoint_every at least 1")
        if not (self.rate > 0 and self.decay >= 0 and 0 <= self.momentum < 1 and 0 <= self.average < 1):
            raise ValueError("rate is positive, decay not negative, momentum and average within 0..1, 1 excluded")
        if not (0 <= self.smoothing < 1 and 0 <= self.distillation <= 1):
            raise ValueError("smoothing and distillation are within 0..1")


def train(
    genotype: Genotype,
    source: DatasetSource,
    *,
    steps: int,
    seed: int,
    settings: StandaloneSettings | None = None,
    report: Callable[[training.Step], None] | None = None,
    teacher: Teacher | None = None,
    start: layers.Weights | None = None,
    file: Path | None = None,
    keep_going: Callable[[], bool] | None = None,
    meta: Mapping[str, Any] | None = None,
) -> subnet.Subnet:
    """Train a network on the training split.

    Args:
        genotype: The network.
        source: The images; the training split alone is looked at.
        steps: Optimizer steps; 0 only takes batch-norm statistics.
        seed: Of the start, of the order and of the augmentation; together with the genotype.
        settings: How; by default the defaults.
        report: Called after each step.
        teacher: Its answers are learned from as well.
        start: Weights of the genotype's own shapes; None starts from random ones.
        file: Where checkpoints go; training goes on from there if it is of the same settings. None: nowhere.
        keep_going: Asked before each step; False saves what is done and returns the network as it is.
        meta: What the result depends on beyond all this (which teacher, which start), as JSON; part of the checkpoint.

    Returns:
        Weights and batch-norm statistics, ready to be scored or converted.

    Raises:
        ValueError: ``start`` has other shapes, or steps or seed are negative.
        UsageError: What the source raises.
        EnvironmentProblem: ``disk-full``, ``not-writable``.
    """
    chosen = StandaloneSettings() if settings is None else settings
    if steps < 0 or seed < 0:
        raise ValueError("steps and seed are not negative")
    classes = len(source.class_names)
    words = (seed, genotype.seed)
    wanted = layers.parameters(genotype, classes)
    weights = layers.initial(wanted, (*words, _START)) if start is None else dict(start)
    if {name: value.shape for name, value in weights.items()} != {one.name: one.shape for one in wanted}:
        raise ValueError(f"the weights to start from are not of {genotype.id}'s shapes")
    view = source.view(Split.TRAIN, genotype.data)
    trained = _Trained(genotype, weights, chosen)
    identity = {
        "kind": "standalone",
        "genotype": genotype.id,
        "classes": classes,
        "data": source.fingerprint,
        "settings": asdict(chosen),
        "steps": steps,
        "seed": seed,
        "started": start is not None,
        "taught": teacher is not None,
        **({} if meta is None else {"meta": dict(meta)}),
    }
    stored = None if file is None else checkpoint.load(file, identity)
    if stored is not None:
        trained.restore(stored)
    batches = Batches({genotype.data: view.images}, view.labels, classes, chosen.batch, (*words, _BATCHES)).of(
        genotype.data
    )
    saved = trained.step
    while trained.step < steps and (keep_going is None or keep_going()):
        images, hard = batches(trained.step)
        answers = None if teacher is None else teacher(images)
        soft = targets(hard, answers, smoothing=chosen.smoothing, distillation=chosen.distillation)
        loss, answer = trained.learn(images, soft, training.rate(trained.step, steps, chosen.rate))
        if report is not None:
            correct = float(np.mean(answer.argmax(axis=1) == hard.argmax(axis=1)))
            report(training.Step(trained.step, loss, correct))
        if file is not None and trained.step % chosen.checkpoint_every == 0:
            checkpoint.save(file, trained.state(), identity)
            saved = trained.step
    if file is not None and trained.step != saved:
        checkpoint.save(file, trained.state(), identity)
    calibration = subnet.calibration_images(view.images, chosen.calibration_images, seed)
    return subnet.settle(trained.kept(), genotype, classes, calibration)


def targets(
    labels: NDArray[np.float32], answers: NDArray[np.float32] | None, *, smoothing: float, distillation: float
) -> NDArray[np.float32]:
    """What is learned: smoothed labels and, where there is a teacher, its answers.

    Args:
        labels: One-hot [N, classes].
        answers: Probabilities [N, classes] or None.
        smoothing: Share of the labels spread evenly over the classes.
        distillation: Share of the answers.

    >>> targets(np.eye(2, dtype=np.float32)[:1], None, smoothing=0.5, distillation=1.0).tolist()
    [[0.75, 0.25]]
    """
    smooth = training.smoothed(labels, smoothing)
    if answers is None:
        return smooth
    return np.float32(1 - distillation) * smooth + np.float32(distillation) * answers


class _Trained:
    """Weights of one network, their optimizer, and the traced step."""

    def __init__(self, genotype: Genotype, weights: layers.Weights, settings: StandaloneSettings) -> None:
        tf = tensorflow()
        self.step = 0
        self._genotype = genotype
        self._settings = settings
        slots = {"adamw": ("first", "second"), "sgd": ("first",)}[settings.optimizer]
        self._groups: dict[str, dict[str, Any]] = {"weights": {n: tf.Variable(value) for n, value in weights.items()}}
        for slot in slots:
            self._groups[slot] = {n: tf.Variable(np.zeros_like(value)) for n, value in weights.items()}
        if settings.average:
            self._groups["average"] = {n: tf.Variable(value) for n, value in weights.items()}
        self._step = tf.function(
            self._trace,
            autograph=False,
            input_signature=[
                tf.TensorSpec([None, *genotype.data.shape], tf.uint8),
                tf.TensorSpec([None, None], tf.float32),
                tf.TensorSpec([4], tf.float32),
            ],
        )

    def _trace(self, images: Any, wanted: Any, numbers: Any) -> tuple[Any, Any]:
        """``numbers``: learning rate, the powers of Adam's two decays, and what the average keeps of itself."""
        tf = tensorflow()
        rate, keep = numbers[0], numbers[3]
        variables = self._groups["weights"]
        with tf.GradientTape() as tape:
            values = {name: tf.identity(variable) for name, variable in variables.items()}
            x = tf.cast(images, tf.float32) / 255
            logits = layers.forward(values, self._genotype, x, layers.by_batch)
            loss = tf.reduce_mean(tf.nn.softmax_cross_entropy_with_logits(wanted, logits))
        names = list(variables)
        gradients = tape.gradient(loss, [variables[name] for name in names])
        for name, gradient in zip(names, gradients, strict=True):
            variable = variables[name]
            if self._settings.decay and name.endswith("/kernel"):
                variable.assign(variable * (1 - rate * self._settings.decay))
            self._update(name, gradient, numbers)
            if self._settings.average:
                average = self._groups["average"][name]
                average.assign(keep * average + (1 - keep) * variable)
        return loss, tf.nn.softmax(logits)

    def _update(self, name: str, gradient: Any, numbers: Any) -> None:
        raw = tensorflow().raw_ops
        variable, first = self._groups["weights"][name], self._groups["first"][name]
        if self._settings.optimizer == "sgd":
            raw.ResourceApplyKerasMomentum(
                var=variable.handle,
                accum=first.handle,
                lr=numbers[0],
                grad=gradient,
                momentum=self._settings.momentum,
                use_nesterov=True,
            )
        else:
            raw.ResourceApplyAdam(
                var=variable.handle,
                m=first.handle,
                v=self._groups["second"][name].handle,
                beta1_power=numbers[1],
                beta2_power=numbers[2],
                lr=numbers[0],
                beta1=_BETA1,
                beta2=_BETA2,
                epsilon=_EPSILON,
                grad=gradient,
            )

    def learn(
        self, images: NDArray[np.uint8], wanted: NDArray[np.float32], rate: float
    ) -> tuple[float, NDArray[np.float32]]:
        """One step on a batch; its loss, and the answers [N, classes] before the step."""
        self.step += 1
        # A young average must forget the random start, or a short training keeps a part of it.
        keep = min(self._settings.average, self.step / (self.step + 10))
        numbers = np.array([rate, _BETA1**self.step, _BETA2**self.step, keep], np.float32)
        loss, answer = self._step(images, wanted, numbers)
        return float(loss), answer.numpy()

    def kept(self) -> dict[str, layers.Array]:
        """What training comes to: the average, where there is one."""
        group = self._groups.get("average", self._groups["weights"])
        return {name: variable.numpy().copy() for name, variable in group.items()}

    def state(self) -> dict[str, NDArray[Any]]:
        """All that the next step depends on besides its batch."""
        found: dict[str, NDArray[Any]] = {"step": np.array(self.step)}
        for kind, variables in self._groups.items():
            found.update({f"{kind}:{name}": variable.numpy() for name, variable in variables.items()})
        return found

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Take up a :meth:`state`."""
        self.step = int(state["step"])
        for kind, variables in self._groups.items():
            for name, variable in variables.items():
                variable.assign(state[f"{kind}:{name}"])
