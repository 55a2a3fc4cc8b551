from __future__ import annotations

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.datasets.splitting import THREE_WAYS, TWO_WAYS, assign
from pipeline.datasets.values import Split

rows = st.lists(st.tuples(st.sampled_from("abcdefghijklmnop"), st.integers(0, 3)), min_size=1, max_size=120)
seeds = st.integers(0, 2**32)
shares = st.sampled_from([THREE_WAYS, TWO_WAYS])


@settings(max_examples=50)
@given(rows, seeds, shares, st.randoms())
def test_covers_every_group_once_whatever_the_order_of_the_files(rows, seed, shares, shuffler) -> None:  # type: ignore[no-untyped-def]
    first = assign([group for group, _ in rows], [label for _, label in rows], shares=shares, seed=seed)
    assert set(first) == {group for group, _ in rows}
    assert set(first.values()) <= set(shares)
    shuffled = list(rows)
    shuffler.shuffle(shuffled)
    assert assign([group for group, _ in shuffled], [label for _, label in shuffled], shares=shares, seed=seed) == first


@settings(max_examples=50)
@given(st.lists(st.integers(3, 30), min_size=2, max_size=5), st.integers(1, 9), seeds)
def test_every_split_gets_every_class_that_has_a_group_for_each(counts: list[int], size: int, seed: int) -> None:
    groups, labels = [], []
    for label, count in enumerate(counts):
        for number in range(count):
            groups += [f"{label}-{number}"] * size
            labels += [label] * size
    splits = assign(groups, labels, shares=THREE_WAYS, seed=seed)
    held = {(splits[group], label) for group, label in zip(groups, labels, strict=True)}
    assert held == {(split, label) for split in Split for label in range(len(counts))}


@settings(max_examples=50)
@given(st.lists(st.integers(20, 200), min_size=2, max_size=4), seeds)
def test_single_images_come_in_the_wanted_shares(counts: list[int], seed: int) -> None:
    labels = [label for label, count in enumerate(counts) for _ in range(count)]
    groups = [str(row) for row in range(len(labels))]
    splits = assign(groups, labels, shares=THREE_WAYS, seed=seed)
    got = Counter((splits[group], label) for group, label in zip(groups, labels, strict=True))
    for label, count in enumerate(counts):
        for split, share in THREE_WAYS.items():
            assert abs(got[split, label] - share * count) <= 1


def test_seed_draws_the_split() -> None:
    groups = [str(number) for number in range(60)]
    first, second = (assign(groups, [0, 1] * 30, shares=THREE_WAYS, seed=seed) for seed in (0, 1))
    assert first != second


def test_nothing_to_split() -> None:
    assert assign([], [], shares=THREE_WAYS, seed=0) == {}
