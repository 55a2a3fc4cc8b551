"""The whole search on a toy: repeatable, resumable after SIGKILL, blind to visiting order, within its budget."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from search_toy import SPACE, ToySource, config, estimate

from pipeline import search
from pipeline.genotype import Genotype
from pipeline.search.feasibility import Feasibility
from pipeline.search.scorers import SupernetScorer
from pipeline.search.supernets import stored_weights

pytestmark = pytest.mark.slow

_CHILD = """
import sys
from pathlib import Path
from typing import Any
sys.path.insert(0, sys.argv[1])
from search_toy import ToySource, config, estimate
from pipeline import search

def progress(moment):
    print(moment.phase.value, moment.evaluations, moment.step, flush=True)

search.run(config(), ToySource(), folder=Path(sys.argv[2]), estimate=estimate, progress=progress)
"""


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, search.SearchResult]:
    folder = tmp_path_factory.mktemp("uninterrupted")
    return folder, search.run(config(), ToySource(), folder=folder, estimate=estimate)


def test_the_share_of_waiting_is_told_for_each_supernet(uninterrupted: tuple[Path, search.SearchResult]) -> None:
    _, result = uninterrupted
    assert set(result.waiting) == set(result.supernets)
    assert all(0 <= share < 1 for share in result.waiting.values())


def _killed_at(folder: Path, moments: tuple[str, ...]) -> None:
    """Start the search in a process of its own, once for each moment, and kill it when it reports that one."""
    for moment in moments:
        child = subprocess.Popen(
            [sys.executable, "-c", _CHILD, str(Path(__file__).parent), str(folder)],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert child.stdout is not None
        with child.stdout as lines:
            assert any(line.strip() == moment for line in lines), f"never came to {moment!r}"
            child.send_signal(signal.SIGKILL)
        assert child.wait() == -signal.SIGKILL


def test_killed_and_resumed_equals_uninterrupted(
    tmp_path: Path, uninterrupted: tuple[Path, search.SearchResult]
) -> None:
    # Within a supernet's training between two checkpoints, and with a candidate under way.
    _killed_at(tmp_path, ("supernet 0 6", "candidate 1 0"))
    resumed = search.run(config(), ToySource(), folder=tmp_path, estimate=estimate)
    folder, expected = uninterrupted
    assert resumed.candidates == expected.candidates
    assert resumed.evaluations == expected.evaluations == 4
    for data in SPACE.data:
        ours, theirs = stored_weights(tmp_path, data), stored_weights(folder, data)
        assert (ours is None) == (theirs is None)
        if ours is not None and theirs is not None:
            assert all(np.array_equal(ours[name], theirs[name]) for name in theirs)


def test_the_result_is_sorted_feasible_and_repeated_for_nothing(
    uninterrupted: tuple[Path, search.SearchResult],
) -> None:
    folder, first = uninterrupted
    ranks = [candidate.rank for candidate in first.candidates]
    assert ranks == sorted(ranks)
    assert first.stopped == "evaluations"
    assert len(first.finalists()) == 3
    moments: list[search.Progress] = []
    again = search.run(config(), ToySource(), folder=folder, estimate=estimate, progress=moments.append)
    assert again.candidates == first.candidates
    assert [moment.phase for moment in moments] == [search.Phase.DONE]


def test_scores_do_not_depend_on_visiting_order(uninterrupted: tuple[Path, search.SearchResult]) -> None:
    settings, source = config(), ToySource()
    feasibility = Feasibility(SPACE, estimate, settings.limits)
    scorer = SupernetScorer(settings, source, feasibility, uninterrupted[0])
    chosen = [
        Genotype.parse(f"{uninterrupted[1].candidates[0].genotype.data.id}-{text}")
        for text in ("d21000-a02", "d00000-a01", "d10000-a02")
    ]
    supernet = scorer.supernets.get(chosen[0].data, report=lambda _: None, keep_going=lambda: True)
    forward = {genotype: scorer.measure(supernet, genotype) for genotype in chosen}
    backward = {genotype: scorer.measure(supernet, genotype) for genotype in reversed(chosen)}
    assert forward == backward


def test_a_time_budget_ends_the_search_with_what_it_has(tmp_path: Path) -> None:
    began = time.monotonic()
    settings = config(evaluations=None, seconds=1e-6)
    nothing = search.run(settings, ToySource(), folder=tmp_path, estimate=estimate)
    assert (nothing.evaluations, nothing.stopped) == (0, "time")
    some = search.run(replace(settings, evaluations=2, seconds=3600), ToySource(), folder=tmp_path, estimate=estimate)
    assert (some.evaluations, some.stopped) == (2, "evaluations")
    assert time.monotonic() > began


def test_ctrl_c_leaves_a_search_that_goes_on(tmp_path: Path, uninterrupted: tuple[Path, search.SearchResult]) -> None:
    def interrupt(moment: search.Progress) -> None:
        if moment.phase is search.Phase.SUPERNET and moment.step == 7:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        search.run(config(), ToySource(), folder=tmp_path, estimate=estimate, progress=interrupt)
    resumed = search.run(config(), ToySource(), folder=tmp_path, estimate=estimate)
    assert resumed.candidates == uninterrupted[1].candidates


def test_importing_the_package_imports_no_tensorflow() -> None:
    code = "import sys, pipeline.search, pipeline.quantize; sys.exit('tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], env=os.environ, check=False).returncode == 0


def test_where_a_class_is_rare_balanced_accuracy_is_what_is_optimised(
    tmp_path: Path, uninterrupted: tuple[Path, search.SearchResult]
) -> None:
    class Rare(ToySource):
        """The same images, of which it is said that one class is rare."""

        def describe(self) -> dict[str, Any]:
            return {"splits": {"train": {"dark": 2100, "bright": 100}, "validation": {"dark": 1, "bright": 1}}}

    result = search.run(config(evaluations=1), Rare(), folder=tmp_path, estimate=estimate)
    (candidate,) = result.candidates
    (plain,) = (one for one in uninterrupted[1].candidates if one.proposal == 0)
    assert candidate.scores == plain.scores.by_class
    assert candidate.scores.accuracy == plain.scores.recall
    assert candidate.fitness == pytest.approx(plain.fitness - plain.scores.accuracy + plain.scores.recall)
