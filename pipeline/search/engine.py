"""The search itself: propose, train what is missing, score, record, until the budget is spent."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
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
from pipeline.search.study import Study


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
        stopped: ``evaluations``, ``time`` or ``exhausted`` (no genotype left).
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
) -> SearchResult:
    """Search, or go on with a search that was stopped.

    With a budget of evaluations alone, on one machine, a search that was killed at any moment and run again gives the
    same candidates with the same scores, bit by bit, as one that was not. A time budget depends on the machine's pace;
    if it ends while the very first supernet is in training, that one is scored as it is, so that there is a result.

    Args:
        config: What to search.
        source: The images; only train and validation are looked at.
        folder: The search's own folder; ``study.db`` and ``supernets/`` are kept in it.
        estimate: Genotype -> Estimate, from shapes alone.
        progress: Called often; must return quickly.
        supernets: A folder of supernets that several searches share; None: ``supernets`` in the search's own.

    Raises:
        DoesNotFitError: ``nothing-feasible``, before any training.
        UsageError: ``other-search``: the folder belongs to a search with other settings; and what the source raises.
        EnvironmentProblem: ``disk-full``, ``not-writable``, ``study-file``.
        KeyboardInterrupt: The user's; the folder is left resumable.
    """
    listener = progress if progress is not None else _ignore
    feasibility = Feasibility(config.space, estimate, config.limits, soft=config.soft, fix=config.fix)
    feasibility.demand()
    scorer = scorers.make(config, source, feasibility, folder, supernets)
    identity = config.identity(source) | scorer.identity()
    study = Study(folder / "study.db", identity, config.objectives.directions)
    try:
        return _loop(config, feasibility, scorer, study, listener, balanced=quality.of(source).balanced)
    finally:
        study.close()


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
        if step is not None:
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
    while budget.allows(len(history)):
        began = budget.elapsed
        genotype = proposer.propose(history)
        if genotype is None:
            stopped = "exhausted"
            break
        study.begin(len(history), genotype)
        tell(Phase.CANDIDATE, genotype.id)

        def report(step: training.Step, genotype: Genotype = genotype) -> None:
            tell(Phase.SUPERNET, scorer.subject(genotype), step)
            if step.number >= scorer.steps:
                tell(Phase.CANDIDATE, genotype.id)

        scored = scorer.score(
            genotype,
            report=report,
            keep_going=lambda: budget.time_is_left,
            first=not history,
        )
        if scored is None:
            break
        if balanced:
            scored = scored.by_class
        figures = feasibility.estimate(genotype)
        fitness = config.fitness(scored, figures, config.limits)
        if not math.isfinite(fitness):
            raise ArithmeticError(f"fitness of {genotype.id} is {fitness}")
        candidate = Candidate(
            proposal=len(history),
            genotype=genotype,
            scores=scored,
            fitness=fitness,
            feasible=feasibility.fits(genotype),
            estimate=figures,
        )
        study.finish(candidate, seconds=budget.elapsed - began, values=config.objectives.values(candidate))
        history.append(candidate)
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
