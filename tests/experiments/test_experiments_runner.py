"""The runner and the documents, with an experiment that only throws dice."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from search_toy import ToySource

from pipeline.boards import Board
from pipeline.datasets import DatasetSource
from pipeline.errors import UsageError
from pipeline.experiments import documents, plots, runner, statistics
from pipeline.experiments.protocol import Findings, Place, Result, Scale, Task
from pipeline.experiments.tables import Table, number
from pipeline.progress import QuietDisplay
from pipeline.search.locks import alone


class Dice:
    """Throws dice; can be told where to be killed, and what to do after the last but one throw."""

    name = "dice"
    title = "Dice <thrown>"
    question = "Are they fair?"
    rule = "A mean of 3.5 within the interval."

    def __init__(
        self,
        sides: int = 6,
        *,
        killed_at: str = "",
        more: int = 0,
        seeds: tuple[int, int, int] = (0, 1, 2),
        nearly_done: Callable[[], None] = lambda: None,
    ) -> None:
        self.sides = sides
        self.killed_at = killed_at
        self.more = more
        self.seeds = seeds
        self.nearly_done = nearly_done
        self.performed: list[str] = []

    def tasks(self) -> Sequence[Task]:
        return [Task(f"die-{n}", seed, {"sides": self.sides, "die": n}) for n, seed in enumerate(self.seeds)]

    def settings(self) -> Mapping[str, Any]:
        return {"sides": self.sides}

    def perform(self, task: Task, place: Place) -> Result:
        place.say("thrown")
        if task.name == self.killed_at:
            raise KeyboardInterrupt
        lock = place.folder.parents[1] / "tasks" / f"{place.folder.name}.lock"
        with alone(lock, keep_going=lambda: False) as held:
            assert not held, "no other process does the same task at the same time"
        self.performed.append(task.name)
        if len(self.performed) == len(self.seeds) - 1:
            self.nearly_done()
        thrown = np.random.default_rng([task.seed, place.source.class_names == ()]).integers(1, self.sides + 1)
        return {"eyes": int(thrown), "more": "x" * self.more, "supernets": place.supernets.name}

    def conclude(self, results: Mapping[str, Result], source: DatasetSource) -> Findings:
        found = statistics.mean([result["eyes"] for result in results.values()])
        table = Table("Eyes", ("mean",), ((number(found),),))
        svg = plots.intervals("Eyes", {"die": found}, across="eyes")
        return Findings({"mean": found.as_dict()}, (table,), (f"They show {number(found)}.",), {"eyes.svg": svg})


def _run(experiment: Dice, folder: Path, board: Board) -> runner.Written:
    return runner.run(
        experiment,
        Scale.SMOKE,
        ToySource(),
        board,
        folder=folder / "work",
        results=folder / "results",
        display=QuietDisplay(),
        options={"data": "toy", "group-by": "^a b"},
    )


def test_a_killed_experiment_goes_on_to_the_same_findings(tmp_path: Path, board: Board) -> None:
    whole = _run(Dice(), tmp_path / "whole", board)
    with pytest.raises(KeyboardInterrupt):
        _run(Dice(killed_at="die-1"), tmp_path / "killed", board)
    assert not (tmp_path / "killed" / "results").exists()
    again = Dice()
    resumed = _run(again, tmp_path / "killed", board)
    assert again.performed == ["die-1", "die-2"]
    for key in ("values", "tables", "conclusion", "results", "settings", "command", "question", "rule"):
        assert resumed.contents[key] == whole.contents[key]
    assert [path.read_bytes() for path in resumed.plots] == [path.read_bytes() for path in whole.plots]


def test_only_equal_tasks_are_done_once(tmp_path: Path, board: Board) -> None:
    _run(Dice(), tmp_path, board)
    equal, other = Dice(), Dice(sides=12)
    _run(equal, tmp_path, board)
    _run(other, tmp_path, board)
    assert equal.performed == []
    assert other.performed == ["die-0", "die-1", "die-2"]


@pytest.mark.parametrize(
    ("seeds", "order"),
    [((0, 1, 2), ["die-1", "die-2", "die-0"]), ((0, 0, 1), ["die-2", "die-1", "die-0"])],
    ids=["others-first", "other-seeds-first"],
)
def test_what_another_process_is_at_comes_last(
    seeds: tuple[int, int, int], order: list[str], tmp_path: Path, board: Board
) -> None:
    other = ExitStack()
    experiment = Dice(seeds=seeds, nearly_done=other.close)
    desk = runner.Desk(ToySource(), board, tmp_path / "work", QuietDisplay())
    with other:
        file = desk.file(desk.identity(experiment.tasks()[0]))
        assert other.enter_context(alone(file.with_suffix(".lock"), keep_going=lambda: False))
        _run(experiment, tmp_path, board)
    assert experiment.performed == order


def test_a_record_of_another_process_is_waited_for(tmp_path: Path, board: Board) -> None:
    made = Dice()
    _run(made, tmp_path / "other", board)
    other = ExitStack()

    def finish() -> None:
        """The other process has thrown the first die."""
        shutil.copy(tmp_path / "other" / "work" / "tasks" / file.name, file)
        other.close()

    experiment = Dice(nearly_done=finish)
    desk = runner.Desk(ToySource(), board, tmp_path / "work", QuietDisplay())
    file = desk.file(desk.identity(experiment.tasks()[0]))
    with other:
        assert other.enter_context(alone(file.with_suffix(".lock"), keep_going=lambda: False))
        written = _run(experiment, tmp_path, board)
    assert experiment.performed == ["die-1", "die-2"]
    assert len(written.contents["tasks"]) == 3


def test_the_journal_says_how_many_threads_there_were(
    tmp_path: Path, board: Board, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TF_NUM_INTRAOP_THREADS", "1")
    assert "1 of them a process" in _run(Dice(), tmp_path / "one", board).table.read_text(encoding="utf-8")
    monkeypatch.setenv("TF_NUM_INTRAOP_THREADS", "many")
    assert "a process" not in _run(Dice(), tmp_path / "many", board).table.read_text(encoding="utf-8")


def test_a_damaged_record_is_made_anew(tmp_path: Path, board: Board) -> None:
    _run(Dice(), tmp_path, board)
    damaged = sorted((tmp_path / "work" / "tasks").glob("*.json"))[:2]
    damaged[0].write_text("{", encoding="utf-8")
    damaged[1].write_text('{"schema_version": 1, "identity": {}}', encoding="utf-8")
    again = Dice()
    _run(again, tmp_path, board)
    assert len(again.performed) == 2


def test_a_journal_says_everything_but_where(tmp_path: Path, board: Board) -> None:
    written = _run(Dice(), tmp_path, board)
    text = written.journal.read_text(encoding="utf-8")
    journal = runner.read_journal(written.journal)
    assert written.journal.parent.name == "dice-smoke"
    assert str(tmp_path) not in text
    assert (
        journal["command"]
        == "danas-deploy experiment dice --scale smoke --board nucleo_f746zg --data toy --group-by '^a b'"
    )
    assert [task["task"] for task in journal["tasks"]] == ["die-0", "die-1", "die-2"]
    assert {result["supernets"] for result in journal["results"].values()} == {"seed-0", "seed-1", "seed-2"}
    assert journal["machine"]["cores"] >= 1
    assert written.table.read_text(encoding="utf-8").startswith("### Dice <thrown> (smoke)")


def test_a_journal_stays_below_a_megabyte(tmp_path: Path, board: Board) -> None:
    written = _run(Dice(more=400_000), tmp_path, board)
    assert written.journal.stat().st_size < runner.LARGEST_JOURNAL
    assert written.contents["results"] == {}
    assert "left out" in written.contents["note"]
    assert written.contents["values"]["mean"]["value"] >= 1


def test_time_counts_over_processes(tmp_path: Path) -> None:
    file = tmp_path / "seconds.json"
    file.write_text(json.dumps({"seconds": 100, "began": "2020-01-01T00:00:00+00:00"}), encoding="utf-8")
    watch = runner.Stopwatch(file)
    assert watch.stop() >= 100
    assert watch.began.startswith("2020")
    file.write_text("[]", encoding="utf-8")
    assert runner.Stopwatch(file).stop() < 100


def test_documents_hold_what_journals_say(tmp_path: Path, board: Board) -> None:
    written = _run(Dice(), tmp_path, board)
    document = tmp_path / "docs" / "experiments.md"
    document.parent.mkdir()
    document.write_text(f"before\n{documents.BEGIN}\nold\n{documents.END}\nafter\n", encoding="utf-8")
    for _ in range(2):
        assert documents.update(document, tmp_path / "results") == 1
        text = document.read_text(encoding="utf-8")
        assert text.startswith("before\n")
        assert text.endswith("\nafter\n")
        assert "old" not in text
        assert text.count("### Dice") == 1
        assert "](../results/dice-smoke/eyes.svg)" in text
        assert (document.parent / "../results/dice-smoke/eyes.svg").resolve() == written.plots[0].resolve()


def test_documents_without_a_place_or_journals_are_refused(tmp_path: Path, board: Board) -> None:
    document = tmp_path / "experiments.md"
    document.write_text("nothing", encoding="utf-8")
    with pytest.raises(UsageError) as none:
        documents.update(document, tmp_path / "results")
    assert none.value.id == "no-journals"
    written = _run(Dice(), tmp_path, board)
    with pytest.raises(UsageError) as unmarked:
        documents.update(document, tmp_path / "results")
    assert unmarked.value.id == "no-marks"
    for text in ("{", "[]", '{"schema_version": 7}', '{"schema_version": 1}'):
        written.journal.write_text(text, encoding="utf-8")
        with pytest.raises(UsageError) as bad:
            documents.update(document, tmp_path / "results")
        assert bad.value.id == "bad-journal"
    assert document.read_text(encoding="utf-8") == "nothing"
