"""Tables as text."""

from __future__ import annotations

import datetime
import re
from collections.abc import Mapping, Sequence

from pydantic import BaseModel

_BARE = re.compile(r"[A-Za-z0-9_-]+")
#: Stands below each table's own words.
ORIGIN = "Not written by hand: danas-deploy calibrate --board BOARD (--emulate | --device DEVICE)"


def toml(comment: Sequence[str], table: BaseModel) -> str:
    """A table as a TOML file.

    Args:
        comment: Lines that say what it holds.
        table: Of texts, numbers, sequences of these, and tables; None is left out.
    """
    lines = [*(f"# {line}" for line in (*comment, ORIGIN)), *_section((), dict(table))]
    return "\n".join(lines) + "\n"


def _section(path: tuple[str, ...], fields: Mapping[str, object]) -> list[str]:
    """A table's own values, with its headline, and then the tables below it."""
    tables = {key: dict(value) for key, value in fields.items() if isinstance(value, BaseModel | Mapping)}
    values = {key: value for key, value in fields.items() if key not in tables and value is not None}
    lines = ["", f"[{'.'.join(map(_key, path))}]"] if path and (values or not tables) else []
    lines += [f"{_key(key)} = {_value(value)}" for key, value in values.items()]
    for key, table in tables.items():
        lines += _section((*path, key), table)
    return lines


def _key(name: str) -> str:
    return name if _BARE.fullmatch(name) else _text(name)


def _value(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, datetime.date):
        return value.isoformat()
    if isinstance(value, Sequence):
        return "[" + ", ".join(map(_value, value)) + "]"
    raise TypeError(f"{type(value).__name__} has no form in a table")


def _text(value: str) -> str:
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
