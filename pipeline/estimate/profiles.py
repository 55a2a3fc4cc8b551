"""Where calibration tables are: the package's own, and those that the user has measured, which come first.

A table is a file ``CPU.toml``, ``CPU.stack.toml``, …: a processor, and what the table holds.
"""

from __future__ import annotations

import os
import re
from functools import cache
from pathlib import Path

import platformdirs

#: Folder of the tables that come with the package.
SHIPPED = Path(__file__).resolve().parent / "tables"
ENVIRONMENT_VARIABLE = "DANAS_TABLES"
#: What to do about a table that is missing, damaged, or too old.
WRITE_AGAIN = "Write the table again: danas-deploy calibrate --board BOARD --emulate"
_NAME = re.compile(r"[a-z0-9][a-z0-9+-]{0,39}(?:\.[a-z]+)?\.toml")


def user_folder() -> Path:
    """``$DANAS_TABLES``, or the user's data folder: where ``danas-deploy calibrate`` writes."""
    return _folder(os.environ.get(ENVIRONMENT_VARIABLE))


@cache
def _folder(named: str | None) -> Path:
    if named:
        return Path(named).expanduser()
    return platformdirs.user_data_path("danas-deploy", appauthor=False) / "tables"


def find(name: str) -> Path | None:
    """The file of a table by its name, the user's before the package's; None where there is none."""
    if not _NAME.fullmatch(name):
        return None
    folder = user_folder()
    try:
        changed = folder.stat().st_mtime_ns
    except OSError:
        changed = 0
    return _find(name, folder, changed)


@cache
def _find(name: str, folder: Path, changed: int) -> Path | None:
    """Asked again where something was added to the folder, or taken away."""
    del changed
    return next((path for folder in (folder, SHIPPED) if (path := folder / name).is_file()), None)


def processors() -> list[str]:
    """The processors that have a table of code."""
    found = {path.stem for folder in (user_folder(), SHIPPED) for path in folder.glob("*.toml")}
    return sorted(name for name in found if "." not in name)
