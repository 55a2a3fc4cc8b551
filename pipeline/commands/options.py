"""What the commands have in common: their options, the checks of what was given, and how a result is printed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

if TYPE_CHECKING:
    from pipeline.job.deploying import Recipe
    from pipeline.settings import Target

T = TypeVar("T")

BoardOption = Annotated[str, typer.Option("--board", "-b", help="Board type; see `boards list`.")]
RunArgument = Annotated[Path, typer.Argument(metavar="RUN", help="Run directory.")]
RunOption = Annotated[
    Path | None, typer.Option("--run", help="Run directory to make (default: runs/DATE-BOARD).", show_default=False)
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="No progress on stderr.")]
DebugOption = Annotated[bool, typer.Option("--debug", help="Tracebacks instead of one-line errors.")]
EmulateOption = Annotated[
    bool, typer.Option("--emulate", help="Run the same ELF on an emulated board; short for --device emulated:BOARD.")
]
EmulatorOption = Annotated[
    str | None,
    typer.Option(
        "--emulator",
        metavar="ENGINE",
        help="Emulate the board with `unicorn` or `qemu`; see `boards show`.",
        show_default="the board's first",
    ),
]
DeviceOption = Annotated[
    str | None,
    typer.Option(
        "--device",
        help="Which device: an alias of lab.toml, a probe's serial number, a port or pyserial URL, `emulated:BOARD`.",
        show_default="the only one attached",
    ),
]
LabOption = Annotated[
    str | None,
    typer.Option(
        "--lab", metavar="FILE", help="Lab file (else DANAS_LAB, else the user's lab.toml).", show_default=False
    ),
]
WaitOption = Annotated[
    str | None,
    typer.Option(
        "--wait", metavar="TIME", help="Wait this long for a device that is in use: `10m`.", show_default=False
    ),
]
DataOption = Annotated[
    str, typer.Option("--data", help="`sample`, `folder:PATH`, `wake-vision`, `visual-wake-words` …")
]
GroupOption = Annotated[
    str | None,
    typer.Option("--group-by", help="Regular expression: images with the same match are never torn apart."),
]
UpsamplingOption = Annotated[
    bool,
    typer.Option("--allow-upsampling", help="Search resolutions too that many images would be enlarged for."),
]
PresetOption = Annotated[str, typer.Option("--preset", help="Search space and effort: `quick` or `full`.")]
SpaceOption = Annotated[
    str,
    typer.Option("--space", help="`paper`: the published space; `wide`: width, kernel and expansion a stage as well."),
]
SupernetOption = Annotated[
    str,
    typer.Option(
        "--supernet",
        help="Shared weights: `per-config` (one supernet a resolution and colour), `per-colour`, or `shared` by all.",
    ),
]
EvaluationsOption = Annotated[
    int | None, typer.Option("--evaluations", min=1, help="Stop after N candidates.", show_default="from the preset")
]
TimeOption = Annotated[
    str | None, typer.Option("--time", help="Stop the search after this long: 10m, 1h30m.", show_default=False)
]
StrategyOption = Annotated[
    str,
    typer.Option(
        "--strategy",
        help="`evolution`, `random`, `nsga2` (several objectives), or `hardware-aware` (the images fixed by --fix).",
    ),
]
ScorerOption = Annotated[
    str,
    typer.Option(
        "--scorer",
        help="What scores candidates: a `supernet`, `naive` training of each from scratch, or what was `published`.",
    ),
]
NaiveStepsOption = Annotated[
    int | None,
    typer.Option(
        "--naive-steps", min=1, help="Steps of a candidate with --scorer naive.", show_default="from the preset"
    ),
]
PublishedStepsOption = Annotated[
    int | None,
    typer.Option(
        "--published-steps",
        min=1,
        help="Steps of the full networks with --scorer published; 30,000 in the paper.",
        show_default="from the preset",
    ),
]
StorageOption = Annotated[
    str | None,
    typer.Option(
        "--storage",
        metavar="URL",
        help="Database of the study, for workers on several machines: postgresql://user@host/name.",
        show_default="a file in the run",
    ),
]
StudyOption = Annotated[str, typer.Option("--study", help="The study's name in the storage.")]
WithImagesOption = Annotated[
    bool,
    typer.Option(
        "--with-images", help="Put the images that the device took for another class into the page, as it saw them."
    ),
]
WorkersOption = Annotated[int, typer.Option("--workers", min=1, help="Processes that search together.")]
BroodOption = Annotated[
    int,
    typer.Option("--brood", min=1, help="Evaluate the one of N children that a predictor expects most of; 1: none is."),
]
FixOption = Annotated[
    str | None,
    typer.Option("--fix", help="Hold the images: `resolution=96,colour=rgb`, or one of the two.", show_default=False),
]
PenaltyOption = Annotated[
    str,
    typer.Option("--penalty", help="Designs beyond a limit: `reject` them, or `soft`: a lower fitness, as published."),
]
WeightsOption = Annotated[
    str | None,
    typer.Option(
        "--weights",
        help="Of accuracy, precision, recall, RAM and flash in the fitness: `w1=1,w4=10`.",
        show_default="all 1",
    ),
]
RamOption = Annotated[
    str | None, typer.Option("--ram", help="RAM limit below the board's: 256k.", show_default="the board's")
]
FlashOption = Annotated[
    str | None, typer.Option("--flash", help="Flash limit below the board's: 1M.", show_default="the board's")
]
MacsOption = Annotated[
    str | None, typer.Option("--macs", help="Most MACs an inference: 6M.", show_default="from the preset")
]
InstructionsOption = Annotated[
    str | None,
    typer.Option("--instructions", help="Most instructions an inference, as predicted: 12M.", show_default=False),
]
LatencyOption = Annotated[
    str | None,
    typer.Option("--latency", help="Longest inference, as modelled for the board: 100ms.", show_default=False),
]
EnergyOption = Annotated[
    str | None,
    typer.Option("--energy", help="Most energy an inference, as modelled for the board: 5mJ.", show_default=False),
]
ObjectiveOption = Annotated[
    str | None,
    typer.Option(
        "--objective",
        help="What the search makes best: `accuracy`, or with commas also `instructions`, `latency`, `energy`, `ram`, "
        "`flash`.",
        show_default="accuracy; of nsga2 also ram, flash and, where it is modelled, latency",
    ),
]
FinalistsOption = Annotated[
    int, typer.Option("--finalists", min=1, help="Best candidates that are trained on, made int8 and compared.")
]
FinalEpochsOption = Annotated[
    int | None,
    typer.Option(
        "--final-epochs",
        min=0,
        help="Epochs of each finalist's final training; 0 ships the weights as inherited.",
        show_default="from the preset",
    ),
]
FinalTimeOption = Annotated[
    str | None,
    typer.Option(
        "--final-time",
        metavar="TIME",
        help="Final training of all finalists in this time, e.g. `10m`: their epochs are cut to fit.",
    ),
]
SeedOption = Annotated[int, typer.Option("--seed", min=0, help="Same seed, same result.")]
ImagesOption = Annotated[
    int | None, typer.Option("--images", min=1, help="Inputs that go through the device.", show_default="100")
]
EnvironmentOption = Annotated[
    str | None,
    typer.Option("--environment", help="PlatformIO environment.", show_default="the board's local one"),
]
BaudOption = Annotated[
    int | None,
    typer.Option(
        "--baud", help="Rate of the serial port: 115200 for MLPerf Tiny's runner.", show_default="the board's"
    ),
]
ModelIdOption = Annotated[
    str | None,
    typer.Option(
        "--model-id",
        metavar="ID",
        help="What MLPerf Tiny's runner is told: `vww01`, `ic01`, `kws01`.",
        show_default="from the model's hash",
    ),
]
RuntimeOption = Annotated[
    str, typer.Option("--runtime", help="Inference engine: `aot`, or `tflm` from a TFLM source tree.")
]
TreeOption = Annotated[
    str | None,
    typer.Option(
        "--tflm-tree",
        metavar="DIR",
        help="TFLM source tree, for --runtime tflm (else DANAS_TFLM_TREE, or tflm_tree in danas.toml).",
        show_default=False,
    ),
]
PreferOption = Annotated[
    str, typer.Option("--prefer", help="Make the firmware for `balanced`, `ram`, `flash` or `speed`.")
]
InputModeOption = Annotated[
    str,
    typer.Option("--input", help="`resident`: in whole before an inference; `streamed`: row by row while it runs."),
]
SourceArgument = Annotated[Path, typer.Argument(metavar="RUN|MODEL", help="Run directory, or an int8 .tflite.")]
MaybeBoardOption = Annotated[
    str | None, typer.Option("--board", "-b", help="Board type, for a .tflite.", show_default=False)
]
ModelArgument = Annotated[Path, typer.Argument(metavar="MODEL", help="An int8 .tflite.")]
InputsOption = Annotated[
    Path | None,
    typer.Option("--inputs", help=".npy with inputs [N, …] as the model takes them.", show_default="random"),
]
FolderOption = Annotated[
    Path | None,
    typer.Option("--into", metavar="DIR", help="Keep sources and build there.", show_default="a temporary folder"),
]


def recipe_of(**values: Any) -> Recipe:
    """How a model is made into a program, by the options.

    Raises:
        UsageError: ``bad-option``.
    """
    from pipeline.job.deploying import Recipe

    return checked(Recipe, **values)


def target_of(
    emulate: bool, device: str | None, lab: str | None, wait: str | None, emulator: str | None = None
) -> Target:
    """Where the program runs, by the options. An ``emulator``, that is its engine, asks for an emulated board.

    Raises:
        UsageError: ``emulate-and-device``, ``bad-duration`` or ``bad-option``.
    """
    from pipeline.errors import UsageError, printable
    from pipeline.settings import EMULATED, Target, parse_duration

    emulated = emulate or emulator is not None
    if emulated and device is not None and not device.startswith(EMULATED):
        raise UsageError(
            "emulate-and-device",
            f"--{'emulate' if emulate else 'emulator'} together with --device {printable(device)}",
            why=f"--emulate is short for --device {EMULATED}BOARD.",
            next="Leave one of them out.",
        )
    place = str(Path(lab).expanduser().absolute()) if lab else lab
    wait_s = parse_duration(wait) if wait else 0.0
    return checked(Target, emulate=emulated, emulator=emulator, device=device, lab=place, wait_s=wait_s)


def tree_of(runtime: str, tree: str | None) -> str | None:
    """The TFLM source tree for a runtime, by option, environment or danas.toml; None for a runtime without one.

    Raises:
        UsageError: ``settings-file``.
    """
    from pipeline.settings import tflm_tree

    return tflm_tree(tree) if runtime == "tflm" else None


def checked(made: Callable[..., T], /, **values: Any) -> T:
    """Settings, a Target or a Recipe of the options' values.

    Raises:
        UsageError: ``bad-option``.
    """
    from pydantic import ValidationError

    from pipeline.errors import UsageError, printable

    try:
        return made(**values)
    except ValidationError as error:
        first = error.errors()[0]
        raise UsageError(
            "bad-option",
            f"--{printable('-'.join(map(str, first['loc'])))} {printable(first['input'])}: {printable(first['msg'])}",
            why="The option does not take this value.",
            next="See `danas-deploy search-and-flash --help`.",
        ) from error


def print_json(value: object) -> None:
    """A result as one JSON document on stdout."""
    typer.echo(json.dumps(value, indent=2, ensure_ascii=False, default=str))
