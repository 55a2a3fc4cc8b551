"""Groups of images into splits: by seed, in the wanted shares, never tearing a group."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np

from pipeline.datasets.values import Split

#: Shares where a folder has no splits of its own, and where it only lacks a validation split.
THREE_WAYS: Mapping[Split, float] = {Split.TRAIN: 0.70, Split.VALIDATION: 0.15, Split.TEST: 0.15}
TWO_WAYS: Mapping[Split, float] = {Split.TRAIN: 0.85, Split.VALIDATION: 0.15}


def assign(
    groups: Sequence[str], labels: Sequence[int], *, shares: Mapping[Split, float], seed: int
) -> dict[str, Split]:
    """Give each group a split.

    First every split gets a group of every class, as long as there are any; then the groups go, the large ones first,
    each to the split that lacks most of what the group holds. With groups of one image that is a plain stratified
    split. The order among equals is drawn from the seed alone, so the answer depends neither on the order of the files
    nor on the file system.

    Args:
        groups: The group of each image.
        labels: The class of each image, from 0.
        shares: What part of the images each split should get; adds up to 1.
        seed: Draws the order.

    Returns:
        The split of each group; every group is in it once.
    """
    classes = max(labels, default=-1) + 1
    contents: dict[str, np.ndarray[tuple[int], np.dtype[np.float64]]] = defaultdict(lambda: np.zeros(classes))
    for group, label in zip(groups, labels, strict=True):
        contents[group][label] += 1
    names = sorted(contents)
    order = [names[index] for index in np.random.default_rng(seed).permutation(len(names))]
    by_size = sorted(order, key=lambda group: contents[group].sum())  # stable: the drawn order among equals

    totals = sum(contents.values(), np.zeros(classes))
    lacking = {split: share * totals for split, share in shares.items()}
    held = {split: np.zeros(classes) for split in shares}
    chosen: dict[str, Split] = {}

    def give(group: str, split: Split) -> None:
        chosen[group] = split
        lacking[split] -= contents[group]
        held[split] += contents[group]

    rarest_first = sorted(range(classes), key=lambda label: sum(bool(content[label]) for content in contents.values()))
    for label in rarest_first:
        for split in shares:
            if not held[split][label]:
                candidates = (group for group in by_size if group not in chosen and contents[group][label])
                first = next(candidates, None)
                if first is not None:
                    give(first, split)
    for group in reversed(by_size):
        if group not in chosen:
            weight = contents[group] / np.maximum(totals, 1)
            give(group, max(shares, key=lambda split: float(weight @ lacking[split])))
    return chosen
