"""A folder of images as a source: ``PATH/{train,validation,test}/CLASS/*``, or ``PATH/CLASS/*`` split with a seed."""

from __future__ import annotations

import hashlib
import json
import os
import re
import stat
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.datasets import images, quality, splitting
from pipeline.datasets.cache import Cache
from pipeline.datasets.values import LEAST_TRAINING_IMAGES, Split, View
from pipeline.datasets.views import cached_images
from pipeline.errors import UsageError, printable
from pipeline.genotype import DataConfig

#: Part of the fingerprint: counts up whenever the same files would give other splits or another order.
VERSION = 1
_NAMED = 3  # how many files an error names


@dataclass(frozen=True)
class _File:
    """An image file.

    ``inner`` is its path below the class folder, ``outer`` the class folder's path below the root (``train/person``
    or ``person``); both with ``/``, as the file system spells them.
    """

    path: Path
    outer: str
    inner: str
    class_folder: str

    @property
    def id(self) -> str:
        return _text(f"{self.outer}/{self.inner}")


@dataclass(frozen=True)
class _Item:
    """An image with all that is known of it."""

    file: _File
    sha256: str
    label: int
    group: str
    split: Split


class FolderSource:
    """Labelled images in a folder; a class is a folder's name.

    Without ``group_by``, files with the same contents are one group, and every other file is its own.

    Args:
        path: The folder.
        seed: Draws the splits that the folder does not have, and the order.
        group_by: A regular expression searched in each file's path below its class folder; what it matches, or its
            first group where it has one, names the group.
        cache: Where views are kept.

    Raises:
        UsageError: ``no-such-folder``, ``one-class``, ``unreadable-image``, ``too-few-images``,
            ``class-missing-in-split``, ``bad-group-by``.
        EnvironmentProblem: ``disk-full``, ``cache-not-writable``.
    """

    def __init__(self, path: Path, *, seed: int, group_by: str | None, cache: Cache) -> None:
        self._path = path
        self._seed = seed
        self._group_by = group_by
        self._cache = cache
        pattern = _compiled(group_by)
        self._presplit, files, self._ignored = _list(path)
        class_folders = sorted({file.class_folder for file in files})
        self._class_names = tuple(_text(name) for name in class_folders)
        self._check_classes(files, class_folders)

        contents = _hashes(files)
        labels = [class_folders.index(file.class_folder) for file in files]
        groups = [_group(file, pattern, sha256) for file, sha256 in zip(files, contents, strict=True)]
        splits = self._splits(files, labels, groups)
        items = [_Item(*row) for row in zip(files, contents, labels, groups, splits, strict=True)]
        items.sort(key=lambda item: hashlib.sha256(f"{seed} {item.file.id}".encode()).digest())
        self._check_counts(items)
        self._items = {split: [item for item in items if item.split is split] for split in Split}
        self._items = {split: of_split for split, of_split in self._items.items() if of_split}
        numbers = {group: number for number, group in enumerate(sorted(set(groups)))}
        self._group_numbers = numbers
        self._fingerprint = self._digest()
        self._smaller = quality.smaller(self._check_readable())

    @property
    def name(self) -> str:
        """The folder's name, printable."""
        return printable(_text(self._path.absolute().name)) or "folder"

    @property
    def class_names(self) -> tuple[str, ...]:
        """The class folders' names, sorted. They come from outside: escape them wherever they are written."""
        return self._class_names

    @property
    def fingerprint(self) -> str:
        """SHA-256 over contents, names, labels, splits, groups and order; not over the folder's own place."""
        return self._fingerprint

    @property
    def splits(self) -> frozenset[Split]:
        """TRAIN and VALIDATION, and TEST where the folder has ``test/`` or no splits of its own."""
        return frozenset(self._items)

    def groups(self, split: Split) -> NDArray[np.int64]:
        """The number of each image's group, [images]."""
        return np.array([self._group_numbers[item.group] for item in self._of(split)], dtype=np.int64)

    def view(self, split: Split, data: DataConfig) -> View:
        """The split under a DataConfig; see :class:`DatasetSource`."""
        items = self._of(split)

        def decoded() -> Iterator[NDArray[np.uint8]]:
            for item in items:
                yield _decode(item)

        return View(
            images=cached_images(
                cache=self._cache,
                fingerprint=self._fingerprint,
                split=split,
                data=data,
                count=len(items),
                images=decoded,
            ),
            labels=np.array([item.label for item in items], dtype=np.int64),
            ids=tuple(printable(item.file.id, limit=1000) for item in items),
        )

    def describe(self) -> dict[str, Any]:
        """Source, counts, how labelled, what is missing and why; plain values."""
        missing = {} if Split.TEST in self._items else {"test": "the folder has no test/ split"}
        return {
            "source": "folder",
            "name": self.name,
            "path": printable(_text(str(self._path)), limit=1000),
            "kind": "folder of images, labelled by its folders",
            "fingerprint": self._fingerprint,
            "seed": self._seed,
            "classes": [printable(name) for name in self._class_names],
            "splits": {
                split.value: {
                    printable(name): sum(item.label == label for item in of_split)
                    for label, name in enumerate(self._class_names)
                }
                for split, of_split in self._items.items()
            },
            "missing": missing,
            "labelled": "by the name of the folder that holds the image",
            "split_by": self._split_by(),
            "grouped_by": printable(self._group_by) if self._group_by is not None else "contents of the file",
            "smaller": self._smaller,
            "notes": self._notes(),
        }

    def _split_by(self) -> str:
        if not self._presplit:
            return f"seed {self._seed}: 70 % train, 15 % validation, 15 % test"
        if Split.VALIDATION in self._presplit:
            return "the folder"
        return f"the folder; validation is 15 % of its train/, by seed {self._seed}"

    def _notes(self) -> list[str]:
        notes = ["Images that are not square are squeezed into one."]
        if self._ignored:
            notes.append(f"{self._ignored} other files and folders were ignored.")
        members = [(split, item) for split, of_split in self._items.items() for item in of_split]
        by_group = Counter(group for group, _ in {(item.group, split) for split, item in members})
        torn = sum(count > 1 for count in by_group.values())
        if torn:
            notes.append(f"{torn} groups are in more than one of the folder's own splits: its figures may flatter.")
        by_content = Counter(content for content, _ in {(item.sha256, split) for split, item in members})
        same = sum(count > 1 for count in by_content.values())
        if same:
            notes.append(f"{same} images are in more than one split under another name.")
        return notes

    def _of(self, split: Split) -> list[_Item]:
        try:
            return self._items[split]
        except KeyError:
            raise UsageError(
                "no-such-split",
                f"{self.name} has no {split} split",
                why=f"It has {', '.join(sorted(self._items))}.",
                next=f"Add a folder {split}/ with the same classes.",
            ) from None

    def _check_classes(self, files: list[_File], class_folders: list[str]) -> None:
        if len(class_folders) < 2:
            found = f"only the class {printable(self._class_names[0])}" if class_folders else "no class with images"
            raise UsageError(
                "one-class",
                f"{printable(self._path)} has {found}",
                why="A classifier needs two classes or more, each a folder with images.",
                next="Arrange the images as PATH/CLASS/* or PATH/{train,validation,test}/CLASS/*.",
            )
        outers = {file.outer for file in files}
        for split in sorted(self._presplit):
            for folder in class_folders:
                if f"{split.value}/{folder}" not in outers:
                    raise _class_missing(split, _text(folder), f"the folder has none in {split.value}/")

    def _splits(self, files: list[_File], labels: list[int], groups: list[str]) -> list[Split]:
        """Each file's split: the folder's own, or drawn."""
        if not self._presplit:
            drawn = splitting.assign(groups, labels, shares=splitting.THREE_WAYS, seed=self._seed)
            return [drawn[group] for group in groups]
        own = [Split(file.outer.split("/")[0]) for file in files]
        if Split.VALIDATION in self._presplit:
            return own
        train = [row for row, split in enumerate(own) if split is Split.TRAIN]
        drawn = splitting.assign(
            [groups[row] for row in train],
            [labels[row] for row in train],
            shares=splitting.TWO_WAYS,
            seed=self._seed,
        )
        return [drawn[group] if split is Split.TRAIN else split for group, split in zip(groups, own, strict=True)]

    def _check_counts(self, items: list[_Item]) -> None:
        wanted = {Split.TRAIN, Split.VALIDATION} | (self._presplit or set(Split))
        for split in sorted(wanted):
            for label, name in enumerate(self._class_names):
                if not any(item.split is split and item.label == label for item in items):
                    raise _class_missing(split, name, "there are too few groups of it to fill every split")
        counts = Counter(self._class_names[item.label] for item in items if item.split is Split.TRAIN)
        if counts.total() < LEAST_TRAINING_IMAGES:
            listed = ", ".join(f"{printable(name, 60)}: {count}" for name, count in sorted(counts.items())[:20])
            raise UsageError(
                "too-few-images",
                f"the train split of {self.name} has {counts.total()} images ({listed})",
                why=f"A batch takes {LEAST_TRAINING_IMAGES}.",
                next="Add images, to the smallest class first.",
            )

    def _digest(self) -> str:
        digest = hashlib.sha256(f"folder {VERSION}\n".encode())
        rows: list[tuple[object, ...]] = [tuple(self._class_names)]
        rows += [
            (split.value, item.label, item.file.inner, item.group, item.sha256)
            for split, of_split in self._items.items()
            for item in of_split
        ]
        for row in rows:
            digest.update(repr(row).encode("utf-8", "surrogateescape") + b"\n")  # repr keeps hostile names apart
        return digest.hexdigest()

    def _check_readable(self) -> list[int]:
        """Decode every image once, so that a damaged one is known before any training and not hours into it.

        Returns:
            Of each training image the shorter side, in pixels.
        """
        marker = f"checked/v{VERSION}/{self._fingerprint[:32]}.json"
        known = _sides(self._cache.path(marker))
        if known is not None and len(known) == len(self._items[Split.TRAIN]):
            return known
        bad, sides = [], []
        for split, of_split in self._items.items():
            for item in of_split:
                try:
                    shape = images.decode(_read(item.file)).shape
                except images.UnreadableError as error:
                    bad.append((item.file, str(error)))
                else:
                    sides += [min(shape[:2])] if split is Split.TRAIN else []
        if bad:
            raise _unreadable(bad)
        self._cache.store(marker, json.dumps({"sides": sides}).encode())
        return sides


def _sides(path: Path) -> list[int] | None:
    """What was found when the images were checked; None where they were not, or the file is damaged."""
    try:
        return [int(side) for side in json.loads(path.read_bytes())["sides"]]
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _compiled(group_by: str | None) -> re.Pattern[str] | None:
    if group_by is None:
        return None
    try:
        return re.compile(group_by)
    except (re.error, RecursionError, OverflowError) as error:
        raise UsageError(
            "bad-group-by",
            f"{printable(group_by)} is no regular expression",
            why=printable(error),
            next="Give one that matches each file's name, for example '^([^_]+)_'.",
        ) from error


def _group(file: _File, pattern: re.Pattern[str] | None, sha256: str) -> str:
    if pattern is None:
        return sha256
    match = pattern.search(_text(file.inner))
    key = None if match is None else match[1 if pattern.groups else 0]
    if key is None:
        raise UsageError(
            "bad-group-by",
            f"{printable(pattern.pattern)} does not match {printable(file.id)}",
            why="Every image must belong to a group.",
            next="Give an expression that matches each file's path below its class folder.",
        )
    return key


def _list(path: Path) -> tuple[set[Split], list[_File], int]:
    """The folder's own splits (none where it has none), its image files, and how many other entries were passed over.

    Raises:
        UsageError: ``no-such-folder``.
    """
    try:
        if not path.is_dir():
            raise UsageError(
                "no-such-folder",
                f"{printable(path)} is not a folder" if path.exists() else f"there is no folder {printable(path)}",
                next="Give a folder with PATH/CLASS/* or PATH/{train,validation,test}/CLASS/*.",
            )
        # A class may itself be called "train" (car, bus, train): only a train/ that holds folders is a split.
        presplit = (path / Split.TRAIN.value).is_dir() and bool(_folders(path / Split.TRAIN.value))
        if not presplit:
            files, ignored = _classes(path, "")
            return set(), files, ignored
        own = {split for split in Split if (path / split.value).is_dir()}
        found: list[_File] = []
        ignored = sum(1 for entry in path.iterdir() if entry.name not in set(own))
        for split in sorted(own):
            files, others = _classes(path / split.value, f"{split.value}/")
            found += files
            ignored += others
        return own, found, ignored
    except OSError as error:
        raise UsageError(
            "no-such-folder",
            f"{printable(path)} cannot be read",
            why=printable(error),
            next="Make the folder and what is in it readable.",
        ) from error


def _folders(path: Path) -> list[Path]:
    return sorted(entry for entry in path.iterdir() if not _hidden(entry.name) and entry.is_dir())


def _classes(path: Path, outer: str) -> tuple[list[_File], int]:
    """Image files below the class folders of ``path``, in a fixed order, and the number of entries passed over."""
    folders = _folders(path)
    ignored = sum(1 for _ in path.iterdir()) - len(folders)
    files = []
    for folder in folders:
        for where, _, names in os.walk(folder, onerror=_raise):  # does not follow links, so it ends
            for name in names:
                if _hidden(name) or Path(name).suffix.lower() not in images.SUFFIXES:
                    ignored += 1
                    continue
                inner = (Path(where) / name).relative_to(folder).as_posix()
                files.append(_File(Path(where) / name, outer + folder.name, inner, folder.name))
    files.sort(key=lambda file: (file.outer, file.inner))
    return files, ignored


def _raise(error: OSError) -> None:
    raise error


def _hidden(name: str) -> bool:
    return name.startswith((".", "__MACOSX"))


def _text(name: str) -> str:
    """A name as text that can be encoded: bytes that are not UTF-8 become ``\\xNN``."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def _hashes(files: Iterable[_File]) -> list[str]:
    """SHA-256 of each file's contents.

    Raises:
        UsageError: ``unreadable-image``.
    """
    hashes, bad = [], []
    for file in files:
        try:
            hashes.append(hashlib.sha256(_read(file)).hexdigest())
        except images.UnreadableError as error:
            bad.append((file, str(error)))
    if bad:
        raise _unreadable(bad)
    return hashes


def _read(file: _File) -> bytes:
    try:
        status = file.path.stat()
        if not stat.S_ISREG(status.st_mode):  # a pipe named .jpg would block for ever
            raise images.UnreadableError("not a regular file")
        if status.st_size > images.MOST_BYTES:
            raise images.UnreadableError(f"{status.st_size} bytes are over the limit of {images.MOST_BYTES}")
        return file.path.read_bytes()
    except OSError as error:
        raise images.UnreadableError(error.strerror or str(error)) from error


def _decode(item: _Item) -> NDArray[np.uint8]:
    """The image, which must still be what it was when the folder was opened."""
    try:
        content = _read(item.file)
        if hashlib.sha256(content).hexdigest() == item.sha256:
            return images.decode(content)
    except images.UnreadableError as error:
        raise _unreadable([(item.file, str(error))]) from error
    raise UsageError(
        "folder-changed",
        f"{printable(item.file.id)} has changed since the folder was opened",
        next="Leave the folder alone during a run, and start again.",
    )


def _unreadable(bad: list[tuple[_File, str]]) -> UsageError:
    named = "; ".join(f"{printable(file.id, 120)}: {printable(reason, 120)}" for file, reason in bad[:_NAMED])
    more = f"; and {len(bad) - _NAMED} more" if len(bad) > _NAMED else ""
    return UsageError(
        "unreadable-image",
        f"{len(bad)} image{'s' if len(bad) > 1 else ''} cannot be read",
        why=f"{named}{more}.",
        next="Repair or remove them.",
    )


def _class_missing(split: Split, name: str, why: str) -> UsageError:
    return UsageError(
        "class-missing-in-split",
        f"the {split.value} split has no image of class {printable(name)}",
        why=f"{why[:1].upper()}{why[1:]}.",
        next="Add images of that class, or coarser splits or finer groups.",
    )
