"""A run's artifacts put together as its Report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.boards import Board
from pipeline.datasets.guard import Look
from pipeline.device.measure import Measurement
from pipeline.device.power import EnergyMeasurement
from pipeline.estimate.model import Estimate, Item, Limits, Predicted
from pipeline.figures import Figure, Source
from pipeline.graph.model import Graph
from pipeline.report.model import Finalist, HealthEvent, Line, LookAtTest, ModelSummary, Report, SearchSummary, Work
from pipeline.report.work import reasons
from pipeline.runs import Manifest
from pipeline.validate import Verdict


@dataclass(frozen=True, kw_only=True)
class SearchArtifacts:
    """What search and quantize left: winner.json, search/candidates.json, and what was asked for.

    ``looks`` are those at the test split, in the run's journal.
    """

    winner: dict[str, Any]
    candidates: dict[str, Any]
    preset: str
    limits: Limits
    looks: tuple[Look, ...] = ()


def collect(
    *,
    manifest: Manifest,
    board: Board,
    graph: Graph,
    estimate: Estimate,
    elf: dict[str, Any],
    linked: tuple[Item, ...] = (),
    measurement: Measurement,
    host: dict[str, Any],
    verdict: Verdict,
    search: SearchArtifacts | None,
    energy: EnergyMeasurement | None = None,
    files: Mapping[str, str] | None = None,
    upload_retries: Sequence[str] = (),
    serial_number: str | None = None,
) -> Report:
    """The Report. ``elf``, ``host`` and the search's artifacts are the JSON that the stages left.

    ``linked`` are the items of the ELF's flash, where the link map has been read.
    """
    return Report(
        created=manifest.created,
        board=board.name,
        target=measurement.target,
        build_id=elf["build_id"],
        versions=manifest.versions,
        model=ModelSummary(
            sha256=graph.sha256,
            file_bytes=graph.file_bytes,
            input_shape=graph.input.shape,
            output_shape=graph.output.shape,
            operators=len(graph.operators),
            macs=_macs(estimate.macs),
        ),
        search=None if search is None else _search(search),
        accuracy=_accuracy(measurement, host, search),
        test_looks=() if search is None else tuple(map(_look, search.looks)),
        upload_retries=tuple(upload_retries),
        serial_number=serial_number,
        ram=_ram(estimate, measurement),
        flash=_flash(estimate, linked, elf["flash_bytes"]),
        timing=_timing(measurement),
        work=_work(estimate, measurement, board, measured=energy is not None),
        energy=energy,
        repeated=measurement.repeated,
        restarts=measurement.restarts,
        verdict=verdict,
        passed=verdict.passed,
        files=dict(files or {}),
    )


def _flash(estimate: Estimate, linked: tuple[Item, ...], total: int) -> tuple[Line, ...]:
    """The items of the estimate beside those of the link map, and those that only the map has."""
    found = {item.name: _bytes(item.bytes, Source.LINKED_ELF) for item in linked}
    unknown = _none("not itemised in the ELF")
    lines = [
        Line(name=item.name, estimate=_bytes(item.bytes, Source.ANALYTIC), found=found.pop(item.name, unknown))
        for item in estimate.flash
    ]
    for name, figure in found.items():
        if figure.value:
            none = Figure(value=None, unit="B", source=Source.ANALYTIC, reason="no item of its own")
            lines.append(Line(name=name, estimate=none, found=figure))
    whole = _bytes(estimate.flash_bytes, Source.ANALYTIC)
    return (*lines, Line(name="total", estimate=whole, found=_bytes(total, Source.LINKED_ELF)))


def _search(search: SearchArtifacts) -> SearchSummary:
    limits = search.limits
    return SearchSummary(
        data=search.candidates["data"],
        preset=search.preset,
        limits={
            "RAM": limits.ram_bytes,
            "flash": limits.flash_bytes,
            "MAC": limits.macs,
            "instructions": limits.instructions,
            "latency in ms": limits.latency_ms,
            "energy in mJ": limits.energy_mj,
        },
        evaluations=search.candidates["evaluations"],
        finalists=tuple(
            Finalist(
                genotype=one["genotype"],
                inherited_accuracy=_percent(one["inherited_validation_accuracy"], Source.HOST),
                float_accuracy=_percent(one["float_validation_accuracy"], Source.HOST),
                int8_accuracy=_percent(one["int8_validation_accuracy"], Source.HOST),
                ram=_bytes(one["ram_bytes"], Source.ANALYTIC),
                flash=_bytes(one["flash_bytes"], Source.ANALYTIC),
                macs=_macs(one["macs"]),
                **_finalists_training(one),
                **_finalists_work(one),
            )
            for one in search.winner["finalists"]
        ),
        genotype=search.winner["genotype"],
        objectives=tuple(search.candidates.get("objectives", ("accuracy",))),
        front=tuple(search.candidates.get("front", ())),
        metric=search.candidates.get("metric", "accuracy"),
        warnings=tuple(search.candidates.get("warnings", ())),
        events=tuple(HealthEvent.model_validate(one) for one in search.candidates.get("events", ())),
    )


def _finalists_training(finalist: dict[str, Any]) -> dict[str, Any]:
    """How a finalist came to its accuracy; runs of earlier versions do not know."""
    if "ptq_validation_accuracy" not in finalist:
        return {}
    reason = finalist["qat_reason"]
    return {
        "ptq_accuracy": _percent(finalist["ptq_validation_accuracy"], Source.HOST),
        "qat_accuracy": _percent(finalist["qat_validation_accuracy"], Source.HOST, reason),
        "qat_reason": reason,
        "final_training": finalist["final_training"],
    }


def _look(look: Look) -> LookAtTest:
    return LookAtTest(at=look.at, purpose=look.purpose, models=dict(look.models), number=look.number)


def _finalists_work(finalist: dict[str, Any]) -> dict[str, Any]:
    """What a finalist was predicted and modelled to take, where the search has asked for it."""
    predicted = finalist.get("instructions")
    if predicted is None:
        return {}
    work = Predicted.model_validate(predicted)
    return {
        "instructions": Figure(value=work.count, unit=work.unit, source=Source.ANALYTIC),
        "latency": finalist.get("latency"),
        "energy": finalist.get("energy"),
    }


def _accuracy(measurement: Measurement, host: dict[str, Any], search: SearchArtifacts | None) -> dict[str, Figure]:
    if search is None:
        return {}
    winner = search.winner
    chosen = next(one for one in winner["finalists"] if one["genotype"] == winner["genotype"])
    balanced = ", balanced" if search.candidates.get("metric", "accuracy") != "accuracy" else ""
    correct, count = host["device_correct"], len(measurement.inputs)
    return {
        f"validation, float{balanced}": _percent(chosen["float_validation_accuracy"], Source.HOST),
        f"validation, int8{balanced}": _percent(chosen["int8_validation_accuracy"], Source.HOST),
        f"test, int8{balanced}": _percent(winner["int8_test_accuracy"], Source.HOST, winner["int8_test_reason"]),
        f"{count} images of the {host['origin']}, on the device{', not balanced' if balanced else ''}": _percent(
            correct / count if correct is not None else None, measurement.memory_after.static.source
        ),
    }


def _ram(estimate: Estimate, measurement: Measurement) -> tuple[Line, ...]:
    memory = measurement.memory_after
    found = {"arena": memory.arena, "static": memory.static, "stack": memory.stack_used}
    lines = [
        Line(
            name=item.name,
            estimate=_bytes(item.bytes, Source.ANALYTIC),
            found=found.get(item.name, _none("the device does not tell it apart")),
        )
        for item in estimate.ram
    ]
    total = Line(name="total", estimate=_bytes(estimate.ram_bytes, Source.ANALYTIC), found=memory.ram)
    return (*lines, total)


def _timing(measurement: Measurement) -> dict[str, Figure]:
    work = measurement.work
    if work is None:
        return {}
    if measurement.target == "emulated":
        # The emulator counts instructions; what these are in time only a board can tell.
        return {"an inference (median)": work}
    milliseconds = round(1000 * int(work.value or 0) / int(measurement.clock.value or 1), 3)
    return {
        "an inference (median)": work,
        "time an inference (median)": Figure(value=milliseconds, unit="ms", source=work.source),
    }


def _work(estimate: Estimate, measurement: Measurement, board: Board, *, measured: bool) -> Work | None:
    """The predicted work beside what was counted; None where nobody predicts it. ``measured``: energy has been."""
    predicted = estimate.instructions
    if predicted is None:
        return None
    nothing = Figure(value=None, unit=predicted.unit, source=Source.HOST, reason="no inputs were measured")
    return Work(
        executed=Line(
            name="an inference",
            estimate=Figure(value=predicted.count, unit=predicted.unit, source=Source.ANALYTIC),
            found=measurement.work or nothing,
        ),
        predicted_by=predicted.source,
        latency=estimate.latency,
        energy=None if measured else estimate.energy,
        reasons=reasons(estimate, board, measured=measured),
    )


def _bytes(value: int, source: Source) -> Figure:
    return Figure(value=value, unit="B", source=source)


def _macs(value: int) -> Figure:
    return Figure(value=value, unit="MAC", source=Source.ANALYTIC)


def _none(reason: str) -> Figure:
    return Figure(value=None, unit="B", source=Source.LINKED_ELF, reason=reason)


def _percent(value: float | None, source: Source, reason: str = "") -> Figure:
    return Figure(
        value=None if value is None else round(100 * value, 2),
        unit="%",
        source=source,
        reason=reason or ("" if value is not None else "no labels"),
    )
