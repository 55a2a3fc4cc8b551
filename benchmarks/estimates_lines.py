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

    @property
    def difference(self) -> int:
        """Estimate minus what was found."""
        return self.estimated - self.found

    @property
    def relative(self) -> float:
        """The difference as a part of what was found."""
        return self.difference / max(self.found, 1)


#: How many misses are listed; --json has all.
MOST_MISSES = 30
#: A bar: its words, and whether an estimate and what was found meet it.
Bar = tuple[str, Callable[[int, int], bool]]

EQUAL: Bar = ("equal", lambda estimated, found: estimated == found)


def _row(title: str, of: Sequence[Line]) -> tuple[Cell, ...]:
    """A row of the summary: how many comparisons, the least and the largest difference, how many miss the bar."""
    missed = sum(not line.holds for line in of)
    worst = max((abs(line.relative) for line in of), default=0.0)
    mean = sum(abs(line.relative) for line in of) / max(len(of), 1)
    return (
        title,
        of[0].board,
        of[0].against,
        of[0].bar,
        f"{len(of)}",
        f"{min(line.difference for line in of):+,}",
        f"{max(line.difference for line in of):+,}",
        f"{mean:.3%}",
        f"{worst:.3%}",
        Verdict("holds" if not missed else f"{missed} of {len(of)} miss", not missed),
    )


def summary(lines: Iterable[Line]) -> Sheet:
    """One row a figure and board."""
    groups: dict[tuple[str, str, str, str, str], list[Line]] = {}
    for line in lines:
        groups.setdefault((line.row, line.item, line.against, line.bar, line.board), []).append(line)
    rows = tuple(_row(f"{of[0].row}: {of[0].item}", of) for of in groups.values())
    columns = ("estimate", "board", "against", "bar", "compared", "least", "most", "mean", "worst", "")
    return Sheet("Estimates against what was built and run", columns, rows, texts=4)


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
