"""What a run keeps of uploads that had to be tried again."""

from __future__ import annotations

from pathlib import Path

from pipeline.errors import FlashError
from pipeline.job import driving
from pipeline.job.context import Context
from pipeline.progress import QuietDisplay
from pipeline.runs import Run
from pipeline.settings import Kind, Settings


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
