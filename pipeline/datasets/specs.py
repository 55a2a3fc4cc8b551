"""What ``--data`` takes: a source's name and, after a colon, its options: ``visual-wake-words:images=5000,area=1%``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from pipeline.errors import UsageError, printable


def options(name: str, text: str, known: Mapping[str, Callable[[str], Any]]) -> dict[str, Any]:
    """The options of a source.

    Args:
        name: The source's, for what is said.
        text: ``KEY=VALUE,KEY=VALUE``; ``folder`` comes last, and all after it is the path, commas included.
        known: What makes a value of a text, by key; raises ValueError where it is none.

    Raises:
        UsageError: ``bad-data-option``.
    """
    found: dict[str, Any] = {}
    rest = text
    while rest:
        key, equals, after = rest.partition("=")
        value, _, rest = (after, "", "") if key == "folder" else after.partition(",")
        if not equals or key not in known or key in found or not value:
            raise _bad(name, f"{key}={value}" if equals else key, known)
        try:
            found[key] = known[key](value)
        except ValueError as error:
            raise _bad(name, f"{key}={value}", known) from error
    return found


def count(text: str) -> int:
    """A positive number.

    Raises:
        ValueError: It is none.
    """
    found = int(text)
    if not 0 < found <= 10**8:
        raise ValueError(text)
    return found


def share(text: str) -> float:
    """A share from ``0.5%`` or ``0.005``.

    Raises:
        ValueError: It is none, or not within 0..1.
    """
    found = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    if not 0 <= found < 1:
        raise ValueError(text)
    return found


def one_of(*names: str) -> Callable[[str], str]:
    """One of some names."""

    def chosen(text: str) -> str:
        if text not in names:
            raise ValueError(text)
        return text

    return chosen


def _bad(name: str, given: str, known: Mapping[str, Any]) -> UsageError:
    return UsageError(
        "bad-data-option",
        f"--data {name}: {printable(given)!r} is no option of it",
        why=f"It takes {', '.join(f'{key}=…' for key in known)}, each once, folder last.",
        next=f"For example --data {name}:images=5000.",
    )
