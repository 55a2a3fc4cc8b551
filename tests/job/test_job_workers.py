"""The processes that search together, what is told of a search's health, and what a search cannot hold fixed."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from pipeline import search
from pipeline.datasets import DatasetSource
from pipeline.errors import UsageError
from pipeline.estimate.model import Limits
from pipeline.job import finding
from pipeline.job.context import Context
from pipeline.job.helpers import Helpers
from pipeline.search import health
from pipeline.settings import Kind, Settings, parse_fix


def _context(folder: Path, workers: int) -> tuple[Context, list[str]]:
    notes: list[str] = []
    run = SimpleNamespace(folder=folder, path=folder.joinpath)
    made = SimpleNamespace(
        run=run,
        settings=SimpleNamespace(workers=workers),
        display=SimpleNamespace(note=notes.append),
    )
    return cast(Context, made), notes


def _program(path: Path, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the workers run in place of Python."""
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(path))


def test_workers_are_waited_for_and_one_that_fails_is_told_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _program(tmp_path / "program", 'echo "$@"; exit 3', monkeypatch)
    context, notes = _context(tmp_path, 3)
    with Helpers(context):
        pass
    assert [note.endswith(f"worker-{number}.log") for number, note in enumerate(notes, 1)] == [True, True]
    assert "exit code 3" in notes[0]
    assert (tmp_path / "search" / "worker-2.log").read_text() == f"-m pipeline search-worker {tmp_path}\n"


def test_workers_end_when_their_leader_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _program(tmp_path / "program", "exec sleep 600", monkeypatch)
    context, notes = _context(tmp_path, 2)
    helpers = Helpers(context)
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt), helpers:
        raise KeyboardInterrupt
    assert [process.returncode for _, process in helpers._running] == [-15]
    assert notes == []
    assert time.monotonic() > began


def test_an_event_is_shown_and_written_once() -> None:
    journal: list[dict[str, Any]] = []
    notes: list[str] = []
    run = SimpleNamespace(
        noted=lambda kind: tuple(journal) if kind == "health" else (),
        note=lambda kind, values: journal.append(dict(values)) if kind == "health" else None,
    )
    context = cast(Context, SimpleNamespace(run=run, display=SimpleNamespace(note=notes.append)))
    event = health.throttled(3, "96-rgb", 16)
    told = finding.Health(context)
    told((event,))
    told((event,))
    finding.Health(context)((event,))  # the run is resumed
    assert journal == [event.as_dict()]
    assert notes == [f"Note: after 3 candidates {event.text}: {event.remedy}"]


def test_images_that_the_search_has_not_cannot_be_held() -> None:
    space = search.quick(Limits(ram_bytes=2**20, flash_bytes=2**20)).space
    settings = Settings(kind=Kind.SEARCH, board="nucleo_f746zg", fix=parse_fix("resolution=224"), allow_upsampling=True)
    source = cast(DatasetSource, SimpleNamespace(name="any", describe=dict))
    with pytest.raises(UsageError) as caught:
        finding.usable(space, settings, source)
    assert caught.value.id == "fix-not-in-space"
    assert "96-rgb" in caught.value.why
