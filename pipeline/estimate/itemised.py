"""An estimate's items beside those of the program that was built."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.estimate.model import Item


def differences(estimated: Sequence[Item], found: Sequence[Item]) -> dict[str, int]:
    """Estimated less found bytes, by item, of all that either has."""
    return {name: _bytes(estimated, name) - _bytes(found, name) for name in _names(estimated, found)}


def largest(estimated: Sequence[Item], found: Sequence[Item]) -> str:
    """Names the item that differs most, and its part that does."""
    apart = differences(estimated, found)
    name = max(apart, key=lambda one: abs(apart[one]), default=None)
    if name is None or not apart[name]:
        return "no item differs"
    text = f"largest difference: {name}, estimate {apart[name]:+,} B"
    parts = differences(_parts(estimated, name), _parts(found, name))
    shared = {item.name for item in _parts(estimated, name)} & {item.name for item in _parts(found, name)}
    part = max(shared, key=lambda one: (abs(parts[one]), one), default=None)
    return text if part is None else f"{text}; of it {part} {parts[part]:+,} B"


def _names(estimated: Sequence[Item], found: Sequence[Item]) -> list[str]:
    return list(dict.fromkeys(item.name for item in (*estimated, *found)))


def _bytes(items: Sequence[Item], name: str) -> int:
    return sum(item.bytes for item in items if item.name == name)


def _parts(items: Sequence[Item], name: str) -> tuple[Item, ...]:
    return tuple(part for item in items if item.name == name for part in item.parts)
