"""What ``danas-deploy estimate`` says beyond the items: what a run has found, why, what would help, the formulas."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.boards import Board
from pipeline.errors import DanasError
from pipeline.estimate.published import SOURCE, percent, published
from pipeline.estimate.regions import RamLayout, as_placed, of_estimate
from pipeline.figures import Figure, Source
from pipeline.genotype import Genotype
from pipeline.job.context import Context, StageResult
from pipeline.job.judging import measurement
from pipeline.report.estimated import (
    FLASH,
    PART,
    TOTAL,
    Found,
    Row,
    estimate_text,
    published_rows,
    published_text,
    savings_text,
)
from pipeline.report.work import work_lines
from pipeline.runs import MEMORY_MAP
from pipeline.settings import Kind

if TYPE_CHECKING:
    from pipeline.estimate.savings import Saving


def estimated(context: Context, *, colour: bool = False, width: int = 110) -> StageResult:
    """The items, where they lie in RAM, and what the run has found of them."""
    found = found_of(context)
    layout = of_estimate(context.board, context.estimate)
    values = context.run.read_json("estimate.json")
    values |= {
        "regions": layout_json(layout),
        "found": {
            str(source): {name: figure.value for name, figure in figures.items()}
            for source, figures in found.figures.items()
        },
        "linked_flash": [item.model_dump(mode="json") for item in found.linked],
        "memory_map": MEMORY_MAP,
    }
    if found.work is not None:
        values["found"][str(found.work.source)]["work"] = found.work.value
    lines = [*work_lines(context.estimate, context.board, found.work), *_alone(context.board)]
    text = estimate_text(context.estimate, context.limits, layout, found, work=lines, colour=colour, width=width)
    return StageResult(values, text)


def _alone(board: Board) -> list[str]:
    """What an estimate leaves out of a board under a framework."""
    name = board.build.framework
    return [] if name is None else [f"Of our program alone: what the {name} core takes of RAM and flash comes on top"]


def layout_json(layout: RamLayout) -> dict[str, Any]:
    """A placement as a document."""
    return {
        "blocks": [asdict(one) for one in layout.blocks],
        "fastest": list(layout.fastest),
        "slow_bytes": layout.slow_bytes,
        "over": layout.over,
        "largest_arena": layout.largest_arena.bytes,
        "notes": list(layout.notes),
    }


def found_of(context: Context) -> Found:
    """What the run's ELF and its board say of this very model; nothing of an earlier build of another one."""
    try:
        built = context.run.read_json("firmware/elf.json")
        rendered = context.run.read_json("firmware/rendered.json")
    except DanasError:
        return Found()
    if (built.get("build_id"), rendered.get("model_hash")) != (rendered.get("build_id"), context.graph.sha256):
        return Found(note="The run's ELF is of an earlier build: its figures are left out.")
    elf = {"arena": "arena_bytes", "static": "static_bytes", FLASH: "flash_bytes"}
    figures = {Source.LINKED_ELF: {name: _figure(built[key]) for name, key in elf.items()}}
    for item in built.get("ram", ()):
        parts = {f"{item['name']}{PART}{part['name']}": _figure(part["bytes"]) for part in item["parts"]}
        figures[Source.LINKED_ELF] |= parts
    stack = built.get("stack", {}).get("bytes")
    if stack is not None:  # By the program's own call graph.
        figures[Source.LINKED_ELF]["stack"] = _figure(stack)
    linked = context.linked
    figures[Source.LINKED_ELF] |= {item.name: _figure(item.bytes) for item in linked}
    blocks = [(one["name"], one["base"], one["bytes"]) for one in built.get("blocks", ())]
    layout = as_placed(context.board, blocks) if blocks else None
    try:
        seen = measurement(context)
    except DanasError:
        return Found(figures, layout, linked=linked)
    if seen.identity.build != built["build_id"]:
        return Found(
            figures, layout, linked=linked, note="The measurement is of an earlier build: its figures are left out."
        )
    memory = seen.memory_after
    figures[memory.static.source] = {
        "arena": memory.arena,
        "static": memory.static,
        "stack": memory.stack_used,
        TOTAL: memory.ram,
    }
    return Found(figures, layout, linked=linked, work=seen.work)


def explained(context: Context, *, colour: bool = False, width: int = 110) -> StageResult:
    """The memory map over time; of the runtime ``aot`` also why it is cut so, and what would lower the RAM."""
    from pipeline.report.memory_text import map_json, map_text

    graph, runtime = context.graph, context.runtime
    found = runtime.memory_map(graph, context.board, context.plan)
    data: dict[str, Any] = {"map": map_json(graph, found)}
    texts = [map_text(graph, found, step=runtime.step, colour=colour, width=width)]
    if runtime.name == "aot":
        from pipeline.estimate.explain import explain
        from pipeline.estimate.model import InputMode
        from pipeline.report.explained import explained_json, explained_text

        segments = explain(graph, context.plan, streamed_input=context.settings.input_mode is InputMode.STREAMED)
        ways = savings_of(context)
        layout = of_estimate(context.board, context.estimate)
        data |= {"plan": explained_json(segments), "savings": [asdict(one) for one in ways]}
        texts.append(explained_text(graph, segments, colour=colour, width=width))
        texts.append(savings_text(ways, layout, colour=colour, width=width))
    return StageResult(data, "\n".join(texts))


def savings_of(context: Context) -> tuple[Saving, ...]:
    """What would lower the RAM of a model that runs ahead of time, worked out."""
    from pipeline.estimate.savings import Recipe, savings

    settings = context.settings
    recipe = Recipe(settings.prefer, context.limits.ram_bytes, settings.input_mode)
    return savings(context.graph, context.board, context.plan, recipe, _genotype(context))


def _genotype(context: Context) -> Genotype | None:
    """What the winner of a search was made from."""
    if context.settings.kind is not Kind.SEARCH:
        return None
    try:
        return Genotype.parse(str(context.run.read_json("winner.json")["genotype"]))
    except (DanasError, KeyError, ValueError):
        return None


def by_published_formulas(context: Context, *, colour: bool = False, width: int = 110) -> StageResult:
    """The published formulas beside ours, and beside what the run has found."""
    found, formulas = found_of(context), published(context.graph)
    rows = published_rows(formulas, context.estimate, found)
    data = {
        "source": SOURCE,
        "operator": formulas.operator,
        "rows": [
            {
                "name": row.name,
                "published": row.published,
                "ours": row.ours,
                "published_over_ours_percent": _rounded(row.published, row.ours),
                "found": None if row.found is None else _compared(row, *row.found),
            }
            for row in rows
        ],
    }
    return StageResult(data, published_text(formulas, context.estimate, found, colour=colour, width=width))


def _compared(row: Row, source: Source, value: int) -> dict[str, Any]:
    return {
        "bytes": value,
        "source": str(source),
        "published_over_percent": _rounded(row.published, value),
        "ours_over_percent": _rounded(row.ours, value),
    }


def drawing(context: Context, *, alone: bool = True) -> str:
    """The memory map as SVG; ``alone``: a document with a style of its own."""
    from pipeline.report.memory_svg import Drawing, map_svg

    runtime = context.runtime
    arena = of_estimate(context.board, context.estimate).blocks[-1]
    name = Path(context.settings.model).name if context.settings.model else context.run.folder.name
    found = runtime.memory_map(context.graph, context.board, context.plan)
    return map_svg(context.graph, found, Drawing(name, context.board.title, runtime.step, arena), alone=alone)


def _figure(value: int) -> Figure:
    return Figure(value=value, unit="B", source=Source.LINKED_ELF)


def _rounded(value: int, of: int) -> float | None:
    return round(percent(value, of), 2) if of else None
