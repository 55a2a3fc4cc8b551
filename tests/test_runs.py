"""The run directory survives crashes, hand edits and a second process."""

import errno
import multiprocessing
import os
import time
from pathlib import Path

import pytest

from pipeline.errors import DanasError, EnvironmentProblem, NoBoardError, UsageError
from pipeline.files import write_atomic
from pipeline.runs import VERSIONS, Run, digest
from pipeline.settings import Kind, Settings

SETTINGS = Settings(kind=Kind.SEARCH, board="nucleo_f746zg", seed=7)


def _finish(run: Run, stage: str = "search", key: str = "k1", text: str = "result") -> Path:
    path = write_atomic(run.path("search", "candidates.json"), text)
    run.record(stage, key, (path,), time.monotonic())
    return path


def test_a_run_opens_as_it_was_made(tmp_path: Path) -> None:
    made = Run.create(SETTINGS, tmp_path / "run")
    opened = Run.open(tmp_path / "run")
    assert opened.manifest == made.manifest
    assert opened.settings == SETTINGS
    assert opened.manifest.versions["danas-deploy"]


def test_other_versions_than_at_the_beginning_are_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = Run.create(SETTINGS, tmp_path / "run")
    assert run.changed_versions() == {}
    monkeypatch.setattr("pipeline.runs.__version__", "9.9.9")
    assert run.changed_versions() == {"danas-deploy": (run.manifest.versions["danas-deploy"], "9.9.9")}


def test_runs_without_a_name_never_collide(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    folders = {Run.create(SETTINGS).folder for _ in range(3)}
    assert len(folders) == 3


def test_a_folder_in_use_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("precious")
    with pytest.raises(UsageError) as caught:
        Run.create(SETTINGS, tmp_path)
    assert caught.value.id == "run-exists"
    assert (tmp_path / "mine.txt").read_text() == "precious"


@pytest.mark.parametrize("text", ["", "{}", "not json", '{"schema_version": 2}'])
def test_a_strange_manifest_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(UsageError) as caught:
        Run.open(tmp_path)
    assert caught.value.id == "bad-manifest"


def test_no_run_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        Run.open(tmp_path / "nowhere")
    assert caught.value.id == "no-such-run"


def test_a_stage_is_finished_only_with_its_key_and_its_outputs(tmp_path: Path) -> None:
    run = Run.create(SETTINGS, tmp_path / "run")
    assert not run.finished("search", "k1")
    path = _finish(run)
    assert run.finished("search", "k1")
    assert not run.finished("search", "k2")
    path.write_text("changed by hand")
    assert not run.finished("search", "k1")
    path.unlink()
    assert not run.finished("search", "k1")


def test_half_a_journal_line_is_no_line_and_swallows_none(tmp_path: Path) -> None:
    run = Run.create(SETTINGS, tmp_path / "run")
    _finish(run)
    with run.path("journal.jsonl").open("ab") as file:
        file.write(b'{"stage": "quantize", "key": "k9", "outp')
    assert run.finished("search", "k1")
    assert "quantize" not in run.records()
    _finish(run, stage="render", key="k3")
    assert run.finished("render", "k3")


def test_a_journal_cannot_point_outside_the_run(tmp_path: Path) -> None:
    run = Run.create(SETTINGS, tmp_path / "run")
    _finish(run)
    outside = tmp_path / "outside"
    outside.write_text("result")
    journal = run.path("journal.jsonl")
    journal.write_text(journal.read_text().replace("search/candidates.json", "../outside"))
    assert not run.finished("search", "k1")


def _hold(folder: str, held: "multiprocessing.synchronize.Event", release: "multiprocessing.synchronize.Event") -> None:
    with Run.open(Path(folder)).locked():
        held.set()
        release.wait(30)


def test_a_second_process_is_told_that_the_run_is_busy(tmp_path: Path) -> None:
    run = Run.create(SETTINGS, tmp_path / "run")
    context = multiprocessing.get_context("spawn")
    held, release = context.Event(), context.Event()
    process = context.Process(target=_hold, args=(str(run.folder), held, release))
    process.start()
    try:
        assert held.wait(30)
        with pytest.raises(NoBoardError) as caught, run.locked():
            pass
        assert caught.value.id == "run-busy"
    finally:
        release.set()
        process.join(30)
    with run.locked():
        pass


def test_a_full_disk_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_atomic(tmp_path / "file", "old")

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(EnvironmentProblem) as caught:
        write_atomic(path, "new")
    assert caught.value.id == "disk-full"
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_reading_what_is_not_there_names_the_way_on(tmp_path: Path) -> None:
    run = Run.create(SETTINGS, tmp_path / "run")
    with pytest.raises(DanasError) as caught:
        run.read_json("estimate.json")
    assert caught.value.id == "missing-stage"
    assert "resume" in caught.value.next


def test_a_digest_depends_on_every_part() -> None:
    assert digest("a", 1) == digest("a", 1)
    assert len({digest("a", 1), digest("a", 2), digest("b", 1), digest("a"), digest(["a", 1])}) == 5


def test_two_that_start_in_the_same_second_get_a_folder_each(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(Path, "exists", lambda _: False)  # neither sees the other's before it makes its own
    assert Run.create(SETTINGS).folder != Run.create(SETTINGS).folder


@pytest.mark.parametrize("name", ["file", "file/below", "x" * 300])
def test_a_folder_that_cannot_be_made_is_a_problem_of_the_environment(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").write_text("precious")
    with pytest.raises(EnvironmentProblem) as caught:
        Run.create(SETTINGS, tmp_path / name)
    assert caught.value.id == "not-writable"
    assert (tmp_path / "file").read_text() == "precious"


def test_a_run_that_cannot_be_locked_is_a_problem_of_the_environment(tmp_path: Path) -> None:
    run = Run.create(SETTINGS, tmp_path / "run")
    run.path(".lock").mkdir()
    with pytest.raises(EnvironmentProblem) as caught, run.locked():
        pass
    assert caught.value.id == "not-writable"


def test_an_artifact_of_another_version_is_not_read(tmp_path: Path) -> None:
    run = Run.create(SETTINGS, tmp_path / "run")
    for version in (1, VERSIONS["estimate.json"] + 1):
        run.write_json("estimate.json", {"schema_version": version})
        with pytest.raises(UsageError) as caught:
            run.read_json("estimate.json")
        assert caught.value.id == "missing-stage"
        assert f"version {version}," in caught.value.why
    run.write_json("estimate.json", {"schema_version": VERSIONS["estimate.json"], "ram": 3})
    assert run.read_json("estimate.json")["ram"] == 3


def test_the_way_on_can_be_copied_into_a_shell(tmp_path: Path) -> None:
    run = Run.create(SETTINGS, tmp_path / "my runs" / ("long " * 40))
    with pytest.raises(UsageError) as caught:
        run.read_json("estimate.json")
    assert f"danas-deploy resume '{run.folder}'" in caught.value.next
