"""A TFLM source tree: the user's, or a skeleton of one that has every file a tree must have and nothing in them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pipeline.settings import TFLM_TREE_VARIABLE

_MICRO = "tensorflow/lite/micro"
_FILES = (
    f"{_MICRO}/micro_interpreter.h",
    f"{_MICRO}/micro_interpreter.cc",
    f"{_MICRO}/micro_interpreter_graph.cc",
    f"{_MICRO}/test_helpers.cc",
    f"{_MICRO}/kernels/kernel_util.cc",
    f"{_MICRO}/kernels/conv_common.cc",
    f"{_MICRO}/kernels/conv_test.cc",
    f"{_MICRO}/kernels/reduce.cc",
    f"{_MICRO}/kernels/reduce_common.cc",
    f"{_MICRO}/kernels/svdf.cc",
    f"{_MICRO}/memory_planner/greedy_memory_planner.cc",
    f"{_MICRO}/cortex_m_generic/micro_time.cc",
    "tensorflow/lite/core/c/common.cc",
    "tensorflow/lite/schema/schema_generated.h",
    "third_party/flatbuffers/include/flatbuffers/flatbuffers.h",
    "third_party/gemmlowp/fixedpoint/fixedpoint.h",
    "third_party/ruy/ruy/profiler/instrumentation.h",
)
_REFERENCE = (f"{_MICRO}/kernels/conv.cc",)
_CMSIS_NN = (
    f"{_MICRO}/kernels/cmsis_nn/conv.cc",
    f"{_MICRO}/kernels/cmsis_nn/svdf.cc",
    "third_party/cmsis_nn/Include/arm_nnfunctions.h",
    "third_party/cmsis_nn/Source/ConvolutionFunctions/arm_convolve_s8.c",
    "third_party/cmsis/CMSIS/Core/Include/cmsis_gcc.h",
)
_RESOLVER = """
  TfLiteStatus AddConv2D(
      const TFLMRegistration& registration = Register_CONV_2D()) {}
  TfLiteStatus AddMean(const TFLMRegistration& registration = Register_MEAN()) {}
  TfLiteStatus AddFullyConnected(const TFLMRegistration& registration = Register_FULLY_CONNECTED()) {}
  TfLiteStatus AddSoftmax() {}
"""


def skeleton_tree(folder: Path, *, cmsis_nn: bool = False) -> Path:
    """A folder that looks like a tree."""
    for name in (*_FILES, *(_CMSIS_NN if cmsis_nn else _REFERENCE)):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"// {name}\n")
    (folder / _MICRO / "micro_mutable_op_resolver.h").write_text(_RESOLVER)
    (folder / _MICRO / "kernels" / "conv.h").write_text("TFLMRegistration Register_CONV_2D_INT8();\n")
    (folder / _MICRO / "kernels" / "softmax.h").write_text("TFLMRegistration Register_SOFTMAX_INT8();\n")
    return folder


def users_tree() -> Path:
    """The tree that the environment names; without one the test is skipped."""
    named = os.environ.get(TFLM_TREE_VARIABLE)
    if not named:
        pytest.skip(f"{TFLM_TREE_VARIABLE} names no TFLM source tree")
    return Path(named)
