"""Wake Vision (arXiv 2405.00892) as parquet files, from the Hugging Face Hub or from a folder: person, or none.

On the Hub a file's row groups are read by ranges: of 344 GB of training images a subset takes what it needs. The files
are named ``data/SPLIT…-NNNNN-of-NNNNN.parquet``; their columns are, among others, ``image`` (a struct of ``bytes`` and
``path``), ``filename`` and ``person`` (0 or 1).

Source of names, columns and counts: the data set's card at the revision below (train_quality 1,196,221 images,
validation 18,582, test 55,763). Labels are CC BY 4.0, the images Open Images' (listed as CC BY 2.0).
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import IO, Any, Protocol

import numpy as np

from pipeline.datasets.prepared import Record, UnreachableError
from pipeline.datasets.values import Split
from pipeline.errors import EnvironmentProblem, UsageError, printable

REPOSITORY = "Harvard-Edge/Wake-Vision"
#: Pinned: the commit of the Hub whose card has the counts above.
REVISION = "19c27e44926386c2dba2561cf71356b71d81a38b"
CLASS_NAMES = ("no_person", "person")
ABOUT: Mapping[str, Any] = {
    "title": "Wake Vision, arXiv 2405.00892",
    "license": "labels CC BY 4.0; images of Open Images, listed as CC BY 2.0",
    "labelled": "column person; the test and validation labels were corrected by hand",
}

_PREFIXES: Mapping[Split, str] = {
    Split.TRAIN: "train_quality",
    Split.VALIDATION: "validation",
    Split.TEST: "test",
}
_FILE = re.compile(r"^(?:data/)?([a-z_]+?)(?:_part_\d+)?-\d{5}-of-\d{5}\.parquet$")
#: Row groups that are taken of a file before the next one has its turn, so that a subset is of many files.
_ROW_GROUPS = 4
#: Bytes that are read beyond what was asked for; a row group has some 30 MB.
_AHEAD = 2**20
_COLUMNS = ["image", "filename", "person"]


class Files(Protocol):
    """Where the parquet files are."""

    def identity(self) -> dict[str, Any]:
        """What says which files these are, as JSON."""

    def names(self) -> list[str]:
        """All files below ``data/``.

        Raises:
            UnreachableError, UsageError, EnvironmentProblem.
        """

    def open(self, name: str) -> contextlib.AbstractContextManager[IO[bytes]]:
        """A file, to be read and sought in.

        Raises:
            UnreachableError, EnvironmentProblem.
        """


class Hub:
    """The files on the Hugging Face Hub, at the pinned revision; nothing is downloaded that is not read."""

    def identity(self) -> dict[str, Any]:
        """Repository and revision."""
        return {"repository": REPOSITORY, "revision": REVISION}

    def names(self) -> list[str]:
        """The repository's files."""
        hub = _hub()
        with _reached(hub):
            tree = hub.HfApi().list_repo_tree(REPOSITORY, "data", revision=REVISION, repo_type="dataset")
            return [str(entry.path) for entry in tree]

    @contextlib.contextmanager
    def open(self, name: str) -> Iterator[IO[bytes]]:
        """A file by ranges."""
        hub = _hub()
        address = f"datasets/{REPOSITORY}@{REVISION}/{name}"
        with _reached(hub), hub.HfFileSystem().open(address, "rb", block_size=_AHEAD) as file:
            yield file


class Folder:
    """The files in a folder, as a download of the repository has them: ``data/*.parquet``, or without ``data/``."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def identity(self) -> dict[str, Any]:
        """The files' names and sizes; where the folder is does not matter."""
        return {"files": [[name, (self._path / name).stat().st_size] for name in self.names()]}

    def names(self) -> list[str]:
        """The folder's files.

        Raises:
            UsageError: ``no-such-folder``.
        """
        found = [*self._path.glob("data/*.parquet"), *self._path.glob("*.parquet")]
        if not found:
            raise UsageError(
                "no-such-folder",
                f"{printable(self._path)} has no parquet files",
                next="Give the folder that has data/*.parquet of the data set.",
            )
        return sorted(path.relative_to(self._path).as_posix() for path in found)

    @contextlib.contextmanager
    def open(self, name: str) -> Iterator[IO[bytes]]:
        """A file of the folder."""
        try:
            with (self._path / name).open("rb") as file:
                yield file
        except OSError as error:
            raise UnreachableError(f"{name}: {error.strerror or error}") from error


class WakeVision:
    """The records of the parquet files; a unit is a row group.

    Raises:
        UsageError: ``no-such-folder``.
        EnvironmentProblem: ``missing-extra``.
    """

    name = "wake-vision"
    class_names = CLASS_NAMES

    def __init__(self, files: Files) -> None:
        _parquet()
        self._files = files
        self._known: tuple[str, ...] = ()
        self.identity: Mapping[str, Any] = files.identity()
        self.about: Mapping[str, Any] = {**ABOUT, "split_by": "the data set: train_quality, validation, test"}

    def units(self, split: Split, seed: int) -> Iterator[str]:
        """Row groups, a few of a file in turn; files and row groups in drawn order. See :class:`Records`."""
        names = [name for name in self._names() if _split_of(name) == _PREFIXES[split]]
        if not names:
            raise UnreachableError(f"there is no file of {_PREFIXES[split]}")
        rng = np.random.default_rng([seed, list(Split).index(split)])
        order = [names[number] for number in rng.permutation(len(names))]
        left: dict[str, list[int]] = {}
        while order:
            for name in tuple(order):
                if name not in left:
                    left[name] = rng.permutation(self._row_groups(name)).tolist()
                for number in left[name][:_ROW_GROUPS]:
                    yield f"{Path(name).stem}.{number:05d}"
                left[name] = left[name][_ROW_GROUPS:]
                if not left[name]:
                    order.remove(name)

    def read(self, split: Split, unit: str) -> Iterator[Record]:
        """The rows of a row group. See :class:`Records`."""
        stem, _, number = unit.rpartition(".")
        name = next((name for name in self._names() if Path(name).stem == stem), None)
        if name is None:
            raise UnreachableError(f"{stem}.parquet is gone")
        parquet = _parquet()
        with self._files.open(name) as file, _sound(name):
            table = parquet.ParquetFile(file).read_row_group(int(number), columns=_COLUMNS)
            found = [_record(row, f"{unit}-{place}") for place, row in enumerate(table.to_pylist())]
        yield from found

    def _names(self) -> tuple[str, ...]:
        if not self._known:
            self._known = tuple(sorted(self._files.names()))
        return self._known

    def _row_groups(self, name: str) -> int:
        with self._files.open(name) as file, _sound(name):
            return int(_parquet().ParquetFile(file).num_row_groups)


def _record(row: Mapping[str, Any], otherwise: str) -> Record:
    """A row; ``otherwise`` is its name where it has none."""
    label = row["person"]
    content = (row["image"] or {}).get("bytes")
    name = row["filename"] or otherwise
    return Record(str(name), int(label) if label in (0, 1) else None, bytes(content or b""))


def _split_of(name: str) -> str | None:
    match = _FILE.match(name)
    return None if match is None else match[1]


@contextlib.contextmanager
def _sound(name: str) -> Iterator[None]:
    """A file that is no parquet, or another one than is expected, is told as such."""
    import pyarrow

    try:
        yield
    except (pyarrow.ArrowException, KeyError, IndexError, TypeError, AttributeError) as error:
        raise UnreachableError(f"{printable(name)} is damaged or of another form: {printable(error, 200)}") from error


@contextlib.contextmanager
def _reached(hub: ModuleType) -> Iterator[None]:
    try:
        yield
    except (OSError, hub.errors.HTTPError) as error:
        raise UnreachableError(f"huggingface.co: {type(error).__name__}: {printable(error, 300)}") from error


def _parquet() -> ModuleType:
    try:
        import pyarrow.parquet
    except ImportError as error:
        raise _missing("pyarrow") from error
    found: ModuleType = pyarrow.parquet
    return found


def _hub() -> ModuleType:
    try:
        import huggingface_hub
        import huggingface_hub.errors
    except ImportError as error:
        raise _missing("huggingface_hub") from error
    found: ModuleType = huggingface_hub
    return found


def _missing(package: str) -> EnvironmentProblem:
    return EnvironmentProblem(
        "missing-extra",
        f"--data wake-vision needs {package}",
        why="The extra `wake-vision` is not installed.",
        next="pip install 'danas-deploy[wake-vision]'",
    )
