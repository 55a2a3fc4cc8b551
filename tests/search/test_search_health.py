"""Events of a search: each is told when it begins, with its remedy, and survives a restart."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from search_toy import MONO, RGB, SPACE, WIDE, ToySource, config, estimate

from pipeline import search
from pipeline.errors import DoesNotFitError
from pipeline.estimate.model import Limits
from pipeline.genotype import Colour, DataConfig, Fix, Genotype
from pipeline.search import Candidate, Fitness, Objectives, Scores, health, space
from pipeline.search.feasibility import Feasibility
from pipeline.search.health import Event, Kind
from pipeline.search.samplers import make
from pipeline.search.scorers import SupernetScorer


def _candidate(proposal: int, data: DataConfig, *, feasible: bool = True) -> Candidate:
    genotype = Genotype(data, (proposal % 4, 0, 0, 0, 0), (1 + proposal // 4) / 10)
    return Candidate(
        proposal=proposal,
        genotype=genotype,
        scores=Scores(0.5, 0.5, 0.5),
        fitness=3.5,
        feasible=feasible,
        estimate=estimate(genotype),
    )


def _watched(history: Sequence[Candidate], *, soft: bool = False, population: int | None = 10) -> list[Event]:
    found = health.watch(history, data=(MONO, RGB), population=population, soft=soft, fitness=Fitness(ram=2.0))
    return list(found)


def test_stagnation_is_told_when_it_begins_and_again_when_it_comes_back() -> None:
    history = [_candidate(number, RGB if number in (3, 20) else MONO) for number in range(35)]
    assert [(event.kind, event.at) for event in _watched(history)] == [(Kind.STAGNATION, 14), (Kind.STAGNATION, 31)]
    assert "32-mono" in _watched(history)[0].text
    assert _watched(history, population=None) == []
    alone = health.watch(history[4:18], data=(MONO,), population=10, soft=False, fitness=Fitness())
    assert list(alone) == []  # where there is no other, nothing stands still


@pytest.mark.parametrize("strategy", ["evolution", "nsga2"])
def test_a_search_that_stands_still_mutates_and_lets_other_images_in(strategy: str) -> None:
    feasibility = Feasibility(space.full(), estimate, WIDE)
    objectives = Objectives(("accuracy", "ram"))
    history = [_candidate(number, MONO) for number in range(20)]
    one_step = {step for one in history for step in feasibility.space.neighbours(one.genotype)}
    immigrants = 0
    for seed in range(40):
        found = make(strategy, feasibility, seed=seed, objectives=objectives).propose(history)
        assert found is not None
        data_steps = {one for c in history for axis in feasibility.space.data_steps(c.genotype) for one in axis}
        if found not in one_step | data_steps:
            assert found.data != MONO
            immigrants += 1
    assert 10 <= immigrants <= 30


def test_too_many_violations_are_told_under_the_soft_penalty_alone() -> None:
    history = [_candidate(number, (MONO, RGB)[number % 2], feasible=number % 3 == 0) for number in range(20)]
    (event,) = _watched(history, soft=True)
    assert (event.kind, event.at) == (Kind.VIOLATIONS, 10)
    assert "--weights w4=20,w5=10" in event.remedy
    assert _watched(history) == []


def test_an_event_survives_json() -> None:
    event = health.throttled(3, "96-rgb", 16)
    assert Event.from_dict(event.as_dict()) == event
    assert event.kind is Kind.MEMORY
    with pytest.raises(ValueError, match="not an event"):
        Event.from_dict({"kind": "memory"})


def test_events_are_kept_in_the_study_and_told_to_the_listener(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def score(scorer: SupernetScorer, genotype: Genotype, **_: object) -> Scores:
        if genotype == seen[0]:
            scorer.supernets.throttled("32-mono", 8)
        return Scores(0.5, 0.5, 0.5)

    seen: list[Genotype] = []

    def listen(moment: search.Progress) -> None:
        if moment.phase is search.Phase.CANDIDATE and not seen:
            seen.append(Genotype.parse(moment.subject))
        moments.append(moment)

    moments: list[search.Progress] = []
    monkeypatch.setattr(SupernetScorer, "score", score)
    tight = Limits(ram_bytes=1, flash_bytes=1)
    settings = config(evaluations=12, limits=tight, soft=True, objectives=Objectives())
    result = search.run(settings, ToySource(), folder=tmp_path, estimate=estimate, progress=listen)
    assert [(event.kind, event.at) for event in result.events] == [(Kind.MEMORY, 0), (Kind.VIOLATIONS, 10)]
    assert moments[-1].events == result.events
    assert search.run(settings, ToySource(), folder=tmp_path, estimate=estimate).events == result.events


def test_nothing_feasible_names_the_limit_that_binds_and_the_smallest_change() -> None:
    cheapest = min(SPACE, key=lambda genotype: estimate(genotype).flash_bytes)
    needed = estimate(cheapest).flash_bytes
    with pytest.raises(DoesNotFitError) as caught:
        Feasibility(SPACE, estimate, Limits(ram_bytes=10**9, flash_bytes=needed - 1)).demand()
    assert caught.value.why.startswith("flash: least")
    assert "RAM" not in caught.value.why
    assert f"raise flash to {needed:,} bytes" in caught.value.next
    Feasibility(SPACE, estimate, Limits(ram_bytes=10**9, flash_bytes=needed)).demand()


def test_the_smallest_change_is_that_of_what_is_fixed() -> None:
    fix = Fix(32, Colour.RGB)
    ram = min(estimate(one).ram_bytes for one in SPACE if one.data == RGB)
    limits = Limits(ram_bytes=ram - 1, flash_bytes=10**9)
    Feasibility(SPACE, estimate, limits).demand()
    with pytest.raises(DoesNotFitError) as caught:
        Feasibility(SPACE, estimate, limits, fix=fix).demand()
    assert "resolution=32,colour=rgb" in caught.value.what
    assert f"raise RAM to {ram:,} bytes" in caught.value.next
    assert "32-rgb" in caught.value.next
