"""Progress: lines without a terminal, nothing when quiet, and no text from outside drives the terminal."""

import io
import logging

import pytest
from rich.console import Console

from pipeline import progress

HOSTILE = "a\x1b[2Jb\n[red]c"


def test_plain_lines_say_begin_and_end() -> None:
    stream = io.StringIO()
    display = progress.PlainDisplay(stream)
    with display.step("Build") as step:
        step.update("compiling", done=1, total=3)
        step.result(f"done {HOSTILE}")
    lines = stream.getvalue().splitlines()
    assert lines[0] == "Build …"
    assert lines[1].startswith("Build done in ")
    assert "\x1b" not in stream.getvalue()
    assert len(lines) == 2, "no line for each small step"


def test_plain_lines_come_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "PLAIN_INTERVAL_S", 0.0)
    stream = io.StringIO()
    with progress.PlainDisplay(stream).step("Search") as step:
        step.update(HOSTILE, done=1, total=20)
    assert "Search: 1/20 a?[2Jb?[red]c" in stream.getvalue()


def test_rich_text_is_escaped() -> None:
    stream = io.StringIO()
    display = progress.RichDisplay(Console(file=stream, force_terminal=True, width=100))
    with display.step("Search") as step:
        step.update(HOSTILE, done=1, total=2)
        step.result(HOSTILE)
    display.note(HOSTILE)
    assert "[red]c" in stream.getvalue(), "markup from outside is text"
    assert "\x1b[2Jb" not in stream.getvalue()


def test_quiet_is_quiet_and_pipes_get_plain_lines(capsys: pytest.CaptureFixture[str]) -> None:
    quiet = progress.display(quiet=True)
    with quiet.step("Search") as step:
        step.update("x")
        step.result("y")
    quiet.note("z")
    assert capsys.readouterr() == ("", "")
    assert isinstance(progress.display(), progress.PlainDisplay)


def test_what_a_part_logs_is_shown_while_it_is_wanted() -> None:
    stream = io.StringIO()
    display = progress.PlainDisplay(stream)
    logger = logging.getLogger("pipeline.datasets.video")
    with progress.logged(display, "pipeline.datasets"):
        logger.info("downloading %s", HOSTILE)
    logger.info("not any more")
    assert stream.getvalue() == "downloading a?[2Jb?[red]c\n"
