"""What every scorer must do."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from search_toy import SPACE, ToySource, config, estimate

from pipeline.genotype import Genotype
from pipeline.search import NaiveSettings, PublishedSettings, Scores, scorers
from pipeline.search.feasibility import Feasibility
from pipeline.search.scorers import Scorer
from pipeline.search.scorers.published import PublishedScorer
from pipeline.search.training import Step

TWO = tuple(Genotype.parse(f"32-mono-{text}") for text in ("d21000-a02", "d00000-a01"))


def _made(name: str, folder: Path) -> Scorer:
    settings = config(
        scorer=name,
        naive=NaiveSettings(steps=8),
        published=PublishedSettings(supernet_steps=8, steps=2, validations=1, batch=16, checkpoint_every=3),
    )
    return scorers.make(settings, ToySource(), Feasibility(SPACE, estimate, settings.limits), folder)


def _score(
    scorer: Scorer,
    genotype: Genotype,
    *,
    report: Callable[[Step], None] = lambda _: None,
    keep_going: Callable[[], bool] = lambda: True,
    first: bool = False,
) -> Scores | None:
    return scorer.score(genotype, report=report, keep_going=keep_going, first=first)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(set(scorers.NAMES) - {PublishedScorer.name}))
def test_scores_are_the_same_in_any_order_and_in_another_process(name: str, tmp_path: Path) -> None:
    forward = [_score(_made(name, tmp_path / "one"), genotype) for genotype in TWO]
    again = _made(name, tmp_path / "two")
    assert [_score(again, genotype) for genotype in reversed(TWO)] == forward[::-1]
    assert all(found is not None and 0 <= found.accuracy <= 1 for found in forward)


@pytest.mark.slow
@pytest.mark.parametrize("name", scorers.NAMES)
class TestContract:
    """All scorers pass."""

    def test_no_time_gives_no_score_but_the_first_gets_one(self, name: str, tmp_path: Path) -> None:
        assert _score(_made(name, tmp_path / "late"), TWO[0], keep_going=lambda: False) is None
        assert _score(_made(name, tmp_path / "first"), TWO[0], keep_going=lambda: False, first=True) is not None

    def test_a_training_that_was_stopped_goes_on_to_the_same_scores(self, name: str, tmp_path: Path) -> None:
        whole = _score(_made(name, tmp_path / "whole"), TWO[0])
        steps: list[Step] = []
        assert _score(_made(name, tmp_path), TWO[0], report=steps.append, keep_going=lambda: len(steps) < 5) is None
        told: list[Step] = []
        again = _made(name, tmp_path)
        assert _score(again, TWO[0], report=told.append) == whole
        assert (told[0].number, told[-1].number) == (6, again.steps)

    def test_its_identity_is_json_and_its_subject_a_name(self, name: str, tmp_path: Path) -> None:
        scorer = _made(name, tmp_path)
        assert json.loads(json.dumps(scorer.identity())) == scorer.identity()
        assert scorer.name == name
        assert scorer.subject(TWO[0])


def test_an_unknown_scorer_is_refused() -> None:
    with pytest.raises(ValueError, match="supernet"):
        config(scorer="guess")
