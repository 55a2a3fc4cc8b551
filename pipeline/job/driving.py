"""Stages flash and measure: the built ELF on a device, the inputs through it."""

from __future__ import annotations

import contextlib
import io
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import ArenaTooSmallError, DanasError, UsageError, printable
from pipeline.files import file_sha256, write_atomic
from pipeline.job import deploying, making
from pipeline.job.context import Context, StageResult
from pipeline.progress import Step
from pipeline.runs import digest, missing
from pipeline.settings import DEFAULT_IMAGES, Kind

if TYPE_CHECKING:
    from pipeline.device.flash import Program, RunningDevice
    from pipeline.device.protocol import Expected
    from pipeline.graph.model import Graph, Tensor

#: Without the emulator's compiled path an inference takes seconds: fewer inputs, unless the user names a number.
IMAGES_WITHOUT_NATIVE_PATH = 10


@dataclass(frozen=True)
class Inputs:
    """What goes through the device: [N, …] as the input tensor takes it, and where it comes from."""

    values: NDArray[Any]
    origin: str
    labels: NDArray[np.int64] | None = None


def inputs(context: Context, count: int) -> Inputs:
    """The first ``count`` images of the test split (validation where there is none), given inputs, or random ones.

    Raises:
        UsageError: ``bad-inputs``.
    """
    from pipeline.graph.inputs import quantize_images

    tensor = context.graph.input
    if context.settings.kind is Kind.SEARCH:
        from pipeline.datasets import Split
        from pipeline.genotype import Genotype

        genotype = Genotype.parse(context.run.read_json("winner.json")["genotype"])
        if context.source.has_test:
            seen = {genotype.id: context.graph.sha256}
            view = context.source.look(genotype.data, models=seen, purpose="inputs of the device")
        else:
            view = context.source.view(Split.VALIDATION, genotype.data)
        images = np.asarray(view.images[:count])
        origin = "test split" if context.source.has_test else "validation split"
        return Inputs(quantize_images(images, tensor), origin, np.asarray(view.labels[:count]))
    given = context.settings.inputs
    values = inputs_of(context.graph, Path(given) if given is not None else None, count, context.settings.seed)
    return Inputs(values, "random" if given is None else "given file")


def inputs_of(graph: Graph, path: Path | None, count: int, seed: int) -> NDArray[Any]:
    """At most ``count`` inputs, [N, …] in the model's own type: those of a .npy file, or random ones.

    Raises:
        UsageError: ``bad-inputs``.
    """
    from pipeline.graph.inputs import random_inputs

    return random_inputs(graph.input, count, seed) if path is None else given_inputs(path, graph.input)[:count]


def given_inputs(path: Path, tensor: Tensor) -> NDArray[Any]:
    """The inputs in a .npy file, [N, …] in the model's own type.

    Raises:
        UsageError: ``bad-inputs``.
    """
    try:
        with path.open("rb") as file:
            given = np.load(file, allow_pickle=False)
    except (OSError, ValueError, EOFError, MemoryError, zipfile.BadZipFile) as error:
        raise UsageError(
            "bad-inputs", f"{printable(path)} cannot be read", why=printable(error), next="Give a .npy file."
        ) from error
    wanted = (tensor.dtype.value, tensor.shape[1:])
    if not isinstance(given, np.ndarray) or (given.dtype.name, given.shape[1:]) != wanted or not len(given):
        raise UsageError(
            "bad-inputs",
            f"{printable(path)} does not hold inputs of this model",
            why=f"The model takes {tensor.dtype} [N, {', '.join(map(str, tensor.shape[1:]))}].",
            next="Give one row an input, in the model's own type.",
        )
    return given


def program(context: Context) -> Program:
    """What is flashed.

    Raises:
        UsageError: ``missing-stage``.
    """
    from pipeline.device.flash import Program

    values = context.run.read_json("firmware/elf.json")
    elf = context.run.path(values["elf"])
    if not elf.is_file():
        raise missing(context.run, "firmware/elf.json")
    return Program(folder=context.firmware, environment=values["environment"], elf=elf)


def expected(context: Context) -> Expected:
    """The firmware that must answer."""
    from pipeline.device.protocol import Expected

    values = context.run.read_json("firmware/elf.json")
    return Expected(board=context.board.name, build=values["build_id"], model=context.graph.sha256)


def device(context: Context, *, flash: bool, step: Step) -> contextlib.AbstractContextManager[RunningDevice]:
    """The run's device: emulated (which is flashed each time), or a board (flashed where ``flash`` says so)."""
    return deploying.started(
        program(context),
        context.board,
        context.target,
        flash=flash,
        on_line=step.update,
        what=str(context.run.folder),
        on_retry=lambda error: _retried(context, error),
    )


def _retried(context: Context, error: DanasError) -> None:
    """Say and keep why an upload is tried again."""
    context.display.note(f"Note: the upload is tried again: {error.what}. {error.why}")
    context.run.note("upload-retry", error.as_dict())


def held(context: Context) -> contextlib.AbstractContextManager[None]:
    """The run's device, from before it is flashed until it is let go of: nobody else flashes it between two stages."""
    from pipeline.device import locks
    from pipeline.device.discovery import device_of

    return locks.held(
        device_of(context.board, context.target),
        wait_s=context.target.wait_s,
        run=str(context.run.folder),
        on_wait=context.display.note,
    )


def flash(context: Context, step: Step) -> tuple[Path, ...]:
    """Put the program onto the device and see that this very build answers.

    Where its arena is too small, which only the runtime can know for sure, it is built again with what that asks for.
    """
    try:
        return _flash(context, step)
    except ArenaTooSmallError as error:
        context.display.note(f"Note: {error.what}; it is built again.")
        context.enlarge_arena(error.needed)
    built = (*making.estimate(context, step), *making.render(context, step), *making.build(context, step))
    return (*built, *_flash(context, step))


def _flash(context: Context, step: Step) -> tuple[Path, ...]:
    with (
        device(context, flash=True, step=step) as running,
        deploying.conversation(context.board, running) as conversation,
    ):
        conversation.connect()
        identity = conversation.verify(expected(context))
        conversation.demand_ready()
        where = "emulated" if running.emulator else running.port
        step.result(f"{identity.board} answers with build {identity.build} ({where})")
        record = {
            "schema_version": 1,
            "target": "emulated" if running.emulator else "device",
            "port": None if running.emulator else running.port,
            "alias": running.device.alias,
            "serial_number": running.device.serial_number,
            "upload_retries": list(running.retries),
            "build_id": identity.build,
        }
    return (context.run.write_json("device/flashed.json", record),)


def upload_retries(context: Context) -> tuple[str, ...]:
    """Why uploads had failed before the one whose program was measured; none where the run has flashed nothing."""
    if not context.run.path("device", "flashed.json").is_file():
        return ()
    return tuple(map(str, context.run.read_json("device/flashed.json").get("upload_retries", ())))


def serial_number(context: Context) -> str | None:
    """That of the physical board which was flashed; None of an emulated one, and where it is not known."""
    if not context.run.path("device", "flashed.json").is_file():
        return None
    values = context.run.read_json("device/flashed.json")
    number = values.get("serial_number")
    return str(number) if number and values.get("target") == "device" else None


def flash_result(context: Context) -> StageResult:
    """What answered."""
    values = context.run.read_json("device/flashed.json")
    where = "the emulated board" if values["target"] == "emulated" else f"the board at {printable(values['port'])}"
    return StageResult(values, f"Build {values['build_id']} answers on {where}.")


def measure_key(context: Context) -> str:
    """Depends on the ELF, the target and what is sent."""
    built = context.run.read_json("firmware/elf.json")
    # Not the ELF: its debug information names the folder it was built in.
    image = program(context).elf.with_suffix(".bin")
    if not image.is_file():
        raise missing(context.run, image.relative_to(context.run.folder).as_posix())
    given = Path(context.settings.inputs) if context.settings.inputs is not None else None
    return digest(
        built["build_id"],
        file_sha256(image),
        file_sha256(given) if given is not None and given.is_file() else None,
        context.target.place,
        context.settings.model_dump(exclude={"target"}),
    )


def measure(context: Context, step: Step) -> tuple[Path, ...]:
    """Send the inputs through the device; keep what it said and what the host's reference kernels say."""
    from pipeline.device.measure import measure as run_measurement
    from pipeline.graph.reference import Reference

    notes: list[str] = []
    count = context.settings.images or DEFAULT_IMAGES
    with (
        device(context, flash=False, step=step) as running,
        deploying.conversation(context.board, running) as conversation,
    ):
        if running.emulator is not None and running.emulator.path == "python" and context.settings.images is None:
            count = IMAGES_WITHOUT_NATIVE_PATH
            reason = running.emulator.statistics().path_reason
            notes.append(f"only {count} inputs: the emulator's compiled path is not available ({printable(reason)})")
        sent = inputs(context, count)
        if len(sent.values) < (context.settings.images or count):
            notes.append(f"only {len(sent.values)} inputs: the {sent.origin} has no more")
        step.update("connecting", done=0, total=len(sent.values))
        result = run_measurement(
            conversation,
            inputs=[np.ascontiguousarray(one).tobytes() for one in sent.values],
            expected=expected(context),
            statistics=running.statistics,
            progress=lambda done, total: step.update("inputs", done=done, total=total),
        )
    notes += [result.remark] if result.remark else []
    step.result(f"{len(result.inputs)} inputs ({sent.origin}), RAM {result.memory_after.ram.shown} B")
    reference = Reference(context.model).run(sent.values)
    host = {
        "schema_version": 1,
        "origin": sent.origin,
        "outputs": [np.ascontiguousarray(one).tobytes().hex() for one in reference],
        "labels": None if sent.labels is None else [int(label) for label in sent.labels],
        "device_correct": _correct(result.outputs, reference, sent.labels),
        "notes": notes,
    }
    content = io.BytesIO()
    np.save(content, sent.values, allow_pickle=False)
    return (
        context.run.write_json("measurement.json", result),
        context.run.write_json("device/host.json", host),
        write_atomic(context.run.path("device", "inputs.npy"), content.getvalue()),
    )


def _correct(outputs: tuple[bytes, ...], reference: NDArray[Any], labels: NDArray[np.int64] | None) -> int | None:
    """How many of the device's outputs name the right class; None without labels."""
    if labels is None:
        return None
    found = np.stack([np.frombuffer(output, reference.dtype) for output in outputs])
    return int(np.sum(found.argmax(axis=1) == labels))


def measure_result(context: Context) -> StageResult:
    """What the device said, in short."""
    from pipeline.device.measure import Measurement

    values = context.run.read_json("measurement.json")
    found = Measurement.model_validate(values)
    memory = found.memory_after
    lines = [
        f"{found.identity.board} ({found.target}), build {found.identity.build}, {len(found.inputs)} inputs",
        f"RAM {memory.ram.shown} B: arena {memory.arena.shown}, static {memory.static.shown}, "
        f"stack {memory.stack_used.shown} ({memory.static.source})",
    ]
    if found.inputs:
        cycles = sorted(int(one.cycles.value or 0) for one in found.inputs)
        unit = "instructions" if found.target == "emulated" else "cycles"
        lines.append(f"{cycles[len(cycles) // 2]:,} {unit} an inference (median, {memory.static.source})")
    return StageResult(found.model_dump(mode="json"), "\n".join(lines))
