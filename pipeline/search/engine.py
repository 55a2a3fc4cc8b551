"""The search itself: propose, train what is missing, score, record, until the budget is spent."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from pipeline.datasets import DatasetSource, quality
from pipeline.estimate.model import Estimate
from pipeline.genotype import Genotype
from pipeline.search import samplers, scorers, training
from pipeline.search.candidate import Candidate
from pipeline.search.config import SearchConfig
from pipeline.search.feasibility import Feasibility
from pipeline.search.progress import Budget, Listener, Phase, Progress
from pipeline.search.scorers import Scorer
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
    """

    candidates: tuple[Candidate, ...]
    front: tuple[Candidate, ...]
    evaluations: int
    supernets: tuple[str, ...]
    waiting: Mapping[str, float]
    stopped: str
    seconds: float

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
                _loop(config, feasibility, scorer, study, listener, balanced=balanced)
            study.shared = shared
            study.tidy()
        return _loop(config, feasibility, scorer, study, listener, balanced=balanced)
    finally:
        study.close()


def _free(history: Sequence[Candidate], pending: Collection[int]) -> int:
    """The first proposal number that nobody has."""
    taken = {candidate.proposal for candidate in history}.union(pending)
    return next(number for number in itertools.count() if number not in taken)


def _ignore(_: Progress) -> None:
    pass


def _loop(
    config: SearchConfig,
    feasibility: Feasibility,
    scorer: Scorer,
    study: Study,
    listener: Listener,
    *,
    balanced: bool,
) -> SearchResult:
    history = study.history()
    before = len(history)
    budget = Budget(config.evaluations, config.seconds, spent=study.seconds())
    proposer = samplers.make(
        config.strategy, feasibility, seed=config.seed, objectives=config.objectives, evolution=config.evolution
    )

    waiting: dict[str, float] = {}

    def tell(phase: Phase, subject: str, step: training.Step | None = None) -> None:
        if step is not None and phase is Phase.SUPERNET:
            waiting[subject] = step.waiting
        listener(
            Progress(
                phase=phase,
                subject=subject,
                step=step.number if step else 0,
                steps=scorer.steps if step else 0,
                loss=step.loss if step else None,
                accuracy=step.accuracy if step else None,
                waiting=step.waiting if step else None,
                evaluations=len(history),
                evaluations_of=config.evaluations,
                best=min((c for c in history if c.feasible), key=lambda c: c.rank, default=None),
                elapsed=budget.elapsed,
                left=budget.left(len(history), len(history) - before),
            )
        )

    stopped = "time"
    while True:
        history, pending = study.history(), study.pending()
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

        def report(step: training.Step, genotype: Genotype = genotype) -> None:
            subject = scorer.subject(genotype)
            tell(Phase.CANDIDATE if subject == genotype.id else Phase.SUPERNET, subject, step)
            if step.number >= scorer.steps:
                tell(Phase.CANDIDATE, genotype.id)

        scored = scorer.score(
            genotype,
            report=report,
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
        study.finish(candidate, seconds=budget.elapsed - began, values=config.objectives.values(candidate))
    if config.evaluations is not None and len(history) >= config.evaluations:
        stopped = "evaluations"
    tell(Phase.DONE, "")
    return SearchResult(
        candidates=config.objectives.best_first(history),
        front=config.objectives.front(history),
        evaluations=len(history),
        supernets=tuple(sorted({c.genotype.data.id for c in history})),
        waiting=waiting,
        stopped=stopped,
        seconds=budget.elapsed,
    )
