"""Commands whose replies carry a tag and a checksum (``docs/protocol.md``, "Checked commands").

A reply counts only when its checksum, which covers the command as the device heard it and all lines of the reply, is
right: a digit that became another digit on the line can never become a figure. The tag tells it from a reply that
was thought lost; the first tag since start-up, which each reply repeats, tells a device that has restarted.
"""

from __future__ import annotations

import itertools
import re
import secrets
import zlib
from dataclasses import dataclass
from enum import Enum
from typing import NoReturn

from pipeline.device import replies
from pipeline.device.deadline import Deadline
from pipeline.device.lines import READY, Lines
from pipeline.errors import DeviceError, printable

BANNER = "m-init-done"
_CHECK = re.compile(r"m-check-\[([0-9a-f]{8}) ([0-9a-f]{8}) ([0-9a-f]{8})\]")
_LINES = 100_000  # of one reply: far above any output
_TRIES = 4  # of a command that may be asked again
_SILENCE_S = 0.7  # without a byte of a reply that takes no computing: ask again
_LAST_LINE_S = 0.2  # m-ready follows the checksum at once
_MOST_TAG = 0xFFFF_FFFF


class Outcome(Enum):
    """What came where no whole reply did."""

    SILENT = "silent"
    DAMAGED = "damaged"
    UNKNOWN = "unknown"  # a firmware that does not know checked commands would have said the same


@dataclass(frozen=True)
class Damage:
    """A reply that did not come whole."""

    outcome: Outcome
    line: str
    """The last line that came."""
    error: DeviceError | None = None
    """Of a line that could not be read at all."""


def reply_sum(heard: bytes, lines: list[str], tag: int, first: int) -> int:
    """The checksum of a reply, or of a part of one.

    Args:
        heard: The command, from its ``#`` to before its ``%``.
        lines: What was said since, without line ends.
        tag: Of the command.
        first: Of the first checked command since start-up.
    """
    said = "".join(line + "\r\n" for line in lines) + f"m-check-[{tag:08x} {first:08x} "
    return zlib.crc32(heard + said.encode("ascii"))


class Checked:
    """Asks, and takes only replies that are whole.

    Args:
        lines: Of the link.
        tag: Of the first command; default: a random one, so that no reply to somebody else is taken for ours.

    Attributes:
        restarts: How often the device is known to have restarted since the first reply.
        asked_again: Commands that were asked again since their reply was damaged or did not come.
    """

    def __init__(self, lines: Lines, *, tag: int | None = None) -> None:
        self.restarts = 0
        self.asked_again = 0
        self._lines = lines
        start = tag if tag is not None else 1 + secrets.randbelow(_MOST_TAG)
        self._tags = (1 + (number - 1) % _MOST_TAG for number in itertools.count(start))
        self._first: int | None = None
        self._open: dict[int, bytes] = {}  # tags of the command that waits, and what the device should have heard

    def ask(
        self, text: str, deadline: Deadline, *, line_limit: int = replies.LINE_LIMIT, again: bool = True
    ) -> list[str]:
        """Send a command; the lines of its reply, or of the first part of it.

        Args:
            text: The command without its ``%``.
            deadline: Of all tries.
            line_limit: Characters of a line of the reply.
            again: Whether it may be asked more than once: it changes nothing on the device.

        Raises:
            DeviceError: ``device-error``, ``device-fault``, ``device-restarted``, ``no-answer``, ``garbled-line`` where
                something came and no whole reply, ``link-closed``.
        """
        self._open.clear()
        self._lines.buffer.clear()
        answer = self._try(text, deadline, line_limit, _SILENCE_S if again else None)
        tried = 1
        while again and isinstance(answer, Damage) and tried < _TRIES and not deadline.expired:
            self.asked_again += 1
            self._lines.drain(deadline)
            answer = self._try(text, deadline, line_limit, _SILENCE_S)
            tried += 1
        return self._whole(answer, deadline)

    def try_once(self, text: str, deadline: Deadline) -> list[str] | Damage:
        """One try of a command that may be asked again, with whatever was on its way before; for finding the device.

        Raises:
            DeviceError: As :meth:`ask`, but not for what did not come whole.
        """
        self._open.clear()
        return self._try(text, deadline, replies.LINE_LIMIT, None, banner=True)

    def more(self, deadline: Deadline) -> list[str]:
        """The next part of the reply to the last command.

        Raises:
            DeviceError: As :meth:`ask`.
        """
        return self._whole(self._listen(deadline, replies.LINE_LIMIT, None), deadline)

    def no_answer(self, seconds: float, last: str = "") -> DeviceError:
        """The error of a device that does not answer."""
        return DeviceError(
            "no-answer",
            f"the device on {printable(self._lines.name)} does not answer",
            why=f"Waited {seconds:.1f} s" + (f"; the last line was {printable(last, 60)!r}." if last else "."),
            next="Reset the board; check the port and the baud rate; flash the firmware again.",
        )

    def restarted(self) -> NoReturn:
        """Raise ``device-restarted``."""
        raise DeviceError(
            "device-restarted",
            "the device has restarted within a command",
            why="It may have lost power, or its watchdog or reset button was at work.",
            next="Check the power supply and try again.",
        )

    def _try(
        self, text: str, deadline: Deadline, line_limit: int, silence_s: float | None, *, banner: bool = False
    ) -> list[str] | Damage:
        tag = next(self._tags)
        heard = f"#{tag:08x} {text}".encode("ascii")
        self._open[tag] = heard
        self._lines.write(heard + b"%", deadline)
        return self._listen(deadline, line_limit, silence_s, banner=banner)

    def _whole(self, answer: list[str] | Damage, deadline: Deadline) -> list[str]:
        if isinstance(answer, Damage):
            self._lines.check_health()
            if answer.error is not None:
                raise answer.error
            if answer.outcome is Outcome.SILENT:
                raise self.no_answer(deadline.seconds, answer.line)
            replies.garbled(answer.line, "a reply with its checksum")
        return answer

    def _listen(
        self, deadline: Deadline, line_limit: int, silence_s: float | None, *, banner: bool = False
    ) -> list[str] | Damage:
        """Lines up to the checksum of one of the tags that wait; the first error among them raised.

        Args:
            deadline: Of all of it.
            line_limit: Characters of a line.
            silence_s: Give up after as long without a byte.
            banner: A restart is nothing to speak of.
        """
        lines: list[str] = []
        last, outcome, unreadable = "", Outcome.SILENT, None
        while len(lines) <= _LINES:
            try:
                line = self._lines.read(deadline, limit=line_limit, silence_s=silence_s)
            except DeviceError as error:
                if error.id != "garbled-line":
                    raise
                outcome, unreadable = Outcome.DAMAGED, error
                continue
            if line is None:
                return Damage(outcome, last, unreadable)
            last = line or last
            check = _CHECK.fullmatch(line)
            if check:
                tag, first, found = (int(group, 16) for group in check.groups())
                if tag in self._open:
                    if found != reply_sum(self._open[tag], lines, tag, first):
                        return Damage(Outcome.DAMAGED, last, unreadable)
                    self._end(deadline)
                    return self._taken(lines, first, banner=banner)
                lines.clear()  # an answer that nobody waits for any more
            elif line == READY:
                # Not of a checked reply, or its checksum is lost: what comes in a moment, if anything, is ours.
                unknown = bool(lines) and lines[-1].startswith("e-[unknown command")
                outcome = Outcome.UNKNOWN if unknown else Outcome.DAMAGED if lines else outcome
                lines.clear()
                silence_s = _SILENCE_S
            elif line == BANNER and not banner:
                self.restarted()
            elif line.startswith(("m-", "e-[")):
                error_line = replies.error_of(line)
                if error_line is not None and error_line.id == "device-fault":
                    raise error_line  # nothing follows: the device has halted
                lines.append(line)
            # Other lines are somebody's log.
        return Damage(Outcome.DAMAGED, last, unreadable)

    def _end(self, deadline: Deadline) -> None:
        """Take the ``m-ready`` behind a checksum. Where it is damaged nothing is lost."""
        try:
            self._lines.read(deadline.within(_LAST_LINE_S))
        except DeviceError as error:
            if error.id != "garbled-line":
                raise

    def _taken(self, lines: list[str], first: int, *, banner: bool) -> list[str]:
        known, self._first = self._first, first
        if known is not None and known != first:
            self.restarts += 1
            if not banner:
                self.restarted()
        for line in lines:
            error = replies.error_of(line)
            if error is not None:
                raise error
        return lines
