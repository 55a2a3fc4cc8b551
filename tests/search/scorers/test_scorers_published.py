"""The published way to score, with its weaknesses: they are what the comparison is about."""

from __future__ import annotations

from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from search_toy import ToySource, config, estimate

from pipeline.datasets import Split
from pipeline.genotype import Genotype, architecture
from pipeline.search import PaperSpace, ScoringSettings, spaces
from pipeline.search.feasibility import Feasibility
from pipeline.search.fitness import Scores
from pipeline.search.scorers.published import PublishedScorer, PublishedSettings
from pipeline.search.scorers.published_network import PublishedNetwork

SMALL = PublishedSettings(supernet_steps=3, steps=4, validations=2, batch=16, checkpoint_every=2)
FIRST = Genotype.parse("32-mono-d10000-a01")
SECOND = Genotype.parse("32-mono-d11000-a02")
ENVELOPE = Genotype.parse("32-mono-d11000-a03")


def _scorer(
    folder: Path, settings: PublishedSettings = SMALL, *, seed: int = 1, images: int = 40, supernets: Path | None = None
) -> PublishedScorer:
    whole = PaperSpace(data=(FIRST.data,), depths=((0,) * 5, FIRST.depths, SECOND.depths), alphas=(0.1, 0.2, 0.3))
    made = config(space=whole, published=settings, seed=seed, scoring=ScoringSettings(validation_images=images))
    return PublishedScorer(made, ToySource(), Feasibility(whole, estimate, made.limits), folder, supernets)


def _score(scorer: PublishedScorer, genotype: Genotype, going: int = 10_000) -> Scores | None:
    calls = count()
    return scorer.score(genotype, report=lambda _: None, keep_going=lambda: next(calls) < going)


def _weights(folder: Path) -> bytes:
    return (folder / "published" / f"{FIRST.data.id}.npz").read_bytes()


@pytest.mark.parametrize(
    "changes",
    [{"supernet_steps": 0}, {"steps": 0}, {"validations": -1}, {"batch": 1}, {"rate": 0.0}, {"momentum": 1.0}],
)
def test_budgets_that_make_no_sense_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="at least"):
        PublishedSettings(**changes)


@pytest.mark.slow
def test_a_killed_search_comes_to_the_weights_and_scores_of_one_that_was_not(tmp_path: Path) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    wanted = [_score(_scorer(whole), genotype) for genotype in (FIRST, SECOND)]
    assert _score(_scorer(killed), FIRST, going=2) is None  # within the supernet, past a checkpoint
    assert _score(_scorer(killed), FIRST, going=3) is None  # within the candidate
    scorer = _scorer(killed)
    found = [_score(scorer, FIRST)]
    assert _score(scorer, SECOND, going=1) is None
    found.append(_score(scorer, SECOND))
    assert found == wanted
    assert _weights(killed) == _weights(whole)
    # A score that was given is not earned twice: the weights have moved on.
    assert _score(_scorer(killed), FIRST, going=0) == wanted[0]
    assert _weights(killed) == _weights(whole)


@pytest.mark.slow
def test_who_comes_before_changes_the_weights_and_the_full_network_is_shared_by_searches(tmp_path: Path) -> None:
    supernets = tmp_path / "supernets"
    _score(_scorer(tmp_path / "a", supernets=supernets), SECOND)
    trained = {file.name: file.stat().st_mtime_ns for file in supernets.iterdir()}
    b = _scorer(tmp_path / "b", supernets=supernets)
    _score(b, FIRST)
    assert {file.name: file.stat().st_mtime_ns for file in supernets.iterdir()} == trained
    with np.load(tmp_path / "a" / "published" / f"{FIRST.data.id}.npz") as one:
        alone = one["weights:stem/kernel"]
    _score(b, SECOND)
    with np.load(tmp_path / "b" / "published" / f"{FIRST.data.id}.npz") as other:
        assert not np.array_equal(other["weights:stem/kernel"], alone)
    _score(_scorer(tmp_path / "c", supernets=supernets, seed=2), FIRST)
    assert len(list(supernets.iterdir())) == 2


@pytest.mark.slow
def test_precision_and_recall_are_the_accuracy_on_the_images_asked_for(tmp_path: Path) -> None:
    scored = _score(_scorer(tmp_path, replace(SMALL, steps=1, validations=0), images=3), FIRST)
    assert scored is not None
    assert scored.accuracy == scored.precision == scored.recall
    assert scored.accuracy * 3 == pytest.approx(round(scored.accuracy * 3))


def test_the_wide_space_is_refused(tmp_path: Path) -> None:
    wide = next(iter(spaces.made("wide").corners(FIRST.data)))
    with pytest.raises(ValueError, match="published space"):
        _score(_scorer(tmp_path), wide)


@pytest.mark.slow
def test_a_masked_channel_passes_on_its_beta() -> None:
    network = PublishedNetwork(ENVELOPE, 2, seed=(1,), momentum=0.9)
    images = ToySource().view(Split.VALIDATION, FIRST.data).images[:4]
    state = network.state(optimizer=False)
    before = network.logits(images, FIRST)
    block = next(block for block in architecture(FIRST) if block.expands)
    state[f"weights:{block.name}/depthwise/beta"][block.hidden :] = 1
    network.restore(state)
    assert not np.array_equal(network.logits(images, FIRST), before)


@pytest.mark.slow
def test_subnets_have_no_residuals_and_the_full_network_has() -> None:
    network = PublishedNetwork(ENVELOPE, 2, seed=(1,), momentum=0.9)
    images = ToySource().view(Split.VALIDATION, FIRST.data).images[:4]
    state = network.state(optimizer=False)
    block = next(block for block in architecture(FIRST) if block.residual)
    for name in ("gamma", "beta"):
        state[f"weights:{block.name}/project/{name}"] *= 0
    network.restore(state)
    assert np.ptp(network.logits(images, FIRST), axis=0).max() == 0
    assert np.ptp(network.logits(images, ENVELOPE), axis=0).max() > 0


@pytest.mark.slow
def test_running_statistics_follow_with_the_momentum() -> None:
    network = PublishedNetwork(ENVELOPE, 2, seed=(1,), momentum=0.75)
    view = ToySource().view(Split.TRAIN, FIRST.data)
    targets = np.eye(2, dtype=np.float32)[view.labels[:8]]
    network.begin()
    loss, accuracy = network.train(view.images[:8], targets, FIRST, 0.0)
    assert loss > 0
    assert 0 <= accuracy <= 1
    pixels = view.images[:8].astype(np.float32) / 255
    state = network.state(optimizer=False)
    seen = tf_conv(pixels, state["weights:stem/kernel"])
    np.testing.assert_allclose(state["means:stem"], 0.25 * seen.mean(axis=(0, 1, 2)), atol=1e-5)


def tf_conv(pixels: Any, kernel: Any) -> Any:
    """A stride-2 convolution, by the library."""
    import tensorflow as tf

    return tf.nn.conv2d(pixels, kernel, 2, "SAME").numpy()
