"""Energy of an inference from a power monitor's trace: which columns a file has, which windows, what is in them.

The monitor is not driven from here: a lab records with its own program, and exports a CSV.
"""

from __future__ import annotations

from pipeline.device.power.formats import FORMATS, Columns, TraceFormat, recognise
from pipeline.device.power.measuring import EnergyMeasurement, Spread, measure
from pipeline.device.power.reading import Options, Sample, Trace
from pipeline.device.power.windows import Between, High, Rule, Window, above, marked

__all__ = [
    "FORMATS",
    "Between",
    "Columns",
    "EnergyMeasurement",
    "High",
    "Options",
    "Rule",
    "Sample",
    "Spread",
    "Trace",
    "TraceFormat",
    "Window",
    "above",
    "marked",
    "measure",
    "recognise",
]
