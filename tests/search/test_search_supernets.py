"""Supernets that are shared: by data configurations, by searches, and with the disk."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from search_toy import MONO, RGB, SPACE, WIDE, ToySource, config, estimate

from pipeline import search
from pipeline.datasets import Split
from pipeline.genotype import Genotype
from pipeline.search import TrainingSettings, layers, subnet
from pipeline.search.feasibility import Feasibility
from pipeline.search.supernets import Supernet, Supernets, stored_envelope, stored_weights

pytestmark = pytest.mark.slow

SHARED = TrainingSettings(steps=3, batch=8, random_subnets=1, sharing="shared", population="space")


def _made(folder: Path, shared: Path, **changes: Any) -> Supernets:
    given: dict[str, Any] = {"seed": 3, "settings": SHARED, "limits": WIDE, "source": ToySource(), **changes}
    feasibility = Feasibility(SPACE, estimate, given.pop("limits"))
    return Supernets(given.pop("source"), feasibility, given.pop("settings"), folder=folder, shared=shared, **given)


def _get(supernets: Supernets, data: Any = RGB) -> tuple[Supernet, int]:
    """The supernet and how many steps were trained for it now."""
    steps: list[int] = []
    return supernets.get(data, report=lambda step: steps.append(step.number), keep_going=lambda: True), len(steps)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("supernets")


@pytest.fixture(scope="module")
def trained(place: Path) -> Supernet:
    return _get(_made(place / "first", place / "shared"))[0]


def test_one_serves_every_resolution_and_colour(place: Path, trained: Supernet) -> None:
    supernets = _made(place / "second", place / "shared", limits=WIDE.model_copy(update={"macs": 10**8}))
    (ours, steps), (mono, more) = _get(supernets), _get(supernets, MONO)
    assert ours is mono and steps == more == 0
    assert ours.hash == trained.hash
    for data in (MONO, RGB):
        stored = stored_weights(place / "second", data)
        assert stored is not None and all(np.array_equal(stored[name], ours.weights[name]) for name in ours.weights)
        assert stored_envelope(place / "second", data) == ours.envelope
    assert ours.envelope.data == RGB


def test_a_checkpoint_of_anything_else_is_not_taken(place: Path, trained: Supernet) -> None:
    others: list[dict[str, Any]] = [
        {"seed": 4},
        {"settings": replace(SHARED, rate=1e-3)},
        {"settings": replace(SHARED, sharing="per-colour")},
        {"settings": replace(SHARED, population="feasible")},
    ]
    known = set((place / "shared").glob("*.npz"))
    assert len(known) == 1
    for changes in others:
        stopped = _made(place / "others", place / "shared", **changes)
        found = stopped.get(RGB, report=lambda _: None, keep_going=lambda: False)
        assert not found.complete and found.hash != trained.hash
    assert set((place / "shared").glob("*.npz")) == known


def test_a_grey_picture_is_the_same_to_the_monochrome_subnet(trained: Supernet) -> None:
    grey = ToySource().view(Split.TRAIN, MONO).images[:16]
    mono, rgb = (Genotype(data, (2, 1, 0, 0, 0), 0.1) for data in (MONO, RGB))
    logits = []
    for genotype, images in ((mono, grey), (rgb, np.repeat(grey, 3, axis=3))):
        settled = subnet.settle(trained.weights, genotype, 2, images)
        logits.append(settled.logits(images))
        pool = layers.Pool()
        trained.workspace.hold(trained.weights)
        trained.workspace.record(images, genotype, pool)
        assert np.allclose(trained.workspace.logits(images, genotype, pool.statistics()), logits[-1], atol=1e-4), (
            genotype
        )
    assert np.allclose(logits[0], logits[1], atol=1e-4)


def test_scoring_writes_nothing_and_one_pass_gives_what_the_subnet_alone_gives(trained: Supernet) -> None:
    source, before = ToySource(), trained.hash
    trained.workspace.hold(trained.weights)
    for genotype in (Genotype(RGB, (2, 1, 0, 0, 0), 0.2), Genotype(MONO, (0, 0, 0, 0, 0), 0.1)):
        train, validation = (source.view(split, genotype.data) for split in (Split.TRAIN, Split.VALIDATION))
        found = subnet.score(
            trained.workspace,
            genotype,
            calibration=train.images[:40],
            images=validation.images,
            labels=validation.labels,
        )
        alone = subnet.settle(trained.weights, genotype, 2, train.images[:40])
        assert found == alone.scores(validation.images, validation.labels)
    values = trained.workspace.values()
    assert all(np.array_equal(values[name], trained.weights[name]) for name in values)
    assert trained.hash == before


def test_searches_share_supernets_and_scores(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = config(
        training=replace(SHARED, steps=2), scoring=search.ScoringSettings(calibration_images=16), evaluations=2
    )
    first = search.run(made, ToySource(), folder=place / "a", estimate=estimate, supernets=place / "both")
    phases: list[tuple[search.Phase, str]] = []
    monkeypatch.setattr(subnet, "score", lambda *_, **__: pytest.fail("was scored before"))
    second = search.run(
        made,
        ToySource(),
        folder=place / "b",
        estimate=estimate,
        supernets=place / "both",
        progress=lambda moment: phases.append((moment.phase, moment.subject)),
    )
    assert second.candidates == first.candidates
    assert all(phase is not search.Phase.SUPERNET for phase, _ in phases)


def test_no_more_than_so_many_are_in_memory(tmp_path: Path) -> None:
    settings = replace(SHARED, sharing="per-config", steps=1)
    supernets = _made(tmp_path, tmp_path / "shared", settings=settings, kept=1)
    first, steps = _get(supernets, MONO)
    assert steps == 1 and _get(supernets, MONO)[0] is first
    assert _get(supernets, RGB)[0].workspace is not first.workspace
    again, steps = _get(supernets, MONO)
    assert again is not first and steps == 0 and again.hash == first.hash
    told: list[tuple[str, int]] = []
    supernets.throttled = lambda name, images: told.append((name, images))
    supernets._throttle("32-mono", 4)
    assert told == [("32-mono", 4)]
    anew, steps = _get(supernets, MONO)
    assert anew is not again and steps == 0 and anew.hash == again.hash
