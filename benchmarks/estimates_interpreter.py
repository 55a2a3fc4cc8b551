"""The interpreter's arena for the estimates' table, against the ``tflite-micro`` package."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import estimates_tflm
from estimates_lines import EQUAL, Bar, Line
from estimates_networks import CLASSES

from pipeline.genotype import Genotype
from pipeline.graph.filling import filled
from pipeline.graph.skeleton import from_genotype

#: By figure.
_BARS: dict[str, Bar] = {
    "head": EQUAL,
    "total": ("≤ 1 %, never under", lambda guess, found: found <= guess <= 1.01 * found),
}


def tflm_lines(folder: Path, genotypes: Sequence[Genotype], seed: int) -> Iterator[Line]:
    """Head and total of the arena of single operators, networks of the space, and the .tflite files of a folder.

    Args:
        folder: Of the .tflite files.
        genotypes: Further networks, with random weights.
        seed: Of those weights.
    """
    further = ((one.id, filled(from_genotype(one, CLASSES), seed)) for one in genotypes)
    for row in estimates_tflm.rows(folder, further):
        words, holds = _BARS[row.figure]
        yield Line(
            row="tflm",
            item=f"arena, {row.figure}",
            board="64-bit host",
            network=row.model,
            kind="benchmark" if (folder / f"{row.model}.tflite").is_file() else "genotype",
            estimated=row.estimated,
            found=row.found,
            against=row.source,
            bar=words,
            holds=holds(row.estimated, row.found),
        )
