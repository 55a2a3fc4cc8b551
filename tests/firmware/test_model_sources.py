"""What model_sources renders and refuses, and that the layout it promises is the one a compiler makes."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import aot_builder
import aot_host
import aot_models
import aot_networks
import numpy as np
import pytest
from aot_builder import GraphBuilder
from elftools.elf.elffile import ELFFile

from pipeline import resources
from pipeline.errors import UsageError
from pipeline.estimate.features import EVERYTHING
from pipeline.estimate.kernels import constant_bytes
from pipeline.estimate.model import Placement
from pipeline.estimate.planner import plan, spread
from pipeline.firmware import features
from pipeline.firmware.model_sources import model_sources, runtime_files
from pipeline.graph.model import (
    ActivationOptions,
    ConcatenationOptions,
    DType,
    Graph,
    MeanOptions,
    NoOptions,
    OpCode,
    Padding,
    PadOptions,
    SoftmaxOptions,
    SqueezeOptions,
    Tensor,
    WindowOptions,
)

ARM = shutil.which("arm-none-eabi-g++")
ARM_FLAGS = (
    *("-std=c++17", "-O2", "-Wall", "-Wextra", "-Wconversion", "-Werror", "-fno-exceptions", "-fno-rtti"),
    *("-mcpu=cortex-m7", "-mthumb", "-mfpu=fpv5-sp-d16", "-mfloat-abi=hard"),
    *("-ffunction-sections", "-fdata-sections", "-fstack-usage"),
)
needs_arm = pytest.mark.skipif(ARM is None, reason="arm-none-eabi-g++ is not installed")

#: Bytes of each kernel's parameters, as the docstring of model_sources promises.
PARAMETER_BYTES = {
    "conv_2d": 40,
    "depthwise_conv_2d": 36,
    "grouped_depthwise": 36,
    "fully_connected": 40,
    "add": 20,
    "add_broadcast": 36,
    "sub": 20,
    "mul": 32,
    "average_pool_2d": 28,
    "max_pool_2d": 28,
    "mean": 24,
    "pad": 26,
    "pad_v2": 26,
    "concatenation": 8,
    "split": 8,
    "strided_slice": 28,
    "transpose": 28,
    "relu": 16,
    "relu6": 16,
    "logistic": 8,
    "hard_swish": 8,
    "softmax": 16,
    "quantize": 12,
    "requantize": 16,
    "dequantize": 12,
}


#: Every kernel's file; some hold two functions.
KERNELS = tuple(sorted(path.stem for path in (resources.firmware_templates() / "runtime" / "aot").glob("*.cpp")))


def network() -> Graph:
    return aot_networks.mobilenet(np.random.default_rng(5), size=16)


def change(graph: Graph, index: int, **changes: Any) -> Graph:
    """The graph with one tensor changed."""
    tensors = list(graph.tensors)
    tensors[index] = replace(tensors[index], **changes)
    return replace(graph, tensors=tuple(tensors))


def test_three_files_and_the_kernels_they_call() -> None:
    made = model_sources(network(), plan(network()))
    assert sorted(made.files) == ["constants.cpp", "constants.h", "model.cpp"]
    assert made.kernels == ("add", "block", "conv_2d", "depthwise_conv_2d", "mean", "separable_conv_2d", "softmax")
    names = [path.name for path in runtime_files(made.kernels)]
    assert names[0] == "runtime.h"
    assert {"pipeline.h", "rows.h", "window.h", "add.h", "add.cpp"} <= set(names)
    assert len(set(names)) == len(names), "the files belong in one folder"
    assert all(path.is_file() for path in runtime_files(made.kernels))


def test_rendering_is_repeatable() -> None:
    graph = network()
    assert model_sources(graph, plan(graph)) == model_sources(graph, plan(graph))


def test_names_reach_comments_alone() -> None:
    """Every tensor of the model gets a hostile name; what is left without comments does not change.

    That such sources compile, test_kernels shows.
    """
    graph = network()
    hostile = aot_builder.with_hostile_names(graph)
    plain, other = (model_sources(given, plan(given)).files for given in (graph, hostile))
    assert plain["constants.h"] == other["constants.h"]
    assert plain["constants.cpp"] == other["constants.cpp"]
    without = [re.sub(r" *//.*", "", files["model.cpp"]) for files in (plain, other)]
    assert without[0] == without[1]
    assert plain["model.cpp"].count("\n") == other["model.cpp"].count("\n")


def test_equal_constants_are_kept_once() -> None:
    builder = GraphBuilder()
    x = builder.activation((1, 4, 4, 8), 0.1)
    data, scales = np.ones((8, 1, 1, 8), np.int8), [0.01] * 8
    for _ in range(2):
        w, b = builder.constant(data, scales), builder.constant(np.zeros(8, np.int32), [0.001] * 8)
        y = builder.activation((1, 4, 4, 8), 0.1)
        x = builder.operator(OpCode.CONV_2D, [x, w, b], y, WindowOptions())
    graph = builder.finish(0, x)
    files = model_sources(graph, plan(graph)).files
    assert files["constants.cpp"].count("kConstant") == 1  # one stream: weights and records


def _convolution(**changes: Any) -> Graph:
    """A CONV_2D of 3 × 3 on 8 × 8 × 2 to 4 channels, with parts replaced."""
    builder = GraphBuilder()
    x = builder.activation((1, 8, 8, 2), changes.get("scale", 0.1), 3)
    w = builder.constant(
        changes.get("weights", np.ones((4, 3, 3, 2), np.int8)),
        changes.get("weight_scales", [0.01] * 4),
        axis=changes.get("axis", 0),
        zero_point=changes.get("weight_zero", 0),
    )
    b = builder.constant(changes.get("bias", np.zeros(4, np.int32)), [0.001] * 4)
    y = builder.activation(changes.get("out", (1, 8, 8, 4)), changes.get("out_scale", 0.1))
    builder.operator(OpCode.CONV_2D, [x, w, b], y, changes.get("options", WindowOptions()))
    return builder.finish(x, y)


def _unary(code: OpCode, before: tuple[int, ...], after: tuple[int, ...], options: Any, scale: float = 0.5) -> Graph:
    builder = GraphBuilder()
    x = builder.activation(before, 0.5)
    y = builder.activation(after, scale)
    builder.operator(code, [x], y, options)
    return builder.finish(x, y)


def _sum(
    before: tuple[int, ...], after: tuple[int, ...], scale: float, code: OpCode = OpCode.ADD, *, scales: int = 1
) -> Graph:
    builder = GraphBuilder()
    x = builder.activation(before, 0.5)
    other = builder.constant(np.zeros(after, np.int8), [0.5] * scales)
    y = builder.activation(before, scale)
    builder.operator(code, [x, other], y, ActivationOptions())
    return builder.finish(x, y)


@pytest.mark.parametrize(
    ("make", "id"),
    [
        (lambda: _convolution(options=WindowOptions(dilation=(2, 1))), "unsupported-options"),
        (lambda: _convolution(weights=np.ones((4, 3, 3, 1), np.int8)), "unsupported-options"),
        (lambda: _convolution(weight_zero=1), "unsupported-tensor"),
        (lambda: _convolution(weight_scales=[0.01] * 3), "unsupported-tensor"),
        (lambda: _convolution(axis=1), "unsupported-tensor"),
        (lambda: _convolution(scale=0.0), "unsupported-tensor"),
        (lambda: _convolution(weights=np.ones((4, 3, 3, 0), np.int8)), "unsupported-tensor"),
        (lambda: _convolution(out_scale=1e-13), "accumulator-overflow"),
        (lambda: _convolution(bias=np.zeros(3, np.int32)), "shape-mismatch"),
        (lambda: _convolution(bias=np.zeros(4, np.int8)), "unsupported-tensor"),
        (lambda: _convolution(bias=np.full(4, 2**31 - 1, np.int32)), "accumulator-overflow"),
        (lambda: _convolution(out_scale=1e-9), "accumulator-overflow"),  # sums of 2,304 by a factor of a million
        (lambda: _convolution(out=(1, 9, 8, 4)), "shape-mismatch"),
        (lambda: _convolution(out=(1, 8, 8, 5)), "shape-mismatch"),
        (lambda: _convolution(options=WindowOptions(padding=Padding.VALID)), "shape-mismatch"),
        (lambda: _sum((1, 2, 2, 4), (2, 1, 4), 0.5), "unsupported-options"),
        (lambda: _sum((1, 2, 2, 4), (2, 1, 4), 0.5, OpCode.MUL), "unsupported-options"),
        (lambda: _sum((1, 4), (1, 3), 0.5), "shape-mismatch"),
        (lambda: _sum((4,), (1, 4), 0.5), "shape-mismatch"),
        (lambda: _sum((1, 4), (1, 4), 1e-8), "unsupported-options"),
        (lambda: _sum((1, 4), (4,), 1e-8, OpCode.SUB), "unsupported-options"),
        (lambda: _sum((1, 4), (1, 4), 1e-11, OpCode.MUL), "unsupported-options"),
        (lambda: _sum((1, 4), (4,), 0.5, OpCode.MUL, scales=4), "unsupported-tensor"),
        (lambda: _unary(OpCode.MEAN, (1, 2, 3, 4), (1, 3), MeanOptions(axes=(1, 3))), "unsupported-options"),
        (lambda: _unary(OpCode.MEAN, (1, 2, 3, 4), (1, 3), MeanOptions(axes=(1, 2))), "shape-mismatch"),
        (lambda: _unary(OpCode.PAD, (1, 3), (1, 4), PadOptions(paddings=((0, 0), (1, 1)))), "shape-mismatch"),
        (lambda: _unary(OpCode.PAD, (1,) * 5, (1,) * 5, PadOptions(paddings=((0, 0),) * 5)), "unsupported-options"),
        (lambda: _unary(OpCode.SOFTMAX, (1, 3), (1, 3), SoftmaxOptions()), "unsupported-tensor"),
        (lambda: _unary(OpCode.RELU, (1, 3), (1, 4), NoOptions()), "shape-mismatch"),
        (lambda: _unary(OpCode.RELU6, (1, 3), (1, 3), NoOptions(), 1e-10), "unsupported-options"),
        (lambda: _unary(OpCode.LOGISTIC, (1, 3), (1, 3), NoOptions()), "unsupported-tensor"),
        (lambda: _unary(OpCode.LOGISTIC, (1, 3), (1, 4), NoOptions(), 1 / 256), "shape-mismatch"),
        (lambda: _unary(OpCode.HARD_SWISH, (1, 3), (1, 3), NoOptions(), 1e-3), "unsupported-options"),
        (lambda: _unary(OpCode.HARD_SWISH, (1, 3), (1, 3), NoOptions(), 1e6), "unsupported-options"),
        (lambda: _unary(OpCode.HARD_SWISH, (1, 3), (3, 1), NoOptions()), "shape-mismatch"),
        (lambda: _unary(OpCode.RESHAPE, (1, 3), (1, 4), NoOptions()), "shape-mismatch"),
        (lambda: _unary(OpCode.SQUEEZE, (1, 3, 1), (1, 4), SqueezeOptions((2,))), "shape-mismatch"),
        (lambda: _unary(OpCode.PADV2, (1, 3), (1, 4), PadOptions(((0, 0), (1, 1)), 7)), "shape-mismatch"),
        (lambda: _unary(OpCode.CONCATENATION, (1, 3), (1, 4), ConcatenationOptions(1)), "shape-mismatch"),
        (lambda: _unary(OpCode.CONCATENATION, (1, 3), (1, 3), ConcatenationOptions(1), 0.25), "unsupported-tensor"),
        (lambda: _unary(OpCode.DEQUANTIZE, (1, 3), (1, 3), NoOptions()), "unsupported-tensor"),
        (
            lambda: _unary(OpCode.MAX_POOL_2D, (1, 4, 4, 1), (1, 4, 4, 2), WindowOptions(filter=(2, 2))),
            "shape-mismatch",
        ),
        (
            lambda: _unary(OpCode.AVERAGE_POOL_2D, (2, 4, 4, 1), (2, 4, 4, 1), WindowOptions(filter=(2, 2))),
            "unsupported-options",
        ),
        (lambda: Graph(_convolution().tensors, (), (0,), (0,)), "no-operators"),
    ],
)
def test_what_no_kernel_covers_is_refused(make: Callable[[], Graph], id: str) -> None:  # noqa: A002
    graph = make()
    with pytest.raises(UsageError) as caught:
        model_sources(graph, spread(graph))
    assert caught.value.id == id
    assert caught.value.next
    if graph.operators:
        assert f"operator 0 ({graph.operators[0].code}, version 1)" in caught.value.what


def test_errors_name_hostile_tensors_safely() -> None:
    graph = _convolution(options=WindowOptions(dilation=(2, 2)))
    graph = change(graph, graph.outputs[0], name="a\x1b[31m\nb")
    with pytest.raises(UsageError) as caught:
        model_sources(graph, plan(graph))
    assert str(caught.value).isprintable()


def test_a_skeleton_cannot_be_rendered() -> None:
    graph = change(_convolution(), 1, data=None)
    with pytest.raises(ValueError, match="skeleton"):
        model_sources(graph, plan(graph))


@pytest.mark.parametrize(
    "placements",
    [
        (Placement(0, 8, 128, 0, 0), Placement(3, 256, 256, 0, 0)),  # not aligned
        (Placement(0, 0, 64, 0, 0), Placement(3, 256, 256, 0, 0)),  # too small
        (Placement(0, 0, 128, 0, 0), Placement(3, 512, 256, 0, 0)),  # outside
        (Placement(0, 0, 128, 0, 0),),  # left out
    ],
)
def test_a_plan_that_does_not_fit_is_a_bug(placements: tuple[Placement, ...]) -> None:
    with pytest.raises(ValueError, match=r"tensor \d"):
        model_sources(_convolution(), replace(spread(_convolution()), arena_bytes=512, placements=placements))


def _all_kernels() -> list[tuple[str, Graph]]:
    """A model for each kernel; each of the two functions of quantize.cpp."""
    made: dict[str, Graph] = {}
    for kind, (generate, _) in aot_models.KINDS.items():
        if kind in ("separable", "reshape", "squeeze"):  # Two operators, each of which is here alone, or costs nothing.
            continue
        for seed in range(20):
            graph = generate(np.random.default_rng(seed))
            name = kind
            if kind == "quantize" and graph.input.dtype is not DType.FLOAT32:
                name = "requantize"
            if len(graph.operators) > 1:
                continue  # of operators that have models of their own
            made.setdefault(name, graph)
    return sorted(made.items())


@needs_arm
def test_the_layout_is_the_promised_one(tmp_path: Path) -> None:
    """Cross-compiled without a warning; parameters have the promised sizes, constants sum up to the promised bytes."""
    for path in (*runtime_files(KERNELS), resources.firmware_templates() / "port" / "port.h"):
        shutil.copy(path, tmp_path)
    (tmp_path / "model_features.h").write_text(features.header(EVERYTHING))
    models = _all_kernels()
    assert {name for name, _ in models} == set(PARAMETER_BYTES)
    texts = [aot_host.renamed(model_sources(graph, spread(graph)), number) for number, (_, graph) in enumerate(models)]
    source, made = tmp_path / "models.cpp", tmp_path / "models.o"
    source.write_text("".join(texts))
    subprocess.run([str(ARM), *ARM_FLAGS, f"-I{tmp_path}", "-c", source, "-o", made], check=True, cwd=tmp_path)
    sizes = _object_sizes(made)
    for number, (name, graph) in enumerate(models):
        mine = {symbol: size for (model, symbol), size in sizes.items() if model == number}
        assert mine["kStage0"] == PARAMETER_BYTES[name], name
        assert mine["arena"] == spread(graph).arena_bytes
        arrays = [size for symbol, size in mine.items() if symbol.startswith("kConstant")]
        assert sum(-(-size // 4) * 4 for size in arrays) == _promised_constants(graph), name
        assert constant_bytes(graph, graph.operators[0]) == _promised_constants(graph), name


def _promised_constants(graph: Graph) -> int:
    """The docstring's table, for one operator whose arrays are all different."""
    (operator,) = graph.operators
    if operator.code in (OpCode.LOGISTIC, OpCode.HARD_SWISH):
        return 256
    if operator.code in (OpCode.ADD, OpCode.SUB, OpCode.MUL, OpCode.CONCATENATION):
        widths = 4 * len(operator.inputs) if operator.code is OpCode.CONCATENATION else 0
        operands = [graph.tensors[index] for index in operator.inputs if index is not None]
        return widths + sum(-(-tensor.nbytes // 4) * 4 for tensor in operands if tensor.constant)
    if operator.code not in (OpCode.CONV_2D, OpCode.DEPTHWISE_CONV_2D, OpCode.FULLY_CONNECTED):
        return 0
    weights: Tensor = graph.tensors[operator.inputs[1] or 0]
    channels = graph.output.shape[-1]
    if operator.code is OpCode.DEPTHWISE_CONV_2D:
        return constant_bytes(graph, operator)  # Its table is the test of lowering/depthwise.py.
    rows = weights.shape[1] if len(weights.shape) == 4 else 1
    row = weights.elements // weights.shape[0] // rows
    return (channels + channels % 2) * (8 + rows * (row + -row % 4))


def _object_sizes(path: Path) -> dict[tuple[int, str], int]:
    """(number of the model, name) → size of each parameter struct, constant array and arena of an object file."""
    found = {}
    with path.open("rb") as file:
        for symbol in ELFFile(file).get_section_by_name(".symtab").iter_symbols():
            # Mangled names are words behind their lengths: _ZN 7 model_3 12 _GLOBAL__N_1 L 10 kStage0 E.
            match = re.fullmatch(r"_ZN(?:7model_(\d)|8model_(\d\d))\D?\d.*?(kStage\d+|kConstant\d+)E", symbol.name)
            arena = re.fullmatch(r"danas_(arena)_(\d+)", symbol.name)
            if match:
                found[int(match[1] or match[2]), match[3]] = int(symbol["st_size"])
            elif arena:
                found[int(arena[2]), arena[1]] = int(symbol["st_size"])
    return found


@needs_arm
def test_kernels_are_small_static_and_call_nothing_unknown(tmp_path: Path) -> None:
    allowed = {"memcpy", "memset"}
    (tmp_path / "model_features.h").write_text(features.header(EVERYTHING))
    for path in runtime_files(KERNELS):
        if path.suffix == ".cpp":
            made = tmp_path / f"{path.stem}.o"
            subprocess.run([str(ARM), *ARM_FLAGS, f"-I{tmp_path}", "-c", path, "-o", made], check=True, cwd=tmp_path)
            for line in made.with_suffix(".su").read_text().splitlines():
                *_, stack, kind = line.split("\t")
                assert kind == "static", line
                assert int(stack) <= 256, line
            with made.open("rb") as file:
                elf = ELFFile(file)
                table = elf.get_section_by_name(".symtab")
                called = {s.name for s in table.iter_symbols() if s["st_shndx"] == "SHN_UNDEF"} - {""}
                assert {name for name in called if not name.startswith("_ZN5danas3aot")} <= allowed
                names = {section.name for section in elf.iter_sections() if section["sh_size"]}
                assert not {name for name in names if name.startswith((".init_array", ".data", ".bss", ".ARM.ex"))}
