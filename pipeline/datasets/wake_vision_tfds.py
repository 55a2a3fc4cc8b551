"""Wake Vision as TensorFlow Datasets has it, ``wake_vision`` 1.0.0, from a folder in which TFDS has built it.

Splits train_large, train_quality, validation and test; features, among others, ``image``, ``filename`` and ``person``
(No, Yes; -1 where it is not known). TFDS builds it from some hundred archives, which takes days and several hundred
gigabytes; so nothing is built here, only read.

Source: the builder in the repository of TensorFlow Datasets 4.9.10.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from pipeline.datasets import wake_vision
from pipeline.datasets.prepared import Record, UnreachableError
from pipeline.datasets.values import Split
from pipeline.errors import EnvironmentProblem, UsageError, printable

VERSION = "1.0.0"
TRAINING = ("quality", "large")
_BLOCK = 256


class WakeVisionTfds:
    """The records of the built data set; a unit is a block of neighbours in its files.

    Args:
        path: TFDS' ``data_dir``, which holds ``wake_vision/1.0.0``, or that folder itself.
        training: ``quality`` or ``large``.

    Raises:
        UsageError: ``dataset-not-built``.
        EnvironmentProblem: ``missing-extra``.
    """

    name = "wake-vision-tfds"
    class_names = wake_vision.CLASS_NAMES

    def __init__(self, path: Path, *, training: str = "quality") -> None:
        self._tfds = _tfds()
        self._splits = {
            Split.TRAIN: f"train_{training}",
            Split.VALIDATION: "validation",
            Split.TEST: "test",
        }
        below = path / "wake_vision" / VERSION
        folder = below if below.is_dir() else path
        try:
            self._builder = self._tfds.builder_from_directory(folder)
            found = {split: int(self._builder.info.splits[name].num_examples) for split, name in self._splits.items()}
        except (OSError, KeyError, ValueError, RuntimeError, AssertionError) as error:
            raise UsageError(
                "dataset-not-built",
                f"{printable(folder)} does not hold wake_vision {VERSION} with {self._splits[Split.TRAIN]}",
                why=printable(f"{type(error).__name__}: {error}", 200),
                next="Build it with `tfds build wake_vision --data_dir DIR`, or stream it: --data wake-vision.",
            ) from error
        self._counts = found
        self.identity: Mapping[str, Any] = {
            "version": str(self._builder.info.version),
            "splits": {self._splits[split]: count for split, count in found.items()},
        }
        names = ", ".join(self._splits.values())
        self.about: Mapping[str, Any] = {**wake_vision.ABOUT, "split_by": f"the data set: {names}"}

    def units(self, split: Split, seed: int) -> Iterator[str]:
        """Blocks in drawn order. See :class:`Records`."""
        blocks = -(-self._counts[split] // _BLOCK)
        rng = np.random.default_rng([seed, list(Split).index(split)])
        for number in rng.permutation(blocks).tolist():
            yield f"{self._splits[split]}.{number:06d}"

    def read(self, split: Split, unit: str) -> Iterator[Record]:
        """The examples of a block, their images still encoded. See :class:`Records`."""
        first = int(unit.rpartition(".")[2]) * _BLOCK
        last = min(first + _BLOCK, self._counts[split])
        tfds = self._tfds
        try:
            examples = self._builder.as_dataset(
                split=f"{self._splits[split]}[{first}:{last}]",
                decoders=tfds.decode.PartialDecoding(
                    {"image": True, "filename": True, "person": True},
                    decoders={"image": tfds.decode.SkipDecoding()},
                ),
                shuffle_files=False,
            )
            found = list(tfds.as_numpy(examples))
        except (OSError, ValueError, RuntimeError) as error:
            raise UnreachableError(f"{self._splits[split]}: {printable(error, 300)}") from error
        except Exception as error:
            # TensorFlow's errors have no base of Python's own; without importing it they are known by their home.
            if not type(error).__module__.startswith("tensorflow"):
                raise
            raise UnreachableError(f"{self._splits[split]}: {printable(error, 300)}") from error
        for example in found:
            label = int(example["person"])
            yield Record(
                bytes(example["filename"]).decode("utf-8", "backslashreplace"),
                label if label in (0, 1) else None,
                bytes(example["image"]),
            )


def _tfds() -> ModuleType:
    try:
        import tensorflow_datasets
    except ImportError as error:
        raise EnvironmentProblem(
            "missing-extra",
            "--data wake-vision-tfds needs TensorFlow Datasets",
            why="The extra `tfds` is not installed.",
            next="pip install 'danas-deploy[tfds]'",
        ) from error
    found: ModuleType = tensorflow_datasets
    return found
