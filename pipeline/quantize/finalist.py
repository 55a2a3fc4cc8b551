"""A finalist becomes a product: cut out of its supernet, trained alone, converted to int8, trained for int8 if needed.

What it leaves in its folder: ``GENOTYPE.tflite``, ``GENOTYPE.json``, and checkpoints that a stopped run goes on from.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.datasets import DatasetSource, Split, View, quality
from pipeline.errors import UsageError, printable
from pipeline.files import write_atomic
from pipeline.genotype import Genotype
from pipeline.quantize import finishing, qat
from pipeline.quantize.conversion import convert
from pipeline.quantize.evaluation import counted, quick_accuracy
from pipeline.quantize.settings import QuantizeSettings, steps
from pipeline.search import layers, subnet, supernets, training
from pipeline.search.batches import Batches
from pipeline.search.scorers import naive

SCHEMA_VERSION = 2
_AWARE = 12


@dataclass(frozen=True)
class Doing:
    """What is being done to a finalist: a phase, and its step of so many (0 of 0: it has none)."""

    phase: str
    step: int = 0
    steps: int = 0


@dataclass(frozen=True, kw_only=True)
class Quantized:
    """A finished finalist. Accuracies are 0..1, on validation; balanced, where one class is rare.

    Attributes:
        genotype: The network.
        path: The .tflite.
        record: The JSON beside it: these fields, and what they were made with.
        tflite_bytes: Size of the file.
        inherited_accuracy: With the supernet's weights, before final training.
        trained_accuracy: After it.
        float_accuracy: Of the better of both, which is converted.
        ptq_accuracy: As int8, ranges by calibration.
        qat_accuracy: As int8 after quantization-aware training; None where it was not made.
        qat_reason: Why it was made, or not, and whether its result was kept.
        final_steps: Steps of the final training.
        final_of: Steps that its schedule had.
        teacher: Genotype that it learned from; empty without a teacher.
        seconds: Phase -> wall-clock seconds, of this process; not in the record.
    """

    genotype: Genotype
    path: Path
    record: Path
    tflite_bytes: int
    inherited_accuracy: float
    trained_accuracy: float
    float_accuracy: float
    ptq_accuracy: float
    qat_accuracy: float | None
    qat_reason: str
    final_steps: int
    final_of: int
    teacher: str
    seconds: Mapping[str, float]

    @property
    def int8_accuracy(self) -> float:
        """Of the .tflite that was kept."""
        return max(self.ptq_accuracy, self.qat_accuracy or 0.0)

    def as_dict(self) -> dict[str, Any]:
        """What winner.json and the record say of it, JSON-ready, without anything that a clock decides."""
        return {
            "float_validation_accuracy": self.float_accuracy,
            "ptq_validation_accuracy": self.ptq_accuracy,
            "qat_validation_accuracy": self.qat_accuracy,
            "qat_reason": self.qat_reason,
            "int8_validation_accuracy": self.int8_accuracy,
            "tflite_bytes": self.tflite_bytes,
            "final_training": {
                "before_validation_accuracy": self.inherited_accuracy,
                "after_validation_accuracy": self.trained_accuracy,
                "steps": self.final_steps,
                "steps_of": self.final_of,
                "teacher": self.teacher,
            },
        }


def quantize(
    genotype: Genotype,
    source: DatasetSource,
    *,
    search_folder: Path,
    out: Path,
    seed: int,
    settings: QuantizeSettings | None = None,
    seconds: float | None = None,
    report: Callable[[Doing], None] | None = None,
) -> Quantized:
    """Finish one finalist; a stopped one goes on from its checkpoints, with the same result.

    The result depends on the arguments alone, and with ``seconds`` on the machine's speed.

    Args:
        genotype: A candidate of the search.
        source: Its images.
        search_folder: The search's folder, with the weights that it has scored with.
        out: Where to put ``GENOTYPE.tflite`` and ``GENOTYPE.json``.
        seed: The run's seed.
        settings: See there.
        seconds: Time for the final training: as many steps as fit, on a schedule of this length; training for int8,
            where it is needed, is shortened in proportion.
        report: Called after each step, and at the start of each phase.

    Raises:
        UsageError: ``no-supernet``: the search has no weights for it.
        EnvironmentProblem: ``disk-full``, ``not-writable``.
        DanasError: ``conversion``.
    """
    settings = settings if settings is not None else QuantizeSettings()
    tell = report if report is not None else _silent
    weights, largest = _start(search_folder, genotype)
    train, validation = source.view(Split.TRAIN, genotype.data), source.view(Split.VALIDATION, genotype.data)
    classes, balanced = len(source.class_names), quality.of(source).balanced
    calibration = subnet.calibration_images(train.images, settings.calibration_images, seed)
    inherited = subnet.settle(weights, genotype, classes, calibration)
    clock = _Clock()

    def steps_of(phase: str, of: int) -> Callable[[training.Step], None]:
        return lambda step: tell(Doing(phase, step.number, of))

    tell(Doing("final training"))
    most = steps(settings.final_epochs, len(train), settings.batch)
    teacher = None
    if most and settings.distillation and largest is not None:
        teacher = teacher_of(
            subnet.settle(weights, largest, classes, calibration), inherited, validation, balanced=balanced
        )
    meta: dict[str, Any] = {
        "genotype": genotype.id,
        "images": source.fingerprint,
        "seed": seed,
        "settings": asdict(settings),
        "weights": _hash(weights),
        "teacher": teacher.genotype.id if teacher is not None else "",
    }

    def fitted() -> int:
        if seconds is None or not most:
            return most
        return finishing.steps_within(seconds, inherited, source, teacher, settings=settings, most=most)

    final = planned(out / f"{genotype.id}.plan.json", {**meta, "seconds": seconds}, fitted)
    finished = finishing.finish(
        inherited,
        source,
        teacher,
        steps=final,
        settings=settings,
        seed=seed,
        validation=validation,
        balanced=balanced,
        file=out / f"{genotype.id}.final.npz",
        meta=meta,
        report=steps_of("final training", final),
    )
    clock.end("final_training")
    tell(Doing("conversion"))
    flatbuffer = convert(finished.network, calibration)
    by_calibration = quick_accuracy(flatbuffer, validation, balanced=balanced)
    clock.end("conversion")
    aware_accuracy, lost = None, finished.accuracy - by_calibration
    reason = f"not needed: int8 loses {_points(lost)}"
    if lost > settings.tolerance:
        aware_steps = steps(settings.qat_epochs, len(train), settings.batch)
        aware_steps = max(1, aware_steps * final // most) if most else aware_steps
        tell(Doing("training for int8"))
        words = (seed, genotype.seed, _AWARE)
        batches = Batches({genotype.data: train.images}, train.labels, classes, settings.batch, words)
        aware = qat.train(
            finished.network,
            batches.of(genotype.data),
            calibration,
            steps=aware_steps,
            peak=settings.qat_rate,
            file=out / f"{genotype.id}.qat.npz",
            meta={"kind": "qat", "final_steps": final, "kept": finished.kept, "steps": aware_steps, **meta},
            report=steps_of("training for int8", aware_steps),
        )
        trained = convert(aware.network, calibration, ranges=aware.ranges)
        aware_accuracy = quick_accuracy(trained, validation, balanced=balanced)
        better = aware_accuracy > by_calibration
        flatbuffer = trained if better else flatbuffer
        reason = f"int8 lost {_points(lost)}; {'kept' if better else 'not kept, it is no better'}"
        clock.end("training_for_int8")
    path, record = out / f"{genotype.id}.tflite", out / f"{genotype.id}.json"
    write_atomic(path, flatbuffer)
    quantized = Quantized(
        genotype=genotype,
        path=path,
        record=record,
        tflite_bytes=len(flatbuffer),
        inherited_accuracy=finished.inherited,
        trained_accuracy=finished.trained,
        float_accuracy=finished.accuracy,
        ptq_accuracy=by_calibration,
        qat_accuracy=aware_accuracy,
        qat_reason=reason,
        final_steps=finished.steps,
        final_of=finished.of,
        teacher=meta["teacher"],
        seconds=clock.seconds,
    )
    values = {"schema_version": SCHEMA_VERSION, "tflite": path.name, **quantized.as_dict(), **meta}
    write_atomic(record, (json.dumps(values, indent=2) + "\n").encode())
    return quantized


def planned(file: Path, meta: Mapping[str, Any], make: Callable[[], int]) -> int:
    """The number of steps that was planned once for this; a resumed training must keep to it."""
    wanted = json.loads(json.dumps(meta))
    try:
        found = json.loads(file.read_bytes())
        if found["for"] == wanted:
            return int(found["steps"])
    except (OSError, ValueError, KeyError, TypeError):
        pass
    steps = make()
    write_atomic(file, (json.dumps({"steps": steps, "for": wanted}, indent=2) + "\n").encode())
    return steps


def _start(folder: Path, genotype: Genotype) -> tuple[layers.Weights, Genotype | None]:
    """The weights that the search has scored the genotype with, and the largest network in them, if they are shared.

    Raises:
        UsageError: ``no-supernet``.
    """
    own = naive.stored_weights(folder, genotype)
    if own is not None:
        return own, None
    weights, largest = supernets.stored_weights(folder, genotype.data), supernets.stored_envelope(folder, genotype.data)
    if weights is None or largest is None:
        raise UsageError(
            "no-supernet",
            f"there are no weights for {printable(genotype.id)} in {printable(folder)}",
            why="The search did not train them, or their checkpoint is damaged. Those that were scored the published "
            "way are of another network than the one that would be deployed.",
            next="Run the search again; what it has is kept.",
        )
    return weights, largest.at(genotype.data)


def teacher_of(
    largest: subnet.Subnet, pupil: subnet.Subnet, validation: View, *, balanced: bool
) -> finishing.Teacher | None:
    """The supernet's largest subnet, if there is anything to be learned from it.

    Of a supernet that was trained for minutes the largest subnet is often the worst one; its answers would hold the
    pupil back.
    """
    images, labels = np.asarray(validation.images), validation.labels
    able, own = (counted(one.scores(images, labels), balanced) for one in (largest, pupil))
    return finishing.Teacher(largest) if able > own else None


def _hash(weights: layers.Weights) -> str:
    made = hashlib.sha256()
    for name in sorted(weights):
        made.update(name.encode())
        made.update(np.ascontiguousarray(weights[name]).tobytes())
    return made.hexdigest()


def _points(share: float) -> str:
    """A loss of accuracy in words.

    >>> _points(0.0123), _points(-0.01)
    ('1.2 points', '-1.0 points')
    """
    return f"{100 * share:.1f} points"


def _silent(_: Doing) -> None:
    """Nobody listens."""


class _Clock:
    """Wall-clock seconds a phase."""

    def __init__(self) -> None:
        self._last = time.monotonic()
        self.seconds: dict[str, float] = {}

    def end(self, phase: str) -> None:
        """The phase that ends now."""
        now = time.monotonic()
        self.seconds[phase] = round(now - self._last, 1)
        self._last = now
