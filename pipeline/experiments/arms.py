"""Arms: searches that differ in one thing, and what is kept of each."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.datasets import DatasetSource, Split, quality
from pipeline.errors import DoesNotFitError, printable
from pipeline.experiments.places import Profile, estimator
from pipeline.experiments.protocol import Place, Result, Task
from pipeline.experiments.scales import Budget
from pipeline.files import write_atomic
from pipeline.genotype import Fix, Genotype
from pipeline.search import Candidate, Fitness, Phase, Progress, SearchConfig, engine, standalone, subnet, supernets
from pipeline.search.samplers import Evolution, EvolutionSampler, HardwareAwareSampler
from pipeline.search.training import Step

#: Scores that searches with the same supernets share.
_SCORES = "scores.db"
#: Seconds of training are written down this often.
_KEPT_EVERY_S = 10.0


@dataclass(frozen=True, kw_only=True)
class Arm:
    """A search, but for its seed. What is not said is as in all other arms of the scale.

    Args:
        name: Short; names files.
        title: For tables.
        profile: Limits, and how memory is counted.
        fix: What of the data configuration stays as it is.
        scorer: How candidates are scored.
        latency_ms: Longest inference, as modelled; None for no limit.
        evolution: The genetic algorithm's parameters.
        fitness: The weights.
        soft: Let infeasible designs take part with a penalty.
        tuning: Fine-tuning steps of a candidate; None: as the scale has it.
        timed: Model each candidate's latency, whether it is limited or not.
        alone: Steps for which the winner is trained alone at the end, so that winners that were scored by other means
            are compared by the same; None: it is not.
        clocked: Its own time counts: scores that other searches have worked out are not made use of.
    """

    name: str
    title: str
    profile: Profile
    fix: Fix = field(default_factory=Fix)
    scorer: str = "supernet"
    latency_ms: float | None = None
    evolution: Evolution = field(default_factory=Evolution)
    fitness: Fitness = field(default_factory=Fitness)
    soft: bool = False
    tuning: int | None = None
    timed: bool = False
    clocked: bool = False
    alone: int | None = None

    def config(self, budget: Budget, seed: int) -> SearchConfig:
        """The search's configuration."""
        scoring = budget.scoring
        if self.tuning is not None:
            scoring = dataclasses.replace(scoring, fine_tuning_steps=self.tuning)
        return SearchConfig(
            space=budget.space,
            limits=self.profile.limits(self.latency_ms),
            training=budget.training,
            scoring=scoring,
            evaluations=budget.evaluations,
            seed=seed,
            strategy=HardwareAwareSampler.name if self.fix.whole else EvolutionSampler.name,
            fix=self.fix,
            soft=self.soft,
            fitness=self.fitness,
            evolution=self.evolution,
            scorer=self.scorer,
            naive=budget.naive,
            published=budget.published,
        )

    def task(self, budget: Budget, seed: int) -> Task:
        """The search as a task; arms of several experiments that are the same search are the same task."""
        identity = dataclasses.asdict(self) | {"fix": self.fix.id}
        del identity["name"], identity["title"]
        return Task(f"{self.name}.{seed}", seed, {"kind": "search", "arm": identity, **budget.search(self.scorer)})


def search(arm: Arm, budget: Budget, seed: int, place: Place) -> Result:
    """Search, or go on with it, and keep what experiments conclude from.

    Returns:
        ``feasible``: False where nothing is, with ``why``; else ``candidates``, the feasible ones in the order of
        evaluation (see :class:`Row`), ``winner``, ``evaluations``, and ``seconds`` of candidates and of the supernets
        of this seed. Times mean something for arms that are ``clocked``.
    """
    classes = len(place.source.class_names)
    estimate = estimator(arm.profile, place.board, classes, timed=arm.timed or arm.latency_ms is not None)
    config = arm.config(budget, seed)
    own = arm.scorer != "supernet"
    clock = Clock(place.folder / "clock.json", (place.folder if own else place.supernets) / "training.json", inside=own)
    folder = place.folder / "search"
    if arm.clocked:
        (place.supernets / _SCORES).unlink(missing_ok=True)

    def listen(progress: Progress) -> None:
        clock(progress)
        best = f", best {progress.best.scores.accuracy:.1%}" if progress.best else ""
        step = f" step {progress.step}/{progress.steps}" if progress.steps else ""
        place.say(f"{progress.evaluations}/{progress.evaluations_of}{best}, {progress.subject}{step}")

    try:
        found = engine.run(
            config, place.source, folder=folder, estimate=estimate, progress=listen, supernets=place.supernets
        )
    except DoesNotFitError as error:
        return {"feasible": False, "why": printable(error.why, 400)}
    ended = clock.ends
    trained = clock.supernets()
    winner = max(found.candidates, key=lambda candidate: (candidate.scores.accuracy, candidate.fitness), default=None)
    result: Result = {
        "feasible": winner is not None,
        "evaluations": found.evaluations,
        "stopped": found.stopped,
        "candidates": [
            list(_row(candidate, ended.get(candidate.proposal + 1)))
            for candidate in sorted(found.candidates, key=lambda candidate: candidate.proposal)
        ],
        "seconds": {
            "candidates": round(max(ended.values(), default=0.0) - (trained if own else 0.0), 2),
            "supernets": trained,
        },
    }
    if winner is not None:
        # With rare classes the accuracy is the balanced one, and no mean over images.
        inherited = (
            arm.scorer == "supernet" and not config.scoring.fine_tuning_steps and not quality.of(place.source).balanced
        )
        hits = _correct(winner, config, place.source, folder) if inherited else None
        result["winner"] = {
            "genotype": winner.genotype.id,
            "accuracy": winner.scores.accuracy,
            "correct": None if hits is None else packed(hits),
        }
        if arm.alone is not None:
            result["winner"]["alone"] = _alone(winner.genotype, arm.alone, config, place)
    return result


def _alone(genotype: Genotype, steps: int, config: SearchConfig, place: Place) -> dict[str, Any]:
    """A network's accuracy on validation, and its hits, after training from scratch; goes on where it was killed."""

    def report(step: Step) -> None:
        place.say(f"{genotype.id} alone, step {step.number}/{steps}")

    trained = standalone.train(
        genotype, place.source, steps=steps, seed=config.seed, report=report, file=place.folder / "alone.npz"
    )
    validation = place.source.view(Split.VALIDATION, genotype.data)
    count = config.scoring.validation_images
    found = trained.logits(np.asarray(validation.images[:count])).argmax(axis=1) == validation.labels[:count]
    return {"steps": steps, "accuracy": float(found.mean()), "correct": packed(found)}


def _training(budget: Budget, source: DatasetSource) -> str:
    """The file of the seconds for which supernets like these were trained."""
    of = {"space": budget.space.identity, "training": dataclasses.asdict(budget.training), "images": source.fingerprint}
    return f"training-{hashlib.sha256(json.dumps(of, sort_keys=True).encode()).hexdigest()[:12]}.json"


class Row(NamedTuple):
    """What is kept of a candidate.

    Attributes:
        number: Of its evaluation, from 1.
        genotype: Its id.
        accuracy: On validation.
        ram: Bytes, as the profile counts them.
        flash: Likewise.
        macs: Multiply-accumulates.
        seconds: Since the search began, without the training of shared supernets; None where a kill has lost it.
        ms: Modelled latency; None where none was modelled.
    """

    number: int
    genotype: str
    accuracy: float
    ram: int
    flash: int
    macs: int
    seconds: float | None
    ms: float | None


def rows(result: Result) -> list[Row]:
    """The feasible candidates of a search, in the order of evaluation."""
    return [Row(*row) for row in result.get("candidates", ())]


def _row(candidate: Candidate, ended: float | None) -> Row:
    latency = candidate.estimate.latency
    return Row(
        candidate.proposal + 1,
        candidate.genotype.id,
        candidate.scores.accuracy,
        candidate.estimate.ram_bytes,
        candidate.estimate.flash_bytes,
        candidate.estimate.macs,
        None if ended is None else round(ended, 2),
        None if latency is None else round(latency.value, 2),
    )


def _correct(
    candidate: Candidate, config: SearchConfig, source: DatasetSource, folder: Path
) -> NDArray[np.bool_] | None:
    """Whether a candidate, as it was scored, is right about each image of the validation subset."""
    data, scoring = candidate.genotype.data, config.scoring
    weights = supernets.stored_weights(folder, data)
    if weights is None:
        return None
    train, validation = source.view(Split.TRAIN, data), source.view(Split.VALIDATION, data)
    calibration = subnet.calibration_images(train.images, scoring.calibration_images, config.seed)
    settled = subnet.settle(weights, candidate.genotype, len(source.class_names), calibration)
    count = scoring.validation_images
    found: NDArray[np.bool_] = (
        settled.logits(np.asarray(validation.images[:count])).argmax(axis=1) == validation.labels[:count]
    )
    return found


def packed(hits: NDArray[np.bool_]) -> str:
    """Truth values as ``COUNT:HEX``."""
    return f"{len(hits)}:{np.packbits(hits).tobytes().hex()}"


def unpacked(text: str) -> NDArray[np.bool_]:
    """The inverse of :func:`packed`."""
    count, _, digits = text.partition(":")
    return np.unpackbits(np.frombuffer(bytes.fromhex(digits), np.uint8), count=int(count)).astype(np.bool_)


def groups(source: DatasetSource, budget: Budget) -> NDArray[np.int64]:
    """The groups of the images that candidates are scored on."""
    return source.groups(Split.VALIDATION)[: budget.scoring.validation_images]


def best(result: Result) -> float | None:
    """The winner's accuracy on validation; None where nothing is feasible."""
    return float(result["winner"]["accuracy"]) if result["feasible"] else None


def hits(results: Sequence[Result], *, alone: bool = False) -> NDArray[np.bool_] | None:
    """The winners' hits, [seeds, images], as they were scored or after training alone; None where one has none."""
    winners = [result["winner"] if result["feasible"] else {} for result in results]
    found = [(winner.get("alone", {}) if alone else winner).get("correct") for winner in winners]
    if any(text is None for text in found):
        return None
    return np.stack([unpacked(str(text)) for text in found])


def curve(result: Result) -> list[tuple[float, float]]:
    """The best accuracy after each evaluation, from the first feasible candidate on."""
    found: list[tuple[float, float]] = []
    last = int(result.get("evaluations", 0))
    for row in rows(result):
        top = max(row.accuracy, found[-1][1] if found else 0.0)
        start = int(found[-1][0]) + 1 if found else row.number
        found += [(number, found[-1][1]) for number in range(start, row.number)]
        found.append((row.number, top))
    if found:
        found += [(number, found[-1][1]) for number in range(int(found[-1][0]) + 1, last + 1)]
    return found


def reaches(result: Result, accuracy: float) -> int | None:
    """After how many evaluations a search had a candidate at least so good; None: never."""
    return next((row.number for row in rows(result) if row.accuracy >= accuracy), None)


class Clock:
    """When each evaluation ended, over all the processes that worked on a search.

    A kill loses the seconds since times were last written down.

    Args:
        file: Kept there.
        training: Seconds of training by supernet are kept there. Supernets are shared: their training is counted once,
            whoever did it.
        inside: Count training as part of the search's own time as well.
    """

    def __init__(self, file: Path, training: Path, *, inside: bool) -> None:
        self._file = file
        self._training = training
        self._inside = inside
        self._last = self._kept = time.monotonic()
        known = _numbers(file)
        self._spent = known.pop("spent", 0.0)
        self.ends = {int(number): seconds for number, seconds in known.items()}
        self._trained: dict[str, float] = {}

    def __call__(self, progress: Progress) -> None:
        """See :class:`Progress`; each call ends what went on since the last one."""
        now = time.monotonic()
        since, self._last = now - self._last, now
        training = progress.phase is Phase.SUPERNET
        if training:
            self._trained[progress.subject] = self._trained.get(progress.subject, 0.0) + since
        if self._inside or not training:
            self._spent += since
        new = progress.evaluations and progress.evaluations not in self.ends
        if new:
            self.ends[progress.evaluations] = round(self._spent, 2)
        if new or now - self._kept >= _KEPT_EVERY_S:
            self._keep(now)

    def supernets(self) -> float:
        """Seconds of training of all supernets beside this one's."""
        return round(sum(_numbers(self._training).values()), 1)

    def _keep(self, now: float) -> None:
        self._kept = now
        if self._trained:
            stored = _numbers(self._training)
            for name, seconds in self._trained.items():
                stored[name] = round(stored.get(name, 0.0) + seconds, 3)
            write_atomic(self._training, json.dumps(stored) + "\n")
            self._trained = {}
        times = {"spent": round(self._spent, 3), **{str(number): end for number, end in self.ends.items()}}
        write_atomic(self._file, json.dumps(times) + "\n")


def _numbers(file: Path) -> dict[str, float]:
    """A file of numbers by name; empty where there is none, or none that can be read."""
    try:
        return {str(name): float(value) for name, value in json.loads(file.read_text("utf-8")).items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}
