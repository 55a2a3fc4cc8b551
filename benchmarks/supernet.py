"""What supernets cost: a step of their training, scoring a candidate, and both against the published method.

    python benchmarks/supernet.py [--data sample] [--group-by REGEX] [--only step] [--steps 1200] [--json FILE]

Prints tables in Markdown and writes benchmarks/results/supernet.json. Four parts, each with ``--only``:

step    a sandwich step (largest, smallest, two random subnets) against a plain step of the full network alone, same
        batch, highest resolution; for one data configuration and for a family of resolutions and colours. And a plain
        step with XLA (jit_compile), at 32 px: compiling takes minutes.
score   one candidate of three sizes: batch-norm statistics, one validation pass; the first of a data configuration
        traces its graphs, which is told apart.
hour    candidates an hour over designs drawn as the search draws them, and the published method's arithmetic on some of
        them: masks, all weights, 100 steps, 11 validation passes. A few steps are timed and multiplied.
train   the time that a shared supernet of 32, 64 and 96 px in both colours takes, from its steps; and the published
        30,000 steps a data configuration, from a few of each.

Wall-clock and processor seconds; on a machine that does other work the latter, halved, are about what two free cores
take. What is timed alternates between the things compared.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.datasets import DatasetSource, Split, open_source
from pipeline.estimate.model import Estimate, Limits
from pipeline.files import write_atomic
from pipeline.genotype import Colour, DataConfig, Genotype
from pipeline.search import TrainingSettings, layers, space, subnet, training
from pipeline.search.backend import tensorflow
from pipeline.search.batches import Batches
from pipeline.search.feasibility import Feasibility
from pipeline.search.network import Network
from pipeline.search.population import Population, population
from pipeline.search.scorers.published_network import PublishedNetwork

BATCH, PUBLISHED_BATCH = 64, 128
PUBLISHED_STEPS, PUBLISHED_PASSES, PUBLISHED_TRAINING = 100, 11, 30_000
CALIBRATION = 512
SIZES = {"small": "d00000-a01", "medium": "d22211-a05", "full": "d34331-a10"}
FAMILY = tuple(DataConfig(resolution, colour) for resolution in (32, 64, 96) for colour in Colour)
HOUR = tuple(DataConfig.parse(text) for text in ("32-mono", "32-rgb", "64-rgb", "96-rgb"))
#: Bars: a sandwich step against a plain one, seconds a candidate at 64 px RGB, candidates an hour against published.
STEP_BAR, SCORE_BARS, HOUR_BAR, TRAIN_BAR_H = 1.5, {"small": 1.5, "medium": 2.5, "full": 5.0}, 20.0, 1.5
PARTS = ("step", "score", "hour", "train")


@dataclass
class Times:
    """Seconds of one thing, every time it was done."""

    wall: list[float] = field(default_factory=list)
    processor: list[float] = field(default_factory=list)

    @contextmanager
    def once(self) -> Iterator[None]:
        """The block is one time."""
        began = time.perf_counter(), time.process_time()
        yield
        self.wall.append(time.perf_counter() - began[0])
        self.processor.append(time.process_time() - began[1])

    @property
    def both(self) -> tuple[float, float]:
        """Means."""
        return float(np.mean(self.wall)), float(np.mean(self.processor))


class Setting:
    """Images, and networks to train on them."""

    def __init__(self, source: DatasetSource) -> None:
        self.source = source
        self.classes = len(source.class_names)
        everything = Limits(ram_bytes=10**12, flash_bytes=10**12)
        self._feasibility = Feasibility(space.full(), _nothing, everything)

    def population(self, datas: Sequence[DataConfig]) -> Population:
        """All designs of these data configurations."""
        return population(datas, self._feasibility, "space")

    def network(self, envelope: Genotype) -> Network:
        """A supernet at its random start."""
        exits = layers.exit_stages(envelope)
        start = layers.initial(layers.parameters(envelope, self.classes, exits=exits), (0,))
        return Network(envelope, self.classes, start, exits=exits)

    def batches(self, datas: Sequence[DataConfig], size: int) -> Batches:
        """Augmented batches of the training split."""
        views = {data: self.source.view(Split.TRAIN, data) for data in datas}
        labels = views[datas[0]].labels
        return Batches({data: view.images for data, view in views.items()}, labels, self.classes, size, (0,))


def _nothing(_: Genotype) -> Estimate:
    return Estimate(ram=(), flash=(), stack_reserve=0, macs=0)


class Plain:
    """A step of one network of its own shapes with Adam: what a training loop of the full network would do."""

    def __init__(self, genotype: Genotype, classes: int, *, compiled: bool) -> None:
        tf = tensorflow()
        start = layers.initial(layers.parameters(genotype, classes), (0,))
        self._weights = {name: tf.Variable(value) for name, value in start.items()}
        self._slots = [{name: tf.Variable(value * 0) for name, value in start.items()} for _ in range(2)]
        self._genotype = genotype
        self.step = tf.function(self._trace, autograph=False, jit_compile=compiled)

    def _trace(self, images: Any, targets: Any) -> Any:
        tf = tensorflow()
        with tf.GradientTape() as tape:
            values = {name: tf.identity(variable) for name, variable in self._weights.items()}
            logits = layers.forward(values, self._genotype, tf.cast(images, tf.float32) / 255, layers.by_batch)
            loss = tf.reduce_mean(tf.nn.softmax_cross_entropy_with_logits(targets, logits))
        for name, gradient in tape.gradient(loss, self._weights).items():
            tf.raw_ops.ResourceApplyAdam(
                var=self._weights[name].handle,
                m=self._slots[0][name].handle,
                v=self._slots[1][name].handle,
                beta1_power=0.9,
                beta2_power=0.999,
                lr=1e-3,
                beta1=0.9,
                beta2=0.999,
                epsilon=1e-7,
                grad=gradient,
            )
        return loss


def steps(setting: Setting, count: int) -> Iterator[tuple[dict[str, Any], str]]:
    """Sandwich steps against plain ones."""
    yield {}, f"| sandwich, batch {BATCH} | plain step | sandwich step | ratio, wall | ratio, processor | XLA, plain |"
    yield {}, "|---|---|---|---|---|---|"
    settings = TrainingSettings(steps=10_000, batch=BATCH)
    cases: list[tuple[tuple[DataConfig, ...], str]] = [
        ((DataConfig(side, Colour.RGB),), f"{side} RGB alone") for side in (32, 64, 96)
    ]
    cases += [(FAMILY[1::2], "32, 64, 96 RGB"), (FAMILY, "32, 64, 96 × mono, RGB")]
    plain: dict[Genotype, tuple[Plain, Times]] = {}
    for datas, name in cases:
        trained = setting.population(datas)
        top = Genotype(datas[-1], trained.envelope.depths, trained.envelope.alpha)
        network, batches = setting.network(trained.envelope), setting.batches(datas, BATCH)
        images, targets = batches(0, datas)
        for data in datas:
            network.accumulate(images[data], targets, Genotype(data, top.depths, top.alpha))
        network.apply(0.0, of=len(datas))
        one = Plain(top, setting.classes, compiled=False)
        one.step(images[top.data], targets)
        fit, sandwich = Times(), Times()
        for number in range(count):
            chosen = training.subnets(trained, settings, (0,), number)
            batch = batches(number, datas)
            with sandwich.once():
                training.sandwich_step(network, batch, chosen, settings=settings)
            with fit.once():
                float(one.step(batch[0][top.data], batch[1]))
        xla = ""
        if datas[-1].resolution == min(data.resolution for data in FAMILY):
            compiled, times = Plain(top, setting.classes, compiled=True), Times()
            began = time.perf_counter()
            compiled.step(images[top.data], targets)
            first = time.perf_counter() - began
            for _ in range(2):
                with times.once():
                    float(compiled.step(images[top.data], targets))
            xla = f"{times.both[0]:.2f} s (× {times.both[0] / fit.both[0]:.1f}), compiled in {first:.0f} s"
        ratios = [a / b for a, b in zip(sandwich.both, fit.both, strict=True)]
        row = {"case": name, "plain_s": fit.both, "sandwich_s": sandwich.both, "ratio": ratios, "xla": xla}
        yield (
            row,
            f"| {name} | {fit.both[0]:.2f} s | {sandwich.both[0]:.2f} s | {ratios[0]:.2f} | {ratios[1]:.2f} | {xla} |",
        )
    plain.clear()


@dataclass
class Scoring:
    """Scores candidates of a data configuration with a supernet at its start: what it knows costs nothing."""

    setting: Setting
    data: DataConfig

    def __post_init__(self) -> None:
        source = self.setting.source
        self.network = self.setting.network(self.setting.population((self.data,)).envelope)
        train, validation = source.view(Split.TRAIN, self.data), source.view(Split.VALIDATION, self.data)
        self._calibration = subnet.calibration_images(train.images, CALIBRATION, 0)
        self.images, self.labels = np.asarray(validation.images[:2000]), validation.labels[:2000]

    def __call__(self, shape: str | Genotype) -> None:
        """Score one."""
        genotype = Genotype.parse(f"{self.data.id}-{shape}") if isinstance(shape, str) else shape
        subnet.score(self.network, genotype, calibration=self._calibration, images=self.images, labels=self.labels)


def scores(setting: Setting, count: int) -> Iterator[tuple[dict[str, Any], str]]:
    """One candidate of three sizes."""
    yield {}, "| candidate | small | medium | full | graphs of the data configuration, once |"
    yield {}, "|---|---|---|---|---|"
    for data in (DataConfig(64, Colour.RGB), DataConfig(96, Colour.RGB)):
        scoring, first = Scoring(setting, data), Times()
        with first.once():
            scoring(SIZES["small"])
        found = {size: Times() for size in SIZES}
        for _ in range(count):
            for size, shape in SIZES.items():
                with found[size].once():
                    scoring(shape)
        cells = [f"{times.both[0]:.2f} s ({times.both[1]:.2f} s processor)" for times in found.values()]
        row = {"data": data.id, **{size: times.both for size, times in found.items()}, "first": first.both}
        yield row, f"| {data.id} | {' | '.join(cells)} | {first.both[0] - found['small'].both[0]:.1f} s |"


def published(setting: Setting, data: DataConfig, genotypes: Sequence[Genotype], some: int) -> tuple[float, float]:
    """(wall, processor) seconds a candidate by the published arithmetic, from ``some`` of its steps and one pass."""
    source = setting.source
    network = PublishedNetwork(setting.population((data,)).envelope, setting.classes, seed=(0,), momentum=0.999)
    batches, validation = setting.batches((data,), PUBLISHED_BATCH).of(data), source.view(Split.VALIDATION, data)
    found = []
    for genotype in genotypes:
        tracing, step, passing = Times(), Times(), Times()
        images, targets = batches(0)
        with tracing.once():
            network.train(images, targets, genotype, 1e-3)
            network.accuracy(
                np.asarray(validation.images[:PUBLISHED_BATCH]), validation.labels[:PUBLISHED_BATCH], genotype
            )
        for number in range(some):
            images, targets = batches(number)
            with step.once():
                network.train(images, targets, genotype, 1e-3)
        with passing.once():
            network.accuracy(np.asarray(validation.images), validation.labels, genotype)
        found.append(
            [
                tracing.both[kind] + (PUBLISHED_STEPS - 1) * step.both[kind] + PUBLISHED_PASSES * passing.both[kind]
                for kind in (0, 1)
            ]
        )
    wall, processor = np.mean(found, axis=0)
    return float(wall), float(processor)


def hour(setting: Setting, count: int) -> Iterator[tuple[dict[str, Any], str]]:
    """Candidates an hour."""
    yield (
        {},
        "| candidates an hour, supernets apart | here | published arithmetic (extrapolated) | ratio | by processor |",
    )
    yield {}, "|---|---|---|---|---|"
    for data in HOUR:
        rng = np.random.default_rng(1)
        drawn = [space.full().random(rng, data) for _ in range(3 * count)]
        scoring, ours = Scoring(setting, data), Times()
        with ours.once():  # tracing included: it is a part of the search
            for genotype in drawn:
                scoring(genotype)
        mine = [seconds / len(drawn) for seconds in ours.both]
        theirs = published(setting, data, drawn[: max(2, count // 3)], some=4)
        rates = [3600 / mine[0], 3600 / theirs[0]]
        row = {"data": data.id, "here_s": mine, "published_s": theirs, "designs": len(drawn)}
        yield (
            row,
            f"| {data.id} | {rates[0]:.0f} | {rates[1]:.0f} | {theirs[0] / mine[0]:.0f} | {theirs[1] / mine[1]:.0f} |",
        )


def train(setting: Setting, count: int, wanted: int) -> Iterator[tuple[dict[str, Any], str]]:
    """The time of supernets."""
    yield (
        {},
        "| supernets of 32, 64, 96 px × mono, RGB | seconds a step | steps | hours (extrapolated) | by processor / 2 |",
    )
    yield {}, "|---|---|---|---|---|"
    settings, trained = TrainingSettings(steps=wanted, batch=BATCH), setting.population(FAMILY)
    network, batches, times = setting.network(trained.envelope), setting.batches(FAMILY, BATCH), Times()
    images, targets = batches(0, FAMILY)
    for data in FAMILY:
        network.accumulate(images[data], targets, Genotype(data, trained.envelope.depths, trained.envelope.alpha))
    network.apply(0.0, of=len(FAMILY))
    for number in range(2 * count):
        chosen = training.subnets(trained, settings, (0,), number)
        batch = batches(number, [genotype.data for genotype in chosen])
        with times.once():
            training.sandwich_step(network, batch, chosen, settings=settings)
    wall, processor = times.both
    hours = [wall * wanted / 3600, processor * wanted / 7200]
    row = {"what": "shared", "step_s": times.both, "steps": wanted, "hours": hours}
    yield row, f"| one, shared, batch {BATCH} | {wall:.2f} | {wanted:,} | {hours[0]:.2f} | {hours[1]:.2f} |"
    both = [0.0, 0.0]
    for data in FAMILY:
        envelope = setting.population((data,)).envelope
        full = PublishedNetwork(envelope, setting.classes, seed=(0,), momentum=0.999)
        single, theirs = setting.batches((data,), PUBLISHED_BATCH).of(data), Times()
        full.train(*single(0), envelope, 1e-3)
        for number in range(3):
            batch_of = single(number)
            with theirs.once():
                full.train(*batch_of, envelope, 1e-3)
        both = [sum_ + one for sum_, one in zip(both, theirs.both, strict=True)]
    hours = [both[0] * PUBLISHED_TRAINING / 3600, both[1] * PUBLISHED_TRAINING / 7200]
    row = {"what": "published", "step_s": both, "steps": PUBLISHED_TRAINING, "hours": hours}
    yield (
        row,
        f"| six, as published, batch {PUBLISHED_BATCH} | {both[0]:.2f} for all six | {PUBLISHED_TRAINING:,} | "
        f"{hours[0]:.1f} | {hours[1]:.1f} |",
    )


def machine() -> dict[str, Any]:
    """What ran it."""
    model = platform.processor()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        names = [
            line.split(":")[1].strip() for line in cpuinfo.read_text().splitlines() if line.startswith("model name")
        ]
        model = names[0] if names else model
    tf = tensorflow()
    gpus = [str(gpu.name) for gpu in tf.config.list_physical_devices("GPU")]
    return {"processor": model, "cores": os.cpu_count(), "tensorflow": str(tf.__version__), "gpus": gpus}


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="sample")
    parser.add_argument("--group-by")
    parser.add_argument("--only", choices=PARTS, action="append")
    parser.add_argument("--count", type=int, default=12, help="how often things are timed")
    parser.add_argument("--steps", type=int, default=1200, help="of the shared supernet's training")
    parser.add_argument("--json", type=Path, default=Path(__file__).parent / "results" / "supernet.json")
    options = parser.parse_args()
    setting = Setting(open_source(options.data, seed=0, group_by=options.group_by))
    parts: dict[str, Callable[[], Iterator[tuple[dict[str, Any], str]]]] = {
        "step": lambda: steps(setting, options.count),
        "score": lambda: scores(setting, max(2, options.count // 3)),
        "hour": lambda: hour(setting, options.count),
        "train": lambda: train(setting, options.count, options.steps),
    }
    document: dict[str, Any] = {"machine": machine(), "load": {}}
    if options.only and options.json.is_file():
        document |= {"load": {}} | json.loads(options.json.read_text("utf-8"))
    for part in options.only or PARTS:
        before = os.getloadavg()[0]
        document[part] = []
        print(flush=True)
        for row, line in parts[part]():
            if row:
                document[part].append(row)
            print(line, flush=True)
        document["load"][part] = [round(before, 1), round(os.getloadavg()[0], 1)]
    print(f"\n{document['machine']}; load average before and after each part: {document['load']}")
    write_atomic(options.json, json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    main()
