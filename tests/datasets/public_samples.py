"""The public data sets in small: files of the real forms with made-up pictures, bright ones of persons."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

#: Columns of Wake Vision's parquet files besides image, filename and person; all int64.
FLAGS = (
    *("age_unknown", "body_part", "bright", "dark", "depiction", "far", "gender_unknown", "medium_distance"),
    *("middle_age", "near", "non-person_depiction", "non-person_non-depiction", "normal_lighting", "older"),
    *("person_depiction", "predominantly_female", "predominantly_male", "young"),
)
#: Files of Wake Vision and how many row groups each has.
FILES = {
    "train_quality_part_0-00000-of-00002": 2,
    "train_quality_part_0-00001-of-00002": 1,
    "train_quality_part_1-00000-of-00001": 2,
    "validation-00000-of-00001": 2,
    "test-00000-of-00001": 2,
}
ROWS = 12  # of a row group
_BUILT: list[Path] = []


def picture(seed: int, *, person: bool, size: tuple[int, int] = (60, 50)) -> bytes:
    """A noisy PNG; no two seeds give the same one."""
    noise = np.random.default_rng(seed).integers(0, 60, (size[1], size[0], 3))
    content = io.BytesIO()
    Image.fromarray((noise + (150 if person else 20)).astype(np.uint8)).save(content, "PNG", compress_level=1)
    return content.getvalue()


def write_wake_vision(folder: Path) -> Path:
    """Parquet files as on the Hub, in ``folder/data``; one image is damaged, one has no label."""
    import pyarrow
    from pyarrow import parquet

    image = pyarrow.struct([("bytes", pyarrow.binary()), ("path", pyarrow.string())])
    fields = [("image", image), ("filename", pyarrow.string()), ("person", pyarrow.int64())]
    schema = pyarrow.schema([*fields, *((name, pyarrow.int64()) for name in FLAGS)])
    (folder / "data").mkdir(parents=True)
    number = 0
    for name, groups in FILES.items():
        with parquet.ParquetWriter(folder / "data" / f"{name}.parquet", schema) as writer:
            for _ in range(groups):
                rows: list[dict[str, Any]] = []
                for _ in range(ROWS):
                    number += 1
                    content = picture(number, person=number % 2 == 1)
                    row: dict[str, Any] = {"image": {"bytes": content, "path": None}, "filename": f"{number:016x}.jpg"}
                    rows.append({**row, "person": number % 2, **dict.fromkeys(FLAGS, 0)})
                if number == ROWS:
                    rows[0]["image"]["bytes"] = b"\xff\xd8 no picture"
                    rows[1]["person"] = -1
                writer.write_table(pyarrow.Table.from_pylist(rows, schema), row_group_size=ROWS)
    return folder


def write_coco(folder: Path, *, train: int = 70, validation: int = 12, areas: Sequence[float] = (0.2, 0.004)) -> Path:
    """COCO 2017: every other image has a person of ``areas[0]``, the others one of ``areas[1]``; all have a dog."""
    (folder / "annotations").mkdir(parents=True)
    number = 0
    for of, count in (("train2017", train), ("val2017", validation)):
        (folder / of).mkdir()
        images, annotations = [], []
        for _ in range(count):
            number += 1
            large = number % 2 == 1
            name = f"{number:012d}.jpg"
            (folder / of / name).write_bytes(picture(number, person=large))
            images.append({"id": number, "file_name": name, "height": 50, "width": 60, "license": 1})
            area = 50 * 60 * areas[0 if large else 1]
            person = {"image_id": number, "category_id": 1, "area": area, "iscrowd": 0, "bbox": [0, 0, 9, 9]}
            dog = {"image_id": number, "category_id": 18, "area": 2900.0, "iscrowd": 0, "bbox": [0, 0, 58, 50]}
            annotations += [person, dog]
        categories = [{"id": 1, "name": "person"}, {"id": 18, "name": "dog"}]
        content = {"info": {}, "images": images, "annotations": annotations, "categories": categories}
        (folder / "annotations" / f"instances_{of}.json").write_text(json.dumps(content))
    return folder


def write_tfds(folder: Path) -> Path:
    """``wake_vision`` 1.0.0 built by TFDS below ``folder``, with the real features; the first example has no label.

    It takes seconds: from the second time on what was built is copied.
    """
    if _BUILT:
        shutil.copytree(_BUILT[0], folder, dirs_exist_ok=True)
        return folder
    import tensorflow_datasets as tfds

    names = ("body_part", "depiction", "near", "far", "dark", "bright")
    counts = {"train_quality": 50, "train_large": 60, "validation": 12, "test": 12}

    class WakeVision(tfds.core.GeneratorBasedBuilder):  # type: ignore[misc]
        """Made-up examples."""

        VERSION = tfds.core.Version("1.0.0")
        name = "wake_vision"
        pkg_dir_path = folder

        def _info(self) -> Any:
            label = tfds.features.ClassLabel(names=["No", "Yes"])
            return tfds.core.DatasetInfo(
                builder=self,
                features=tfds.features.FeaturesDict(
                    {
                        "image": tfds.features.Image(shape=(None, None, 3)),
                        "filename": tfds.features.Text(),
                        "person": label,
                        **{name: tfds.features.ClassLabel(names=["No", "Yes"]) for name in names},
                    }
                ),
                supervised_keys=("image", "person"),
            )

        def _split_generators(self, dl_manager: Any) -> dict[str, Any]:
            return {split: self._generate_examples(split) for split in counts}

        def _generate_examples(self, split: str) -> Iterator[tuple[str, dict[str, Any]]]:
            first = 1000 * list(counts).index(split)
            for number in range(first, first + counts[split]):
                example: dict[str, Any] = dict.fromkeys(names, -1)
                example["image"] = io.BytesIO(picture(number, person=number % 2 == 1))
                example["filename"] = f"{number:016x}.jpg"
                example["person"] = number % 2 if number else -1
                yield example["filename"], example

    WakeVision(data_dir=folder).download_and_prepare()
    _BUILT.append(Path(shutil.copytree(folder, folder.with_name(f"{folder.name}-kept"))))
    return folder
