"""The networks of the estimates' table: random genotypes, some as TensorFlow converts them, and the benchmark's own."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import models
import numpy as np

from pipeline.boards import Board
from pipeline.estimate import estimate
from pipeline.estimate.model import InputMode, Limits, Prefer
from pipeline.files import write_atomic
from pipeline.genotype import Genotype
from pipeline.graph.filling import filled_bytes
from pipeline.graph.model import Graph
from pipeline.graph.skeleton import from_genotype
from pipeline.job.deploying import Recipe
from pipeline.search.space import full

#: Classes of a random genotype's head.
CLASSES = 2
#: The network of the benchmark whose input is no image: there are no rows to stream.
_NO_ROWS = "autoencoder_640"
_BALANCED = Recipe()


@dataclass(frozen=True, kw_only=True)
class Subject:
    """A network that is estimated, built and run.

    Attributes:
        name: For tables.
        kind: As :attr:`estimates_lines.Line.kind`.
        content: Gives the bytes of its .tflite.
        shapes: Its skeleton, where it is a genotype's.
        recipe: How it is made into a program.
    """

    name: str
    kind: str
    content: Callable[[], bytes]
    shapes: Graph | None = None
    recipe: Recipe = _BALANCED


def genotypes(boards: Sequence[Board], count: int, seed: int) -> tuple[Genotype, ...]:
    """Different random genotypes of the whole space that fit every board; the same ones for the same arguments."""
    rng, space = np.random.default_rng(seed), full()
    found: dict[Genotype, None] = {}
    while len(found) < count:
        genotype = space.random(rng)
        if all(_fits(genotype, board) for board in boards):
            found[genotype] = None
    return tuple(found)


def _fits(genotype: Genotype, board: Board) -> bool:
    limits = Limits(ram_bytes=board.ram_bytes, flash_bytes=board.flash_bytes)
    return limits.admits(estimate(from_genotype(genotype, CLASSES), board))


def subjects(
    chosen: Sequence[Genotype], *, seed: int, conversions: int, names: Sequence[str], folder: Path
) -> Iterator[Subject]:
    """The genotypes with random weights, some of them as converted too, and the benchmark's networks.

    Args:
        chosen: The genotypes.
        seed: Of their weights.
        conversions: How many are converted, those with the smallest inputs.
        names: The benchmark's networks.
        folder: Where converted files and the benchmark's networks are kept.
    """
    for genotype in chosen:
        shapes = from_genotype(genotype, CLASSES)
        yield Subject(name=genotype.id, kind="genotype", content=partial(filled_bytes, shapes, seed), shapes=shapes)
    for genotype in sorted(chosen, key=lambda one: (one.data, one.id))[:conversions]:
        yield Subject(
            name=genotype.id,
            kind="converted",
            content=partial(converted, genotype, seed, folder / "converted"),
            shapes=from_genotype(genotype, CLASSES),
        )
    for name, path in (models.make(folder / "models", names) if names else {}).items():
        yield Subject(name=name, kind="benchmark", content=path.read_bytes)
        if name != _NO_ROWS:
            recipe = Recipe(prefer=Prefer.RAM, input_mode=InputMode.STREAMED)
            yield Subject(name=f"{name}, streamed", kind="benchmark", content=path.read_bytes, recipe=recipe)


def converted(genotype: Genotype, seed: int, folder: Path) -> bytes:
    """The .tflite that a search would leave of a genotype with random weights; converted once (some seconds)."""
    path = folder / f"{genotype.id}-{seed}.tflite"
    if not path.is_file():
        from pipeline import quantize
        from pipeline.search import layers, subnet

        rng = np.random.default_rng([seed, genotype.seed])
        weights = layers.initial(layers.parameters(genotype, CLASSES), (seed,))
        for name, values in weights.items():
            if not name.endswith("kernel"):
                weights[name] = values + rng.normal(0, 0.2, values.shape).astype(np.float32)
        pictures = (255 * models.pictures(16, genotype.data.shape, rng)).astype(np.uint8)
        folder.mkdir(parents=True, exist_ok=True)
        write_atomic(path, quantize.convert(subnet.settle(weights, genotype, CLASSES, pictures), pictures))
    return path.read_bytes()
