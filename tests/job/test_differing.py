"""The operator at fault is named: by search, by comparing everything, beside branches, and where not all of it fits."""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import graph_samples
import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline import boards
from pipeline.__main__ import run
from pipeline.device.deadline import ManualClock
from pipeline.device.fake import FakeDevice, fake_identity
from pipeline.device.link import MemoryLink
from pipeline.device.protocol import Expected, Session
from pipeline.errors import DoesNotFitError, UsageError, printable
from pipeline.firmware import render as rendering
from pipeline.graph.inputs import random_inputs
from pipeline.graph.model import ActivationOptions, DType, Graph, NoOptions, OpCode, WindowOptions
from pipeline.graph.reader import parse
from pipeline.graph.reference import Reference
from pipeline.graph.writer import ModelWriter, write
from pipeline.job import deploying
from pipeline.job.deploying import Made, Recipe
from pipeline.job.differing import Comparison, DeviceRunner
from pipeline.report.diff import Diff, Outcome, TensorComparison, diff_text
from pipeline.settings import Target

needs_compiler = pytest.mark.skipif(shutil.which("arm-none-eabi-gcc") is None, reason="needs arm-none-eabi-gcc")


def spoiled(graph: Graph, name: str) -> Graph:
    """The graph with another constant in the operator whose output is called ``name``; itself where it has none."""
    for operator in graph.operators:
        if graph.tensors[operator.outputs[0]].name == name:
            constant = graph.tensors[operator.inputs[1] or 0]
            assert constant.data is not None
            tensors = list(graph.tensors)
            tensors[constant.index] = replace(constant, data=np.invert(constant.data))
            return replace(graph, tensors=tuple(tensors))
    return graph


class HostRunner:
    """Runs models on the host's reference kernels, with something wrong in them.

    Args:
        folder: For its files.
        spoil: Makes the wrong model of the right one.
        too_large: Names of tensors that do not fit as an output.
        whole: The same of those before which the input would be needed in whole.
    """

    def __init__(
        self,
        folder: Path,
        spoil: Callable[[Graph], Graph] = lambda graph: graph,
        too_large: Sequence[str] = (),
        whole: Sequence[str] = (),
    ) -> None:
        self._whole = whole
        self._path = folder / "part.tflite"
        self.spoil = spoil
        self._too_large = too_large
        self.runs: list[str] = []

    def __call__(
        self, content: bytes, inputs: Sequence[NDArray[Any]], expected: Sequence[NDArray[Any]]
    ) -> Generator[bytes | None]:
        graph = parse(content)
        self.runs.append(graph.output.name)
        if graph.output.name in self._too_large:
            raise DoesNotFitError("region-overflow", "too large")
        if graph.output.name in self._whole:
            raise UsageError("input-not-streamable", "needed in whole")
        self._path.write_bytes(write(self.spoil(graph)))
        outputs = Reference(self._path).run(np.stack(inputs).reshape(-1, *graph.input.shape[1:]))
        return (output.tobytes() for output in outputs)


def comparison(
    folder: Path,
    content: bytes,
    *,
    fault: str | None = None,
    too_large: Sequence[str] = (),
    whole: Sequence[str] = (),
    images: int = 2,
) -> tuple[Comparison, HostRunner]:
    """A comparison of a model with one whose operator that writes ``fault`` is wrong."""
    path = folder / "whole.tflite"
    path.write_bytes(content)
    graph, reference = parse(content), Reference(path)
    sent = random_inputs(graph.input, images, seed=5)
    runner = HostRunner(folder, lambda made: spoiled(made, fault) if fault else made, too_large, whole)
    oracle = [reference.intermediates(one) for one in sent]
    return Comparison(graph, content, inputs=list(sent), oracle=oracle, runner=runner), runner


def _writers(content: bytes, *codes: OpCode) -> list[tuple[int, str]]:
    """Index and output name of the operators of some kinds."""
    graph = parse(content)
    return [(one.index, graph.tensors[one.outputs[0]].name) for one in graph.operators if one.code in codes]


def test_a_correct_runtime_is_equal_everywhere(tmp_path: Path) -> None:
    content = graph_samples.content(cast=True)
    compared, runner = comparison(tmp_path, content)
    assert compared.search() is None
    assert runner.runs == [parse(content).output.name], "the whole model says it"
    assert compared.everything() is None
    assert len(runner.runs) == len(compared.compared) == len(parse(content).operators)
    assert {one.outcome for one in compared.compared} == {Outcome.EQUAL}


@pytest.mark.parametrize("every", [False, True])
@pytest.mark.parametrize(
    ("index", "name"),
    _writers(graph_samples.content(), OpCode.CONV_2D, OpCode.DEPTHWISE_CONV_2D, OpCode.FULLY_CONNECTED),
)
def test_the_operator_with_a_wrong_constant_is_named(index: int, name: str, every: bool, tmp_path: Path) -> None:
    compared, runner = comparison(tmp_path, graph_samples.content(), fault=name)
    found = compared.everything() if every else compared.search()
    assert found is not None
    assert (found.operator, found.name, found.outcome) == (index, name, Outcome.DIFFERS)
    assert len(set(runner.runs)) == len(runner.runs), "each is built once"
    if not every:
        assert len(runner.runs) <= 6, "a binary search"


def test_an_operator_at_fault_is_run_alone(tmp_path: Path) -> None:
    content = graph_samples.content()
    for _, name in _writers(content, OpCode.CONV_2D, OpCode.DEPTHWISE_CONV_2D):
        compared, _ = comparison(tmp_path, content, fault=name)
        found = compared.search()
        assert found is not None and compared.alone(found) is Outcome.DIFFERS
    # Wrong in the model, right alone: the plan's fault.
    (index, name), *_ = _writers(content, OpCode.DEPTHWISE_CONV_2D)
    compared, runner = comparison(tmp_path, content)
    runner.spoil = lambda graph: spoiled(graph, name) if len(graph.operators) > 1 else graph
    found = compared.search()
    assert found is not None and found.operator == index
    assert compared.alone(found) is Outcome.EQUAL
    # What reads two activations cannot be a model of its own.
    (add,) = _writers(content, OpCode.ADD)
    assert compared.alone(next(one for one in _everything(compared) if one.operator == add[0])) is None


def _everything(compared: Comparison) -> tuple[TensorComparison, ...]:
    compared.everything()
    return compared.compared


def test_a_difference_says_where_and_what(tmp_path: Path) -> None:
    content = graph_samples.content()
    (_, name), *_ = _writers(content, OpCode.CONV_2D)
    compared, _ = comparison(tmp_path, content, fault=name)
    found = compared.search()
    assert found is not None and found.first_byte is not None
    graph = parse(content)
    sent = random_inputs(graph.input, 2, seed=5)
    part = tmp_path / "stem.tflite"
    part.write_bytes(write(spoiled(replace(graph, operators=graph.operators[:1], outputs=(found.tensor,)), name)))
    got = Reference(part).run(sent)[found.input or 0]
    expected = Reference(tmp_path / "whole.tflite").intermediates(sent[found.input or 0])[found.tensor][0]
    assert found.differing == found.differing_bytes == int(np.sum(got != expected))
    assert (got[found.first], expected[found.first]) == (found.got, found.expected)
    assert np.array_equal(got.reshape(-1)[: found.first_byte], expected.reshape(-1)[: found.first_byte])
    assert found.largest == float(np.max(np.abs(got.astype(int) - expected.astype(int))))


def _branches() -> bytes:
    """x → a; x → b → c; a + c: the branch of a ends before that of b begins."""
    rng = np.random.default_rng(1)
    writer = ModelWriter()

    def convolve(x: int, name: str) -> int:
        w = writer.tensor((4, 1, 1, 4), DType.INT8, scale=[0.01] * 4, data=rng.integers(-127, 128, (4, 1, 1, 4)))
        b = writer.tensor((4,), DType.INT32, scale=[0.001] * 4, data=rng.integers(-500, 500, 4))
        y = writer.tensor((1, 3, 3, 4), DType.INT8, name=name, scale=0.1)
        writer.operator(OpCode.CONV_2D, [x, w, b], [y], WindowOptions(), version=3)
        return y

    x = writer.tensor((1, 3, 3, 4), DType.INT8, name="x", scale=0.1)
    a = convolve(x, "a")
    c = convolve(convolve(x, "b"), "c")
    total = writer.tensor((1, 3, 3, 4), DType.INT8, name="total", scale=0.2)
    writer.operator(OpCode.ADD, [a, c], [total], ActivationOptions())
    return writer.finish([x], [total])


@pytest.mark.parametrize("name", ["a", "b", "c"])
def test_beside_a_branch_that_agrees_the_other_one_is_searched(name: str, tmp_path: Path) -> None:
    compared, _ = comparison(tmp_path, _branches(), fault=name)
    found = compared.search()
    assert found is not None and found.name == name


def test_what_does_not_fit_alone_leaves_a_doubt(tmp_path: Path) -> None:
    compared, _ = comparison(tmp_path, _branches(), fault="b", too_large=["b"])
    found = compared.search()
    assert found is not None and (found.name, compared.doubtful(found)) == ("c", (1,))
    assert [one.outcome for one in compared.compared if one.name == "b"] == [Outcome.UNKNOWN]
    compared, _ = comparison(tmp_path, _branches(), fault="b", too_large=["a"])
    found = compared.everything()
    assert found is not None and (found.name, compared.doubtful(found)) == ("b", (0,))
    with pytest.raises(DoesNotFitError):
        comparison(tmp_path, _branches(), too_large=["total"])[0].search()


def test_what_cannot_be_streamed_alone_leaves_a_doubt(tmp_path: Path) -> None:
    compared, _ = comparison(tmp_path, _branches(), fault="b", whole=["b"])
    found = compared.search()
    assert found is not None and (found.name, compared.doubtful(found)) == ("c", (1,))
    with pytest.raises(UsageError):
        comparison(tmp_path, _branches(), whole=["total"])[0].search()


def test_a_difference_that_vanishes_is_seen_only_by_comparing_everything(tmp_path: Path) -> None:
    writer = ModelWriter()
    x, y, z = (writer.tensor((1, 4), DType.INT8, name=name, scale=0.1, zero_point=-128) for name in "xyz")
    operand = writer.tensor((1, 4), DType.INT8, scale=0.1, zero_point=-128, data=np.array([[-128] * 4]))
    nothing = writer.tensor((1, 4), DType.INT8, scale=0.1, zero_point=-128, data=np.array([[-128] * 4]))
    writer.operator(OpCode.ADD, [x, operand], [y], ActivationOptions())
    writer.operator(OpCode.MUL, [y, nothing], [z], ActivationOptions())
    compared, _ = comparison(tmp_path, writer.finish([x], [z]), fault="y")
    assert compared.search() is None
    found = compared.everything()
    assert found is not None and found.name == "y"


def test_floats_are_compared_by_their_bytes(tmp_path: Path) -> None:
    writer = ModelWriter()
    x = writer.tensor((1, 4), DType.INT8, name="x", scale=0.1)
    y = writer.tensor((1, 4), DType.FLOAT32, name="y")
    writer.operator(OpCode.DEQUANTIZE, [x], [y], NoOptions(), version=2)
    content = writer.finish([x], [y])
    compared, runner = comparison(tmp_path, content, images=1)
    sound = next(runner(content, list(random_inputs(parse(content).input, 1, seed=5)), [])) or b""
    # The last byte of the second value: its sign.
    compared._runner = lambda *_: (one for one in [sound[:7] + bytes([sound[7] ^ 0x80]) + sound[8:]])
    found = compared.search()
    assert found is not None
    assert (found.differing, found.differing_bytes, found.first, found.first_byte) == (1, 1, (1,), 7)
    assert found.got == -(found.expected or 0)


def test_an_output_crosses_the_line_only_where_it_differs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    clock = ManualClock()
    device = FakeDevice(fake_identity(input_bytes=4, output_bytes=2), clock=clock)

    @contextlib.contextmanager
    def conversation(*_: object) -> Iterator[Session]:
        yield Session(MemoryLink(device, clock=clock), clock=clock)

    made = Made(b"", Any, Any, Any, Any, Expected(board="nucleo_f746zg"))  # type: ignore[arg-type]
    monkeypatch.setattr(deploying, "make", lambda *_, **__: made)
    monkeypatch.setattr(deploying, "started", lambda *_, **__: contextlib.nullcontext())
    monkeypatch.setattr(deploying, "conversation", conversation)
    inputs = np.array([[1, 2, 3, 4], [5, 6, 7, 8]], np.int8)
    runner = DeviceRunner(boards.load("nucleo_f746zg"), Target(), into=tmp_path, recipe=Recipe())
    # The fake device's output is the sum of the input's bytes, little-endian.
    expected = [np.array([10, 0], np.int8), np.array([27, 0], np.int8)]
    assert list(runner(b"", list(inputs), expected)) == [None, bytes([26, 0])]
    assert device.commands.count("output") == 1
    assert runner.runtime == "aot"


def test_hostile_names_are_harmless_in_text() -> None:
    hostile = "*/\n\x1b[2J$(reboot)[bold]</script>"
    one = TensorComparison(
        operator=0, code="ADD", tensor=1, name=hostile, outcome=Outcome.DIFFERS, values=4, differing=1, input=0,
        first=(0,), first_byte=0, expected=1, got=2, largest=1,
    )  # fmt: skip
    diff = Diff(
        board="b", target="emulated", runtime="aot", model="0" * 64, inputs=1, exhaustive=True, compared=(one,),
        found=one, doubtful=(3,), alone=Outcome.EQUAL,
    )  # fmt: skip
    text = diff_text(diff, width=200)
    assert "\x1b" not in text and hostile not in text
    assert printable(hostile) in text.replace("\n", "")
    assert "the fault lies in how the plan runs it" in text
    assert Diff.model_validate_json(diff.model_dump_json()) == diff


@pytest.mark.slow
@needs_compiler
def test_the_command_names_an_operator_that_was_rendered_wrong(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    content = graph_samples.content()
    model = tmp_path / "model.tflite"
    model.write_bytes(content)
    arguments = ["diff", str(model), "--board", "nucleo_f746zg", "--emulate", "--images", "2", "-q", "--json"]
    assert run(arguments) == 0
    assert Diff.model_validate(json.loads(capsys.readouterr().out)["diff"]).equal
    [(index, name)] = _writers(content, OpCode.DEPTHWISE_CONV_2D)
    original = rendering.render
    monkeypatch.setattr(rendering, "render", lambda graph, *args, **kw: original(spoiled(graph, name), *args, **kw))
    assert run(arguments) == 7
    printed = json.loads(capsys.readouterr().out)
    assert printed["error"]["id"] == "operator-differs"
    assert f"operator {index}, DEPTHWISE_CONV_2D" in printed["error"]["what"]
    found = Diff.model_validate(printed["diff"])
    assert found.found is not None and (found.found.operator, found.found.name) == (index, name)
    assert found.alone is Outcome.DIFFERS
    assert not found.exhaustive and len(found.compared) < len(parse(content).operators)
