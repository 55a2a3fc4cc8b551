"""Which item of an estimate differs most from the link map's."""

from __future__ import annotations

from pipeline.estimate.itemised import differences, largest
from pipeline.estimate.model import Item


def _item(name: str, **parts: int) -> Item:
    return Item(
        name=name,
        bytes=sum(parts.values()),
        parts=tuple(Item(name=part, bytes=size) for part, size in parts.items()),
    )


_ESTIMATED = (_item("model", weights=1000, schedule=40), _item("kernels", conv=700, add=100), _item("port", all=5000))


def test_the_item_and_its_part_are_named() -> None:
    found = (_item("model", weights=1000, schedule=38), _item("kernels", conv=720, add=101), _item("port", board=5001))
    assert differences(_ESTIMATED, found) == {"model": 2, "kernels": -21, "port": -1}
    assert largest(_ESTIMATED, found) == "largest difference: kernels, estimate -21 B; of it conv -20 B"


def test_items_of_one_side_alone_count_as_well() -> None:
    found = (*_ESTIMATED, _item("libraries", gcc=750))
    assert largest(_ESTIMATED, found) == "largest difference: libraries, estimate -750 B"
    assert largest((*_ESTIMATED, _item("worst", kernels=900)), _ESTIMATED).startswith(
        "largest difference: worst, estimate +900 B"
    )


def test_nothing_differs() -> None:
    assert largest(_ESTIMATED, _ESTIMATED) == largest((), ()) == "no item differs"
