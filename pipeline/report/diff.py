"""Where a device and the oracle part, tensor by tensor, as JSON and as text."""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

from pydantic import BaseModel, ConfigDict
from rich.table import Table
from rich.text import Text

from pipeline.errors import printable
from pipeline.report.terminal import rendered


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Outcome(StrEnum):
    """What a comparison of one tensor came to."""

    EQUAL = "equal"
    DIFFERS = "differs"
    UNKNOWN = "does not fit"  # the model cut off there needs more memory than the board has


_ALONE = {
    Outcome.EQUAL: "Alone, given the right input, the operator is right: the fault lies in how the plan runs it.",
    Outcome.DIFFERS: "Alone, given the right input, it is wrong too: the fault lies in its kernel or its constants.",
}
_STYLES = {Outcome.EQUAL: "green", Outcome.DIFFERS: "bold red", Outcome.UNKNOWN: "yellow"}


class TensorComparison(_Frozen):
    """One tensor on the device against the oracle, for all inputs.

    Attributes:
        operator: Index of the operator that writes it; ``code`` is its name.
        tensor: Its index in the model; ``name`` comes from the model.
        values: Elements of it, of one input.
        differing: Those that differ, for the first input where any do; ``differing_bytes`` counts bytes.
        input: Number of that input.
        first: Where the first of them is: a position without the batch; ``first_byte`` is its first byte's offset.
        expected: What the oracle has there.
        got: What the device has.
        largest: The largest difference of two values, of that input.
    """

    operator: int
    code: str
    tensor: int
    name: str
    outcome: Outcome
    values: int
    differing: int = 0
    differing_bytes: int = 0
    input: int | None = None
    first: tuple[int, ...] = ()
    first_byte: int | None = None
    expected: int | float | None = None
    got: int | float | None = None
    largest: float = 0.0

    def text(self) -> str:
        """One or two sentences."""
        what = f"operator {self.operator}, {printable(self.code)}: tensor {self.tensor} '{printable(self.name, 80)}'"
        if self.outcome is not Outcome.DIFFERS:
            return f"{what} {'is equal' if self.outcome is Outcome.EQUAL else 'does not fit alone'}"
        return (
            f"{what} differs in {self.differing:,} of {self.values:,} values ({self.differing_bytes:,} bytes) "
            f"for input {self.input}; the first is {list(self.first)}, byte {self.first_byte:,}: expected "
            f"{self.expected}, got {self.got}; the largest difference is {self.largest:g}"
        )


class Diff(_Frozen):
    """What was compared and what was found.

    Attributes:
        exhaustive: Every operator was compared; else only as many as it took to find one that differs.
        compared: Tensors in the order of the model's operators.
        found: The first that differs although what its operator reads agrees; None where all are equal.
        doubtful: Operators that may be at fault as well: they lie directly before ``found``, and none of them could be
            compared, because the model cut off there does not fit the board.
        alone: What came of the operator at fault as a model of its own, which takes the oracle's values: where it is
            equal, the kernel is right and the fault lies in how the plan runs it. None where that was not tried.
    """

    schema_version: Literal[1] = 1
    board: str
    target: Literal["emulated", "device"]
    runtime: str
    model: str
    inputs: int
    exhaustive: bool
    compared: tuple[TensorComparison, ...]
    found: TensorComparison | None
    doubtful: tuple[int, ...] = ()
    alone: Outcome | None = None

    @property
    def equal(self) -> bool:
        """Nothing that was compared differs."""
        return self.found is None


def diff_text(diff: Diff, *, colour: bool = False, width: int = 110) -> str:
    """What a person reads, ending in a line feed."""
    where = "emulated board" if diff.target == "emulated" else "device"
    parts: list[Text | Table | str] = [
        Text(f"{diff.board} ({where}), runtime {printable(diff.runtime)}, {_inputs(diff.inputs)}", style="bold")
    ]
    if diff.exhaustive:
        parts.append(_table(diff))
    if diff.found is not None:
        parts.append(Text(f"The first difference: {diff.found.text()}.", style="bold red"))
        if diff.doubtful:
            which = ", ".join(map(str, diff.doubtful))
            parts.append(f"It may begin at operator {which}: the model cut off there does not fit the board.")
        if diff.alone in _ALONE:
            parts.append(_ALONE[diff.alone])
        return rendered(*parts, colour=colour, width=width)
    unknown = sum(one.outcome is Outcome.UNKNOWN for one in diff.compared)
    if not diff.exhaustive:
        parts.append("The output equals LiteRT's reference kernels byte for byte; --all compares every operator.")
    elif unknown:
        parts.append(
            f"{len(diff.compared) - unknown} tensors are equal byte for byte; {unknown} could not be compared."
        )
    else:
        parts.append(f"All {len(diff.compared)} tensors equal LiteRT's reference kernels byte for byte.")
    return rendered(*parts, colour=colour, width=width)


def _inputs(count: int) -> str:
    return "one input" if count == 1 else f"{count} inputs"


def _table(diff: Diff) -> Table:
    table = Table("", "Operator")
    table.add_column("tensor", no_wrap=True, overflow="ellipsis")
    for title in ("values", "differing", "largest"):
        table.add_column(title, justify="right")
    table.add_column()
    for one in diff.compared:
        wrong = one.outcome is Outcome.DIFFERS
        table.add_row(
            str(one.operator),
            Text(printable(one.code)),
            Text(f"{one.tensor} {printable(one.name, 28)}"),
            f"{one.values:,}",
            f"{one.differing:,}" if wrong else "",
            f"{one.largest:g}" if wrong else "",
            Text(one.outcome.value, style=_STYLES[one.outcome]),
        )
    return table
