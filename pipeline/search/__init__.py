"""Data-aware architecture search: space, supernets, fitness, samplers, study.

Importing this package imports no TensorFlow; :func:`run` does, when it trains.
"""

from __future__ import annotations

from pipeline.search.candidate import Candidate
from pipeline.search.config import ScoringSettings, SearchConfig, full, quick
from pipeline.search.engine import SearchResult, run
from pipeline.search.feasibility import analytic
from pipeline.search.fitness import Fitness, Scores
from pipeline.search.objectives import Objectives
from pipeline.search.progress import Phase, Progress
from pipeline.search.samplers import Evolution
from pipeline.search.scorers import NaiveSettings, PublishedSettings
from pipeline.search.space import PaperSpace, Space
from pipeline.search.training import TrainingSettings
from pipeline.search.wide import WideSpace

__all__ = [
    "Candidate",
    "Evolution",
    "Fitness",
    "NaiveSettings",
    "Objectives",
    "PaperSpace",
    "Phase",
    "Progress",
    "PublishedSettings",
    "Scores",
    "ScoringSettings",
    "SearchConfig",
    "SearchResult",
    "Space",
    "TrainingSettings",
    "WideSpace",
    "analytic",
    "full",
    "quick",
    "run",
]
