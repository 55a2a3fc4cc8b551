"""How memory is counted, and what limits admit."""

from __future__ import annotations

from search_toy import MONO, RGB, SPACE

from pipeline.boards import Board
from pipeline.estimate.published import published
from pipeline.experiments import places
from pipeline.experiments.places import Profile
from pipeline.graph.skeleton import from_genotype

AOT = places.exact((48, 384))[0]


def test_the_published_model_is_the_published_formulas(board: Board) -> None:
    estimate = places.estimator(places.PUBLISHED[0], board, 2)
    for genotype in SPACE.of(RGB):
        wanted = published(from_genotype(genotype, 2))
        found = estimate(genotype)
        assert (found.ram_bytes, found.flash_bytes) == (wanted.ram_bytes, wanted.flash_bytes)
        assert found.macs > 0
        assert found.latency is None


def test_the_exact_plan_is_timed_on_demand_alone(board: Board) -> None:
    genotype = next(iter(SPACE.of(RGB)))
    plain = places.estimator(AOT, board, 2)(genotype)
    timed = places.estimator(AOT, board, 2, timed=True)(genotype)
    assert plain.latency is None
    assert timed.latency is not None
    assert (timed.ram_bytes, timed.flash_bytes) == (plain.ram_bytes, plain.flash_bytes)
    assert plain.ram_bytes < places.estimator(places.PUBLISHED[0], board, 2)(genotype).ram_bytes


def test_the_share_that_limits_admit_is_said_by_data_configuration(board: Board) -> None:
    profile = Profile("aot", 6_300, 128 * 1024)
    shares = places.admitted(SPACE, places.estimator(profile, board, 2), profile.limits())
    assert shares[MONO.id] == 1
    assert 0 < shares[RGB.id] < 1
    assert shares["all"] == (shares[MONO.id] + shares[RGB.id]) / 2


def test_profiles_have_names_for_files_and_titles_for_people() -> None:
    profile = Profile("aot", 32 * 1024, 256 * 1024)
    assert profile.name == "aot-32k-256k"
    assert profile.title == "32 kB RAM, 256 kB flash (exact plan)"
    assert profile.limits(5.0).latency_ms == 5.0
