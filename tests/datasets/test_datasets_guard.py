"""The guard of the test split: nothing is seen that was not written down first."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import cast

import numpy as np
import pytest
from dataset_samples import write_folder

from pipeline.datasets import DatasetSource, Split, open_source
from pipeline.datasets.guard import KIND, Guarded, Journal, MemoryJournal, looks
from pipeline.errors import UsageError
from pipeline.genotype import Colour, DataConfig
from pipeline.runs import Run
from pipeline.settings import Kind, Settings

SMALL = DataConfig(32, Colour.RGB)
A, B = {"a": "aa" * 32}, {"b": "bb" * 32}
Open = Callable[[], Journal]


@pytest.fixture(params=["memory", "run"])
def reopen(request: pytest.FixtureRequest, tmp_path: Path) -> Open:
    """Gives the journal; a run's is opened anew each time, as another process would."""
    if request.param == "memory":
        kept = MemoryJournal()
        return lambda: kept
    folder = tmp_path / "run"
    Run.create(Settings(kind=Kind.SEARCH, board="nucleo_f746zg"), folder)
    return lambda: Run.open(folder)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> DatasetSource:
    folder = tmp_path_factory.mktemp("guard")
    return open_source(f"folder:{write_folder(folder / 'images', splits=('',))}", cache=folder / "cache")


def test_a_journal_keeps_events_by_kind_and_in_order(reopen: Open) -> None:
    assert reopen().noted("x") == ()
    for number in range(3):
        reopen().note("x", {"number": number, "text": "ä\n\x1b"})
    reopen().note("y", {})
    assert [event["number"] for event in reopen().noted("x")] == [0, 1, 2]
    assert reopen().noted("x")[0]["text"] == "ä\n\x1b"
    assert reopen().noted("y") == ({},)


def test_events_are_no_stages_and_stages_no_events(tmp_path: Path) -> None:
    run = Run.create(Settings(kind=Kind.SEARCH, board="nucleo_f746zg"), tmp_path / "run")
    run.note("search", {"stage": "search"})
    run.record("search", "k1", (), 0.0)
    with run.path("journal.jsonl").open("ab") as file:
        file.write(b'{"event": "search", "val')
    run.note("search", {"second": True})
    assert set(run.records()) == {"search"} and run.records()["search"].key == "k1"
    assert run.noted("search") == ({"stage": "search"}, {"second": True})


def test_the_split_is_seen_by_a_look_alone(source: DatasetSource) -> None:
    guarded = Guarded(source, MemoryJournal())
    assert isinstance(guarded, DatasetSource) and guarded.has_test
    assert guarded.splits == source.splits and guarded.fingerprint == source.fingerprint
    with pytest.raises(PermissionError):
        guarded.view(Split.TEST, SMALL)
    seen = guarded.look(SMALL, models=A, purpose="test")
    np.testing.assert_array_equal(seen.images, source.view(Split.TEST, SMALL).images)
    np.testing.assert_array_equal(guarded.view(Split.TRAIN, SMALL).images, source.view(Split.TRAIN, SMALL).images)


def test_another_model_is_another_look_and_told(source: DatasetSource, reopen: Open) -> None:
    told: list[str] = []

    def look(models: dict[str, str]) -> int:
        Guarded(source, reopen(), notice=told.append).look(SMALL, models=models, purpose="why")
        return looks(reopen())[-1].number

    assert [look(A), look(A)] == [1, 1] and not told
    assert look(A | B) == 2 and len(told) == 1 and "Look 2" in told[0]
    assert [look(A), look(B), look(A | B)] == [2, 2, 2] and len(told) == 1
    assert look({"a": "cc" * 32}) == 3 and len(told) == 2, "a model is its content, not its name"
    kept = looks(reopen())
    assert len(kept) == 7
    assert kept[0].models == A and kept[0].purpose == "why" and kept[0].images == source.fingerprint


def test_a_look_is_kept_before_anything_is_seen(source: DatasetSource) -> None:
    class Broken:
        """A source whose images cannot be read."""

        def __getattr__(self, name: str) -> object:
            if name == "view":
                raise OSError("no images")
            return getattr(source, name)

    journal = MemoryJournal()
    with pytest.raises(OSError, match="no images"):
        Guarded(cast(DatasetSource, Broken()), journal).look(SMALL, models=A, purpose="why")
    assert len(looks(journal)) == 1


def test_no_look_without_models_or_without_a_split(tmp_path: Path, source: DatasetSource) -> None:
    journal = MemoryJournal()
    with pytest.raises(ValueError, match="by a model"):
        Guarded(source, journal).look(SMALL, models={}, purpose="why")
    folder = write_folder(tmp_path / "images", splits=("train", "validation"))
    without = Guarded(open_source(f"folder:{folder}", cache=tmp_path / "cache"), journal)
    assert not without.has_test
    with pytest.raises(UsageError) as caught:
        without.look(SMALL, models=A, purpose="why")
    assert caught.value.id == "no-such-split"
    assert not looks(journal)


@pytest.mark.parametrize(
    "values", [{}, {"models": 3}, {"at": "", "purpose": "", "models": {}, "images": "", "number": ""}]
)
def test_what_is_no_look_is_passed_over(source: DatasetSource, values: dict[str, object]) -> None:
    journal = MemoryJournal()
    journal.note(KIND, values)
    Guarded(source, journal).look(SMALL, models=A, purpose="why")
    assert [one.number for one in looks(journal)] == [1]
