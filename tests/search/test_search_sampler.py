"""What every sampler must do, and what the genetic algorithm does besides."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from search_toy import SPACE, WIDE, estimate

from pipeline.estimate.model import Limits
from pipeline.genotype import Genotype
from pipeline.search import Candidate, Scores, Space, space
from pipeline.search.feasibility import Feasibility
from pipeline.search.sampler import Evolution, EvolutionSampler, RandomSampler, Sampler, make

LIMITS = Limits(ram_bytes=32**2 * 64, flash_bytes=60_000)


def _candidate(proposal: int, genotype: Genotype) -> Candidate:
    """Scored by a rule that the genetic algorithm can climb: wider is better."""
    accuracy = genotype.alpha / 2 + sum(genotype.depths) / 40
    scored = Scores(accuracy, accuracy, accuracy)
    return Candidate(
        proposal=proposal,
        genotype=genotype,
        scores=scored,
        fitness=3 * accuracy + 2,
        feasible=True,
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
    """Both samplers pass."""

    @pytest.fixture(params=["evolution", "random"])
    def kind(self, request: pytest.FixtureRequest) -> str:
        return str(request.param)

    def _make(self, kind: str, *, of: Space | None = None, limits: Limits = LIMITS, seed: int = 1) -> Sampler:
        return make(kind, Feasibility(of or space.quick(), estimate, limits), seed=seed)

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
        assert {candidate.genotype for candidate in history} == set(SPACE)

    def test_soft_limits_admit_everything(self, kind: str) -> None:
        none = Limits(ram_bytes=1, flash_bytes=1)
        sampler = make(kind, Feasibility(SPACE, estimate, none, soft=True), seed=0)
        assert len(_grow(sampler, 100)) == len(SPACE)


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
    "settings",
    [{"population": 9}, {"population": 2}, {"mutation": 1.1}, {"tournament": 3}, {"tournament": 0}, {"tournament": 12}],
)
def test_senseless_settings_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(settings))):
        Evolution(**settings)


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
