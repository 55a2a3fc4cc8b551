"""What experiments reckon with: how RAM and flash are counted, which limits a device profile has, and what it excludes.

Two RAM models. ``published`` is that of arXiv 2502.12690: the most bytes that one layer reads and writes, and a byte a
parameter; its three profiles stand beside the paper's. ``aot`` is the exact memory plan of the firmware that would run;
streamed row by row it needs far less RAM, so that the paper's profiles exclude hardly anything, and limits that bind
were chosen instead, those that exclude 30 to 70 % of a scale's space: every journal has the shares
(:func:`admitted`), and ``danas-deploy space`` gives them for any board.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from pipeline.estimate.macs import macs
from pipeline.estimate.model import Estimate, InputMode, Item, Limits, Prefer
from pipeline.estimate.published import published
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


@dataclass(frozen=True, kw_only=True)
class Profiles:
    """The device profiles of a scale.

    Attributes:
        published: Three counted by the published formulas, the largest first.
        aot: Three counted by the exact plan, the largest first; their limits bind.
        compared: One of each kind, where arms are compared with each other.
    """

    published: tuple[Profile, ...]
    aot: tuple[Profile, ...]
    compared: tuple[Profile, Profile]

    @property
    def exact(self) -> Profile:
        """That of the exact plan in which arms are compared."""
        return self.compared[1]

    @property
    def all(self) -> tuple[Profile, ...]:
        """Every one."""
        return (*self.published, *self.aot)


#: Those of the paper.
PUBLISHED = (
    Profile("published", 512 * _K, 2048 * _K),
    Profile("published", 256 * _K, 1024 * _K),
    Profile("published", 128 * _K, 512 * _K),
)


def exact(*limits: tuple[int, int]) -> tuple[Profile, ...]:
    """Profiles of the exact plan with so many kB of RAM and flash."""
    return tuple(Profile("aot", ram * _K, flash * _K) for ram, flash in limits)


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


def admitted(space: Space, estimate: Estimator, limits: Limits) -> dict[str, float]:
    """The share of a space that is within the limits, over all and a data configuration, by a fixed sample."""
    rng = np.random.default_rng(0)
    each = max(1, SAMPLED // len(space.data))
    # Drawn with repetitions, but a small space has few designs.
    admits = functools.cache(lambda genotype: limits.admits(estimate(genotype)))
    found = {data.id: float(np.mean([admits(space.random(rng, data)) for _ in range(each)])) for data in space.data}
    return {"all": float(np.mean(list(found.values()))), **found}
