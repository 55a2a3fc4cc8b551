"""The study file: a journal that survives its writer."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from search_toy import SPACE, estimate
from sqlalchemy import event

from pipeline.errors import EnvironmentProblem, UsageError
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
