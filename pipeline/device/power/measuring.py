"""From a trace to the energy of an inference, with what it takes to check the figure: file, hash, rule, windows."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from statistics import median
from typing import Literal

from pydantic import BaseModel, ConfigDict

from pipeline.device.power.reading import Options, Trace
from pipeline.device.power.windows import Rule
from pipeline.errors import UsageError, printable
from pipeline.figures import Figure, Source

#: More windows than anybody records inferences: the rule sees noise.
MOST_WINDOWS = 100_000


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Spread(_Frozen):
    """A quantity of one inference, over all windows."""

    min: float
    median: float
    max: float


class EnergyMeasurement(_Frozen):
    """What a trace says of an inference.

    Attributes:
        trace: The file's name, without its folder.
        sha256: Of the file.
        format: What it was read as.
        samples: How many rows it has.
        rule: What was taken for an inference, in words.
        windows: How many there were.
        inferences: How many inferences each window holds.
        volts: The supply voltage that the user gave; None: the trace's own voltage or power.
        millijoules, milliseconds: Of one inference.
        microcoulombs: Its charge; None where the trace has no current.
        build: Of the program that the board ran, as the user says by naming its run; empty where there was none yet.
    """

    schema_version: Literal[1] = 1
    trace: str
    sha256: str
    format: str
    samples: int
    rule: str
    windows: int
    inferences: int
    volts: float | None
    millijoules: Spread
    milliseconds: Spread
    microcoulombs: Spread | None
    build: str = ""

    @property
    def source(self) -> str:
        """The source in one line, as it is shown beside the figure."""
        return f"measured (trace {self.trace}, sha256 {self.sha256})"

    @property
    def figure(self) -> Figure:
        """The median energy of an inference."""
        return Figure(value=self.millijoules.median, unit="mJ", source=Source.MEASURED)


def measure(path: Path, options: Options, rule: Rule, *, inferences: int = 1) -> EnergyMeasurement:
    """Read a trace once and integrate what a rule finds in it.

    Args:
        path: The CSV.
        options: What the user says about it.
        rule: What counts as a window.
        inferences: Inferences in each window.

    Raises:
        UsageError: ``no-window``, and what :meth:`Trace.samples` raises.
    """
    trace = Trace(path, options)
    samples = trace.samples()
    found = list(islice(rule.windows(samples), MOST_WINDOWS + 1))
    if len(found) > MOST_WINDOWS:
        raise UsageError(
            "no-window",
            f"{printable(path)} has more than {MOST_WINDOWS:,} windows {rule.text}",
            why="That is noise around the threshold, or a clock on the channel.",
            next="Take another --threshold or --marker, or --least 1ms.",
        )
    for _ in samples:  # what a rule has left unread is checked and hashed all the same
        pass
    if not found:
        raise UsageError(
            "no-window",
            f"{printable(path)} has no window {rule.text}",
            why=f"None of its {trace.count:,} samples begins one, or none that begins also ends in the trace.",
            next="Look at the trace in the monitor's program; take another --marker or --threshold, or --from, --to.",
        )
    charges = [window.coulombs for window in found if window.coulombs is not None]
    return EnergyMeasurement(
        trace=printable(path.name),
        sha256=trace.sha256,
        format=trace.format,
        samples=trace.count,
        rule=rule.text,
        windows=len(found),
        inferences=inferences,
        volts=options.volts,
        millijoules=_spread([1e3 * window.joules / inferences for window in found]),
        milliseconds=_spread([1e3 * (window.end - window.begin) / inferences for window in found]),
        microcoulombs=_spread([1e6 * charge / inferences for charge in charges]) if charges else None,
    )


def _spread(values: list[float]) -> Spread:
    return Spread(min=min(values), median=median(values), max=max(values))
