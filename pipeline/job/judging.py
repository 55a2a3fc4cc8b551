"""Stages validate and report: the verdict and its documents."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import ValidationError

from pipeline.errors import printable
from pipeline.files import write_atomic
from pipeline.job import driving, finding, powering
from pipeline.job.context import Context, StageResult
from pipeline.progress import Step
from pipeline.runs import MEMORY_MAP, PAGE, missing
from pipeline.settings import Kind

if TYPE_CHECKING:
    from pipeline.device.measure import Measurement
    from pipeline.report.model import Report
    from pipeline.validate import Verdict


def measurement(context: Context) -> Measurement:
    """What the device said.

    Raises:
        UsageError: ``missing-stage``.
    """
    from pipeline.device.measure import Measurement

    try:
        return Measurement.model_validate(context.run.read_json("measurement.json"))
    except ValidationError as error:
        raise missing(context.run, "measurement.json") from error


def validate(context: Context, step: Step) -> tuple[Path, ...]:
    """Compare estimate and measurement, device and host."""
    from pipeline.validate import Evidence, Linked, judge

    built = context.run.read_json("firmware/elf.json")
    host = context.run.read_json("device/host.json")
    verdict = judge(
        Evidence(
            board=context.board,
            limits=context.limits,
            estimate=context.estimate,
            measurement=measurement(context),
            build_id=built["build_id"],
            model_hash=context.graph.sha256,
            elf=Linked(
                flash=built["flash_bytes"],
                items=context.linked,
                arena=built["arena_bytes"],
                static=built["static_bytes"],
                stack=built["stack"]["bytes"],
                stack_reason=built["stack"]["reason"],
                blocks=tuple((one["name"], one["base"], one["bytes"]) for one in built.get("blocks", ())),
            ),
            host_outputs=tuple(bytes.fromhex(output) for output in host["outputs"]),
            notes=(*host["notes"], *_marks(context)),
            ram_tolerance=context.runtime.tolerances.ram,
            flash_tolerance=context.runtime.tolerances.flash,
        )
    )
    step.result("PASS" if verdict.passed else "FAIL: " + ", ".join(check.title for check in verdict.failed))
    return (context.run.write_json("verdict.json", verdict),)


def _marks(context: Context) -> tuple[str, ...]:
    """What limits the estimate: tables of another compiler."""
    calibration = context.estimate.calibration
    return (f"The estimate is {calibration.mark}.",) if calibration is not None and calibration.mark else ()


def verdict(context: Context) -> Verdict:
    """The verdict that validate left.

    Raises:
        UsageError: ``missing-stage``.
    """
    from pipeline.validate import Verdict

    try:
        return Verdict.model_validate(context.run.read_json("verdict.json"))
    except ValidationError as error:
        raise missing(context.run, "verdict.json") from error


def validate_result(context: Context) -> StageResult:
    """The checks, for the `validate` command; a failed one decides the exit code."""
    found = verdict(context)
    lines = [
        f"{'pass' if check.passed else 'FAIL'}  {check.title}: expected {check.expected} {check.unit} "
        f"({check.expected_source}, {check.tolerance}), found {check.measured} {check.unit} ({check.measured_source})"
        for check in found.checks
    ]
    lines += [f"note  {printable(note, 400)}" for note in found.notes]
    lines.append(f"Verdict: {'PASS' if found.passed else 'FAIL'}")
    return StageResult(found.model_dump(mode="json") | {"passed": found.passed}, "\n".join(lines), found)


def report(context: Context, step: Step) -> tuple[Path, ...]:
    """Write report.json, junit.xml and report.html."""
    from pipeline.job.picturing import material
    from pipeline.report.html.page import HtmlReporter
    from pipeline.report.reporters import JsonReporter, JunitReporter, Reporter

    made = collected(context)
    step.result("PASS" if made.passed else "FAIL")
    reporters: tuple[Reporter, ...] = (JsonReporter(), JunitReporter(), HtmlReporter(material(context)))
    return tuple(write_atomic(context.run.path(reporter.file_name), reporter.render(made)) for reporter in reporters)


def collected(context: Context) -> Report:
    """The report, collected from the run's artifacts."""
    from pipeline.report.collect import SearchArtifacts, collect

    found = None
    if context.settings.kind is Kind.SEARCH:
        from pipeline.datasets import guard

        found = SearchArtifacts(
            winner=context.run.read_json("winner.json"),
            candidates=context.run.read_json("search/candidates.json"),
            preset=context.settings.preset,
            limits=finding.config(context).limits,
            looks=guard.looks(context.run),
        )
    return collect(
        manifest=context.run.manifest,
        board=context.board,
        graph=context.graph,
        estimate=context.estimate,
        elf=context.run.read_json("firmware/elf.json"),
        linked=context.linked,
        measurement=measurement(context),
        host=context.run.read_json("device/host.json"),
        verdict=verdict(context),
        search=found,
        energy=powering.stored(context.run),
        files={"memory map": MEMORY_MAP, "page": PAGE} if context.run.path(MEMORY_MAP).is_file() else {"page": PAGE},
        upload_retries=driving.upload_retries(context),
        serial_number=driving.serial_number(context),
    )


def report_result(context: Context) -> StageResult:
    """The whole report, as a person reads it."""
    from pipeline.report.reporters import TerminalReporter

    made = collected(context)
    return StageResult(made.model_dump(mode="json"), TerminalReporter().render(made))
