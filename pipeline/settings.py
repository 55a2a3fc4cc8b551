"""What the user asks for: one frozen value that goes into the run's manifest and is all a resumed run needs."""

from __future__ import annotations

import os
import re
import tomllib
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from pipeline.boards import Board, Engine
from pipeline.errors import UsageError, printable
from pipeline.estimate.model import InputMode, Limits, Prefer
from pipeline.genotype import RESOLUTIONS, Colour, Fix

_SIZE = re.compile(r"^(\d{1,15}(?:\.\d{1,15})?)\s*(b|k|kb|kib|m|mb|mib)?$", re.IGNORECASE)
_DURATION = re.compile(r"^(?:(\d{1,9})h)?(?:(\d{1,9})m(?:in)?)?(?:(\d{1,9})s?)?$", re.IGNORECASE)
_QUANTITY = re.compile(r"^(\d{1,15}(?:\.\d{1,15})?)\s*(?:(n|u|µ|μ|m)?(s|j|a))?$", re.IGNORECASE)
_PREFIXES = {"": 1.0, "m": 1e-3, "u": 1e-6, "µ": 1e-6, "μ": 1e-6, "n": 1e-9}
_WEIGHT = re.compile(r"^(w[1-5])\s*=\s*(\d{1,9}(?:\.\d{1,9})?)$")
_COUNT = re.compile(r"^(\d{1,15}(?:\.\d{1,15})?)\s*(k|m)?$", re.IGNORECASE)

DEFAULT_IMAGES = 100
#: What a search can be asked to make best; accuracy grows, all others shrink.
OBJECTIVES = ("accuracy", "instructions", "latency", "energy", "ram", "flash")
#: The weights w1 … w5 of the published fitness.
EVEN = (1.0, 1.0, 1.0, 1.0, 1.0)
#: The user's own settings for all runs, in the folder where a command is given.
SETTINGS_FILE = "danas.toml"
TFLM_TREE_VARIABLE = "DANAS_TFLM_TREE"
#: What ``--device`` begins with where the device is an emulated board; the board type follows.
EMULATED = "emulated:"


def _in_utf8(text: str) -> str:
    """A path may hold any bytes; the manifest is JSON, and takes text alone."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ValueError("a name that is not UTF-8 cannot be written into a run") from error
    return text


Text = Annotated[str, AfterValidator(_in_utf8)]


class Kind(StrEnum):
    """What a run starts from."""

    SEARCH = "search"  # images
    DEPLOY = "deploy"  # a .tflite


class Target(BaseModel):
    """Where the program runs.

    Attributes:
        emulate: On an emulated board.
        emulator: The emulated board's engine; None: the one that the board file names first.
        device: Which device, as ``--device`` has it (:mod:`pipeline.device.discovery`); None: the only one of its type.
        lab: The lab file; None: by ``DANAS_LAB``, or the user's own.
        wait_s: How long to wait for the device where another job has it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    emulate: bool = False
    emulator: Engine | None = None
    device: Annotated[Text, Field(min_length=1, max_length=400)] | None = None
    lab: Annotated[Text, Field(min_length=1, max_length=4096)] | None = None
    wait_s: Annotated[float, Field(ge=0, le=7 * 86_400)] = 0.0

    @model_validator(mode="before")
    @classmethod
    def _is_one_device(cls, values: Any) -> Any:
        """``emulated:BOARD`` means emulated; what older manifests call port or serial_number is a device."""
        if not isinstance(values, dict):
            return values
        values = dict(values)
        older = [values.pop(name) for name in ("port", "serial_number") if name in values]
        if any(older) and not values.get("device"):
            values["device"] = next(one for one in older if one)
        if str(values.get("device") or "").startswith(EMULATED):
            values["emulate"] = True
        return values

    @property
    def place(self) -> dict[str, Any]:
        """All of it that decides the outcome: how long one may wait does not."""
        return self.model_dump(exclude={"wait_s"})


class Settings(BaseModel):
    """All that decides the outcome of a run."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Kind
    board: str
    target: Target = Target()
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    images: Annotated[int | None, Field(ge=1, le=100_000)] = None
    environment: Text | None = None  # PlatformIO environment; None: the board's local one
    runtime: Literal["aot", "tflm"] = "aot"
    tflm_tree: Text | None = None  # source tree of TensorFlow Lite Micro, absolute; for the runtime tflm
    prefer: Prefer = Prefer.BALANCED
    input_mode: InputMode = InputMode.RESIDENT
    baud: Annotated[int | None, Field(ge=9600, le=4_000_000)] = None  # None: the board's own
    model_id: Annotated[str | None, Field(pattern=r"^[A-Za-z0-9._-]{1,32}$")] = None  # None: of the model's hash

    # search
    data: Text = "sample"
    group_by: Text | None = None
    allow_upsampling: bool = False
    space: Literal["paper", "wide"] = "paper"
    preset: Literal["quick", "full"] = "quick"
    supernet: Literal["per-config", "per-colour", "shared"] = "shared"
    evaluations: Annotated[int | None, Field(ge=1)] = None
    time_s: Annotated[float | None, Field(gt=0)] = None
    strategy: Literal["evolution", "random", "nsga2", "hardware-aware"] = "evolution"
    scorer: Literal["supernet", "naive", "published"] = "supernet"
    naive_steps: Annotated[int | None, Field(ge=1)] = None  # None: the preset's
    published_steps: Annotated[int | None, Field(ge=1)] = None  # None: the preset's
    brood: Annotated[int, Field(ge=1, le=1000)] = 1
    fix: Fix = Fix()
    penalty: Literal["reject", "soft"] = "reject"
    storage: Text | None = None
    study: Annotated[Text, Field(min_length=1, max_length=200)] = "search"
    workers: Annotated[int, Field(ge=1, le=64)] = 1
    weights: Annotated[tuple[float, ...], Field(min_length=5, max_length=5)] = EVEN
    ram: Annotated[int | None, Field(ge=1)] = None
    flash: Annotated[int | None, Field(ge=1)] = None
    macs: Annotated[int | None, Field(ge=1)] = None
    instructions: Annotated[int | None, Field(ge=1)] = None
    latency_ms: Annotated[float | None, Field(gt=0)] = None
    energy_mj: Annotated[float | None, Field(gt=0)] = None
    objective: tuple[str, ...] = ("accuracy",)
    finalists: Annotated[int, Field(ge=1, le=100)] = 3
    final_epochs: Annotated[int | None, Field(ge=0, le=10_000)] = None  # None: the preset's
    final_time_s: Annotated[float | None, Field(gt=0)] = None  # of all finalists together

    # deploy
    model: Text | None = None
    inputs: Text | None = None

    def limits(self, board: Board) -> Limits:
        """The board's limits, lowered where the user says so."""
        return Limits(
            ram_bytes=min(board.ram_bytes, self.ram or board.ram_bytes),
            flash_bytes=min(board.flash_bytes, self.flash or board.flash_bytes),
            macs=self.macs,
            instructions=self.instructions,
            latency_ms=self.latency_ms,
            energy_mj=self.energy_mj,
            linked_bytes=board.ram_bytes,
            areas=board.areas,
        )

    def demand_strategy(self) -> None:
        """Refuse a strategy without what it needs.

        Raises:
            UsageError: ``fix-missing``, ``one-objective``, ``published-space``, ``published-workers``.
        """
        if self.scorer == "published" and self.space != "paper":
            raise UsageError(
                "published-space",
                f"--scorer published with --space {self.space}",
                why="What was published knows one width for the whole network and 3x3 kernels alone.",
                next="Leave --space out.",
            )
        if self.scorer == "published" and (self.workers > 1 or self.storage is not None):
            raise UsageError(
                "published-workers",
                "--scorer published with several workers",
                why="Its candidates train the same weights, one after the other.",
                next="Leave --workers and --storage out.",
            )
        if self.strategy == "hardware-aware" and not self.fix.whole:
            raise UsageError(
                "fix-missing",
                "--strategy hardware-aware without the images that it holds",
                why="It searches networks for one resolution and one colour.",
                next="For example --fix resolution=96,colour=rgb; to hold one of the two, leave --strategy out.",
            )
        if self.strategy == "nsga2" and len(self.objective) == 1:
            raise UsageError(
                "one-objective",
                "--strategy nsga2 with accuracy alone",
                why="It trades objectives for each other.",
                next="Leave --objective out, or name more: --objective accuracy,ram.",
            )

    def demand_deployable(self) -> None:
        """Refuse to flash what leaves no network to flash.

        Raises:
            UsageError: ``not-deployable``.
        """
        if self.scorer == "published":
            raise UsageError(
                "not-deployable",
                "--scorer published leaves nothing to flash",
                why="Its weights are of another network than the one that would be deployed; it is there to compare.",
                next="Use `danas-deploy search`, or leave --scorer out.",
            )

    def demand_modelled(self, board: Board) -> None:
        """Refuse limits and objectives that nobody can reckon with: before any work, and never silently.

        Raises:
            UsageError: ``not-modelled``, or ``no-costs`` and ``calibration-table`` where nothing was calibrated.
        """
        asked = self._asked_of_work()
        if not asked:
            return
        if self.runtime != "aot":
            raise UsageError(
                "not-modelled",
                f"{asked[0][0]}: the work of the runtime {self.runtime} is not predicted",
                why="Only the kernels of the runtime aot are calibrated.",
                next="Leave it out, or search with --runtime aot.",
            )
        from pipeline.estimate.cost.table import load

        cycles = load(board.core.cpu).unit == "cycles"
        for option, name in asked:
            if name == "instructions" and cycles:
                raise UsageError(
                    "not-modelled",
                    f"{option}: for {board.name} cycles are predicted, not instructions",
                    why="Its cost table was measured on a physical board, which counts cycles.",
                    next="Take --latency, which follows from cycles and clock.",
                )
            if name == "instructions":
                continue
            lacking = None if cycles or board.latency else "cycles an instruction ([latency])"
            if name == "energy" and board.energy is None:
                lacking = lacking or "supply current ([energy])"
            if lacking:
                raise UsageError(
                    "not-modelled",
                    f"{option}: no {'milliseconds' if name == 'latency' else 'millijoules'} are modelled "
                    f"for {board.name}",
                    why=f"Its board file has no {lacking}.",
                    next="Limit the instructions instead, which needs neither: --instructions 12M, "
                    "--objective accuracy,instructions.",
                )

    def _asked_of_work(self) -> list[tuple[str, str]]:
        """Limits and objectives that need predicted work: the option as the user gave it, and what it is about."""
        found: list[tuple[str, str]] = []
        if self.instructions is not None:
            found.append((f"--instructions {self.instructions:,}", "instructions"))
        if self.latency_ms is not None:
            found.append((f"--latency {self.latency_ms:g}ms", "latency"))
        if self.energy_mj is not None:
            found.append((f"--energy {self.energy_mj:g}mJ", "energy"))
        of_work = [name for name in self.objective if name in ("instructions", "latency", "energy")]
        return found + [(f"--objective {name}", name) for name in of_work]

    @property
    def needs_work(self) -> bool:
        """Whether each design of the search must have its work predicted."""
        return bool(self._asked_of_work())


def tflm_tree(option: str | None) -> str | None:
    """The TFLM source tree that the user names: by the option, else DANAS_TFLM_TREE, else danas.toml; absolute.

    A path in danas.toml is relative to that file.

    Raises:
        UsageError: ``settings-file``.
    """
    named = option or os.environ.get(TFLM_TREE_VARIABLE) or _from_file("tflm_tree")
    return None if named is None else str(Path(named).expanduser().absolute())


def _from_file(key: str) -> str | None:
    """A text of danas.toml; None where there is no such file or key."""
    path = Path(SETTINGS_FILE)
    try:
        with path.open("rb") as file:
            values = tomllib.load(file)
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:  # bad TOML, or no UTF-8
        raise _unreadable(printable(error)) from error
    value = values.get(key)
    if value is not None and not isinstance(value, str):
        raise _unreadable(f"{key} is not a text in quotes.")
    return value


def _unreadable(why: str) -> UsageError:
    return UsageError("settings-file", f"{SETTINGS_FILE} cannot be read", why=why, next="Mend the file, or remove it.")


def parse_size(text: str) -> int:
    """Bytes from ``256k``, ``1M``, ``64kB`` or ``4096``; k and M are binary (1024), as boards' memories are.

    Raises:
        UsageError: ``bad-size``.
    """
    match = _SIZE.match(text.strip())
    value = (
        int(float(match[1]) * {"": 1, "b": 1, "k": 1024, "m": 1024**2}[(match[2] or "")[:1].lower()]) if match else 0
    )
    if value <= 0:
        raise UsageError(
            "bad-size",
            f"{printable(text)!r} is no memory size",
            why="A size is a number with an optional k or M (1024, 1024²).",
            next="For example --ram 256k --flash 1M.",
        )
    return value


def parse_duration(text: str) -> float:
    """Seconds from ``10m``, ``90s``, ``1h30m`` or ``90``.

    Raises:
        UsageError: ``bad-duration``.
    """
    match = _DURATION.match(text.strip())
    hours, minutes, seconds = (int(part or 0) for part in match.groups()) if match else (0, 0, 0)
    total = hours * 3600 + minutes * 60 + seconds
    if total <= 0:
        raise UsageError(
            "bad-duration",
            f"{printable(text)!r} is no duration",
            why="A duration is hours, minutes and seconds: 1h30m, 10m, 90s.",
            next="For example --time 10m.",
        )
    return float(total)


def parse_latency(text: str) -> float:
    """Milliseconds from ``100ms``, ``0.1s``, ``500us``; a number without a unit is milliseconds.

    Raises:
        UsageError: ``bad-latency``.
    """
    value = _quantity(text, "s")
    if value is None:
        raise UsageError(
            "bad-latency",
            f"{printable(text)!r} is no latency",
            why="A latency is a number with a unit, s, ms or us; without one it is milliseconds.",
            next="For example --latency 100ms.",
        )
    return value


def parse_energy(text: str) -> float:
    """Millijoules from ``5mJ``, ``500uJ``, ``0.005J``; a number without a unit is millijoules.

    Raises:
        UsageError: ``bad-energy``.
    """
    value = _quantity(text, "j")
    if value is None:
        raise UsageError(
            "bad-energy",
            f"{printable(text)!r} is no energy",
            why="An energy is a number with a unit, J, mJ or uJ; without one it is millijoules.",
            next="For example --energy 5mJ.",
        )
    return value


def parse_current(text: str) -> float:
    """Amperes from ``40mA``, ``500uA``, ``0.04A``; a number without a unit is milliamperes.

    Raises:
        UsageError: ``bad-current``.
    """
    value = _quantity(text, "a")
    if value is None:
        raise UsageError(
            "bad-current",
            f"{printable(text)!r} is no current",
            why="A current is a number with a unit, A, mA or uA; without one it is milliamperes.",
            next="For example --threshold 40mA.",
        )
    return value / 1000


def _quantity(text: str, unit: str) -> float | None:
    """Thousandths of the unit, None where the text is none of it."""
    match = _QUANTITY.match(text.strip())
    if match is None or (match[3] or unit).lower() != unit:
        return None
    prefix = "m" if match[3] is None else (match[2] or "").lower()
    value = float(match[1]) * (_PREFIXES[prefix] / 1e-3)
    return value if value > 0 else None


def parse_objective(text: str) -> tuple[str, ...]:
    """The objectives of ``accuracy,latency``, in the order given.

    Raises:
        UsageError: ``bad-objective``.
    """
    found = tuple(part.strip().lower() for part in text.split(","))
    unknown = [part for part in found if part not in OBJECTIVES]
    if unknown or len(set(found)) != len(found) or "accuracy" not in found:
        raise UsageError(
            "bad-objective",
            f"--objective {printable(text)!r}: "
            + (
                f"{printable(unknown[0])!r} is none of {', '.join(OBJECTIVES)}"
                if unknown
                else "an objective is named twice"
                if len(set(found)) != len(found)
                else "accuracy is missing"
            ),
            why="Objectives are names with commas between them, each once, accuracy among them.",
            next="For example --objective accuracy,latency.",
        )
    return found


def default_objective(strategy: str, board: Board, runtime: str) -> tuple[str, ...]:
    """What is made best where the user does not say: accuracy; of several objectives also what a design needs.

    Latency is among them where it is modelled for the board.
    """
    if strategy != "nsga2":
        return ("accuracy",)
    from pipeline.estimate.cost.table import load

    found: tuple[str, ...] = ("accuracy", "ram", "flash")
    if runtime == "aot":
        try:
            cycles = load(board.core.cpu).unit == "cycles"
        except UsageError:
            return found
        if cycles or board.latency:
            found += ("latency",)
    return found


def parse_fix(text: str) -> Fix:
    """What is fixed by ``resolution=96,colour=rgb``, or by one of the two.

    Raises:
        UsageError: ``bad-fix``.
    """
    values: dict[str, str] = {}
    for part in text.split(","):
        axis, found, value = (piece.strip().lower() for piece in part.partition("="))
        known = {"resolution": tuple(map(str, RESOLUTIONS)), "colour": tuple(Colour)}.get(axis)
        wrong = (
            f"{printable(axis)!r} is neither resolution nor colour"
            if known is None
            else f"{axis} is named twice"
            if axis in values
            else f"{axis} is one of {', '.join(known)}"
            if not found or value not in known
            else ""
        )
        if wrong:
            raise UsageError(
                "bad-fix",
                f"--fix {printable(text)!r}: {wrong}",
                why="An axis of the images and its value, with = between them; commas separate two.",
                next="For example --fix resolution=96,colour=rgb, or --fix colour=mono.",
            )
        values[axis] = value
    return Fix(
        int(values["resolution"]) if "resolution" in values else None,
        Colour(values["colour"]) if "colour" in values else None,
    )


def parse_weights(text: str) -> tuple[float, ...]:
    """The weights w1 … w5 of ``w1=2,w4=10``; those that are not named are 1.

    Raises:
        UsageError: ``bad-weights``.
    """
    values: dict[str, float] = {}
    for part in text.split(","):
        match = _WEIGHT.match(part.strip().lower())
        if match is None or match[1] in values:
            raise UsageError(
                "bad-weights",
                f"--weights {printable(text)!r}: {printable(part)!r} is "
                + ("named twice" if match else "no weight with a value"),
                why="w1, w2, w3 are those of accuracy, precision and recall, w4 and w5 those of the RAM and flash "
                "penalties; each a number that is not negative.",
                next="For example --weights w1=1,w4=10,w5=10.",
            )
        values[match[1]] = float(match[2])
    return tuple(values.get(f"w{number}", 1.0) for number in range(1, 6))


def parse_count(text: str) -> int:
    """A count from ``6M``, ``500k`` or ``6000000``; k and M are decimal.

    Raises:
        UsageError: ``bad-count``.
    """
    match = _COUNT.match(text.strip())
    value = int(float(match[1]) * {"": 1, "k": 1000, "m": 10**6}[(match[2] or "").lower()]) if match else 0
    if value <= 0:
        raise UsageError(
            "bad-count",
            f"{printable(text)!r} is no count",
            why="A count is a number with an optional k or M (1000, 10⁶).",
            next="For example --macs 6M.",
        )
    return value
