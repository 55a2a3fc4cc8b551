"""The study file: a journal that survives its writer."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import optuna
import pytest
from search_toy import SPACE, estimate
from sqlalchemy import event, text

from pipeline.errors import DanasError, EnvironmentProblem, UsageError
from pipeline.search import Candidate, Scores
from pipeline.search.study import Study


def _candidate(proposal: int) -> Candidate:
    genotype = list(SPACE)[proposal]
    return Candidate(
        proposal=proposal,
        genotype=genotype,
        scores=Scores(0.1 + proposal / 7, 1 / 3, 2 / 3),
        fitness=2.1 + proposal / 7,
        feasible=True,
        estimate=estimate(genotype),
    )


def _record(study: Study, proposal: int) -> None:
    candidate = _candidate(proposal)
    study.begin(proposal, candidate.genotype)
    study.finish(candidate, seconds=1.5)


def test_a_journal_gives_back_every_bit_and_drops_what_was_under_way(tmp_path: Path) -> None:
    path = tmp_path / "a folder # with ? signs" / "study.db"
    study = Study(path, {"seed": 1})
    _record(study, 0)
    _record(study, 1)
    study.begin(2, _candidate(2).genotype)  # the process dies here
    again = Study(path, {"seed": 1})
    assert again.history() == [_candidate(0), _candidate(1)]
    assert again.seconds() == 3.0
    _record(again, 2)
    assert again.history() == [_candidate(number) for number in range(3)]
    again.close()
    study.close()


def test_an_evaluation_that_fails_is_closed(tmp_path: Path) -> None:
    study = Study(tmp_path / "study.db", {})
    study.begin(0, _candidate(0).genotype)
    study.close()
    again = Study(tmp_path / "study.db", {})
    assert again.history() == []
    _record(again, 0)
    assert again.history() == [_candidate(0)]
    again.close()


def test_another_searchs_file_is_refused(tmp_path: Path) -> None:
    Study(tmp_path / "study.db", {"seed": 1, "limits": {"ram": 5}}).close()
    with pytest.raises(UsageError) as caught:
        Study(tmp_path / "study.db", {"seed": 2, "limits": {"ram": 5}})
    assert caught.value.id == "other-search"
    assert "seed" in caught.value.why
    assert "limits" not in caught.value.why


def test_a_file_that_is_no_study_is_an_error_of_the_environment(tmp_path: Path) -> None:
    (tmp_path / "study.db").write_text("no database\n" * 100)
    with pytest.raises(EnvironmentProblem) as caught:
        Study(tmp_path / "study.db", {})
    assert caught.value.id == "study-file"


def test_a_journal_that_was_changed_is_an_error_of_the_environment(tmp_path: Path) -> None:
    study = Study(tmp_path / "study.db", {})
    _record(study, 0)
    study.close()
    with sqlite3.connect(tmp_path / "study.db") as other:
        other.execute("DELETE FROM trial_user_attributes")
    other.close()
    study = Study(tmp_path / "study.db", {})
    for read in (study.history, study.seconds):
        with pytest.raises(EnvironmentProblem) as caught:
            read()
        assert caught.value.id == "study-file"
    study.close()


def test_a_full_disk_is_an_error_of_the_environment(tmp_path: Path) -> None:
    study = Study(tmp_path / "study.db", {})
    study.begin(0, _candidate(0).genotype)
    with sqlite3.connect(tmp_path / "study.db") as other:
        pages = other.execute("PRAGMA page_count").fetchone()[0]
    other.close()

    @event.listens_for(study._storage.engine, "connect")
    def limit(connection: sqlite3.Connection, _: object) -> None:
        connection.execute(f"PRAGMA max_page_count = {pages}")

    study._storage.remove_session()
    study._storage.engine.dispose()
    with pytest.raises(EnvironmentProblem) as caught:
        for number in range(len(SPACE)):
            study.finish(_candidate(number), seconds=1.0)
            study.begin(number + 1, _candidate(number).genotype)
    assert caught.value.id == "study-file"
    assert caught.value.exit_code == 9
    study.close()


def test_candidates_of_another_schema_are_refused() -> None:
    with pytest.raises(ValueError, match="schema version"):
        Candidate.from_dict({**_candidate(0).as_dict(), "schema_version": 99})
    with pytest.raises(ValueError, match="not a candidate"):
        Candidate.from_dict({"schema_version": 1})


def _shared(path: Path, **changes: object) -> Study:
    values: dict[str, Any] = {"storage": f"sqlite:///{path / 'shared.db'}", "shared": True, **changes}
    return Study(path / "unused.db", {"seed": 1}, **values)


def test_of_two_equal_proposals_the_later_gives_way(tmp_path: Path) -> None:
    one, other = _shared(tmp_path), _shared(tmp_path)
    assert one.begin(0, _candidate(0).genotype)
    assert not other.begin(0, _candidate(1).genotype)  # the same number
    assert not other.begin(1, _candidate(0).genotype)  # the same genotype
    assert other.pending() == {0: _candidate(0).genotype}
    assert other.begin(1, _candidate(1).genotype)
    assert one.pending() == {1: _candidate(1).genotype}
    one.finish(_candidate(0), seconds=1)
    assert not other.pending()
    assert other.history() == [_candidate(0)]
    other.finish(_candidate(1), seconds=1)
    assert not one.begin(2, _candidate(1).genotype)
    assert one.history() == [_candidate(0), _candidate(1)]
    one.close()
    other.close()
    assert not (tmp_path / "unused.db").exists()


def test_a_worker_without_signs_of_life_is_given_up(tmp_path: Path) -> None:
    dead, alive = _shared(tmp_path), _shared(tmp_path)
    assert dead.begin(0, _candidate(0).genotype)
    assert dead._pulse is not None
    dead._pulse.stop()
    with alive._storage.engine.begin() as database:
        database.execute(text("UPDATE trial_heartbeats SET heartbeat = '2020-01-01 00:00:00'"))
    assert alive.pending() == {}
    assert alive.begin(0, _candidate(0).genotype)
    alive.finish(_candidate(0), seconds=1)
    assert alive.history() == [_candidate(0)]
    alive.close()
    dead._open = None
    dead.close()


def test_optuna_sees_real_trials_and_which_of_them_break_a_limit(tmp_path: Path) -> None:
    study = Study(tmp_path / "study.db", {})
    for number, violation in enumerate((0.0, 0.5)):
        study.begin(number, _candidate(number).genotype, violation=violation)
        study.finish(_candidate(number), seconds=1)
    study.begin(2, _candidate(2).genotype)
    study.close()
    found = optuna.load_study(study_name="search", storage=f"sqlite:///{tmp_path / 'study.db'}")
    assert [trial.state.name for trial in found.trials] == ["COMPLETE", "COMPLETE", "FAIL"]
    assert [trial.params for trial in found.trials] == [_candidate(number).genotype.genes for number in range(3)]
    assert [trial.value for trial in found.trials[:2]] == [_candidate(0).fitness, _candidate(1).fitness]
    assert found.best_trial.number == 0  # the other one is better, but beyond a limit


def test_another_searchs_study_in_a_storage_is_refused_and_left_alone(tmp_path: Path) -> None:
    study = _shared(tmp_path)
    study.begin(0, _candidate(0).genotype)
    study.finish(_candidate(0), seconds=1)
    with pytest.raises(UsageError) as caught:
        Study(tmp_path / "x.db", {"seed": 2}, storage=f"sqlite:///{tmp_path / 'shared.db'}", shared=True)
    assert caught.value.id == "other-search"
    assert "--study" in caught.value.next
    beside = _shared(tmp_path, name="other")
    assert beside.history() == []
    assert study.history() == [_candidate(0)]
    beside.close()
    study.close()


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("no url", "bad-storage"),
        ("sqlite:////no/such/folder/study.db", "storage-unreachable"),
        ("nodatabase://user:secret@localhost/name", "storage-unreachable"),
    ],
)
def test_a_storage_that_cannot_be_reached_is_an_error_without_its_password(
    tmp_path: Path, url: str, expected: str
) -> None:
    with pytest.raises(DanasError) as caught:
        Study(tmp_path / "study.db", {}, storage=url, shared=True)
    assert caught.value.id == expected
    assert "secret" not in f"{caught.value.what}{caught.value.why}{caught.value.next}"
