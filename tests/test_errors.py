"""The error tree: exit codes, ids, and text from outside made harmless."""

import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline import errors


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        (errors.DanasError, 1),
        (errors.UsageError, 2),
        (errors.NoBoardError, 3),
        (errors.BuildError, 4),
        (errors.FlashError, 5),
        (errors.DeviceError, 6),
        (errors.GateError, 7),
        (errors.DoesNotFitError, 8),
        (errors.EnvironmentProblem, 9),
        (errors.InterruptedRun, 130),
    ],
)
def test_each_kind_has_its_exit_code(kind: type[errors.DanasError], code: int) -> None:
    error = kind("some-id", "what", why="why", next="next")
    assert error.exit_code == code
    assert error.as_dict() == {"id": "some-id", "what": "what", "why": "why", "next": "next", "exit_code": code}
    assert str(error) == "[some-id] what why next"


@given(st.text())
def test_printable_text_cannot_drive_a_terminal(text: str) -> None:
    shown = errors.printable(text, limit=50)
    assert len(shown) <= 50
    assert not any(ord(char) < 0x20 or 0x7F <= ord(char) <= 0x9F for char in shown)


def test_printable_keeps_what_is_harmless() -> None:
    assert errors.printable("Zoë's 96×96 model") == "Zoë's 96×96 model"
    assert errors.printable("a\x1b[2Jb\u202ec") == "a?[2Jb?c"


@pytest.mark.parametrize("text", ["\ud800", "a\udcffb", "\ufffe", "\u200f"])
def test_printable_text_can_be_encoded_and_put_into_xml(text: str) -> None:
    shown = errors.printable(text)
    assert "?" in shown
    shown.encode()


@given(st.text(max_size=40))
def test_a_path_in_a_command_is_one_word(text: str) -> None:
    assert len(shlex.split(errors.shell_word(text))) == 1
    assert errors.shell_word("runs/1") == "runs/1"
