"""A report to vary."""

from __future__ import annotations

from typing import Literal

from pipeline.figures import Figure, Source
from pipeline.report.model import Line, ModelSummary, Report
from pipeline.validate import Verdict, covers, equal

HOSTILE = "\x1b[2J</script>]]>*/\n\x00$(reboot)[bold red]\u202e"


def lines(**items: int) -> tuple[Line, ...]:
    """Items and their total, as estimated and as found."""

    def figure(value: int, source: Source) -> Figure:
        return Figure(value=value, unit="B", source=source)

    return tuple(
        Line(name=name, estimate=figure(value, Source.ANALYTIC), found=figure(value, Source.EMULATED))
        for name, value in {**items, "total": sum(items.values())}.items()
    )


def sample(
    *,
    board: str = "nucleo_f746zg",
    target: Literal["emulated", "device"] = "emulated",
    passed: bool = True,
    note: str = "",
    ram: tuple[Line, ...] | None = None,
    flash: tuple[Line, ...] | None = None,
    work: int | None = 50_000,
) -> Report:
    """A report of a deployed model."""
    source = Source.EMULATED if target == "emulated" else Source.MEASURED
    verdict = Verdict(
        checks=(
            equal("model", "Model hash", ("ab" * 32, Source.HOST), ("ab" * 32, source), detail=note),
            covers(
                "ram",
                "RAM estimate",
                (101_000 if passed else 90_000, Source.ANALYTIC),
                (100_000, source),
                tolerance=0.02,
                tolerance_bytes=64,
            ),
        ),
        notes=(note,) if note else (),
    )
    unit = "instructions" if target == "emulated" else "cycles"
    return Report(
        created="2026-01-01T00:00:00+00:00",
        board=board,
        target=target,
        build_id="0123456789abcdef",
        versions={"danas-deploy": "0.1.0"},
        model=ModelSummary(
            sha256="ab" * 32,
            file_bytes=1,
            input_shape=(1, 96, 96, 3),
            output_shape=(1, 2),
            operators=3,
            macs=Figure(value=4, unit="MAC", source=Source.ANALYTIC),
        ),
        search=None,
        accuracy={},
        ram=lines(arena=1_000, static=200, stack=400) if ram is None else ram,
        flash=lines(model=5_000, kernels=8_000, runtime=900) if flash is None else flash,
        timing={} if work is None else {"an inference (median)": Figure(value=work, unit=unit, source=source)},
        verdict=verdict,
        passed=verdict.passed,
    )
