"""The spaces by their names."""

from __future__ import annotations

from pipeline.search import space, wide
from pipeline.search.space import Space

_MADE = {
    ("paper", "full"): space.full,
    ("paper", "quick"): space.quick,
    ("wide", "full"): wide.full,
    ("wide", "quick"): wide.quick,
}


def made(name: str, preset: str = "full") -> Space:
    """A space, ``paper`` or ``wide``; of a preset, ``full`` or ``quick``.

    Raises:
        ValueError: Another name or preset.
    """
    try:
        return _MADE[name, preset]()
    except KeyError:
        raise ValueError(f"{name} and {preset} are none of {sorted(_MADE)}") from None
