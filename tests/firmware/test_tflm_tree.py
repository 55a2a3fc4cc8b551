"""A TFLM source tree as the program sees it: what is lacking, what is compiled, which kernels are registered."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from firmware_samples import tiny
from tflm_samples import skeleton_tree

from pipeline import boards
from pipeline.errors import UsageError
from pipeline.firmware import render
from pipeline.firmware.runtimes import open_runtime
from pipeline.firmware.runtimes.tree import TflmTree
from pipeline.graph.model import OpCode

BOARD = boards.load("nucleo_f746zg")
GRAPH, _ = tiny()
CODES = frozenset({OpCode.CONV_2D, OpCode.MEAN})


def _refused(name: str, tree: Path | None) -> UsageError:
    with pytest.raises(UsageError) as caught:
        open_runtime(name, tflm_tree=tree)
    return caught.value


def test_without_a_tree_the_error_says_how_to_get_one() -> None:
    error = _refused("tflm", None)
    assert error.id == "tflm-tree-missing"
    assert "source tree of TensorFlow Lite Micro" in error.what
    for way in ("create_tflm_tree.py", "--tflm-tree", "DANAS_TFLM_TREE", "tflm_tree in danas.toml"):
        assert way in error.next
    assert _refused("onnx", None).id == "unknown-runtime"


def test_a_wrong_folder_is_refused_with_what_is_lacking(tmp_path: Path) -> None:
    assert "none of the files" in _refused("tflm", tmp_path).why
    assert _refused("tflm", tmp_path / "missing").id == "tflm-tree-incomplete"
    tree = skeleton_tree(tmp_path / "tree", cmsis_nn=True)
    shutil.rmtree(tree / "third_party" / "gemmlowp")
    shutil.rmtree(tree / "third_party" / "cmsis")
    error = _refused("tflm", tree)
    assert error.id == "tflm-tree-incomplete"
    assert error.why == "It lacks third_party/gemmlowp/fixedpoint/fixedpoint.h, third_party/cmsis/CMSIS/Core/Include."


def test_a_folder_that_the_builder_would_take_for_a_command_is_refused(tmp_path: Path) -> None:
    assert _refused("tflm", skeleton_tree(tmp_path / "$(reboot)")).id == "unsafe-folder"


def test_what_is_compiled_is_the_interpreter_and_the_models_kernels(tmp_path: Path) -> None:
    tree = TflmTree.open(skeleton_tree(tmp_path))
    assert tree.kernels == "reference"
    assert tree.sources(CODES) == (
        "tensorflow/lite/core/c/common.cc",
        "tensorflow/lite/micro/kernels/conv.cc",
        "tensorflow/lite/micro/kernels/conv_common.cc",
        "tensorflow/lite/micro/kernels/kernel_util.cc",
        "tensorflow/lite/micro/kernels/reduce.cc",
        "tensorflow/lite/micro/kernels/reduce_common.cc",
        "tensorflow/lite/micro/memory_planner/greedy_memory_planner.cc",
        "tensorflow/lite/micro/micro_interpreter.cc",
        "tensorflow/lite/micro/micro_interpreter_graph.cc",
    )
    assert tree.includes == (
        ".",
        "third_party",
        "third_party/flatbuffers/include",
        "third_party/gemmlowp",
        "third_party/ruy",
    )


def test_optimised_kernels_are_known_by_what_the_tree_contains(tmp_path: Path) -> None:
    tree = TflmTree.open(skeleton_tree(tmp_path, cmsis_nn=True))
    assert tree.kernels == "cmsis_nn"
    assert "CMSIS_NN" in tree.definitions
    sources = tree.sources(CODES)
    assert "tensorflow/lite/micro/kernels/cmsis_nn/conv.cc" in sources
    assert "tensorflow/lite/micro/kernels/cmsis_nn/svdf.cc" not in sources
    assert "third_party/cmsis_nn/Source/ConvolutionFunctions/arm_convolve_s8.c" in sources


def test_int8_kernels_are_registered_where_the_tree_has_them(tmp_path: Path) -> None:
    tree = TflmTree.open(skeleton_tree(tmp_path))
    assert tree.registration(OpCode.CONV_2D).argument == "tflite::Register_CONV_2D_INT8()"
    assert tree.registration(OpCode.CONV_2D).header == "tensorflow/lite/micro/kernels/conv.h"
    assert tree.registration(OpCode.FULLY_CONNECTED).method == "AddFullyConnected"
    assert tree.registration(OpCode.FULLY_CONNECTED).argument == ""
    assert tree.registration(OpCode.SOFTMAX).argument == "", "this resolver takes none"
    with pytest.raises(UsageError) as caught:
        tree.registration(OpCode.HARD_SWISH)
    assert caught.value.id == "tflm-operator"
    assert "AddHardSwish" in caught.value.why


def test_the_hash_is_of_names_and_contents(tmp_path: Path) -> None:
    first = TflmTree.open(skeleton_tree(tmp_path / "a")).sha256
    assert TflmTree.open(skeleton_tree(tmp_path / "b")).sha256 == first
    file = tmp_path / "b" / "tensorflow" / "lite" / "micro" / "kernels" / "conv.h"
    file.write_text(file.read_text() + "\n")
    assert TflmTree.open(tmp_path / "b").sha256 != first
    (tmp_path / "a" / "readme.txt").write_text("no source")
    assert TflmTree.open(tmp_path / "a").sha256 == first


def test_nothing_of_the_tree_is_copied_and_the_build_id_names_it(tmp_path: Path) -> None:
    runtime = open_runtime("tflm", tflm_tree=skeleton_tree(tmp_path / "tree"))
    plan = runtime.plan(GRAPH, BOARD)
    first = render.render(GRAPH, plan, BOARD, into=tmp_path / "run", runtime=runtime)
    library = tmp_path / "run" / "lib" / "runtime"
    assert {path.name for path in library.iterdir()} == {
        "bare_metal.cpp",
        "library.json",
        "operators.cpp",
        "runtime.h",
        "tflm.cpp",
        "tflm.h",
        "tflm_library.py",
        "tree.json",
    }
    assert json.loads((library / "tree.json").read_text())["path"] == str(tmp_path / "tree")
    operators = (library / "operators.cpp").read_text()
    assert "AddConv2D(tflite::Register_CONV_2D_INT8())" in operators
    assert '#include "tensorflow/lite/micro/kernels/conv.h"' in operators
    assert f". += {runtime.stack_bytes(BOARD)};" in (tmp_path / "run" / "linker.ld").read_text()
    source = tmp_path / "tree" / "tensorflow" / "lite" / "micro" / "micro_interpreter.cc"
    source.write_text("// another version\n")
    other = open_runtime("tflm", tflm_tree=tmp_path / "tree")
    assert render.render(GRAPH, plan, BOARD, into=tmp_path / "run", runtime=other).build_id != first.build_id


def test_the_model_is_in_the_program_as_it_is(tmp_path: Path) -> None:
    runtime = open_runtime("tflm", tflm_tree=skeleton_tree(tmp_path))
    text = runtime.files(GRAPH, runtime.plan(GRAPH, BOARD)).model["model.cpp"]
    body = text.split("] = {\n")[1].split("};")[0]
    words = [int(word) for word in body.replace("\n", " ").split(",")]
    assert b"".join(word.to_bytes(4, "little") for word in words).rstrip(b"\0") == GRAPH.content.rstrip(b"\0")
    assert "alignas(16) const uint32_t kFlatbuffer" in text
