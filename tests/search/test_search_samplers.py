"""What every sampler must do, and what the genetic algorithm does besides."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from search_toy import SPACE, WIDE, config, estimate

from pipeline.estimate.model import Limits
from pipeline.genotype import Colour, Fix, Genotype
from pipeline.search import Candidate, Objectives, Scores, Space, pareto, space
from pipeline.search.feasibility import Feasibility
from pipeline.search.samplers import (
    NAMES,
    Evolution,
    EvolutionSampler,
    HardwareAwareSampler,
    Nsga2Sampler,
    RandomSampler,
    Sampler,
    make,
)

TRADE = Objectives(("accuracy", "ram", "flash"))
LIMITS = Limits(ram_bytes=32**2 * 64, flash_bytes=60_000)


def _candidate(proposal: int, genotype: Genotype, *, feasible: bool = True) -> Candidate:
    """Scored by a rule that the genetic algorithm can climb: wider is better."""
    accuracy = genotype.alpha / 2 + sum(genotype.depths) / 40
    scored = Scores(accuracy, accuracy, accuracy)
    return Candidate(
        proposal=proposal,
        genotype=genotype,
        scores=scored,
        fitness=3 * accuracy + 2,
        feasible=feasible,
        estimate=estimate(genotype),
    )


def _grow(sampler: Sampler, count: int) -> list[Candidate]:
    history: list[Candidate] = []
    while len(history) < count:
        genotype = sampler.propose(history)
        if genotype is None:
            break
        history.append(_candidate(len(history), genotype))
    return history


class TestContract:
    """All samplers pass."""

    @pytest.fixture(params=NAMES)
    def kind(self, request: pytest.FixtureRequest) -> str:
        return str(request.param)

    def _make(
        self,
        kind: str,
        *,
        of: Space | None = None,
        limits: Limits = LIMITS,
        seed: int = 1,
        fix: Fix | None = None,
        soft: bool = False,
    ) -> Sampler:
        if fix is None:
            fix = Fix(32, Colour.MONO) if kind == "hardware-aware" else Fix()
        feasibility = Feasibility(of or space.quick(), estimate, limits, soft=soft, fix=fix)
        return make(kind, feasibility, seed=seed, objectives=TRADE if kind == "nsga2" else None)

    def test_no_duplicate_and_nothing_infeasible(self, kind: str) -> None:
        history = _grow(self._make(kind), 60)
        assert len({candidate.genotype for candidate in history}) == 60
        assert all(LIMITS.admits(candidate.estimate) for candidate in history)

    def test_a_proposal_depends_on_seed_and_history_alone(self, kind: str) -> None:
        history = _grow(self._make(kind), 26)
        for length in (0, 9, 12, 25):
            assert self._make(kind).propose(history[:length]) == history[length].genotype
        assert [c.genotype for c in _grow(self._make(kind, seed=2), 10)] != [c.genotype for c in history[:10]]

    def test_a_small_space_is_walked_to_its_end(self, kind: str) -> None:
        history = _grow(self._make(kind, of=SPACE, limits=WIDE), 100)
        fixed = Fix(32, Colour.MONO) if kind == "hardware-aware" else Fix()
        assert {candidate.genotype for candidate in history} == {one for one in SPACE if fixed.holds(one.data)}

    def test_soft_limits_admit_everything(self, kind: str) -> None:
        sampler = self._make(kind, of=SPACE, limits=Limits(ram_bytes=1, flash_bytes=1), soft=True)
        assert len(_grow(sampler, 100)) == len(SPACE) // (2 if kind == "hardware-aware" else 1)

    @pytest.mark.parametrize(
        "fix", [Fix(64), Fix(colour=Colour.RGB), Fix(64, Colour.MONO)], ids=lambda fix: str(fix.id)
    )
    def test_what_is_fixed_stays(self, kind: str, fix: Fix) -> None:
        if kind == "hardware-aware" and not fix.whole:
            with pytest.raises(ValueError, match="fixed"):
                self._make(kind, fix=fix, limits=WIDE)
            return
        history = _grow(self._make(kind, fix=fix, limits=WIDE), 30)
        assert len(history) == 30
        assert all(fix.holds(candidate.genotype.data) for candidate in history)
        free = {data for data in space.quick().data if fix.holds(data)}
        assert {candidate.genotype.data for candidate in history} == free

    @given(data=st.data())
    @settings(max_examples=4, suppress_health_check=[HealthCheck.function_scoped_fixture])
    def test_what_other_workers_have_under_way_is_not_proposed(self, kind: str, data: st.DataObject) -> None:
        history = _grow(self._make(kind), 24)
        done = data.draw(st.integers(0, 12))
        open_ = data.draw(st.sets(st.integers(done, 23), max_size=6))
        pending = [history[number].genotype for number in open_]
        others = [one for one in history if one.proposal not in open_]
        number = data.draw(st.integers(0, 30))
        found = self._make(kind).propose(others, number=number, pending=pending)
        assert found is not None
        assert found not in {one.genotype for one in others} | set(pending)
        assert found == self._make(kind).propose(others, number=number, pending=pending)


def test_children_descend_from_the_survivors() -> None:
    feasibility = Feasibility(space.full(), estimate, WIDE)
    sampler = EvolutionSampler(feasibility, seed=4, evolution=Evolution(mutation=1.0))
    history = _grow(sampler, 30)
    for length in range(10, 30):
        parents = {survivor.genotype for survivor in sampler.survivors(history[:length])}
        assert len(parents) == 5
        child = history[length].genotype
        steps = [
            neighbour
            for parent in parents
            for kind in (feasibility.space.data_steps, feasibility.space.depth_steps, feasibility.space.other_steps)
            for axis in kind(parent)
            for neighbour in axis
        ]
        assert child in steps


def test_survivors_change_by_generation_only_and_the_best_survives() -> None:
    sampler = EvolutionSampler(Feasibility(space.full(), estimate, WIDE), seed=4)
    history = _grow(sampler, 25)
    assert sampler.survivors(history[:9]) == ()
    for start in (10, 15, 20):
        of_generation = {sampler.survivors(history[:length]) for length in range(start, start + 5)}
        assert len(of_generation) == 1
        best = min(history[:start], key=lambda candidate: candidate.rank)
        assert best in of_generation.pop()


def test_evolution_climbs_higher_than_chance() -> None:
    feasibility = Feasibility(space.full(), estimate, WIDE)
    means = [
        float(np.mean([c.fitness for c in _grow(sampler, 60)[-10:]]))
        for sampler in (EvolutionSampler(feasibility, seed=0), RandomSampler(feasibility, seed=0))
    ]
    assert means[0] > means[1] + 0.3


@pytest.mark.parametrize(
    "wrong",
    [{"population": 9}, {"population": 2}, {"mutation": 1.1}, {"tournament": 3}, {"tournament": 0}, {"tournament": 12}],
)
def test_senseless_settings_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Evolution(**wrong)


def test_larger_tournaments_have_better_winners() -> None:
    feasibility = Feasibility(space.full(), estimate, WIDE)
    history = _grow(RandomSampler(feasibility, seed=5), 10)
    better = 0
    for seed in range(20):
        of_two = EvolutionSampler(feasibility, seed=seed).survivors(history)
        of_four = EvolutionSampler(feasibility, seed=seed, evolution=Evolution(tournament=4)).survivors(history)
        assert len(of_two) == len(of_four) == 5
        assert all(four.rank <= two.rank for two, four in zip(of_two, of_four, strict=True))
        better += of_two != of_four
    assert better


def test_an_unknown_sampler_is_refused() -> None:
    with pytest.raises(ValueError, match="evolution"):
        make("bayes", Feasibility(SPACE, estimate, WIDE), seed=0)


def _front(history: list[Candidate]) -> set[Genotype]:
    return {candidate.genotype for candidate in TRADE.front(history)}


def test_nsga2_keeps_the_whole_front_and_its_population_never_gets_worse() -> None:
    feasibility = Feasibility(space.full(), estimate, WIDE)
    sampler = Nsga2Sampler(feasibility, seed=3, objectives=TRADE)
    history = _grow(sampler, 60)
    assert sampler.population(history[:9]) == ()
    for length in range(10, 60, 10):
        members = sampler.population(history[:length])
        assert len(members) == len({one.genotype for one in members}) == 10
        front = _front(history[:length])
        kept = {one.genotype for one in members}
        # The front of all that was evaluated is in the population, or as much of it as has a place there.
        assert kept <= front if len(front) >= 10 else front <= kept
        assert sampler.population(history[: length + 9]) == members


def test_nsga2_finds_a_better_front_than_chance() -> None:
    """More of the front of chance is dominated by that of NSGA-II than the other way round (Zitzler's coverage)."""
    feasibility = Feasibility(space.full(), estimate, WIDE)
    ours, theirs = 0.0, 0.0
    for seed in range(3):
        one = [TRADE.point(c) for c in TRADE.front(_grow(Nsga2Sampler(feasibility, seed=seed, objectives=TRADE), 60))]
        other = [TRADE.point(c) for c in TRADE.front(_grow(RandomSampler(feasibility, seed=seed), 60))]
        ours += float(np.mean([any(pareto.dominates(a, b) for a in one) for b in other]))
        theirs += float(np.mean([any(pareto.dominates(b, a) for b in other) for a in one]))
    assert ours > theirs + 0.3


def test_nsga2_prefers_the_lesser_violation_and_any_design_that_fits() -> None:
    tight = Limits(ram_bytes=64**2 * 12, flash_bytes=60_000)
    feasibility = Feasibility(space.quick(), estimate, tight, soft=True)
    rng = np.random.default_rng(0)
    drawn = dict.fromkeys(space.quick().random(rng) for _ in range(200))
    fitting = [one for one in drawn if feasibility.fits(one)][:4]
    others = [one for one in drawn if not feasibility.fits(one)][:16]
    history = [_candidate(number, one, feasible=one in fitting) for number, one in enumerate(fitting + others)]
    members = Nsga2Sampler(feasibility, seed=1, objectives=TRADE).population(history)
    assert {one.genotype for one in members[:4]} == set(fitting)
    by_violation = sorted(others, key=feasibility.violation)
    assert [one.genotype for one in members[4:]] == by_violation[:6]


def test_what_a_strategy_needs_is_demanded() -> None:
    free = Feasibility(SPACE, estimate, WIDE)
    with pytest.raises(ValueError, match="two objectives"):
        Nsga2Sampler(free, seed=0, objectives=Objectives())
    with pytest.raises(ValueError, match="fixed"):
        HardwareAwareSampler(free, seed=0)
    for wrong in ({"strategy": "hardware-aware"}, {"strategy": "nsga2"}, {"strategy": "guess"}, {"fix": Fix(224)}):
        with pytest.raises(ValueError, match=r"fixed|objectives|none of|resolution=224"):
            config(**wrong)
