"""Objectives: which candidates win, which lie on the front, and a search that trades accuracy for instructions."""

from __future__ import annotations

from pathlib import Path

import optuna
import pytest
from search_toy import SPACE, WIDE, ToySource, config, estimate

from pipeline import search
from pipeline.errors import DoesNotFitError, UsageError
from pipeline.estimate.model import Estimate, Limits, Predicted
from pipeline.genotype import Genotype
from pipeline.search import Candidate, Objectives, Scores
from pipeline.search.feasibility import Feasibility
from pipeline.search.samplers import EvolutionSampler
from pipeline.search.scorers import SupernetScorer

TRADE = Objectives(("accuracy", "instructions"))


def worked(genotype: Genotype) -> Estimate:
    """The toy's estimate with a work that grows as its MACs do."""
    figures = estimate(genotype)
    return figures.model_copy(
        update={"instructions": Predicted(count=2 * figures.macs, unit="instructions", source="toy")}
    )


def candidate(proposal: int, accuracy: float, instructions: int, *, feasible: bool = True) -> Candidate:
    """One of the space's genotypes with any accuracy and work."""
    genotype = list(SPACE)[proposal]
    work = Predicted(count=instructions, unit="instructions", source="toy")
    return Candidate(
        proposal=proposal,
        genotype=genotype,
        scores=Scores(accuracy, accuracy, accuracy),
        fitness=3 * accuracy + 2,
        feasible=feasible,
        estimate=estimate(genotype).model_copy(update={"instructions": work}),
    )


FOUR = [candidate(0, 0.90, 900), candidate(1, 0.85, 300), candidate(2, 0.60, 100), candidate(3, 0.80, 800)]


def test_accuracy_alone_is_the_fitness() -> None:
    alone = Objectives()
    assert [one.proposal for one in alone.best_first(FOUR)] == [0, 1, 3, 2]
    assert alone.front(FOUR) == (FOUR[0],)
    assert alone.directions == ("maximize",)
    assert alone.values(FOUR[1]) == (FOUR[1].fitness,)
    assert alone.strength(FOUR) == [one.rank for one in FOUR]


def test_the_front_holds_what_nobody_beats_the_best_compromise_first() -> None:
    assert [one.proposal for one in TRADE.front(FOUR)] == [1, 0, 2]
    assert [one.proposal for one in TRADE.best_first(FOUR)] == [1, 0, 2, 3]
    assert TRADE.directions == ("maximize", "minimize")
    assert TRADE.values(FOUR[3]) == (0.80, 800.0)


def test_the_infeasible_lose_and_are_not_shown() -> None:
    soft = [*FOUR, candidate(4, 0.99, 50, feasible=False)]
    assert TRADE.front(soft) == TRADE.front(FOUR)
    strength = TRADE.strength(soft)
    assert max(strength) == strength[4]


def test_a_tournament_goes_by_front_then_by_crowding() -> None:
    strength = TRADE.strength(FOUR)
    assert all(strength[number] < strength[3] for number in (0, 1, 2))
    # The ends of the front are less crowded than what lies between them.
    assert max(strength[0], strength[2]) < strength[1]


def test_int8_accuracies_can_change_the_compromise() -> None:
    front = TRADE.front(FOUR)
    assert TRADE.compromises(front, front=front)[0].proposal == 1
    assert TRADE.compromises(front, front=front, accuracies=[0.60, 0.89, 0.60])[0].proposal == 2


def test_objectives_lead_the_evolution() -> None:
    feasibility = Feasibility(SPACE, worked, WIDE)
    # Each is more accurate than the one before it, and takes more: all of them are on the front.
    history = [candidate(number, 0.5 + number / 100, 100 * (number + 1)) for number in range(10)]
    alone = {one.proposal for one in EvolutionSampler(feasibility, seed=1).survivors(history)}
    trading = {one.proposal for one in EvolutionSampler(feasibility, seed=1, objectives=TRADE).survivors(history)}
    assert len(alone) == len(trading) == 5
    # The cheapest loses every tournament of accuracy, and as an end of the front only to the other end.
    assert 0 not in alone
    assert {0, 9} <= trading


@pytest.mark.parametrize("names", [(), ("latency",), ("accuracy", "accuracy"), ("accuracy", "speed")])
def test_senseless_objectives_are_refused(names: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="objectives"):
        Objectives(names)


def test_an_objective_that_was_not_estimated_is_refused() -> None:
    with pytest.raises(ValueError, match="no latency"):
        Objectives(("accuracy", "latency")).values(FOUR[0])


def test_a_limit_on_instructions_rules_before_training_and_is_named(tmp_path: Path) -> None:
    tight = config(limits=Limits(ram_bytes=10**9, flash_bytes=10**9, instructions=10))
    with pytest.raises(DoesNotFitError) as caught:
        search.run(tight, ToySource(), folder=tmp_path, estimate=worked)
    least = min(2 * estimate(genotype).macs for genotype in SPACE)
    assert caught.value.id == "nothing-feasible"
    assert caught.value.why.startswith(f"instructions: least {least:,} instructions (32-mono-")
    assert list(tmp_path.iterdir()) == []


def test_what_was_not_estimated_is_said() -> None:
    limits = Limits(ram_bytes=10**9, flash_bytes=10**9, latency_ms=100.0)
    with pytest.raises(DoesNotFitError) as caught:
        Feasibility(SPACE, estimate, limits).demand()
    assert caught.value.why == "latency: not estimated, limit 100"


@pytest.fixture
def untrained(monkeypatch: pytest.MonkeyPatch) -> None:
    """A search without training: wider and deeper is more accurate. What training does is not what is tested here."""

    def score(_: SupernetScorer, genotype: Genotype, **__: object) -> Scores:
        accuracy = 0.5 + genotype.alpha + sum(genotype.depths) / 40 + genotype.data.channels / 50
        return Scores(accuracy, accuracy, accuracy)

    monkeypatch.setattr(SupernetScorer, "score", score)


@pytest.mark.slow
@pytest.mark.usefixtures("untrained")
def test_a_search_of_two_objectives_is_resumed_to_the_same_front(tmp_path: Path) -> None:
    settings = config(objectives=TRADE, evaluations=6)
    whole = search.run(settings, ToySource(), folder=tmp_path / "whole", estimate=worked)

    def interrupt(moment: search.Progress) -> None:
        if moment.evaluations == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        search.run(settings, ToySource(), folder=tmp_path / "cut", estimate=worked, progress=interrupt)
    resumed = search.run(settings, ToySource(), folder=tmp_path / "cut", estimate=worked)
    assert resumed.candidates == whole.candidates
    assert resumed.front == whole.front == TRADE.front(whole.candidates)
    assert len(whole.front) > 1
    assert whole.candidates[: len(whole.front)] == whole.front
    study = optuna.load_study(study_name="search", storage=f"sqlite:///{tmp_path / 'whole' / 'study.db'}")
    assert [direction.name for direction in study.directions] == ["MAXIMIZE", "MINIMIZE"]
    told = {trial.user_attrs["proposal"]: trial.values for trial in study.trials}
    assert all(told[one.proposal] == list(TRADE.values(one)) for one in whole.candidates)


@pytest.mark.usefixtures("untrained")
def test_a_search_does_not_go_on_with_other_objectives(tmp_path: Path) -> None:
    search.run(config(objectives=TRADE, evaluations=1), ToySource(), folder=tmp_path, estimate=worked)
    with pytest.raises(UsageError) as caught:
        search.run(config(evaluations=1), ToySource(), folder=tmp_path, estimate=worked)
    assert caught.value.id == "other-search"
    assert "objectives" in caught.value.why


def test_what_is_beyond_a_limit_is_never_proposed() -> None:
    most = sorted(2 * estimate(genotype).macs for genotype in SPACE)[5]
    feasibility = Feasibility(SPACE, worked, Limits(ram_bytes=10**9, flash_bytes=10**9, instructions=most))
    sampler = EvolutionSampler(feasibility, seed=2, objectives=TRADE)
    history: list[Candidate] = []
    while (genotype := sampler.propose(history)) is not None:
        scores = Scores(genotype.alpha, genotype.alpha, genotype.alpha)
        history.append(
            Candidate(
                proposal=len(history),
                genotype=genotype,
                scores=scores,
                fitness=genotype.alpha,
                feasible=True,
                estimate=worked(genotype),
            )
        )
    assert {one.genotype for one in history} == {one for one in SPACE if 2 * estimate(one).macs <= most}
    assert len(history) == 6
