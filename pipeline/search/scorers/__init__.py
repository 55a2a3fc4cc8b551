"""How candidates are scored, by name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.datasets import DatasetSource
from pipeline.search.feasibility import Feasibility
from pipeline.search.scorers.naive import NaiveScorer, NaiveSettings
from pipeline.search.scorers.protocol import Scorer
from pipeline.search.scorers.published import PublishedScorer, PublishedSettings
from pipeline.search.scorers.supernet import SupernetScorer

if TYPE_CHECKING:
    from pipeline.search.config import SearchConfig

__all__ = ["NAMES", "NaiveSettings", "PublishedSettings", "Scorer", "SupernetScorer", "make"]

#: The configuration, the images, the limits and the search's folder give a scorer.
_Maker = Callable[["SearchConfig", DatasetSource, Feasibility, Path, "Path | None"], Scorer]

_MAKERS: dict[str, _Maker] = {
    SupernetScorer.name: SupernetScorer,
    NaiveScorer.name: NaiveScorer,
    PublishedScorer.name: PublishedScorer,
}

NAMES = tuple(_MAKERS)


def make(
    config: SearchConfig, source: DatasetSource, feasibility: Feasibility, folder: Path, supernets: Path | None = None
) -> Scorer:
    """The scorer that a search asks for.

    Args:
        config: Says which one (``config.scorer``), and how it scores.
        source: The images; only train and validation are looked at.
        feasibility: Which genotypes may be asked for.
        folder: The search's own folder.
        supernets: A folder of supernets that several searches share; None: ``supernets`` in the search's own.
    """
    return _MAKERS[config.scorer](config, source, feasibility, folder, supernets)
