"""What experiments reckon with: how RAM and flash are counted, which limits a device profile has, and what it excludes.

Two RAM models. ``published`` is that of arXiv 2502.12690: the most bytes that one layer reads and writes, and a byte a
parameter; its three profiles stand beside the paper's. ``aot`` is the exact memory plan of the firmware that would run;
streamed row by row it needs far less RAM, so that the paper's profiles exclude hardly anything, and limits that bind
were chosen instead: those with which about a third to two thirds of the small scale's space is feasible
(``danas-deploy experiment`` writes the share into each journal, and ``danas-deploy space`` gives it for any board).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from pipeline.estimate.macs import macs
from pipeline.estimate.model import Estimate, InputMode, Item, Limits, Prefer
from pipeline.estimate.published import published
from pipeline.genotype import DataConfig, Genotype
from pipeline.graph.skeleton import from_genotype
from pipeline.search.feasibility import Estimator, analytic
from pipeline.search.space import Space

if TYPE_CHECKING:
    from pipeline.boards import Board
    from pipeline.graph.model import Graph

RamModel = Literal["published", "aot"]
_K = 1024
#: Designs whose feasibility is looked at to say which share of a space a profile admits.
SAMPLED = 400


@dataclass(frozen=True)
class Profile:
    """A device: how its memory is counted, and how much it has, in bytes."""

    ram_model: RamModel
    ram_bytes: int
    flash_bytes: int

    @property
    def name(self) -> str:
        """For example ``aot-32k-256k``; names files."""
        return f"{self.ram_model}-{self.ram_bytes // _K}k-{self.flash_bytes // _K}k"

    @property
    def title(self) -> str:
        """For tables."""
        counted = "published formulas" if self.ram_model == "published" else "exact plan"
        return f"{self.ram_bytes // _K} kB RAM, {self.flash_bytes // _K} kB flash ({counted})"

    def limits(self, latency_ms: float | None = None) -> Limits:
        """What a design may need."""
        return Limits(ram_bytes=self.ram_bytes, flash_bytes=self.flash_bytes, latency_ms=latency_ms)


#: The published device profiles, the largest first.
PUBLISHED = (
    Profile("published", 512 * _K, 2048 * _K),
    Profile("published", 256 * _K, 1024 * _K),
    Profile("published", 128 * _K, 512 * _K),
)
#: Limits of the exact plan that bind, the largest first.
AOT = (
    Profile("aot", 48 * _K, 512 * _K),
    Profile("aot", 32 * _K, 256 * _K),
    Profile("aot", 24 * _K, 128 * _K),
)
#: Where the data-aware search is compared with the hardware-aware one: the tightest published one, the middle one here.
COMPARED = (PUBLISHED[2], AOT[1])


def estimator(profile: Profile, board: Board, classes: int, *, timed: bool = False) -> Estimator:
    """What a genotype needs, as the profile counts it.

    Args:
        profile: Counts RAM and flash.
        board: Whose plan, tables and clock count; of no importance to the published formulas.
        classes: Outputs of the network.
        timed: Also predict the work and model the time of an inference on the board.
    """
    if profile.ram_model == "published":
        return lambda genotype: _published(from_genotype(genotype, classes))
    return analytic(board, classes, of=_timed(profile) if timed else _planned(profile))


def _published(graph: Graph) -> Estimate:
    found = published(graph)
    return Estimate(
        ram=(Item(name="activations", bytes=found.ram_bytes),),
        flash=(Item(name="parameters", bytes=found.flash_bytes),),
        stack_reserve=0,
        macs=macs(graph),
    )


def _planned(profile: Profile) -> Callable[[Graph, Board], Estimate]:
    from pipeline.estimate.estimator import Planned

    return Planned(ram_bytes=profile.ram_bytes)


def _timed(profile: Profile) -> Callable[[Graph, Board], Estimate]:
    from pipeline.estimate.latency import timed
    from pipeline.firmware.runtimes import open_runtime

    runtime = open_runtime("aot")

    def figures(graph: Graph, board: Board) -> Estimate:
        plan = runtime.plan(
            graph, board, prefer=Prefer.BALANCED, ram_bytes=profile.ram_bytes, input_mode=InputMode.RESIDENT
        )
        return timed(runtime.estimate(graph, board, plan), runtime.predict(graph, board, plan), board)

    return figures


def only(estimate: Estimator, data: tuple[DataConfig, ...]) -> Estimator:
    """An estimator by which nothing but these data configurations can be feasible.

    The search then holds them fixed, while space and supernets stay those of every other arm.
    """

    def figures(genotype: Genotype) -> Estimate:
        if genotype.data in data:
            return estimate(genotype)
        return Estimate(ram=(Item(name="excluded", bytes=_NEVER),), flash=(), stack_reserve=0, macs=0)

    return figures


#: More RAM than any limit allows.
_NEVER = 2**62


def admitted(space: Space, estimate: Estimator, limits: Limits) -> dict[str, float]:
    """The share of a space that is within the limits, over all and a data configuration, by a fixed sample."""
    rng = np.random.default_rng(0)
    each = max(1, SAMPLED // len(space.data))
    found = {
        data.id: float(np.mean([limits.admits(estimate(space.random(rng, data))) for _ in range(each)]))
        for data in space.data
    }
    return {"all": float(np.mean(list(found.values()))), **found}
