"""A measured trace put into a run: it takes the place of the modelled energy in the report."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import ValidationError

from pipeline.errors import printable
from pipeline.runs import missing

if TYPE_CHECKING:
    from pipeline.device.power import EnergyMeasurement
    from pipeline.runs import Run

FILE = "energy.json"


def store(run: Run, found: EnergyMeasurement) -> EnergyMeasurement:
    """Leave what a trace says in the run, with the build that it belongs to; a later trace replaces it."""
    found = found.model_copy(update={"build": _build(run)})
    run.write_json(FILE, found)
    return found


def stored(run: Run) -> EnergyMeasurement | None:
    """What a trace has said of this run's program; None where there was none, or it was of an earlier build.

    Raises:
        UsageError: ``missing-stage``: the file is damaged.
    """
    from pipeline.device.power import EnergyMeasurement

    if not run.path(FILE).is_file():
        return None
    try:
        found = EnergyMeasurement.model_validate(run.read_json(FILE))
    except ValidationError as error:
        raise missing(run, FILE) from error
    return found if found.build == _build(run) else None


def _build(run: Run) -> str:
    """The build id of the run's program; empty before there is one."""
    name = "firmware/elf.json"
    return str(run.read_json(name)["build_id"]) if run.path(name).is_file() else ""


def energy_text(found: EnergyMeasurement) -> str:
    """The measurement for people."""
    energy, time = found.millijoules, found.milliseconds
    lines = [
        f"{energy.median:.4g} mJ an inference (median; {energy.min:.4g}…{energy.max:.4g} mJ)",
        f"{time.median:.4g} ms an inference (median; {time.min:.4g}…{time.max:.4g} ms)",
    ]
    if found.microcoulombs is not None:
        charge = found.microcoulombs
        lines.append(f"{charge.median:.4g} uC an inference (median; {charge.min:.4g}…{charge.max:.4g} uC)")
    each = "" if found.inferences == 1 else f" of {found.inferences} inferences each"
    supply = "the trace's own voltage" if found.volts is None else f"{found.volts:g} V as given"
    lines.append(f"{found.windows} windows{each}, {printable(found.rule, 200)}; {found.samples:,} samples, {supply}")
    lines.append(f"Source: {printable(found.source, 400)}; that the board ran this build is your word.")
    return "\n".join(lines)
