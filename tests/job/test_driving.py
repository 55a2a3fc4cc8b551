"""What a run keeps of uploads that had to be tried again, and how long it holds its device."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.device.discovery import Device
from pipeline.device.locks import Holder, holder
from pipeline.errors import FlashError
from pipeline.job import Job, driving
from pipeline.job.context import Context, StageResult
from pipeline.job.job import Stage
from pipeline.progress import QuietDisplay, Step
from pipeline.runs import Run
from pipeline.settings import Kind, Settings, Target


class Noted(QuietDisplay):
    """Keeps what the user is told."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def note(self, text: str) -> None:
        self.texts.append(text)


def test_why_an_upload_is_tried_again_is_said_and_kept(tmp_path: Path) -> None:
    shown = Noted()
    context = Context(Run.create(Settings(kind=Kind.DEPLOY, board="nucleo_f746zg"), tmp_path / "run"), shown)
    assert driving.upload_retries(context) == ()
    error = FlashError("verify-failed", "what is in the flash is not the program", why="mismatch", next="Try again.")
    driving._retried(context, error)
    assert shown.texts == ["Note: the upload is tried again: what is in the flash is not the program. mismatch"]
    assert [event["id"] for event in context.run.noted("upload-retry")] == ["verify-failed"]
    context.run.write_json("device/flashed.json", {"schema_version": 1, "upload_retries": [str(error)]})
    assert driving.upload_retries(context) == (str(error),)


def test_only_a_physical_board_has_a_serial_number(tmp_path: Path) -> None:
    run = Run.create(Settings(kind=Kind.DEPLOY, board="nucleo_f746zg"), tmp_path / "run")
    context = Context(run, QuietDisplay())
    assert driving.serial_number(context) is None
    for target, number, wanted in (("device", "066E", "066E"), ("device", None, None), ("emulated", "066E", None)):
        run.write_json("device/flashed.json", {"schema_version": 1, "target": target, "serial_number": number})
        assert driving.serial_number(context) == wanted


def test_a_run_holds_its_device_from_flashing_to_its_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    device = Device("nucleo_f746zg", port="socket://rack:4000")
    seen: dict[str, Holder | None] = {}

    def stage(name: str) -> Stage:
        def work(context: Context, step: Step) -> tuple[Path, ...]:
            seen[name] = holder(device)
            return ()

        return Stage(name, work, lambda _: StageResult({}, ""))

    monkeypatch.setattr("pipeline.job.job.STAGES", {name: stage(name) for name in ("build", "flash", "measure")})
    monkeypatch.setattr("pipeline.job.judging.collected", lambda _: None)
    target = Target(device="socket://rack:4000")
    run = Run.create(Settings(kind=Kind.DEPLOY, board="nucleo_f746zg", target=target), tmp_path / "run")
    Job(run, QuietDisplay()).all()
    assert seen["build"] is None
    for name in ("flash", "measure"):
        found = seen[name]
        assert found is not None and found.run == str(run.folder)
    assert holder(device) is None
