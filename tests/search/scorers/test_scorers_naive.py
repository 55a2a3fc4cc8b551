"""Scoring by training each candidate alone."""

from __future__ import annotations

from itertools import count
from pathlib import Path

import numpy as np
import pytest
from search_toy import SPACE, ToySource, config, estimate

from pipeline.genotype import Genotype
from pipeline.search import ScoringSettings
from pipeline.search.feasibility import Feasibility
from pipeline.search.fitness import Scores
from pipeline.search.scorers.naive import NaiveScorer, NaiveSettings, stored_weights
from pipeline.search.standalone import StandaloneSettings

FIRST = Genotype.parse("32-mono-d10000-a01")
SECOND = Genotype.parse("32-mono-d00000-a02")
SMALL = NaiveSettings(steps=5, training=StandaloneSettings(batch=16, checkpoint_every=2, calibration_images=32))


def _scorer(folder: Path, *, seed: int = 1) -> NaiveScorer:
    made = config(naive=SMALL, seed=seed, scoring=ScoringSettings(validation_images=40))
    return NaiveScorer(made, ToySource(), Feasibility(SPACE, estimate, made.limits), folder)


def _score(scorer: NaiveScorer, genotype: Genotype, going: int = 10_000) -> Scores | None:
    calls = count()
    return scorer.score(genotype, report=lambda _: None, keep_going=lambda: next(calls) < going)


def test_a_candidate_needs_a_step() -> None:
    with pytest.raises(ValueError, match="at least one"):
        NaiveSettings(steps=0)


@pytest.mark.slow
def test_a_score_depends_on_the_genotype_and_the_seed_alone_and_survives_a_kill(tmp_path: Path) -> None:
    one = _scorer(tmp_path / "one")
    wanted = [_score(one, genotype) for genotype in (FIRST, SECOND)]
    other = _scorer(tmp_path / "other")
    assert _score(other, SECOND, going=3) is None
    assert [_score(other, genotype) for genotype in (SECOND, FIRST)] == wanted[::-1]
    # Killed after training and before the score was recorded.
    assert _score(other, FIRST) == wanted[0]
    for genotype in (FIRST, SECOND):
        mine, theirs = stored_weights(tmp_path / "one", genotype), stored_weights(tmp_path / "other", genotype)
        assert mine is not None
        assert theirs is not None
        assert all(np.array_equal(mine[name], theirs[name]) for name in mine)
    assert sorted(file.name for file in (tmp_path / "one" / "naive").iterdir()) == sorted(
        f"{genotype.id}.npz" for genotype in (FIRST, SECOND)
    )
    assert stored_weights(tmp_path / "nowhere", FIRST) is None
    _score(_scorer(tmp_path / "third", seed=2), FIRST)
    third = stored_weights(tmp_path / "third", FIRST)
    first = stored_weights(tmp_path / "one", FIRST)
    assert third is not None
    assert first is not None
    assert not np.array_equal(third["stem/kernel"], first["stem/kernel"])
