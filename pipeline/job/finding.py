"""Stages search and quantize: from images to the winner's .tflite."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.errors import DoesNotFitError, UsageError
from pipeline.estimate.latency import timed
from pipeline.files import file_sha256, write_atomic
from pipeline.job.context import Context, StageResult
from pipeline.job.helpers import Helpers
from pipeline.progress import Step
from pipeline.runs import digest, missing
from pipeline.settings import Kind, Settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from pipeline.boards import Board
    from pipeline.datasets import DatasetSource
    from pipeline.estimate.model import Estimate
    from pipeline.graph.model import Graph
    from pipeline.quantize import Doing, Quantized, QuantizeSettings
    from pipeline.search import Candidate, Progress, SearchConfig, SearchResult, Space
    from pipeline.search.health import Event

#: Settings that decide how finalists are finished, beside the search's own.
_QUANTIZE_SETTINGS = ("finalists", "final_epochs", "final_time_s", "preset", "seed")

#: Settings that decide what is searched, and what is found.
_SEARCH_SETTINGS = (
    *("data", "group_by", "allow_upsampling", "space", "preset", "supernet", "evaluations", "time_s", "seed"),
    *("strategy", "brood", "fix", "penalty", "weights", "scorer", "naive_steps", "published_steps"),
    *("ram", "flash", "macs", "instructions", "latency_ms", "energy_mj", "objective"),
    *("runtime", "prefer", "input_mode"),  # They decide the plan, and so what is feasible.
)


def demand_search(context: Context) -> None:
    """Refuse search and quantize on a run that started from a model."""
    if context.settings.kind is not Kind.SEARCH:
        raise UsageError(
            "not-a-search-run",
            "this run started from a model, there is nothing to search",
            why="It was made by `deploy`, or by `estimate`, `render` or `build` on a file.",
            next="Start a search with `danas-deploy search --board BOARD`.",
        )


def search_key(context: Context) -> str:
    """Depends on the settings, the images and the versions that compute."""
    demand_search(context)
    wanted = context.settings.model_dump(include=set(_SEARCH_SETTINGS))
    return digest(wanted, context.source.fingerprint, context.limits.model_dump(), context.run.manifest.versions)


def search(context: Context, step: Step) -> tuple[Path, ...]:
    """Search, or go on with a search that was stopped; leaves the feasible candidates, best first."""
    from pipeline.datasets import quality

    wanted = config(context)
    space = usable(wanted.space, context.settings, context.source)
    found = quality.of(context.source)
    warnings = found.warnings(
        {data.resolution for data in wanted.space.data}, allow_upsampling=context.settings.allow_upsampling
    )
    for text in warnings:
        context.display.note(f"Note: {text}")
        context.run.note("data-warning", {"text": text})
    others = Helpers(context) if context.settings.workers > 1 else None
    told = Health(context)

    def show(progress: Progress) -> None:
        told(progress.events)
        _show(step, progress)

    try:
        result = explored(context, dataclasses.replace(wanted, space=space), progress=show, others=others)
    except DoesNotFitError as error:
        context.run.note(
            "health", {"kind": error.id, "at": 0, "text": f"{error.what}: {error.why}", "remedy": error.next}
        )
        raise
    told(result.events)
    best = result.candidates[0] if result.candidates else None
    step.result(f"{result.evaluations} evaluations" + (f", best {_brief(best)}" if best else ""))
    path = write_atomic(
        context.run.path("search", "candidates.json"),
        json.dumps(
            {
                "schema_version": 1,
                "evaluations": result.evaluations,
                "stopped": result.stopped,
                "supernets": list(result.supernets),
                "waiting": {data: round(share, 4) for data, share in result.waiting.items()},
                "data": context.source.describe(),
                "metric": found.metric,
                "warnings": list(warnings),
                "events": [event.as_dict() for event in result.events],
                "objectives": list(context.settings.objective),
                "front": [candidate.genotype.id for candidate in result.front],
                "candidates": [candidate.as_dict() for candidate in result.candidates],
            },
            indent=1,
            ensure_ascii=False,
        )
        + "\n",
    )
    return (path, *_kept(context, result))


def _kept(context: Context, result: SearchResult) -> tuple[Path, ...]:
    """What only a report needs: each evaluation, and which share of the space fits. Times differ from run to run."""
    from pipeline.report.evaluated import SPACE, History
    from pipeline.report.space import SpaceReport, space_json
    from pipeline.search.survey import known, survey

    kept = [context.run.write_json(History.FILE, History.of(result.history, result.took))]
    feasibility = result.feasibility
    if feasibility is not None:
        seed = context.settings.seed
        chosen, some = known(feasibility, seed)
        report = SpaceReport(
            board=context.board,
            limits=context.limits,
            classes=len(context.source.class_names),
            designs=list(survey(chosen, feasibility.estimate, context.limits)),
            space=feasibility.space.name,
            size=len(feasibility.space),
            seed=seed if some else None,
        )
        kept.append(context.run.write_json(SPACE, {"schema_version": 1, **space_json(report)}))
    return tuple(kept)


class Health:
    """Shows each event of a search once, and writes it into the run's journal."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._known = [dict(values) for values in context.run.noted("health")]

    def __call__(self, events: Iterable[Event]) -> None:
        """Those that are new."""
        for event in events:
            values = event.as_dict()
            if values not in self._known:
                self._known.append(values)
                self._context.run.note("health", values)
                self._context.display.note(f"Note: after {event.at} candidates {event.text}: {event.remedy}")


def explored(
    context: Context,
    wanted: SearchConfig,
    *,
    progress: Callable[[Progress], None] | None = None,
    others: Helpers | None = None,
    helps: bool = False,
) -> SearchResult:
    """The search of a run, by this process and by those that help it, or as one of these."""
    from pipeline import search as engine

    return engine.run(
        wanted,
        context.source,
        folder=context.run.path("search"),
        estimate=engine.analytic(context.board, len(context.source.class_names), of=runtime_estimate(context)),
        progress=progress,
        storage=context.settings.storage,
        study_name=context.settings.study,
        helpers=others,
        helps=helps,
        workers=context.settings.workers,
    )


def usable(space: Space, settings: Settings, source: DatasetSource) -> Space:
    """A space without the resolutions that too many images would have to be enlarged for, unless these are asked for.

    Raises:
        UsageError: ``images-too-small``: nothing is left, or nothing of what ``--fix`` holds; ``fix-not-in-space``.
    """
    from pipeline.datasets import quality

    out = frozenset[int]() if settings.allow_upsampling else quality.of(source).upsampled
    kept = tuple(data for data in space.data if data.resolution not in out)
    held = tuple(data for data in space.data if settings.fix.holds(data))
    if held and not set(held) & set(kept):
        least = min(data.resolution for data in held)
        raise UsageError(
            "images-too-small",
            f"too many images of {source.name} are smaller than {least} px, the lowest resolution of the search",
            why="Enlarged images hold nothing that the sensor has not seen.",
            next="Use larger images, or take them as they are with --allow-upsampling.",
        )
    if not any(map(settings.fix.holds, kept)):
        raise UsageError(
            "fix-not-in-space",
            f"--fix {settings.fix.id}: the search has no such images",
            why=f"It has {', '.join(data.id for data in kept)}.",
            next="Fix one of these, or take --preset full, which has all resolutions.",
        )
    return space if len(kept) == len(space.data) else dataclasses.replace(space, data=kept)


def demand_images(settings: Settings, source: DatasetSource, board: Board) -> None:
    """Refuse images that no resolution of the search can use, before there is a run.

    Raises:
        UsageError: ``images-too-small``, ``fix-not-in-space``.
    """
    from pipeline import search as engine

    preset = engine.quick if settings.preset == "quick" else engine.full
    usable(preset(settings.limits(board), space=settings.space, seed=settings.seed).space, settings, source)


def runtime_estimate(context: Context) -> Callable[[Graph, Board], Estimate]:
    """What a network will need with the run's inference engine; its work only where a limit or objective asks."""
    from pipeline.estimate.estimator import Planned
    from pipeline.firmware.runtimes.aot import AotRuntime

    runtime, settings, room = context.runtime, context.settings, context.limits.ram_bytes
    if isinstance(runtime, AotRuntime) and not settings.needs_work:
        return Planned(settings.prefer, room, settings.input_mode)

    def figures(graph: Graph, board: Board) -> Estimate:
        plan = runtime.plan(graph, board, prefer=settings.prefer, ram_bytes=room, input_mode=settings.input_mode)
        needs = runtime.estimate(graph, board, plan)
        return timed(needs, runtime.predict(graph, board, plan), board) if settings.needs_work else needs

    return figures


def config(context: Context) -> SearchConfig:
    """The preset with the user's budgets, limits and objectives."""
    from pipeline import search as engine

    settings = context.settings
    preset = engine.quick if settings.preset == "quick" else engine.full
    made = preset(context.limits, space=settings.space, sharing=settings.supernet, seed=settings.seed)
    # A time budget alone means just that; without any the preset's number of evaluations holds.
    evaluations = settings.evaluations or (None if settings.time_s else made.evaluations)
    return dataclasses.replace(
        made,
        evaluations=evaluations,
        seconds=settings.time_s,
        strategy=settings.strategy,
        evolution=dataclasses.replace(made.evolution, brood=settings.brood),
        scorer=settings.scorer,
        naive=dataclasses.replace(made.naive, steps=settings.naive_steps or made.naive.steps),
        published=dataclasses.replace(
            made.published, supernet_steps=settings.published_steps or made.published.supernet_steps
        ),
        fix=settings.fix,
        soft=settings.penalty == "soft",
        fitness=engine.Fitness.of(settings.weights),
        objectives=engine.Objectives(settings.objective),
    )


def _show(step: Step, progress: Progress) -> None:
    doing = progress.subject
    if progress.steps:
        kind = "supernet " if progress.phase == "supernet" else ""
        doing = f"{kind}{progress.subject} step {progress.step}/{progress.steps}"
        if progress.loss is not None and progress.accuracy is not None:
            doing += f" loss {progress.loss:.3f} accuracy {progress.accuracy:.3f}"
        if progress.waiting is not None and progress.waiting >= 0.005:
            doing += f" waiting {progress.waiting:.0%}"
    best = f"best {_brief(progress.best)}" if progress.best else ""
    left = f"{progress.left / 60:.1f} min left" if progress.left is not None else ""
    text = ", ".join(part for part in (best, doing, left) if part)
    step.update(text, done=progress.evaluations, total=progress.evaluations_of)


def _brief(candidate: Candidate) -> str:
    return f"{candidate.genotype.id} {candidate.scores.accuracy:.1%}"


def candidates(context: Context) -> tuple[tuple[Candidate, ...], dict[str, Any]]:
    """What the search left: candidates, best first, and the whole file."""
    from pipeline.search import Candidate

    demand_search(context)
    found = context.run.read_json("search/candidates.json")
    try:
        return tuple(Candidate.from_dict(values) for values in found["candidates"]), found
    except (KeyError, ValueError) as error:
        raise missing(context.run, "search/candidates.json") from error


def search_result(context: Context) -> StageResult:
    """The best candidates, for the `search` command."""
    best, found = candidates(context)
    front = found.get("front", [])
    metric = found.get("metric", "accuracy")
    by = "" if metric == "accuracy" else f" by {metric}"
    lines = [f"{found['evaluations']} evaluations, {len(best)} feasible candidates; the best{by}:"]
    several = len(found.get("objectives", [])) > 1
    if several:
        lines = [
            f"{found['evaluations']} evaluations, {len(best)} feasible candidates; {len(front)} of them (*) are beaten "
            f"by none in {', '.join(found['objectives'])}; the best compromise first:"
        ]
    shown = best[: max(10, len(front) if several else 0)]
    width = _id_width(candidate.genotype.id for candidate in shown)
    lines += [
        f"{'*' if several and candidate.genotype.id in front else ' '} {candidate.genotype.id:<{width}} "
        f"{candidate.scores.accuracy:6.1%}  "
        f"RAM {candidate.estimate.ram_bytes:>9,} B  flash {candidate.estimate.flash_bytes:>9,} B  "
        f"{candidate.estimate.macs:>11,} MAC{_work(candidate.estimate)}"
        for candidate in shown
    ]
    return StageResult(found, "\n".join(lines))


def _id_width(ids: Iterable[str]) -> int:
    """Columns of a table's ids: those of the published space have 22, the wide space's are longer."""
    return max([22, *map(len, ids)])


def _work(estimate: Estimate) -> str:
    """Predicted work and what is modelled from it, where a search has asked for it."""
    shown = ""
    if estimate.instructions is not None:
        shown += f"  {estimate.instructions.count:>12,} {estimate.instructions.unit}"
    if estimate.latency is not None:
        shown += f"  {estimate.latency.value:8.1f} ms (modelled)"
    if estimate.energy is not None:
        shown += f"  {estimate.energy.value:8.2f} mJ (modelled)"
    return shown


def quantize_key(context: Context) -> str:
    """Depends on the candidates that the search left."""
    demand_search(context)
    path = context.run.path("search", "candidates.json")
    if not path.is_file():
        raise missing(context.run, "search/candidates.json")
    wanted = context.settings.model_dump(include=set(_QUANTIZE_SETTINGS))
    return digest(file_sha256(path), wanted, context.run.manifest.versions)


def quantize(context: Context, step: Step) -> tuple[Path, ...]:
    """The finalists become int8 models; the best of them on validation is the winner, and alone sees the test split."""
    from pipeline import quantize as engine
    from pipeline.datasets import quality

    best, _ = candidates(context)
    if not best:
        raise DoesNotFitError(
            "no-candidates",
            "the search has found no feasible candidate",
            why="It was ended before the first one was scored.",
            next="Start a search with more --time or --evaluations.",
        )
    finalists, time_s = best[: context.settings.finalists], context.settings.final_time_s
    made = []
    for number, candidate in enumerate(finalists):

        def show(at: Doing, number: int = number, subject: str = candidate.genotype.id) -> None:
            of = f" step {at.step}/{at.steps}" if at.steps else ""
            step.update(f"{subject} {at.phase}{of}", done=number, total=len(finalists))

        step.update(candidate.genotype.id, done=number, total=len(finalists))
        made.append(
            engine.quantize(
                candidate.genotype,
                context.source,
                search_folder=context.run.path("search"),
                out=context.run.path("finalists"),
                seed=context.settings.seed,
                settings=quantize_settings(context),
                seconds=None if time_s is None else time_s / len(finalists),
                report=show,
            )
        )
    chosen, winner = _winner(context, tuple(zip(finalists, made, strict=True)))
    genotype = chosen.genotype
    test = None
    if context.source.has_test:
        seen = {genotype.id: file_sha256(winner.path)}
        view = context.source.look(genotype.data, models=seen, purpose="accuracy of the int8 winner")
        test = engine.device_accuracy(winner.path, view, balanced=quality.of(context.source).balanced)
    write_atomic(context.model, winner.path.read_bytes())
    step.result(f"winner {genotype.id}, int8 validation {winner.int8_accuracy:.1%}")
    record = context.run.write_json(
        "winner.json",
        {
            "schema_version": 1,
            "genotype": genotype.id,
            "class_names": list(context.source.class_names),
            "finalists": [
                {
                    "genotype": candidate.genotype.id,
                    "inherited_validation_accuracy": candidate.scores.accuracy,
                    **one.as_dict(),
                    "ram_bytes": candidate.estimate.ram_bytes,
                    "flash_bytes": candidate.estimate.flash_bytes,
                    "macs": candidate.estimate.macs,
                    **candidate.estimate.model_dump(mode="json", include={"instructions", "latency", "energy"}),
                }
                for candidate, one in zip(finalists, made, strict=True)
            ],
            "int8_test_accuracy": test,
            "int8_test_reason": "" if test is not None else "the data source has no test split",
        },
    )
    return (context.model, record)


def quantize_settings(context: Context) -> QuantizeSettings:
    """The preset's, with the user's number of epochs."""
    from pipeline.quantize import FULL, QUICK

    settings = context.settings
    preset = QUICK if settings.preset == "quick" else FULL
    return preset if settings.final_epochs is None else dataclasses.replace(preset, final_epochs=settings.final_epochs)


def _winner(context: Context, pairs: tuple[tuple[Candidate, Quantized], ...]) -> tuple[Candidate, Quantized]:
    """The finalist that is deployed: the most accurate as int8; with several objectives the best compromise as int8."""
    from pipeline.search import Objectives

    objectives = Objectives(context.settings.objective)
    if objectives.several:
        best, found = candidates(context)
        front = [candidate for candidate in best if candidate.genotype.id in found["front"]]
        finalists, accuracies = [candidate for candidate, _ in pairs], [one.int8_accuracy for _, one in pairs]
        order = objectives.compromises(finalists, front=front, accuracies=accuracies)
        return next(pair for pair in pairs if pair[0] is order[0])
    return min(pairs, key=lambda pair: (-pair[1].int8_accuracy, pair[0].estimate.ram_bytes, pair[0].rank))


def quantize_result(context: Context) -> StageResult:
    """The finalists, for the `quantize` command."""
    winner = context.run.read_json("winner.json")
    width = _id_width(one["genotype"] for one in winner["finalists"])
    lines = [
        f"  {one['genotype']:<{width}} inherited {one['inherited_validation_accuracy']:6.1%}"
        f"  trained {one['float_validation_accuracy']:6.1%}"
        f"  int8 {one['ptq_validation_accuracy']:6.1%}{_trained_for_int8(one)}"
        for one in winner["finalists"]
    ]
    test = winner["int8_test_accuracy"]
    shown = f"{test:.1%}" if test is not None else f"none: {winner['int8_test_reason']}"
    metric = context.run.read_json("search/candidates.json").get("metric", "accuracy")
    title = f"Finalists on validation, {metric}:"
    return StageResult(winner, "\n".join([title, *lines, f"Winner {winner['genotype']}, int8 test {shown}"]))


def _trained_for_int8(finalist: dict[str, Any]) -> str:
    """What quantization-aware training made of a finalist, where it was needed."""
    accuracy = finalist["qat_validation_accuracy"]
    return "" if accuracy is None else f"  trained for int8 {accuracy:6.1%} ({finalist['qat_reason']})"
