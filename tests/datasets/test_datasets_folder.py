from __future__ import annotations

import json
import os
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from dataset_samples import write_folder, write_image

from pipeline.datasets import DatasetSource, Split, open_source
from pipeline.errors import UsageError
from pipeline.genotype import Colour, DataConfig

SMALL = DataConfig(32, Colour.RGB)


def _open(folder: Path, tmp_path: Path, seed: int = 0, group_by: str | None = None) -> DatasetSource:
    return open_source(f"folder:{folder}", seed=seed, group_by=group_by, cache=tmp_path / "cache")


def _error(folder: Path, tmp_path: Path, group_by: str | None = None) -> UsageError:
    with pytest.raises(UsageError) as caught:
        _open(folder, tmp_path, group_by=group_by)
    assert caught.value.next
    return caught.value


def _ids(source: DatasetSource) -> dict[str, Split]:
    return {name: split for split in source.splits for name in source.view(split, SMALL).ids}


def test_every_image_has_the_label_of_its_folder(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "images", classes=("b", "c", "a"))
    source = _open(folder, tmp_path)
    assert source.class_names == ("a", "b", "c")
    assert len(_ids(source)) == 3 * 36
    for split in source.splits:
        view = source.view(split, SMALL)
        assert [name.split("/")[0] for name in view.ids] == [source.class_names[label] for label in view.labels]
        shades = {"b": 60, "c": 100, "a": 140}
        for image, name in zip(view.images, view.ids, strict=True):
            assert abs(float(image.mean()) - shades[name.split("/")[0]]) < 8


def test_own_splits_are_kept(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "images", splits=("train", "validation", "test"))
    assert all(name.split("/")[0] == split for name, split in _ids(_open(folder, tmp_path)).items())


def test_validation_is_split_off_train_by_seed(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "images", splits=("train",), groups=40, per_group=1)
    source = _open(folder, tmp_path)
    assert source.splits == {Split.TRAIN, Split.VALIDATION}
    assert Counter(_ids(source).values()) == {Split.TRAIN: 68, Split.VALIDATION: 12}
    assert _ids(source) != _ids(_open(folder, tmp_path, seed=1))


def test_train_and_test_alone(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "images", splits=("train", "test"))
    source = _open(folder, tmp_path)
    assert source.splits == set(Split)
    assert all((split is Split.TEST) == name.startswith("test/") for name, split in _ids(source).items())


@pytest.mark.parametrize("group_by", [r"^g\d+", r"^(g\d+)_"])
def test_groups_span_classes_and_are_never_torn(group_by: str, tmp_path: Path) -> None:
    source = _open(write_folder(tmp_path / "images"), tmp_path, group_by=group_by)
    split_of: dict[str, Split] = {}
    for name, split in _ids(source).items():
        assert split_of.setdefault(name.split("/")[1].split("_")[0], split) is split
    assert len({group for split in source.splits for group in source.groups(split).tolist()}) == 12
    assert set(split_of.values()) == set(Split)


def test_copies_of_one_image_stay_together(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "images", per_group=1, groups=30)
    for number in range(30):
        shutil.copy(folder / f"cat/g{number:02d}_0.png", folder / f"cat/copy{number:02d}.png")
    splits = _ids(_open(folder, tmp_path))
    for number in range(30):
        assert splits[f"cat/g{number:02d}_0.png"] is splits[f"cat/copy{number:02d}.png"]


def test_leaks_of_the_folders_own_splits_are_noted(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "images", splits=("train", "validation"))
    shutil.copy(folder / "train/cat/gtr00_0.png", folder / "validation/cat/gva99_0.png")
    assert any("1 images are in more than one split" in note for note in _open(folder, tmp_path).describe()["notes"])
    notes = _open(folder, tmp_path, group_by="^g").describe()["notes"]
    assert any("1 groups are in more than one" in note for note in notes)


def test_images_below_the_class_folder_count(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "images")
    write_image(folder / "cat/drive7/a.png", shade=60, seed=999)
    assert "cat/drive7/a.png" in _ids(_open(folder, tmp_path))
    error = _error(folder, tmp_path, group_by="^drive")
    assert error.id == "bad-group-by"


def test_other_files_are_passed_over_and_counted(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "images")
    before = _open(folder, tmp_path).fingerprint
    for name in ("README.md", "cat/notes.txt", "cat/.hidden.png", "cat/._g00_0.png"):
        (folder / name).write_bytes(b"x")
    (folder / ".git").mkdir()
    source = _open(folder, tmp_path)
    assert source.fingerprint == before
    assert any(note.startswith("5 other files") for note in source.describe()["notes"])


def test_a_class_may_be_called_train(tmp_path: Path) -> None:
    source = _open(write_folder(tmp_path / "images", classes=("bus", "train")), tmp_path)
    assert source.class_names == ("bus", "train")


def test_the_place_of_the_folder_does_not_matter_but_its_contents_do(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "images")
    first = _open(folder, tmp_path).fingerprint
    moved = tmp_path / "moved"
    folder.rename(moved)
    assert _open(moved, tmp_path).fingerprint == first
    write_image(moved / "cat/g00_0.png", shade=90, seed=12345)
    assert _open(moved, tmp_path).fingerprint != first


def test_hostile_names(tmp_path: Path) -> None:
    classes = ('*"; <script>', "$(touch x)\x1b[31m\n", os.fsdecode(b"\xff\xfe"))
    source = _open(write_folder(tmp_path / "images", classes=classes), tmp_path)
    assert len(set(source.class_names)) == 3
    for text in (*source.class_names, *_ids(source)):
        text.encode()  # no lone surrogates
    assert all("\x1b" not in name and "\n" not in name for name in _ids(source))
    assert "\x1b" not in str(source.describe()) and "\\x1b" not in json.dumps(source.describe())


def test_a_view_needs_the_images_only_once(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "images")
    source = _open(folder, tmp_path)
    first = np.array(source.view(Split.TRAIN, SMALL).images)
    shutil.rmtree(folder)
    np.testing.assert_array_equal(source.view(Split.TRAIN, SMALL).images, first)
    with pytest.raises(UsageError) as caught:
        source.view(Split.TRAIN, DataConfig(64, Colour.RGB))
    assert caught.value.id == "unreadable-image"


def test_a_changed_image_is_noticed(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "images")
    source = _open(folder, tmp_path)
    for path in folder.rglob("*.png"):
        write_image(path, shade=10, seed=4242)
    with pytest.raises(UsageError) as caught:
        source.view(Split.TRAIN, SMALL)
    assert caught.value.id == "folder-changed"


# -- what is refused --------------------------------------------------------------------------------------------


def test_no_such_folder(tmp_path: Path) -> None:
    assert _error(tmp_path / "missing", tmp_path).id == "no-such-folder"
    (tmp_path / "file").write_text("")
    assert _error(tmp_path / "file", tmp_path).id == "no-such-folder"


def test_one_class_or_none(tmp_path: Path) -> None:
    one = _error(write_folder(tmp_path / "images", classes=("cat",)), tmp_path)
    assert one.id == "one-class" and "cat" in one.what
    (tmp_path / "empty").mkdir()
    assert _error(tmp_path / "empty", tmp_path).id == "one-class"
    assert _error(write_folder(tmp_path / "split", classes=("cat",), splits=("train",)), tmp_path).id == "one-class"


def test_unreadable_images_are_named_and_counted(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "images")
    for index in range(5):
        path = folder / f"dog/g0{index}_1.png"
        path.write_bytes(path.read_bytes()[:50] if index % 2 else b"not an image")
    error = _error(folder, tmp_path)
    assert error.id == "unreadable-image"
    assert error.what.startswith("5 images")
    assert error.why.count("dog/g0") == 3 and "2 more" in error.why


def test_a_pipe_or_a_dead_link_is_no_image(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "images")
    os.mkfifo(folder / "cat/pipe.png")
    (folder / "cat/link.png").symlink_to("nowhere")
    error = _error(folder, tmp_path)
    assert error.id == "unreadable-image"
    assert "cat/pipe.png: not a regular file" in error.why and "cat/link.png" in error.why


def test_fewer_images_than_a_batch(tmp_path: Path) -> None:
    error = _error(write_folder(tmp_path / "images", groups=5), tmp_path)
    assert error.id == "too-few-images"
    assert "train" in error.what and "cat" in error.what and "32" in error.why


def test_a_class_missing_in_a_split(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "images", splits=("train", "validation"))
    shutil.rmtree(folder / "validation/dog")
    error = _error(folder, tmp_path)
    assert error.id == "class-missing-in-split"
    assert "validation" in error.what and "dog" in error.what


def test_a_class_that_train_does_not_have(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "images", splits=("train", "validation"))
    write_image(folder / "validation/emu/a.png", shade=5, seed=777)
    error = _error(folder, tmp_path)
    assert error.id == "class-missing-in-split"
    assert "train" in error.what and "emu" in error.what


def test_too_few_groups_for_three_splits(tmp_path: Path) -> None:
    error = _error(write_folder(tmp_path / "images", groups=2, per_group=30), tmp_path, group_by=r"^g\d+")
    assert error.id == "class-missing-in-split"


@pytest.mark.parametrize("group_by", ["(", "^dog", "^(x)?g", "(?P<n>", "a{99999999999}"])
def test_bad_group_by(group_by: str, tmp_path: Path) -> None:
    assert _error(write_folder(tmp_path / "images"), tmp_path, group_by=group_by).id == "bad-group-by"


# -- the hand-labelled street scenes, where they are ------------------------------------------------------------


def test_person_crops(tmp_path: Path) -> None:
    checkout = Path(__file__).resolve().parents[2]
    folder = Path(os.environ.get("DANAS_PERSON_CROPS", checkout.parent / "shared/data/person-crops"))
    if not folder.is_dir():
        pytest.skip("the person crops are not here: set DANAS_PERSON_CROPS to their folder")
    source = _open(folder, tmp_path, group_by=r"^([^_]+_[^_]+)")
    assert source.class_names == ("no_person", "person")
    assert source.splits == {Split.TRAIN, Split.VALIDATION}
    assert source.describe()["splits"] == {
        "train": {"no_person": 655, "person": 553},
        "validation": {"no_person": 310, "person": 307},
    }
    groups = source.groups(Split.VALIDATION)
    assert 1 < len(set(groups.tolist())) < len(groups)
    assert source.view(Split.VALIDATION, SMALL).images.shape == (617, 32, 32, 3)
