"""How far each board type has been tried: one honest status a board, and the passing reports that change it.

``danas-deploy boards attest REPORT`` notes that a physical board of a type has passed the gate. What it notes is in
``attested.json``: the package's, beside the board files, and the user's own, in the configuration directory. A note is
no proof: it says which report it was made from, by its hash.
"""

from __future__ import annotations

import datetime
import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Literal

import platformdirs
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pipeline import boards, resources
from pipeline.boards import Board
from pipeline.errors import EnvironmentProblem, UsageError, printable
from pipeline.figures import Source
from pipeline.files import write_atomic
from pipeline.report.model import Report

FILE_NAME = "attested.json"
_LARGEST = 64 * 2**20
_Hash = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
#: Of text that came from elsewhere: printable ASCII, so that it can be shown as it is.
_Shown = Annotated[str, Field(pattern=r"^[ -~]{1,120}$")]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Attestation(_Frozen):
    """That a physical board has passed the gate.

    Attributes:
        board: Its type.
        date: The day of the run, UTC.
        serial_number: Of its probe, or of its own USB.
        build_id: The firmware that ran.
        model: SHA-256 of the .tflite.
        versions: Of the tools, as the report names them.
        report: SHA-256 of the report's file.
    """

    board: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{1,39}$")]
    date: datetime.date
    serial_number: _Shown
    build_id: Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")]
    model: _Hash
    versions: Annotated[dict[_Shown, _Shown], Field(max_length=100)]
    report: _Hash


class Attestations(_Frozen):
    """A file of them, ``schema_version`` 1; a report stands there once."""

    schema_version: Literal[1] = 1
    attestations: tuple[Attestation, ...] = ()

    def with_one(self, new: Attestation) -> Attestations:
        """The same and ``new``, in the order of their days; a note of the same report is replaced."""
        others = [one for one in self.attestations if one.report != new.report]
        return Attestations(attestations=tuple(sorted((*others, new), key=lambda one: (one.date, one.board))))


def users_file() -> Path:
    """The user's own file."""
    return platformdirs.user_config_path("danas-deploy", False) / FILE_NAME


def read(path: Path) -> Attestations:
    """The attestations in a file; none where there is no file.

    Raises:
        UsageError: ``attestation-file``.
    """
    try:
        if path.is_file() and path.stat().st_size > _LARGEST:
            raise ValueError(f"it is larger than {_LARGEST >> 20} MiB")
        return Attestations.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return Attestations()
    except (OSError, ValueError) as error:
        raise UsageError(
            "attestation-file",
            f"{printable(path, 4096)} cannot be read",
            why=_reason(error),
            next="Mend the file or remove it; `danas-deploy boards attest REPORT` writes it anew.",
        ) from error


def known() -> tuple[Attestation, ...]:
    """All of them, the package's and the user's.

    Raises:
        UsageError: ``attestation-file``.
    """
    return tuple(one for path in (resources.boards() / FILE_NAME, users_file()) for one in read(path).attestations)


def status(board: Board, attestations: Iterable[Attestation] = ()) -> str:
    """How far a board type has been tried: the most that can be said of it.

    >>> status(boards.load("nucleo_f746zg"))
    'emulated (never on silicon)'
    """
    days = [one.date for one in attestations if one.board == board.name]
    if days:
        return f"measured on {max(days).isoformat()}"
    if board.emulator is not None:
        return "emulated (never on silicon)"
    if board.build.framework is not None:
        return "stub-compiled (never built for the target)"
    if board.build.local is not None:
        return "built only"
    return "never built"


def attest(path: Path, *, into: Path | None = None) -> tuple[Attestation, Path]:
    """Note that the physical board of a passing report has been measured.

    Args:
        path: A run's ``report.json``.
        into: File of attestations; default: the user's.

    Returns:
        The note, and the file that it stands in now.

    Raises:
        UsageError: ``bad-report``, ``report-of-emulated``, ``report-not-passed``, ``report-without-device``,
            ``unknown-board``, ``attestation-file``.
        EnvironmentProblem: ``disk-full``, ``not-writable``.
    """
    content = _content(path)
    try:
        made = _attestation(Report.model_validate_json(content), content)
    except (ValidationError, ValueError) as error:
        raise UsageError(
            "bad-report",
            f"{printable(path, 4096)} is no report of a run",
            why=_reason(error),
            next="Give the report.json of a run on a physical board.",
        ) from error
    target = into if into is not None else users_file()
    text = read(target).with_one(made).model_dump_json(indent=2) + "\n"
    try:
        return made, write_atomic(target, text)
    except PermissionError as error:
        raise EnvironmentProblem(
            "not-writable",
            f"cannot write {printable(target, 4096)}",
            why=printable(error),
            next="Name another file with --into.",
        ) from error


def _content(path: Path) -> bytes:
    try:
        if path.stat().st_size > _LARGEST:
            raise ValueError(f"it is larger than {_LARGEST >> 20} MiB")
        return path.read_bytes()
    except (OSError, ValueError) as error:
        raise UsageError(
            "bad-report",
            f"{printable(path, 4096)} cannot be read",
            why=printable(error),
            next="Give the report.json of a run on a physical board.",
        ) from error


def _attestation(report: Report, content: bytes) -> Attestation:
    """What a report shows; ValueError where it contradicts itself."""
    board = boards.load(report.board)
    sources = {check.measured_source for check in report.verdict.checks if check.id in ("board", "build", "outputs")}
    if report.target != "device" or Source.EMULATED in sources:
        raise UsageError(
            "report-of-emulated",
            f"the report is of an emulated {board.name}",
            why="An attestation says that a physical board has been measured.",
            next="Run on the board: `danas-deploy deploy MODEL.tflite --device DEVICE`, then attest that report.",
        )
    if not report.passed or not report.verdict.passed:
        failed = ", ".join(printable(check.title, 60) for check in report.verdict.failed) or "the report says so"
        raise UsageError(
            "report-not-passed",
            f"the report of {board.name} does not pass",
            why=f"Not passed: {failed}.",
            next="Mend what fails; `danas-deploy validate RUN` shows each check.",
        )
    checked = {check.id for check in report.verdict.checks}
    missing = sorted({"board", "build", "model", "outputs"} - checked)
    if missing or sources != {Source.MEASURED}:
        raise ValueError(f"its verdict has no measured check of {', '.join(missing) or 'the board'}")
    if report.serial_number is None:
        raise UsageError(
            "report-without-device",
            f"the report of {board.name} does not say which board it was",
            why="It has no serial number: the board was reached by a port alone, or the report is an older version's.",
            next="Name the device in lab.toml with its serial number, and measure again (docs/lab.md).",
        )
    return Attestation(
        board=board.name,
        date=datetime.datetime.fromisoformat(report.created).astimezone(datetime.UTC).date(),
        serial_number=_plain(report.serial_number),
        build_id=report.build_id,
        model=report.model.sha256,
        versions={_plain(name): _plain(version) for name, version in report.versions.items()},
        report=hashlib.sha256(content).hexdigest(),
    )


def _plain(text: str) -> str:
    """Text of a report as printable ASCII."""
    return printable(text, 120).encode("ascii", "replace").decode()[:120] or "?"


def _reason(error: Exception) -> str:
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        return f"{printable('.'.join(map(str, first['loc'])) or 'the file')}: {printable(first['msg'])}"
    return printable(error)
