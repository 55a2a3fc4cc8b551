"""Finds the operator at which a device and the oracle part.

No plan keeps all tensors, and a streamed one never holds some of them in whole. So the model is cut off behind an
operator (:mod:`pipeline.graph.truncate`): its output is then the tensor in question, and it is built, run and compared
like any model. One comparison takes about a second on the emulated board; a binary search over the operators needs
few of them.
"""

from __future__ import annotations

import contextlib
import zlib
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.boards import Board
from pipeline.device.protocol import Session
from pipeline.errors import DanasError, DoesNotFitError, UsageError
from pipeline.graph.model import Graph, Operator
from pipeline.graph.reader import content_of, parse
from pipeline.graph.reference import Reference
from pipeline.graph.repack import self_contained
from pipeline.graph.truncate import isolated, truncated
from pipeline.job import deploying
from pipeline.job.deploying import Made, Recipe
from pipeline.progress import Step
from pipeline.report.diff import Diff, Outcome, TensorComparison
from pipeline.settings import Target

#: The tensors that one input leaves, by their index in the Graph.
Tensors = dict[int, NDArray[Any]]


@dataclass(frozen=True)
class Point:
    """Where the model can be cut off: a tensor and the operator that writes it."""

    operator: int
    tensor: int


def points(graph: Graph) -> tuple[Point, ...]:
    """All of them, in the order in which the operators run."""
    return tuple(Point(operator.index, tensor) for operator in graph.operators for tensor in operator.outputs)


#: Runs a model: takes the bytes of a .tflite, inputs, and what the oracle says to each of them; gives what came for
#: each, None where it is known to be what the oracle says. DoesNotFitError where the model does not fit.
Runner = Callable[[bytes, Sequence[NDArray[Any]], Sequence[NDArray[Any]]], Generator[bytes | None]]


class DeviceRunner:
    """Runs models on the board of a target.

    An output crosses the line only where its CRC-32, which the device computes, is not the expected one's: a tensor of
    100 kB takes 20 s at 115,200 baud.

    Args:
        board: The board type.
        target: Which device.
        into: Folder of sources and build; each model is built over the one before.
        recipe: How the models are made into programs.
        on_line: Called with each line that build and flashing tool print.
    """

    def __init__(
        self,
        board: Board,
        target: Target,
        *,
        into: Path,
        recipe: Recipe,
        on_line: Callable[[str], None] | None = None,
    ) -> None:
        self._board = board
        self._target = target
        self._into = into
        self._recipe = recipe
        self._on_line = on_line
        self.runtime = ""

    def __call__(
        self, content: bytes, inputs: Sequence[NDArray[Any]], expected: Sequence[NDArray[Any]]
    ) -> Generator[bytes | None]:
        """Build a model and run it; see :data:`Runner`."""
        made = deploying.make(content, self._board, into=self._into, recipe=self._recipe, on_line=self._on_line)
        return self._outputs(made, inputs, expected)

    def _outputs(
        self, made: Made, inputs: Sequence[NDArray[Any]], expected: Sequence[NDArray[Any]]
    ) -> Generator[bytes | None]:
        with (
            deploying.started(made.program, self._board, self._target, on_line=self._on_line) as running,
            deploying.conversation(self._board, running) as session,
        ):
            session.connect()
            self.runtime = session.verify(made.expected).runtime
            for one, wanted in zip(inputs, expected, strict=True):
                yield _output(session, one, wanted)


def _output(session: Session, one: NDArray[Any], wanted: NDArray[Any]) -> bytes | None:
    session.infer_on(np.ascontiguousarray(one).tobytes())
    return None if session.crc().output == zlib.crc32(wanted.tobytes()) else session.output()


class Comparison:
    """Compares tensors of a model, each at most once.

    Args:
        graph: The model.
        content: Its bytes, weights inside.
        inputs: What is sent: [*shape without batch] each.
        oracle: The tensors that each input leaves.
        runner: The device.
        progress: Called before each comparison with the operator that is looked at.
    """

    def __init__(
        self,
        graph: Graph,
        content: bytes,
        *,
        inputs: Sequence[NDArray[Any]],
        oracle: Sequence[Tensors],
        runner: Runner,
        progress: Callable[[Operator], None] | None = None,
    ) -> None:
        self._graph = graph
        self._content = content
        self._inputs = inputs
        self._oracle = oracle
        self._runner = runner
        self._progress = progress
        self._known: dict[Point, TensorComparison] = {}
        self.points = points(graph)

    @property
    def compared(self) -> tuple[TensorComparison, ...]:
        """What has been compared, in the order of the operators."""
        return tuple(self._known[point] for point in self.points if point in self._known)

    def at(self, point: Point) -> TensorComparison:
        """Compare the tensor at a point.

        Raises:
            DoesNotFitError: The whole model does not fit; one that is cut off is only ``unknown`` then, as is one
                whose input cannot be streamed.
            DanasError: What building and running a model raises.
        """
        if point not in self._known:
            self._known[point] = self._compare(point)
        return self._known[point]

    def everything(self) -> TensorComparison | None:
        """Compare every tensor; the first that differs."""
        self.at(self._last)
        found = [one for one in map(self.at, self.points) if one.outcome is Outcome.DIFFERS]
        return found[0] if found else None

    def search(self) -> TensorComparison | None:
        """One whose output differs while all that its operator reads agrees, by binary search; None where the model's
        output is equal."""
        if self.at(self._last).outcome is Outcome.EQUAL:
            return None
        high = self.points.index(self._last)
        while True:
            high = self._narrowed(high)
            # Two branches may run side by side: what lies before in order need not be what the operator reads.
            wrong = [one for one in self._sources(high) if self.at(self.points[one]).outcome is Outcome.DIFFERS]
            if not wrong:
                return self.at(self.points[high])
            high = min(wrong)

    def doubtful(self, found: TensorComparison) -> tuple[int, ...]:
        """Operators directly before ``found`` of which nothing is known, since the model cut off there does not fit."""
        before: set[int] = set()
        numbers = range(self.points.index(Point(found.operator, found.tensor)) - 1, -1, -1)
        for number in numbers:
            if not self._unknown(number):
                break
            before.add(self.points[number].operator)
        return tuple(sorted(before - {found.operator}))

    def alone(self, found: TensorComparison) -> Outcome | None:
        """Run the operator of ``found`` as a model of its own on the oracle's values; None where that cannot be."""
        operator = self._graph.operators[found.operator]
        content = isolated(self._graph, operator, found.tensor)
        if content is None or not _readable(content):
            return None
        read = next(index for index in operator.inputs if index is not None and not self._graph.tensors[index].constant)
        first = read == self._graph.input.index
        inputs = self._inputs if first else [tensors[read] for tensors in self._oracle]
        expected = [np.ascontiguousarray(tensors[found.tensor]) for tensors in self._oracle]
        try:
            outputs = self._run(content, inputs, expected)
        except DanasError as error:
            if not _says_nothing(error):
                raise
            return Outcome.UNKNOWN
        return Outcome.EQUAL if outputs is None else Outcome.DIFFERS

    def _narrowed(self, high: int) -> int:
        """Number of a point that differs, with an equal one or the input before it and only unknown ones between."""
        low = -1
        while candidates := [n for n in range(low + 1, high) if not self._unknown(n)]:
            middle = min(candidates, key=lambda number: abs(number - (low + high) // 2))
            outcome = self.at(self.points[middle]).outcome
            if outcome is Outcome.DIFFERS:
                high = middle
            elif outcome is Outcome.EQUAL:
                low = middle
        return high

    def _unknown(self, number: int) -> bool:
        known = self._known.get(self.points[number])
        return known is not None and known.outcome is Outcome.UNKNOWN

    def _sources(self, number: int) -> list[int]:
        """Numbers of the points that the operator of a point reads."""
        read = self._graph.operators[self.points[number].operator].inputs
        return [n for n, point in enumerate(self.points[:number]) if point.tensor in read]

    @property
    def _last(self) -> Point:
        return next(point for point in self.points if point.tensor == self._graph.output.index)

    def _compare(self, point: Point) -> TensorComparison:
        operator, tensor = self._graph.operators[point.operator], self._graph.tensors[point.tensor]
        if self._progress is not None:
            self._progress(operator)
        expected = [np.ascontiguousarray(tensors[point.tensor]) for tensors in self._oracle]
        whole = point == self._last
        made = TensorComparison(
            operator=operator.index,
            code=operator.code.value,
            tensor=tensor.index,
            name=tensor.name,
            outcome=Outcome.EQUAL,
            values=tensor.elements,
        )
        try:
            content = self._content if whole else truncated(self._graph, point.tensor)
            differing = self._run(content, self._inputs, expected)
        except DanasError as error:
            if whole or not _says_nothing(error):
                raise
            return made.model_copy(update={"outcome": Outcome.UNKNOWN})
        return made if differing is None else made.model_copy(update=differing)

    def _run(
        self, content: bytes, inputs: Sequence[NDArray[Any]], expected: Sequence[NDArray[Any]]
    ) -> dict[str, Any] | None:
        """The first difference, as fields of a TensorComparison; None where all outputs are equal."""
        with contextlib.closing(self._runner(content, inputs, expected)) as outputs:
            for number, output in enumerate(outputs):
                if output is not None and output != expected[number].tobytes():
                    return _difference(output, expected[number], number)
        return None


def _says_nothing(error: DanasError) -> bool:
    """Whether a part of a model cannot be run alone, for a reason that is no fault of its operators."""
    return isinstance(error, DoesNotFitError) or error.id == "input-not-streamable"


def _readable(content: bytes) -> bool:
    """Whether the reader takes a model; not every tensor can be a model's input."""
    try:
        parse(content)
    except UsageError:
        return False
    return True


def _difference(output: bytes, expected: NDArray[Any], number: int) -> dict[str, Any]:
    """How an output differs, as fields of a TensorComparison."""
    got = np.frombuffer(output, expected.dtype).reshape(expected.shape)
    # By bytes: a float's NaN is equal to itself here, and −0 is not 0.
    bytes_differ = np.frombuffer(output, np.uint8) != np.frombuffer(expected.tobytes(), np.uint8)
    differs = bytes_differ.reshape(expected.size, expected.itemsize).any(axis=1)
    first = int(np.flatnonzero(differs)[0])
    position = np.unravel_index(first, expected.shape[1:] if expected.ndim > 1 else expected.shape)
    return {
        "outcome": Outcome.DIFFERS,
        "differing": int(differs.sum()),
        "differing_bytes": int(bytes_differ.sum()),
        "input": number,
        "first": tuple(int(index) for index in position),
        "first_byte": int(np.flatnonzero(bytes_differ)[0]),
        "expected": expected.reshape(-1)[first].item(),
        "got": got.reshape(-1)[first].item(),
        "largest": float(np.max(np.abs(got.astype(np.float64) - expected.astype(np.float64)))),
    }


def diff(
    model: Path,
    board: Board,
    target: Target,
    *,
    inputs: Callable[[Graph], NDArray[Any]],
    into: Path,
    recipe: Recipe,
    every: bool,
    step: Step,
) -> Diff:
    """Compare a model on a device with LiteRT's reference kernels.

    Args:
        model: A .tflite.
        board: The board type.
        target: Which device.
        inputs: Gives what is sent, [N, …] as the model takes it.
        into: Folder of sources and build.
        recipe: How the model is made into a program.
        every: Compare every operator's output; else search for one that differs where the model's output does.
        step: Told how far it is.

    Raises:
        DanasError: What reading, building and running the model raises.
    """
    content = self_contained(content_of(model))
    graph = parse(content)
    sent = inputs(graph)
    reference = Reference(model)
    oracle = [_activations(graph, reference.intermediates(one)) for one in sent]
    runner = DeviceRunner(board, target, into=into, recipe=recipe)
    total = len(graph.operators)
    comparison = Comparison(
        graph,
        content,
        inputs=list(sent),
        oracle=oracle,
        runner=runner,
        progress=lambda operator: step.update(f"operator {operator.index} of {total}, {operator.code}"),
    )
    found = comparison.everything() if every else comparison.search()
    step.result("equal" if found is None else f"operator {found.operator}, {found.code} differs")
    return Diff(
        board=board.name,
        target="emulated" if target.emulate else "device",
        runtime=runner.runtime,
        model=graph.sha256,
        inputs=len(sent),
        exhaustive=every,
        compared=comparison.compared,
        found=found,
        doubtful=() if found is None else comparison.doubtful(found),
        alone=None if found is None else comparison.alone(found),
    )


def _activations(graph: Graph, tensors: Tensors) -> Tensors:
    """Those that operators write; the rest need not be kept."""
    return {point.tensor: tensors[point.tensor].copy() for point in points(graph)}
