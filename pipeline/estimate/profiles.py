"""Where calibration tables are: the package's own, and those that the user has measured, which come first.

A table is a file ``CPU.toml``, ``CPU.stack.toml``, …: a processor, and what the table holds.
"""

from __future__ import annotations

import datetime
import os
import re
import tomllib
from functools import cache
from pathlib import Path
from typing import Annotated, TypeVar

import platformdirs
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pipeline.errors import UsageError, printable

T = TypeVar("T", bound=BaseModel)

#: Folder of the tables that come with the package.
SHIPPED = Path(__file__).resolve().parent / "tables"
ENVIRONMENT_VARIABLE = "DANAS_TABLES"
#: What to do about a table that is missing, damaged, or too old.
CALIBRATE = "danas-deploy calibrate --board BOARD --emulate"
WRITE_AGAIN = f"Write the table again: {CALIBRATE}"
_NAME = re.compile(r"[a-z0-9][a-z0-9+-]{0,39}(?:\.[a-z]+)?\.toml")


class Profile(BaseModel):
    """Where a table's figures come from; each table begins with one.

    Attributes:
        cpu: The processor, by a board's ``core.cpu``.
        board: The board type that was measured.
        compiler: Its first line about itself.
        flags: Its flags, those of optimisation and processor among them.
        clock_hz: The processor's clock while it was measured.
        date: Of the measurement.
        source: ``linked ELF``, ``emulated instructions``, ``measured on serial …``.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    cpu: str
    board: str
    compiler: Annotated[str, Field(min_length=1, max_length=200)]
    flags: Annotated[str, Field(max_length=2000)]
    clock_hz: Annotated[int, Field(gt=0)]
    date: datetime.date
    source: Annotated[str, Field(min_length=1, max_length=200)]


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
        changed = os.stat(folder).st_mtime_ns  # noqa: PTH116 (asked for each estimate; the path's method takes longer)
    except OSError:
        changed = 0
    return _find(name, folder, changed)


@cache
def _find(name: str, folder: Path, changed: int) -> Path | None:
    """Asked again where something was added to the folder, or taken away."""
    del changed
    return next((path for folder in (folder, SHIPPED) if (path := folder / name).is_file()), None)


def origin(path: Path) -> str:
    """Whose a table is: ``package``, or ``user``."""
    return "package" if path.parent == SHIPPED else "user"


def processors() -> list[str]:
    """The processors that have a table of code."""
    found = {path.stem for folder in (user_folder(), SHIPPED) for path in folder.glob("*.toml")}
    return sorted(name for name in found if "." not in name)


def read(path: Path, kind: type[T]) -> T:
    """Read and validate a table.

    Raises:
        UsageError: ``calibration-table`` with file and field.
    """
    try:
        with path.open("rb") as file:
            return kind.model_validate(tomllib.load(file))
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"]) or "(whole file)"
        raise wrong(path, field, str(first["msg"])) from error
    except (OSError, ValueError) as error:  # bad TOML, or no UTF-8
        raise wrong(path, "(whole file)", str(error)) from error


def demand_processor(path: Path, cpu: str, *, field: str = "profile.cpu") -> None:
    """A table is that of the processor that its file is named after.

    Args:
        path: The file.
        cpu: What the table says.
        field: Where it says so.

    Raises:
        UsageError: ``calibration-table``.
    """
    named = path.name.partition(".")[0]
    if cpu != named:
        raise wrong(path, field, f"{cpu} is not {named}")


def wrong(path: Path, field: str, why: str) -> UsageError:
    """The error that a field of a table cannot be used."""
    users = origin(path) == "user"
    return UsageError(
        "calibration-table",
        f"{printable(path if users else path.name, 4096)}: field {printable(field)}: {printable(why)}",
        why="The table is the user's own, and comes before the package's." if users else "",
        next=f"Remove it, or write it again: {CALIBRATE}" if users else WRITE_AGAIN,
    )
