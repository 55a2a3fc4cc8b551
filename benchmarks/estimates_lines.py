"""Lines of the estimates' table: one figure, what it was compared with, and whether its bar holds."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass

from sheets import Cell, Sheet, Verdict


@dataclass(frozen=True, kw_only=True)
class Line:
    """One comparison.

    Attributes:
        row: Which row of the table of bars: ``ram``, ``flash``, ``tflm`` or ``instructions``.
        item: What was estimated.
        board: On which board, or for which interpreter.
        network: Of which network.
        kind: Where that comes from: ``genotype`` (random weights), ``converted`` (by TensorFlow from Keras) or
            ``benchmark`` (benchmarks/models.py).
        estimated: The estimate.
        found: What it is held against.
        against: Where ``found`` comes from.
        bar: What is asked, in words.
        holds: Whether it does.
        mean: What the mean of all comparisons of the item on the board may be, as a part of what was found; their order
            must then be that of what was found too (Spearman's coefficient of :data:`ORDER`).
    """

    row: str
    item: str
    board: str
    network: str
    kind: str
    estimated: int
    found: int
    against: str
    bar: str
    holds: bool
    mean: float | None = None

    @property
    def difference(self) -> int:
        """Estimate minus what was found."""
        return self.estimated - self.found

    @property
    def relative(self) -> float:
        """The difference as a part of what was found."""
        return self.difference / max(self.found, 1)


#: What Spearman's coefficient must be, where a mean has a bar.
ORDER = 0.99
#: How many misses are listed; --json has all.
MOST_MISSES = 30
#: A bar: its words, and whether an estimate and what was found meet it.
Bar = tuple[str, Callable[[int, int], bool]]

EQUAL: Bar = ("equal", lambda estimated, found: estimated == found)


@dataclass(frozen=True)
class Group:
    """The comparisons of one item on one board with one source."""

    lines: tuple[Line, ...]

    @property
    def mean(self) -> float:
        """Mean of the absolute differences, as parts of what was found."""
        return sum(abs(line.relative) for line in self.lines) / len(self.lines)

    @property
    def order(self) -> float:
        """Spearman's coefficient: 1 where estimates stand in the order of what was found."""
        count = len(self.lines)
        if count < 3:
            return 1.0
        guessed = _ranks([line.estimated for line in self.lines])
        found = _ranks([line.found for line in self.lines])
        apart = sum((one - other) ** 2 for one, other in zip(guessed, found, strict=True))
        return 1 - 6 * apart / (count * (count**2 - 1))

    @property
    def holds(self) -> bool:
        """Whether every line does, and the mean and the order."""
        allowed = self.lines[0].mean
        return all(line.holds for line in self.lines) and (
            allowed is None or (self.mean <= allowed and self.order >= ORDER)
        )

    def row(self) -> tuple[Cell, ...]:
        """Its row of the summary."""
        first, lines = self.lines[0], self.lines
        missed = sum(not line.holds for line in lines)
        words = (
            "holds" if self.holds else f"{missed} of {len(lines)} miss" if missed else f"misses, order {self.order:.3f}"
        )
        return (
            f"{first.row}: {first.item}",
            first.board,
            first.against,
            first.bar,
            f"{len(lines)}",
            f"{min(line.difference for line in lines):+,}",
            f"{max(line.difference for line in lines):+,}",
            f"{self.mean:.3%}",
            f"{max(abs(line.relative) for line in lines):.3%}",
            Verdict(words, self.holds),
        )


def _ranks(values: Sequence[int]) -> list[int]:
    """The place of each among them all."""
    order = sorted(range(len(values)), key=values.__getitem__)
    ranks = [0] * len(values)
    for rank, index in enumerate(order):
        ranks[index] = rank
    return ranks


def groups(lines: Iterable[Line]) -> list[Group]:
    """The lines by row, item, source and board, in that order."""
    found: dict[tuple[str, str, str, str], list[Line]] = {}
    for line in lines:
        found.setdefault((line.row, line.item, line.against, line.board), []).append(line)
    order = list(dict.fromkeys((row, item, against) for row, item, against, _ in found))
    return [Group(tuple(of)) for key, of in sorted(found.items(), key=lambda pair: order.index(pair[0][:3]))]


def summary(lines: Iterable[Line]) -> Sheet:
    """One row a group."""
    columns = ("estimate", "board", "against", "bar", "compared", "least", "most", "mean", "worst", "")
    return Sheet(
        "Estimates against what was built and run", columns, tuple(group.row() for group in groups(lines)), texts=4
    )


def misses(lines: Iterable[Line]) -> Sheet:
    """The comparisons that miss their bars, those that are farthest off first; as many as a page takes."""
    missed = sorted((line for line in lines if not line.holds), key=lambda line: -abs(line.relative))
    rows = tuple(
        (
            f"{line.row}: {line.item}",
            line.board,
            line.network,
            line.bar,
            f"{line.estimated:,}",
            f"{line.found:,}",
            Verdict(f"{line.difference:+,} ({line.relative:+.2%})", False),
        )
        for line in missed[:MOST_MISSES]
    )
    left = f", the worst {MOST_MISSES} of {len(missed)}" if len(missed) > MOST_MISSES else ""
    return Sheet(
        f"Bars that are missed{left}", ("estimate", "board", "network", "bar", "estimated", "found", ""), rows, 4
    )


def as_json(lines: Iterable[Line]) -> list[dict[str, object]]:
    """The lines for programs."""
    return [asdict(line) | {"difference": line.difference} for line in lines]
