"""What a run's page shows beside its report, from the artifacts; what a run of an earlier version lacks is left out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import ValidationError

from pipeline.genotype import Genotype
from pipeline.job.context import Context
from pipeline.job.estimating import drawing
from pipeline.runs import missing
from pipeline.settings import Kind

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pipeline.report.evaluated import Evaluated
    from pipeline.report.html.architecture import Stage
    from pipeline.report.html.material import Classified, Material


def material(context: Context) -> Material:
    """Everything that the page can show of the run.

    Raises:
        UsageError: ``missing-stage``: an artifact is damaged.
    """
    from pipeline.report.evaluated import SPACE
    from pipeline.report.html.material import Material

    searched = context.settings.kind is Kind.SEARCH
    return Material(
        board=context.board.title,
        stages=_stages(context, searched=searched),
        flash_estimate=context.estimate.flash,
        flash_linked=context.linked,
        evaluated=_evaluated(context) if searched else (),
        space=_optional(context, SPACE) if searched else None,
        memory_map=drawing(context, alone=False),
        classified=_classified(context) if searched else None,
    )


def _optional(context: Context, name: str) -> dict[str, Any] | None:
    """An artifact that runs of earlier versions have not."""
    return context.run.read_json(name) if context.run.path(name).is_file() else None


def _stages(context: Context, *, searched: bool) -> tuple[Stage, ...]:
    from pipeline.report.html.architecture import of_genotype, of_graph

    if not searched:
        return of_graph(context.graph)
    winner = context.run.read_json("winner.json")
    try:
        return of_genotype(Genotype.parse(str(winner["genotype"])), context.graph.output.elements)
    except (KeyError, ValueError) as error:
        raise missing(context.run, "winner.json") from error


def _evaluated(context: Context) -> tuple[Evaluated, ...]:
    from pipeline.report.evaluated import History

    kept = _optional(context, History.FILE)
    name = History.FILE if kept is not None else "search/candidates.json"
    try:
        if kept is not None:
            return History.model_validate(kept).evaluations
        return History.of_candidates(context.run.read_json(name)).evaluations
    except (KeyError, ValueError) as error:
        raise missing(context.run, name) from error


def _classified(context: Context) -> Classified | None:
    """What the device took the images for; None where their classes are not known."""
    from pipeline.device.measure import Measurement
    from pipeline.report.html.material import Classified

    host, winner = context.run.read_json("device/host.json"), context.run.read_json("winner.json")
    labels = host.get("labels")
    if not labels:
        return None
    try:
        measured = Measurement.model_validate(context.run.read_json("measurement.json"))
    except ValidationError as error:
        raise missing(context.run, "measurement.json") from error
    kind = np.dtype(context.graph.output.dtype.value)
    found = tuple(int(np.frombuffer(output, kind).argmax()) for output in measured.outputs)
    classes = tuple(map(str, winner["class_names"]))
    if len(found) != len(labels) or max((*found, *labels)) >= len(classes):
        raise missing(context.run, "device/host.json")
    return Classified(
        classes=classes,
        labels=tuple(map(int, labels)),
        found=found,
        source=measured.memory_after.static.source,
        origin=str(host["origin"]),
        images=_images(context, len(found)) if context.with_images else None,
    )


def _images(context: Context, count: int) -> NDArray[np.uint8] | None:
    """What was sent to the device, as pixels."""
    from pipeline.report.html.images import pixels

    try:
        with context.run.path("device", "inputs.npy").open("rb") as file:
            sent = np.load(file, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise missing(context.run, "device/inputs.npy") from error
    if len(sent) != count:
        raise missing(context.run, "device/inputs.npy")
    return pixels(sent, context.graph.input)
