"""Every failure a user can meet, each with its exit code, a stable id and the next step.

::

    DanasError                     exit code 1 (a bug, when raised bare)
    ├── UsageError            2    usage, configuration, data set or unsupported model
    ├── NoBoardError          3    no board, an ambiguous one, or a busy one
    ├── BuildError            4    the build or the compiler failed
    ├── FlashError            5    the program did not get onto the device
    ├── DeviceError           6    the device, the protocol or a wrong firmware
    │   └── ArenaTooSmallError     the runtime cannot start, and says what its arena needs
    ├── GateError             7    a Check failed
    ├── DoesNotFitError       8    does not fit, or nothing feasible
    ├── EnvironmentProblem    9    disk, a missing extra or tool
    └── InterruptedRun      130    Ctrl-C

The id (``port-held``, ``wrong-board``, ``arena-too-small`` …) is what tests and scripts look at; the sentences
may change. All text that comes from outside passes :func:`printable` before it goes into an error.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from typing import ClassVar

#: What drives a terminal, turns the direction of writing, or is no character of XML and UTF-8.
_CONTROL = re.compile(
    r"[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]"
)
_LONGEST_PATH = 4096


def printable(text: object, limit: int = 200) -> str:
    """Make text from outside safe for a terminal line: control characters become ``?``, length is bounded.

    >>> printable("a\\x1b[31mb")
    'a?[31mb'
    """
    clean = _CONTROL.sub("?", str(text))
    return clean if len(clean) <= limit else clean[: limit - 1] + "…"


def shell_word(path: object) -> str:
    """A path as one word of a command that the user may copy into a shell.

    >>> shell_word("my runs/1")
    "'my runs/1'"
    """
    return shlex.quote(printable(path, _LONGEST_PATH))


class DanasError(Exception):
    """A failure with its reason and the next step.

    Args:
        id: Stable identifier in kebab case; tests and scripts match on it.
        what: One line: what failed, naming the thing.
        why: One line: the reason.
        next: One line: what the user can do now.

    Attributes:
        result: What the command found out all the same: with ``--json`` it is printed beside the error.
    """

    exit_code: ClassVar[int] = 1
    result: dict[str, object]

    def __init__(self, id: str, what: str, *, why: str = "", next: str = "") -> None:  # noqa: A002
        super().__init__(what)
        self.id = id
        self.what = what
        self.why = why
        self.next = next
        self.result = {}

    def as_dict(self) -> dict[str, str | int]:
        """The error as the ``--json`` output shows it."""
        return {
            "id": self.id,
            "what": self.what,
            "why": self.why,
            "next": self.next,
            "exit_code": self.exit_code,
        }

    def __str__(self) -> str:
        return " ".join(part for part in (f"[{self.id}] {self.what}", self.why, self.next) if part)


class UsageError(DanasError):
    """Wrong usage, configuration or data set, or a model that is not supported."""

    exit_code = 2


class NoBoardError(DanasError):
    """No board, more than one without a choice, or one that somebody else holds."""

    exit_code = 3


class BuildError(DanasError):
    """The firmware could not be built."""

    exit_code = 4


class FlashError(DanasError):
    """The program did not get onto the device."""

    exit_code = 5


class DeviceError(DanasError):
    """The device does not answer, answers garbage, reports a fault or runs another firmware."""

    exit_code = 6


class ArenaTooSmallError(DeviceError):
    """The runtime on the device cannot start: ``needed`` are the bytes that its arena must have, as it found out."""

    def __init__(self, id: str, what: str, *, why: str = "", next: str = "", needed: int = 0) -> None:  # noqa: A002
        super().__init__(id, what, why=why, next=next)
        self.needed = needed


class GateError(DanasError):
    """Estimate and measurement, or device and host, disagree."""

    exit_code = 7


class DoesNotFitError(DanasError):
    """The model does not fit the board, or no feasible design exists."""

    exit_code = 8


class EnvironmentProblem(DanasError):  # noqa: N818 - EnvironmentError is a builtin name
    """The machine lacks something: disk space, an extra, a tool."""

    exit_code = 9


class InterruptedRun(DanasError):  # noqa: N818 - an interruption is no error of the program
    """The user stopped the run; it can be resumed."""

    exit_code = 130


def rebuilt(values: Mapping[str, object]) -> DanasError:
    """The error that another process of ours wrote with :meth:`DanasError.as_dict`.

    Args:
        values: What it wrote; text that was damaged on the way is made safe once more.
    """
    kinds = {kind.exit_code: kind for kind in DanasError.__subclasses__()}
    code = values.get("exit_code")
    kind = kinds.get(code, DanasError) if isinstance(code, int) else DanasError
    return kind(
        printable(values.get("id", "unknown"), 60),
        printable(values.get("what", ""), 400),
        why=printable(values.get("why", ""), 400),
        next=printable(values.get("next", ""), 400),
    )
