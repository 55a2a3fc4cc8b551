"""Several workers on one search: nothing is evaluated twice, and what a dead one leaves is done by the others."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from types import TracebackType

import pytest
from search_toy import SPACE, ToySource, config, estimate

from pipeline import search
from pipeline.genotype import Genotype
from pipeline.search import Scores
from pipeline.search.scorers import SupernetScorer

pytestmark = pytest.mark.slow

#: A worker whose scores need no training; it may kill itself in the midst of its second evaluation.
_CHILD = """
import os, sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import test_search_workers as this
from search_toy import ToySource, estimate
from pipeline import search
from pipeline.search.scorers import SupernetScorer

seen = []
def score(self, genotype, **_):
    seen.append(genotype)
    if len(seen) == 2 and sys.argv[3] == "dies":
        os.kill(os.getpid(), 9)
    time.sleep(0.05)
    return this.scores_of(genotype)

SupernetScorer.score = score
search.run(this.SEARCH, ToySource(), folder=Path(sys.argv[2]), estimate=estimate, helps=True)
"""
SEARCH = config(evaluations=11)


def scores_of(genotype: Genotype) -> Scores:
    """Wider and deeper is more accurate."""
    accuracy = 0.5 + genotype.alpha + sum(genotype.depths) / 40 + genotype.data.channels / 50
    return Scores(accuracy, accuracy, accuracy)


class _Children(AbstractContextManager["_Children"]):
    def __init__(self, folder: Path, *ends: str) -> None:
        self.codes: list[int] = []
        self._folder = folder
        self._ends = ends

    def __enter__(self) -> _Children:
        here = str(Path(__file__).parent)
        self._running = [
            subprocess.Popen([sys.executable, "-c", _CHILD, here, str(self._folder), end], env=os.environ)
            for end in self._ends
        ]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.codes = [child.wait() for child in self._running]


@pytest.fixture
def untrained(monkeypatch: pytest.MonkeyPatch) -> None:
    def score(_: SupernetScorer, genotype: Genotype, **__: object) -> Scores:
        return scores_of(genotype)

    monkeypatch.setattr(SupernetScorer, "score", score)


@pytest.mark.usefixtures("untrained")
def test_workers_share_a_search_and_the_leader_does_what_a_dead_one_leaves(tmp_path: Path) -> None:
    children = _Children(tmp_path, "ends", "dies")

    def wait_for_them(moment: search.Progress) -> None:
        # The leader alone would be done before the others are up.
        if moment.phase is search.Phase.CANDIDATE and children.codes == [] and moment.evaluations >= 1:
            children.codes = [child.wait() for child in children._running]

    result = search.run(
        SEARCH, ToySource(), folder=tmp_path, estimate=estimate, progress=wait_for_them, helpers=children
    )
    assert sorted(children.codes) == [-9, 0]
    assert (result.evaluations, result.stopped) == (11, "evaluations")
    assert len({one.genotype for one in result.candidates}) == 11
    assert sorted(one.proposal for one in result.candidates) == list(range(11))
    again = search.run(SEARCH, ToySource(), folder=tmp_path, estimate=estimate)
    assert again.candidates == result.candidates


@pytest.mark.usefixtures("untrained")
def test_two_runs_on_one_storage_divide_the_space_between_them(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'shared.db'}"
    part = search.run(
        replace(SEARCH, evaluations=5), ToySource(), folder=tmp_path / "one", estimate=estimate, storage=url
    )
    whole = search.run(
        replace(SEARCH, evaluations=100), ToySource(), folder=tmp_path / "two", estimate=estimate, storage=url
    )
    assert (part.evaluations, whole.evaluations, whole.stopped) == (5, len(SPACE), "exhausted")
    assert set(part.candidates) <= set(whole.candidates)


def test_scores_that_depend_on_the_order_are_not_shared(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="one worker"):
        search.run(config(scorer="published"), ToySource(), folder=tmp_path, estimate=estimate, helps=True)
