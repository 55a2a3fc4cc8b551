"""A bad cable: a Link around another one that damages what passes, as often as it is told and by a seed.

For tests, soaks, and to try how a lab's scripts bear up. One *operation* is one write of the host, or one piece of
bytes that arrives at it; each kind of fault has its own probability an operation. With a clock that only deadlines
move and the same seed, the same faults come at the same places.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Literal, get_args

from pipeline.device.deadline import Clock, Deadline
from pipeline.device.link import Link, link_closed
from pipeline.errors import UsageError, printable

Kind = Literal["drop", "duplicate", "corrupt", "delay", "truncate", "disconnect", "hang", "reset", "log"]
KINDS: tuple[Kind, ...] = get_args(Kind)

_MOST_DROPPED = 3  # bytes, as a UART loses them that is polled too late
_DIGITS = b"0123456789"
_HEX = b"0123456789abcdef"
_SOON_S = 1e-9  # a moment that rounding has moved
_LOG = (b"I (48213) wifi: state: run -> init\r\n", b"\r\n[WARN] brown-out\r\n", b"m-log: tick\r\n", b"DEBUG adc=2048")


@dataclass(frozen=True)
class Faults:
    """How probable each fault is in an operation, 0 to 1.

    Attributes:
        drop: One to three bytes are lost.
        duplicate: All of it comes twice.
        corrupt: One byte is another one; as often as not a digit is another digit, which no parser can see.
        delay: It comes up to ``longest_delay_s`` later.
        truncate: Everything from some place on is lost.
        disconnect: The cable is pulled: the link is closed for good.
        hang: From now on nothing passes either way, for good.
        reset: The device restarts; what was under way is lost.
        log: A line of somebody else's log stands within it; only of what arrives.
        longest_delay_s: Seconds.
    """

    drop: float = 0.0
    duplicate: float = 0.0
    corrupt: float = 0.0
    delay: float = 0.0
    truncate: float = 0.0
    disconnect: float = 0.0
    hang: float = 0.0
    reset: float = 0.0
    log: float = 0.0
    longest_delay_s: float = 1.5

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if not (0 <= value <= (60 if field.name == "longest_delay_s" else 1)):
                raise ValueError(f"{field.name}: {value} is out of range")

    @classmethod
    def of_each(cls, probability: float) -> Faults:
        """Every kind with the same probability."""
        return cls(**dict.fromkeys(KINDS, probability))

    @classmethod
    def parse(cls, text: str) -> Faults:
        """From text such as ``1%``, for each kind, or ``drop=1%,corrupt=0.02``.

        Raises:
            UsageError: ``bad-faults``.
        """
        try:
            if "=" not in text:
                return cls.of_each(_probability(text))
            pairs = [pair.split("=") for pair in text.split(",")]
            values = {name.strip(): _probability(value) for name, value in pairs}
            if len(values) != len(pairs) or not set(values) <= set(KINDS):
                raise ValueError(text)
            return cls(**values)
        except ValueError as error:
            raise UsageError(
                "bad-faults",
                f"faults {printable(text, 100)!r} cannot be read",
                why=f"The kinds are {', '.join(KINDS)}.",
                next="Give one probability for all, as `1%`, or some kinds with theirs, as `drop=1%,corrupt=0.02`.",
            ) from error


def _probability(text: str) -> float:
    number = text.strip()
    value = float(number[:-1]) / 100 if number.endswith("%") else float(number)
    if not 0 <= value <= 1:
        raise ValueError(text)
    return value


class FaultyLink:
    """A Link that passes what another one carries, damaged now and then; see :class:`~pipeline.device.link.Link`.

    Args:
        inner: What is wrapped; closed with this one.
        faults: How often what happens.
        seed: Of the faults.
        clock: Of the deadlines.
        reset: Restarts the device; the link to it afterwards, which may be the same. Without it the fault ``reset``
            does not happen.

    Attributes:
        injected: How often each kind has happened.
        operations: How many operations there were.
    """

    def __init__(
        self,
        inner: Link,
        faults: Faults,
        *,
        seed: int = 0,
        clock: Clock = time.monotonic,
        reset: Callable[[], Link] | None = None,
    ) -> None:
        self.name = inner.name
        self.injected: Counter[Kind] = Counter()
        self.operations = 0
        self._inner = inner
        self._faults = faults
        self._rng = random.Random(seed)
        self._clock = clock
        self._reset = reset
        self._gone = ""
        self._hanging = False
        self._to_device: list[tuple[float, bytes]] = []  # when it may pass, and what; in order
        self._to_host: list[tuple[float, bytes]] = []

    def write(self, data: bytes, deadline: Deadline) -> None:
        """See :class:`~pipeline.device.link.Link`."""
        self._pass_on(deadline)
        if not data:
            return
        for held in self._damaged(data, deadline, arriving=False):
            self._to_device.append(held)
        self._pass_on(deadline)

    def read(self, limit: int, deadline: Deadline) -> bytes:
        """See :class:`~pipeline.device.link.Link`."""
        while True:
            self._pass_on(deadline)
            data = self._arrived(limit)
            if data:
                return data
            piece = self._inner.read(limit, self._until_something_is_due(deadline))
            if piece:
                self._to_host += self._damaged(piece, deadline, arriving=True)
            elif deadline.expired:
                return self._arrived(limit)

    def close(self) -> None:
        """See :class:`~pipeline.device.link.Link`."""
        self._inner.close()
        self._gone = self._gone or "It was closed."

    def _happens(self, kind: Kind) -> bool:
        probability: float = getattr(self._faults, kind)
        happened = probability > 0 and self._rng.random() < probability
        self.injected[kind] += happened
        return happened

    def _damaged(self, data: bytes, deadline: Deadline, *, arriving: bool) -> list[tuple[float, bytes]]:
        """What comes of one operation, each part with the time from which it may pass."""
        self.operations += 1
        if self._hanging:
            return []
        if self._happens("disconnect"):
            self._gone = "The cable was pulled."
            self._demand()
        if self._happens("hang"):
            self._hanging = True
            return []
        if self._reset is not None and self._happens("reset"):
            self._to_device.clear()
            self._to_host.clear()
            self._inner = self._reset()
            return []
        made = bytearray(data)
        if self._happens("drop"):
            place = self._rng.randrange(len(made))
            del made[place : place + self._rng.randint(1, _MOST_DROPPED)]
        if self._happens("corrupt") and made:
            self._corrupt(made)
        if self._happens("truncate") and made:
            del made[self._rng.randrange(len(made)) :]
        if arriving and self._happens("log"):
            place = self._rng.choice((0, len(made), self._rng.randint(0, len(made))))
            made[place:place] = self._rng.choice(_LOG)
        if self._happens("duplicate"):
            made *= 2
        due = self._clock()
        if self._happens("delay"):
            due += self._rng.uniform(0, self._faults.longest_delay_s)
        return [(due, bytes(made))] if made else []

    def _corrupt(self, made: bytearray) -> None:
        digits = [place for place, byte in enumerate(made) if byte in _HEX]
        if digits and self._rng.random() < 0.5:
            place = self._rng.choice(digits)
            others = _DIGITS if made[place] in _DIGITS else _HEX[10:]
            made[place] = self._rng.choice([byte for byte in others if byte != made[place]])
        else:
            place = self._rng.randrange(len(made))
            made[place] ^= self._rng.randint(1, 255)

    def _pass_on(self, deadline: Deadline) -> None:
        """Give the device what is due."""
        self._demand()
        while self._to_device and self._is_due(self._to_device[0][0]):
            self._inner.write(self._to_device.pop(0)[1], deadline)

    def _arrived(self, limit: int) -> bytes:
        if not self._to_host or not self._is_due(self._to_host[0][0]):
            return b""
        due, data = self._to_host.pop(0)
        if len(data) > limit:
            self._to_host.insert(0, (due, data[limit:]))
        return data[:limit]

    def _is_due(self, moment: float) -> bool:
        return moment - self._clock() <= _SOON_S

    def _until_something_is_due(self, deadline: Deadline) -> Deadline:
        due = min((held[0][0] for held in (self._to_device, self._to_host) if held), default=None)
        return deadline if due is None else deadline.within(max(0.0, due - self._clock()))

    def _demand(self) -> None:
        if self._gone:
            raise link_closed(self.name, self._gone)
