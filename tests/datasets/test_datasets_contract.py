"""What every DatasetSource must do."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import public_samples
import pytest
from dataset_samples import PARAMETERS, Walkers, write_folder

from pipeline.datasets import LEAST_TRAINING_IMAGES, DatasetSource, SampleSource, Split, open_source, views
from pipeline.datasets.cache import Cache
from pipeline.errors import UsageError, printable
from pipeline.genotype import Colour, DataConfig

SMALL = DataConfig(32, Colour.RGB)
Make = Callable[[int, Path], DatasetSource]


def _sample(seed: int, cache: Path) -> DatasetSource:
    video = Walkers()
    return SampleSource(
        lambda: video,
        video_fingerprint=video.fingerprint,
        seed=seed,
        cache=Cache(cache),
        parameters=PARAMETERS,
        title="walkers",
    )


@pytest.fixture(scope="session")
def public(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], str]:
    """What opens a subset of a public data set, written in small when it is first asked for."""
    written: dict[str, Path] = {}
    writers = {
        "wake-vision": public_samples.write_wake_vision,
        "visual-wake-words": public_samples.write_coco,
        "wake-vision-tfds": public_samples.write_tfds,
    }

    def spec(name: str) -> str:
        if name not in written:
            written[name] = writers[name](tmp_path_factory.mktemp(name))
        return f"{name}:images=40,folder={written[name]}"

    return spec


@pytest.fixture(
    params=[
        *("sample", "folder", "folder-with-splits", "wake-vision", "visual-wake-words"),
        pytest.param("wake-vision-tfds", marks=pytest.mark.slow),
        pytest.param("drawn", marks=pytest.mark.slow),
    ]
)
def make(request: pytest.FixtureRequest, tmp_path: Path, public: Callable[[str], str]) -> Make:
    package = {"wake-vision": "pyarrow", "wake-vision-tfds": "tensorflow_datasets"}.get(request.param)
    if package is not None:
        pytest.importorskip(package, reason=f"the source {request.param} needs its extra", exc_type=ImportError)
    if request.param in ("wake-vision", "visual-wake-words", "wake-vision-tfds"):
        return lambda seed, cache: open_source(public(request.param), seed=seed, cache=cache)
    if request.param == "drawn":
        return lambda seed, cache: open_source("drawn:images=40", seed=seed, cache=cache)
    if request.param == "sample":
        pytest.importorskip("cv2", reason="the sample source needs the extra `sample`", exc_type=ImportError)
        return _sample
    splits = ("train", "validation", "test") if request.param == "folder-with-splits" else ("",)
    folder = write_folder(tmp_path / "images", splits=splits)
    return lambda seed, cache: open_source(f"folder:{folder}", seed=seed, group_by=r"^(g[a-z]*\d+)", cache=cache)


@pytest.fixture
def source(make: Make, tmp_path: Path) -> DatasetSource:
    return make(0, tmp_path / "cache")


def test_is_a_source(source: DatasetSource) -> None:
    assert isinstance(source, DatasetSource)
    assert len(source.class_names) >= 2
    assert len(source.fingerprint) == 64 and int(source.fingerprint, 16) >= 0
    assert {Split.TRAIN, Split.VALIDATION} <= source.splits
    assert source.name == printable(source.name)


def test_views_fit_their_configuration(source: DatasetSource) -> None:
    for data in (SMALL, DataConfig(64, Colour.MONO)):
        for split in source.splits:
            view = source.view(split, data)
            assert view.images.shape == (len(view), *data.shape)
            assert view.images.dtype == np.uint8
            assert view.labels.shape == (len(view),) and view.labels.dtype == np.int64
            assert source.groups(split).shape == (len(view),)
            assert set(view.labels.tolist()) == set(range(len(source.class_names)))
    assert len(source.view(Split.TRAIN, SMALL)) >= LEAST_TRAINING_IMAGES


def test_ids_are_unique_and_printable(source: DatasetSource) -> None:
    ids = [name for split in source.splits for name in source.view(split, SMALL).ids]
    assert len(set(ids)) == len(ids)
    assert all(name == printable(name) for name in ids)


def test_no_group_is_torn(source: DatasetSource) -> None:
    seen: dict[int, Split] = {}
    for split in source.splits:
        for group in source.groups(split).tolist():
            assert seen.setdefault(group, split) is split


def test_mono_is_the_luma_of_rgb(source: DatasetSource) -> None:
    mono = source.view(Split.VALIDATION, DataConfig(32, Colour.MONO))
    rgb = source.view(Split.VALIDATION, SMALL)
    assert mono.ids == rgb.ids
    np.testing.assert_array_equal(mono.images, views.luma(rgb.images))


def test_order_mixes_the_classes(source: DatasetSource) -> None:
    labels = source.view(Split.TRAIN, SMALL).labels[:16].tolist()
    assert set(labels) == set(range(len(source.class_names)))


def test_same_seed_gives_the_same_elsewhere(make: Make, source: DatasetSource, tmp_path: Path) -> None:
    again = make(0, tmp_path / "another cache")
    assert again.fingerprint == source.fingerprint
    for split in source.splits:
        ours, theirs = source.view(split, SMALL), again.view(split, SMALL)
        assert ours.ids == theirs.ids
        np.testing.assert_array_equal(ours.images, theirs.images)
        np.testing.assert_array_equal(ours.labels, theirs.labels)
        np.testing.assert_array_equal(source.groups(split), again.groups(split))


def test_opened_again_from_the_cache_it_is_the_same(make: Make, source: DatasetSource, tmp_path: Path) -> None:
    first = source.view(Split.TRAIN, SMALL)
    again = make(0, tmp_path / "cache")
    assert again.fingerprint == source.fingerprint
    assert again.describe() == source.describe()
    np.testing.assert_array_equal(again.view(Split.TRAIN, SMALL).images, first.images)


def test_another_seed_is_another_data_set(make: Make, source: DatasetSource, tmp_path: Path) -> None:
    assert make(1, tmp_path / "cache").fingerprint != source.fingerprint


def test_a_view_is_written_once(source: DatasetSource, tmp_path: Path) -> None:
    source.view(Split.TRAIN, SMALL)
    files = {path: path.stat().st_mtime_ns for path in (tmp_path / "cache").rglob("*.npy")}
    assert files
    source.view(Split.TRAIN, SMALL)
    assert files == {path: path.stat().st_mtime_ns for path in (tmp_path / "cache").rglob("*.npy")}


def test_a_view_is_read_only(source: DatasetSource) -> None:
    with pytest.raises(ValueError, match="read-only"):
        source.view(Split.TRAIN, SMALL).images[0] = 0


def test_description_is_json_and_true(source: DatasetSource) -> None:
    described = json.loads(json.dumps(source.describe()))
    assert described["fingerprint"] == source.fingerprint
    assert {"source", "kind", "labelled", "split_by", "grouped_by", "missing", "notes"} <= set(described)
    assert set(described["splits"]) == {split.value for split in source.splits}
    for split in source.splits:
        labels = source.view(split, SMALL).labels
        counts = [int((labels == label).sum()) for label in range(len(source.class_names))]
        assert list(described["splits"][split.value].values()) == counts


def test_a_folder_without_test_says_so(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "images", splits=("train", "validation"))
    source = open_source(f"folder:{folder}", cache=tmp_path / "cache")
    assert source.splits == {Split.TRAIN, Split.VALIDATION}
    assert "no test/" in source.describe()["missing"]["test"]
    for call in (source.groups, lambda split: source.view(split, SMALL)):
        with pytest.raises(UsageError) as caught:
            call(Split.TEST)
        assert caught.value.id == "no-such-split"


@pytest.mark.parametrize("spec", ["", "Sample", "folder", "folder:", "http://x", "sample:\x1b[31m"])
def test_unknown_source_lists_the_possible_ones(spec: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        open_source(spec, cache=tmp_path)
    assert caught.value.id == "unknown-data-source"
    assert "sample" in caught.value.why and "folder:PATH" in caught.value.why
    assert "\x1b" not in str(caught.value)


def test_sample_takes_no_group_by(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        open_source("sample", group_by="x", cache=tmp_path)
    assert caught.value.id == "bad-group-by"


def test_crops_without_their_index_are_cut_again(tmp_path: Path) -> None:
    """As after a kill between the two files."""
    pytest.importorskip("cv2", reason="the sample source needs the extra `sample`", exc_type=ImportError)
    first = _sample(0, tmp_path)
    for index in tmp_path.rglob("index.json"):
        index.unlink()
    for crops in tmp_path.rglob("crops.npy"):
        np.save(crops, np.zeros_like(np.load(crops)))
    assert _sample(0, tmp_path).fingerprint == first.fingerprint
    assert _sample(0, tmp_path).view(Split.TRAIN, SMALL).images.any()


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b'{"schema_version": 1, "crops": {"train": 3}}', b"\xff"])
def test_a_damaged_index_is_written_anew(content: bytes, tmp_path: Path) -> None:
    pytest.importorskip("cv2", reason="the sample source needs the extra `sample`", exc_type=ImportError)
    first = _sample(0, tmp_path)
    for index in tmp_path.rglob("index.json"):
        index.write_bytes(content)
    assert _sample(0, tmp_path).fingerprint == first.fingerprint
