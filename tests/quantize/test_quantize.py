"""From a subnet to a .tflite: what is in it, that it computes the same, and that its bytes repeat."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from search_toy import MONO, ToySource, config, estimate

from pipeline import search
from pipeline.datasets import Split
from pipeline.errors import UsageError
from pipeline.estimate.tflm import predicted_bytes
from pipeline.genotype import Genotype
from pipeline.graph.reader import read
from pipeline.graph.reference import Reference
from pipeline.graph.skeleton import from_genotype
from pipeline.quantize import (
    Doing,
    QuantizeSettings,
    convert,
    device_accuracy,
    evaluate,
    finalist,
    keras_model,
    quantize,
)
from pipeline.search import layers, subnet, supernets
from pipeline.search.fitness import Scores

pytestmark = pytest.mark.slow

SETTINGS = QuantizeSettings(final_epochs=7, batch=16, calibration_images=64)
GENOTYPE = Genotype.parse("32-mono-d22100-a02")


@pytest.fixture(scope="module")
def network() -> subnet.Subnet:
    weights = layers.initial(layers.parameters(GENOTYPE, 2), (3,))
    rng = np.random.default_rng(1)
    for name, values in weights.items():
        if not name.endswith("kernel"):
            weights[name] = values + rng.normal(0, 0.2, values.shape).astype(np.float32)
    return subnet.settle(weights, GENOTYPE, 2, ToySource().view(Split.TRAIN, MONO).images[:32])


def test_the_keras_model_computes_what_the_subnet_does(network: subnet.Subnet) -> None:
    images = ToySource().view(Split.VALIDATION, MONO).images[:8]
    logits = network.logits(images).astype(np.float64)
    expected = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    model = keras_model(network)
    found = np.concatenate([model(subnet.as_input(image[None]), training=False).numpy() for image in images])
    assert np.abs(found - expected).max() < 1e-4
    assert np.ptp(expected[:, 0]) > 1e-3


def test_the_flatbuffer_repeats_and_is_what_the_skeleton_says(network: subnet.Subnet, tmp_path: Path) -> None:
    calibration = ToySource().view(Split.TRAIN, MONO).images[:16]
    flatbuffer = convert(network, calibration)
    assert convert(network, calibration) == flatbuffer
    path = tmp_path / "m.tflite"
    path.write_bytes(flatbuffer)
    graph, skeleton = read(path), from_genotype(GENOTYPE, 2)
    assert [operator.code for operator in graph.operators] == [operator.code for operator in skeleton.operators]
    assert "PAD" not in {operator.code.name for operator in graph.operators}
    assert predicted_bytes(skeleton) == len(flatbuffer)
    source = graph.tensors[graph.inputs[0]]
    assert source.quantization is not None
    assert source.quantization.scale == pytest.approx(1 / 255, rel=1e-6)
    assert source.quantization.zero_point == -128


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Genotype]:
    folder = tmp_path_factory.mktemp("search")
    found = search.run(config(evaluations=1), ToySource(), folder=folder, estimate=estimate)
    return folder, found.candidates[0].genotype


def test_a_finalist_is_finished_from_its_supernet(searched: tuple[Path, Genotype], tmp_path: Path) -> None:
    source = ToySource()
    folder, genotype = searched
    doing: list[Doing] = []
    results = [
        quantize(genotype, source, search_folder=folder, out=tmp_path / name, seed=3, settings=SETTINGS, report=report)
        for name, report in (("one", doing.append), ("two", None))
    ]
    steps = [at.step for at in doing if at.phase == "final training" and at.steps]
    assert steps == list(range(1, 43))  # seven epochs of 96 images, 16 a step
    assert results[0].path.read_bytes() == results[1].path.read_bytes()
    assert results[0].record.read_text() == results[1].record.read_text()
    record = json.loads(results[0].record.read_text())
    assert record["int8_validation_accuracy"] == results[0].int8_accuracy
    assert record["final_training"]["teacher"] in {"", supernet_of(folder, genotype)}
    assert (record["final_training"]["steps"], record["final_training"]["steps_of"]) == (42, 42)
    trained, inherited = results[0].trained_accuracy, results[0].inherited_accuracy
    assert results[0].float_accuracy == max(trained, inherited)
    assert record["final_training"]["after_validation_accuracy"] == trained
    assert set(results[0].seconds) >= {"final_training", "conversion"}
    view = source.view(Split.VALIDATION, genotype.data)
    assert results[0].float_accuracy > 0.7
    assert abs(results[0].int8_accuracy - results[0].float_accuracy) < 0.1
    reference = Reference(results[0].path).run((view.images.astype(np.int16) - 128).astype(np.int8))
    by_reference = float(np.mean(reference.argmax(axis=1) == view.labels))
    assert abs(evaluate(results[0].path, view) - by_reference) < 0.05
    assert device_accuracy(results[0].path, view) == by_reference


def supernet_of(folder: Path, genotype: Genotype) -> str:
    largest = supernets.stored_envelope(folder, genotype.data)
    assert largest is not None
    return largest.id


def test_without_epochs_the_inherited_weights_are_shipped(searched: tuple[Path, Genotype], tmp_path: Path) -> None:
    folder, genotype = searched
    settings = dataclasses.replace(SETTINGS, final_epochs=0, tolerance=1.0)
    one = quantize(genotype, ToySource(), search_folder=folder, out=tmp_path, seed=3, settings=settings)
    assert (one.final_steps, one.final_of, one.teacher) == (0, 0, "")
    assert one.inherited_accuracy == one.trained_accuracy == one.float_accuracy
    assert one.qat_accuracy is None
    assert one.qat_reason.startswith("not needed: int8 loses ")
    weights = supernets.stored_weights(folder, genotype.data)
    assert weights is not None
    calibration = subnet.calibration_images(ToySource().view(Split.TRAIN, genotype.data).images, 64, 3)
    inherited = subnet.settle(layers.cut(weights, genotype, 2), genotype, 2, calibration)
    assert convert(inherited, calibration) == one.path.read_bytes()


def test_a_loss_beyond_the_tolerance_starts_training_for_int8(
    searched: tuple[Path, Genotype], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, genotype = searched
    figures = iter([0.25, 0.75])
    monkeypatch.setattr(finalist, "quick_accuracy", lambda *_, **__: next(figures))
    settings = dataclasses.replace(SETTINGS, final_epochs=1, qat_epochs=1)
    one = quantize(genotype, ToySource(), search_folder=folder, out=tmp_path, seed=3, settings=settings)
    assert (one.ptq_accuracy, one.qat_accuracy, one.int8_accuracy) == (0.25, 0.75, 0.75)
    assert one.qat_reason.endswith("points; kept")
    assert "training_for_int8" in one.seconds


def test_a_teacher_knows_more_than_its_pupil(network: subnet.Subnet, monkeypatch: pytest.MonkeyPatch) -> None:
    other, view = dataclasses.replace(network), ToySource().view(Split.VALIDATION, MONO)
    for able, own, taught in ((0.9, 0.8, True), (0.8, 0.8, False), (0.7, 0.8, False)):
        scores = {id(other): Scores(able, 0.5, 0.5), id(network): Scores(own, 0.5, 0.5)}
        monkeypatch.setattr(subnet.Subnet, "scores", lambda self, *_, scores=scores: scores[id(self)])
        teacher = finalist.teacher_of(other, network, view, balanced=False)
        assert (teacher is not None) is taught
        assert teacher is None or teacher.genotype == other.genotype


def test_a_plan_is_made_once(tmp_path: Path) -> None:
    file, plans = tmp_path / "plan.json", iter([5, 6])
    for meta, steps in (({"seed": 1}, 5), ({"seed": 1}, 5), ({"seed": 2}, 6)):
        assert finalist.planned(file, meta, lambda: next(plans)) == steps
    file.write_text("{")
    assert finalist.planned(file, {"seed": 2}, lambda: 7) == 7


def test_without_a_supernet_there_is_nothing_to_quantize(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        quantize(GENOTYPE, ToySource(), search_folder=tmp_path, out=tmp_path, seed=0)
    assert caught.value.id == "no-supernet"


def test_a_finalist_that_was_trained_alone_goes_on_without_a_teacher(tmp_path: Path) -> None:
    settings = config(evaluations=1, scorer="naive", naive=search.NaiveSettings(steps=30))
    found = search.run(settings, ToySource(), folder=tmp_path, estimate=estimate).candidates[0]
    made = quantize(
        found.genotype, ToySource(), search_folder=tmp_path, out=tmp_path / "out", seed=3, settings=SETTINGS
    )
    assert made.teacher == ""
    assert made.inherited_accuracy == pytest.approx(found.scores.accuracy, abs=0.05)
    assert made.final_steps == 42


def test_the_published_way_to_score_leaves_nothing_to_deploy(tmp_path: Path) -> None:
    settings = config(
        evaluations=1,
        scorer="published",
        published=search.PublishedSettings(supernet_steps=1, steps=1, validations=0, batch=16),
    )
    found = search.run(settings, ToySource(), folder=tmp_path, estimate=estimate).candidates[0]
    with pytest.raises(UsageError, match="no weights"):
        quantize(found.genotype, ToySource(), search_folder=tmp_path, out=tmp_path / "out", seed=3, settings=SETTINGS)
