"""The search itself: propose, train what is missing, score, record, until the budget is spent."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from pipeline.datasets import DatasetSource, quality
from pipeline.estimate.model import Estimate
from pipeline.genotype import Genotype
from pipeline.search import health, samplers, scorers, training
from pipeline.search.candidate import Candidate
from pipeline.search.config import SearchConfig
from pipeline.search.feasibility import Feasibility
from pipeline.search.health import Event
from pipeline.search.progress import Budget, Listener, Phase, Progress
from pipeline.search.samplers import RandomSampler
from pipeline.search.scorers import Scorer, SupernetScorer
from pipeline.search.scorers.published import PublishedScorer
from pipeline.search.study import NAME, Study


@dataclass(frozen=True, kw_only=True)
class SearchResult:
    """What a search found.

    Attributes:
        candidates: The feasible ones, best first.
        front: Those that no other beats in every objective, the best compromise first; with one objective, the best.
        evaluations: Candidates evaluated, by all processes that worked on the search.
        supernets: Data configurations that candidates were drawn from.
        waiting: Share of its training time that each supernet trained in this process stood still for want of images,
            by data configuration.
        stopped: ``evaluations``, ``time``, ``exhausted`` (no genotype left), or ``others``: other workers have the
            last ones under way.
        seconds: Time of this process.
        events: What the user should know of, oldest first.
        history: All that was evaluated, by proposal number.
        took: Seconds of each, by proposal number, over all processes that worked on the search.
        feasibility: What is known of the space by now.
    """

    candidates: tuple[Candidate, ...]
    front: tuple[Candidate, ...]
    evaluations: int
    supernets: tuple[str, ...]
    waiting: Mapping[str, float]
    stopped: str
    seconds: float
    events: tuple[Event, ...] = ()
    history: tuple[Candidate, ...] = ()
    took: Mapping[int, float] = field(default_factory=dict)
    feasibility: Feasibility | None = None

    def finalists(self, count: int = 3) -> tuple[Candidate, ...]:
        """The best feasible candidates."""
        return self.candidates[:count]


def run(
    config: SearchConfig,
    source: DatasetSource,
    *,
    folder: Path,
    estimate: Callable[[Genotype], Estimate],
    progress: Listener | None = None,
    supernets: Path | None = None,
    storage: str | None = None,
    study_name: str = NAME,
    helpers: AbstractContextManager[object] | None = None,
    helps: bool = False,
    workers: int = 1,
) -> SearchResult:
    """Search, or go on with a search that was stopped.

    With a budget of evaluations alone, on one machine, a search that was killed at any moment and run again gives the
    same candidates with the same scores, bit by bit, as one that was not. A time budget depends on the machine's pace;
    if it ends while the very first supernet is in training, that one is scored as it is, so that there is a result.

    Several workers may search together, on one study: no design is evaluated by two of them. Which worker is quicker
    then decides what is proposed, so that such searches are not repeatable.

    Args:
        config: What to search.
        source: The images; only train and validation are looked at.
        folder: The search's own folder; ``study.db`` and ``supernets/`` are kept in it.
        estimate: Genotype -> Estimate, from shapes alone.
        progress: Called often; must return quickly.
        supernets: A folder of supernets that several searches share; None: ``supernets`` in the search's own.
        storage: URL of a database that the study is in, for workers on several machines; None: the folder's file.
        study_name: The study's name.
        helpers: Other workers on this search: entered when the study is ready for them, left when this one has no more
            to do, which waits for them; what they leave undone is then done here.
        helps: This worker is one of those helpers.
        workers: How many there are: the time that they have spent is shared between them.

    Raises:
        DoesNotFitError: ``nothing-feasible``, before any training.
        UsageError: ``other-search``: the study belongs to a search with other settings; ``bad-storage``; and what the
            source raises.
        EnvironmentProblem: ``disk-full``, ``not-writable``, ``study-file``, ``storage-unreachable``.
        ValueError: Workers share a search whose scores depend on the order of the candidates (``published``).
        KeyboardInterrupt: The user's; the folder is left resumable.
    """
    listener = progress if progress is not None else _ignore
    feasibility = Feasibility(config.space, estimate, config.limits, soft=config.soft, fix=config.fix)
    feasibility.demand()
    scorer = scorers.make(config, source, feasibility, folder, supernets)
    identity = config.identity(source) | scorer.identity()
    shared = helps or storage is not None
    if config.scorer == PublishedScorer.name and (shared or helpers is not None):
        raise ValueError("the published scores depend on the order of the candidates: one worker alone can give them")
    study = Study(
        folder / "study.db",
        identity,
        config.objectives.directions,
        storage=storage,
        name=study_name,
        shared=shared,
    )
    balanced = quality.of(source).balanced
    try:
        if helpers is not None:
            study.shared = True
            with helpers:
                _loop(config, feasibility, scorer, study, listener, balanced=balanced, workers=workers)
            study.shared = shared
            study.tidy()
        return _loop(config, feasibility, scorer, study, listener, balanced=balanced, workers=workers)
    finally:
        study.close()


def _free(history: Sequence[Candidate], pending: Collection[int]) -> int:
    """The first proposal number that nobody has."""
    taken = {candidate.proposal for candidate in history}.union(pending)
    return next(number for number in itertools.count() if number not in taken)


def _ignore(_: Progress) -> None:
    pass


class _Told:
    """What the listener is told, and what is kept of it for the result."""

    def __init__(
        self, config: SearchConfig, scorer: Scorer, study: Study, listener: Listener, budget: Budget, *, workers: int
    ) -> None:
        self.history: Sequence[Candidate] = study.history()
        self.waiting: dict[str, float] = {}
        self.events = list(study.events())
        self.took: list[float] = []
        self._config = config
        self._scorer = scorer
        self._study = study
        self._listener = listener
        self._budget = budget
        self._workers = workers
        if isinstance(scorer, SupernetScorer):
            scorer.supernets.throttled = lambda name, images: self.happened(
                health.throttled(len(self.history), name, images)
            )

    def happened(self, event: Event) -> None:
        """Keep an event, once."""
        if event not in self.events:
            self._study.record(event)
            self.events.append(event)

    def watch(self, feasibility: Feasibility) -> None:
        """Look for events in what was evaluated."""
        config = self._config
        genetic = config.strategy != RandomSampler.name
        found = health.watch(
            self.history,
            data=feasibility.data,
            population=config.evolution.population if genetic else None,
            # With several objectives what is beyond a limit loses anyway: there is nothing to weigh.
            soft=config.soft and not config.objectives.several,
            fitness=config.fitness,
        )
        for event in found:
            self.happened(event)

    def trained(self, genotype: Genotype, step: training.Step) -> None:
        """A step of a training that lasts."""
        subject = self._scorer.subject(genotype)
        own = subject == genotype.id
        if not own:
            self.waiting[subject] = step.waiting
        self(Phase.CANDIDATE if own else Phase.SUPERNET, subject, step)
        if step.number >= self._scorer.steps:
            self(Phase.CANDIDATE, genotype.id)

    def __call__(self, phase: Phase, subject: str, step: training.Step | None = None) -> None:
        evaluated = len(self.history)
        self._listener(
            Progress(
                phase=phase,
                subject=subject,
                step=step.number if step else 0,
                steps=self._scorer.steps if step else 0,
                loss=step.loss if step else None,
                accuracy=step.accuracy if step else None,
                waiting=step.waiting if step else None,
                evaluations=evaluated,
                evaluations_of=self._config.evaluations,
                best=min((one for one in self.history if one.feasible), key=lambda one: one.rank, default=None),
                elapsed=self._budget.elapsed,
                left=self._budget.left(evaluated, self.took, self._workers),
                events=tuple(self.events),
            )
        )


def _loop(
    config: SearchConfig,
    feasibility: Feasibility,
    scorer: Scorer,
    study: Study,
    listener: Listener,
    *,
    balanced: bool,
    workers: int,
) -> SearchResult:
    budget = Budget(config.evaluations, config.seconds, spent=study.seconds() / workers)
    tell = _Told(config, scorer, study, listener, budget, workers=workers)
    proposer = samplers.make(
        config.strategy, feasibility, seed=config.seed, objectives=config.objectives, evolution=config.evolution
    )
    stopped = "time"
    while True:
        history, pending = study.history(), study.pending()
        tell.history = history
        tell.watch(feasibility)
        if not budget.allows(len(history) + len(pending)):
            stopped = "others" if pending and budget.time_is_left else stopped
            break
        began = budget.elapsed
        number = _free(history, pending)
        genotype = proposer.propose(history, number=number, pending=pending.values())
        if genotype is None:
            stopped = "exhausted"
            break
        if not study.begin(number, genotype, violation=feasibility.violation(genotype)):
            continue
        tell(Phase.CANDIDATE, genotype.id)
        scored = scorer.score(
            genotype,
            report=partial(tell.trained, genotype),
            keep_going=lambda: budget.time_is_left,
            first=not history,
        )
        if scored is None:
            study.give_up()
            break
        if balanced:
            scored = scored.by_class
        figures = feasibility.estimate(genotype)
        fitness = config.fitness(scored, figures, config.limits)
        if not math.isfinite(fitness):
            raise ArithmeticError(f"fitness of {genotype.id} is {fitness}")
        candidate = Candidate(
            proposal=number,
            genotype=genotype,
            scores=scored,
            fitness=fitness,
            feasible=feasibility.fits(genotype),
            estimate=figures,
        )
        tell.took.append(budget.elapsed - began)
        study.finish(candidate, seconds=tell.took[-1], values=config.objectives.values(candidate))
    if config.evaluations is not None and len(history) >= config.evaluations:
        stopped = "evaluations"
    tell(Phase.DONE, "")
    return SearchResult(
        candidates=config.objectives.best_first(history),
        front=config.objectives.front(history),
        evaluations=len(history),
        supernets=tuple(sorted({one.genotype.data.id for one in history})),
        waiting=tell.waiting,
        stopped=stopped,
        seconds=budget.elapsed,
        events=tuple(tell.events),
        history=tuple(history),
        took=study.took(),
        feasibility=feasibility,
    )
