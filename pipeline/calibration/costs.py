"""The table of costs: what each part of a kernel takes, fitted to stages that the firmware has counted.

Each model of costs_probes.py becomes a program; of a few inferences on the device the median of each stage is taken.
How often the parts of a kernel run in a stage is known from its shapes (pipeline/estimate/cost), so least squares give
what one run takes.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median

import numpy as np

from pipeline.calibration.costs_fit import fit
from pipeline.calibration.costs_probes import models
from pipeline.calibration.workshop import Workshop, compiler, flags
from pipeline.calibration.writing import toml
from pipeline.estimate.cost.counts import counts
from pipeline.estimate.cost.prediction import around
from pipeline.estimate.cost.schedule import runs
from pipeline.estimate.cost.table import SUFFIX, CostTable, Spread
from pipeline.estimate.cost.terms import Terms
from pipeline.estimate.kernels import kernel_name
from pipeline.estimate.planner import plan
from pipeline.firmware.details import details
from pipeline.graph.inputs import random_inputs
from pipeline.graph.model import Graph

#: Inferences of each program on a board, whose cycles vary a little; instructions do not.
_REPEATS = 5
_DIGITS = 4
#: A table's source where its board was emulated.
EMULATED = "emulated instructions"
_CLEARING = "inference.stage"
_COMMENT = (
    "What each part of our kernels takes, by processor and compiler, and how far the stages that were measured are",
    "from the sums that these prices give. pipeline/estimate/cost counts how often a part runs.",
)


@dataclass(frozen=True)
class Sample:
    """A stage that has been measured: its kernel, the runs of its parts, and what it took."""

    kernel: str
    terms: Terms
    count: float


class CostsPart:
    """Costs; see :class:`~pipeline.calibration.part.Part`."""

    name, suffix = "costs", SUFFIX

    def measure(self, workshop: Workshop, say: Callable[[str], None]) -> str:
        """Build and run every probe, and fit the prices; the table's text."""
        return toml(_COMMENT, measure(workshop, say))


def measure(workshop: Workshop, say: Callable[[str], None]) -> CostTable:
    """Build and run every probe, and fit the prices."""
    samples: list[Sample] = []
    clock, source = 0, ""
    for number, graph in enumerate(models(), start=1):
        clock, source, found = _measured(workshop, graph)
        samples += found
        say(f"program {number}, {len(found) - 1} stages")
    prices, spread = fitted(samples)
    return CostTable(
        schema_version=1,
        cpu=workshop.board.core.cpu,
        board=workshop.board.name,
        compiler=compiler(),
        flags=flags(workshop.board),
        clock_hz=clock,
        date=datetime.datetime.now(datetime.UTC).date().isoformat(),
        source=source,
        unit="instructions" if workshop.target.emulate else "cycles",
        spread=spread,
        prices=prices,
    )


def fitted(samples: list[Sample]) -> tuple[dict[str, dict[str, float]], dict[str, Spread]]:
    """(prices, spread by kernel), as a table has them."""
    names = sorted({name for sample in samples for name in sample.terms})
    matrix = np.array([[sample.terms.get(name, 0) for name in names] for sample in samples], float)
    values = np.array([sample.count for sample in samples], float)
    found = np.round(fit(matrix, values), _DIGITS)
    prices: dict[str, dict[str, float]] = {}
    for name, price in zip(names, found, strict=True):
        group, _, part = name.partition(".")
        prices.setdefault(group, {})[part] = float(price)
    residuals = np.abs(matrix @ found / values - 1)
    kernels: dict[str, list[float]] = {}
    for sample, residual in zip(samples, residuals, strict=True):
        kernels.setdefault(sample.kernel, []).append(float(residual))
    spread = {
        kernel: Spread(
            stages=len(those), mean=round(sum(those) / len(those), _DIGITS), worst=round(max(those), _DIGITS)
        )
        for kernel, those in sorted(kernels.items())
    }
    return prices, spread


def _measured(workshop: Workshop, graph: Graph) -> tuple[int, str, list[Sample]]:
    """(clock in Hz, where it was measured, a Sample for each stage and one for the rest of the inference)."""
    firmware = workshop.build(graph)
    memory = plan(graph)
    data = random_inputs(graph.input, 1, seed=0)[0].tobytes()
    totals: list[int] = []
    stages: list[list[int]] = []
    with workshop.running(graph, firmware) as (session, device):
        for _ in range(1 if workshop.target.emulate else _REPEATS):
            totals.append(session.infer_on(data))
            stages.append([one.cycles for one in session.ops()])
        clock = session.identity().clock_hz
        source = EMULATED
        if not device.device.emulated:
            source = f"measured on serial {device.device.serial_number or device.device.port}"
    found = details(graph, memory)
    measured = [median(values) for values in zip(*stages, strict=True)]
    samples = [
        Sample(kernel_name(graph, run.stage), counts(graph, run, found), count)
        for run, count in zip((run for segment in memory.segments for run in runs(segment)), measured, strict=True)
    ]
    rest = around(graph, len(samples))
    # The executor clears its counters when the first stage's time has begun.
    first = samples[0]
    samples[0] = Sample(first.kernel, Terms({**first.terms, _CLEARING: rest.pop(_CLEARING)}), first.count)
    samples.append(Sample("inference", rest, median(totals) - sum(measured)))
    return clock, source, samples
