"""The predictor: it learns what can be learned, and chooses among children as it says."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from search_toy import WIDE, estimate

from pipeline.genotype import Genotype
from pipeline.search import Candidate, Evolution, Objectives, Scores, space, wide
from pipeline.search.feasibility import Feasibility
from pipeline.search.predictor import Predictor, features
from pipeline.search.samplers import EvolutionSampler


def _accuracy(genotype: Genotype) -> float:
    return genotype.alpha / 2 + sum(genotype.depths) / 40 + math.log2(genotype.data.resolution) / 20


def _candidate(proposal: int, genotype: Genotype) -> Candidate:
    accuracy = _accuracy(genotype)
    return Candidate(
        proposal=proposal,
        genotype=genotype,
        scores=Scores(accuracy, accuracy, accuracy),
        fitness=3 * accuracy + 2,
        feasible=True,
        estimate=estimate(genotype),
    )


def _drawn(count: int, seed: int = 0) -> list[Genotype]:
    rng = np.random.default_rng(seed)
    return list(dict.fromkeys(space.full().random(rng) for _ in range(count)))


def test_it_ranks_designs_that_it_has_not_seen() -> None:
    known, unseen = _drawn(60), _drawn(200, seed=1)
    predictor = Predictor(known, [_accuracy(one) for one in known])
    said = np.array([predictor(one) for one in unseen])
    true = np.array([_accuracy(one) for one in unseen])
    ranks = [np.argsort(np.argsort(values)) for values in (said, true)]
    spearman = 1 - 6 * float(np.sum((ranks[0] - ranks[1]) ** 2)) / (len(unseen) ** 3 - len(unseen))
    assert spearman > 0.95


@given(seed=st.integers(0, 10**6), count=st.integers(2, 12))
@settings(max_examples=20)
def test_few_or_equal_designs_give_finite_answers(seed: int, count: int) -> None:
    known = _drawn(count, seed)
    if len(known) < 2:
        return
    predictor = Predictor(known, [0.5] * len(known))
    assert all(abs(predictor(one) - 0.5) < 1e-9 for one in _drawn(5, seed + 1))


def test_both_spaces_have_features() -> None:
    rng = np.random.default_rng(0)
    found = np.stack([features(of.random(rng)) for of in (space.full(), wide.full()) for _ in range(100)])
    assert found.shape == (200, 12)
    assert np.isfinite(found).all()
    assert np.abs(found).max() < 8


def test_the_child_of_a_brood_is_the_one_that_promises_most() -> None:
    feasibility = Feasibility(space.full(), estimate, WIDE)
    history = [_candidate(number, one) for number, one in enumerate(_drawn(20))]
    expected = Predictor([one.genotype for one in history], [one.fitness for one in history])
    better = 0
    for seed in range(10):
        single = EvolutionSampler(feasibility, seed=seed).propose(history)
        many = EvolutionSampler(feasibility, seed=seed, evolution=Evolution(brood=8)).propose(history)
        assert single is not None
        assert many is not None
        assert expected(many) >= expected(single)  # the single child is the first of the brood
        better += many != single
    assert better > 3


def test_a_brood_needs_candidates_and_one_objective() -> None:
    feasibility = Feasibility(space.full(), estimate, WIDE)
    trade = Objectives(("accuracy", "ram"))
    history = [_candidate(number, one) for number, one in enumerate(_drawn(20))]
    for seed in range(5):
        plain, brood = (
            EvolutionSampler(feasibility, seed=seed, objectives=trade, evolution=Evolution(brood=size))
            for size in (1, 8)
        )
        assert plain.propose(history) == brood.propose(history)
    with pytest.raises(ValueError, match="brood"):
        Evolution(brood=0)
