"""A TFLM source tree: what upstream's project generation (``create_tflm_tree.py``) writes, read and never changed.

::

    tensorflow/lite/micro/…            interpreter and kernels (optimised ones in kernels/cmsis_nn/)
    tensorflow/lite/{c,core,kernels,schema}/…, tensorflow/compiler/mlir/lite/…
    third_party/{flatbuffers/include,gemmlowp,ruy}, and third_party/{cmsis,cmsis_nn} with CMSIS-NN kernels
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

from pipeline.errors import UsageError, printable
from pipeline.graph.model import OpCode

#: Without these nothing compiles.
_NEEDED = (
    "tensorflow/lite/micro/micro_interpreter.h",
    "tensorflow/lite/micro/micro_interpreter.cc",
    "tensorflow/lite/micro/micro_mutable_op_resolver.h",
    "tensorflow/lite/micro/kernels/kernel_util.cc",
    "tensorflow/lite/schema/schema_generated.h",
    "third_party/flatbuffers/include/flatbuffers/flatbuffers.h",
    "third_party/gemmlowp/fixedpoint/fixedpoint.h",
    "third_party/ruy/ruy/profiler/instrumentation.h",
)
_NEEDED_BY_CMSIS_NN = ("third_party/cmsis_nn/Include/arm_nnfunctions.h", "third_party/cmsis/CMSIS/Core/Include")
_INCLUDES = (
    ".",
    "third_party",
    "third_party/flatbuffers/include",
    "third_party/gemmlowp",
    "third_party/ruy",
    "third_party/kissfft",
    "third_party/cmsis",
    "third_party/cmsis/CMSIS/Core/Include",
    "third_party/cmsis_nn",
    "third_party/cmsis_nn/Include",
)
_CODE = frozenset({".h", ".hpp", ".inc", ".c", ".cc", ".cpp"})
_SOURCES = frozenset({".c", ".cc", ".cpp"})
_MICRO = "tensorflow/lite/micro"
_CMSIS_NN = "third_party/cmsis_nn/Source"
#: Folders whose sources every program may need, those below them not included.
_CORE = (
    "tensorflow/compiler/mlir/lite/core/api",
    "tensorflow/compiler/mlir/lite/schema",
    "tensorflow/lite/core/api",
    "tensorflow/lite/core/c",
    "tensorflow/lite/kernels",
    "tensorflow/lite/kernels/internal",
    "tensorflow/lite/kernels/internal/reference",
    "tensorflow/lite/schema",
    _MICRO,
    f"{_MICRO}/arena_allocator",
    f"{_MICRO}/memory_planner",
    f"{_MICRO}/tflite_bridge",
)
#: Test helpers, and what stands for a console and a clock, which the program has no use for.
_LEFT_OUT = re.compile(
    r"(?:test|mock|fake|recording)_.*|.*_test|debug_log|hexdump|micro_profiler|micro_time|system_setup"
)
#: Shared by kernels.
_SHARED_KERNELS = ("kernel_util", "micro_tensor_utils", "decompress", "decompress_common")
#: Kernels whose file is not called as the operator is.
_FILES = {
    OpCode.CONV_2D: "conv",
    OpCode.DEPTHWISE_CONV_2D: "depthwise_conv",
    OpCode.AVERAGE_POOL_2D: "pooling",
    OpCode.MAX_POOL_2D: "pooling",
    OpCode.MEAN: "reduce",
    OpCode.PADV2: "pad",
    OpCode.RELU: "activations",
    OpCode.RELU6: "activations",
}
#: Sources, by their stems, that a kernel needs besides its own.
_ALSO = {OpCode.DEPTHWISE_CONV_2D: "conv_common"}
#: Methods of MicroMutableOpResolver whose name is not made from the operator's by rule.
_METHODS = {OpCode.PADV2: "AddPadV2"}
#: Its messages are its profiling: it calls the profiler in builds with messages alone.
PROFILED = f"{_MICRO}/micro_interpreter_graph.cc"


@dataclass(frozen=True)
class Registration:
    """A call of the resolver.

    Attributes:
        method: Of the resolver.
        argument: The registration that it is given; empty for the tree's own default.
        header: What declares the registration, relative to the tree; empty without one.
    """

    method: str
    argument: str = ""
    header: str = ""


@dataclass(frozen=True)
class TflmTree:
    """A folder that has been looked at; :meth:`open` makes one."""

    path: Path

    @classmethod
    def open(cls, path: Path) -> TflmTree:
        """Look at a folder.

        Raises:
            UsageError: ``tflm-tree-incomplete``: it is no such tree; names what is lacking.
        """
        tree = cls(path.expanduser().absolute())
        wanted = [*_NEEDED, *(_NEEDED_BY_CMSIS_NN if tree.kernels == "cmsis_nn" else ())]
        lacking = [name for name in wanted if not (tree.path / name).exists()]
        if lacking:
            raise UsageError(
                "tflm-tree-incomplete",
                f"{printable(tree.path, 4096)} is no TFLM source tree",
                why=f"It lacks {', '.join(lacking)}."
                if len(lacking) < len(wanted)
                else "It has none of the files of one.",
                next=HOW_TO_GET_ONE,
            )
        return tree

    @property
    def kernels(self) -> Literal["reference", "cmsis_nn"]:
        """Which kernels it has."""
        optimised = (self.path / _MICRO / "kernels" / "cmsis_nn").is_dir()
        return "cmsis_nn" if optimised else "reference"

    @cached_property
    def sha256(self) -> str:
        """Over names and contents of all its sources and headers."""
        digest = hashlib.sha256()
        files = {path.relative_to(self.path).as_posix(): path for path in self.path.rglob("*") if path.suffix in _CODE}
        for name in sorted(files):
            if files[name].is_file():
                content = files[name].read_bytes()
                digest.update(f"{len(name)} {name} {len(content)} ".encode() + content)
        return digest.hexdigest()

    @property
    def includes(self) -> tuple[str, ...]:
        """Include folders, relative to :attr:`path`."""
        return tuple(name for name in _INCLUDES if (self.path / name).is_dir())

    @property
    def definitions(self) -> tuple[str, ...]:
        """Macros of its release build."""
        optimised = ("CMSIS_NN", "ARM_NN_ENABLE_F16=0", "ARM_NN_ENABLE_F32=0") if self.kernels == "cmsis_nn" else ()
        return ("TF_LITE_STATIC_MEMORY", "TF_LITE_STRIP_ERROR_STRINGS", "NDEBUG", *optimised)

    def sources(self, codes: frozenset[OpCode]) -> tuple[str, ...]:
        """The files that a program with these operators is compiled from, relative to :attr:`path`, sorted."""
        found = [path for folder in _CORE for path in self._in(folder) if not _LEFT_OUT.fullmatch(path.stem)]
        stems = {*_SHARED_KERNELS}
        for code in codes:
            stem = kernel_file(code)
            stems |= {stem, f"{stem}_common", _ALSO.get(code, stem)}
        found += [path for path in self._in(f"{_MICRO}/kernels") if path.stem in stems]
        if self.kernels == "cmsis_nn":
            found += [path for path in self._in(f"{_MICRO}/kernels/cmsis_nn") if path.stem in stems]
            found += [path for path in (self.path / _CMSIS_NN).rglob("*") if path.suffix == ".c"]
        return tuple(sorted(path.relative_to(self.path).as_posix() for path in found))

    def registration(self, code: OpCode) -> Registration:
        """How an operator is registered: its int8-only kernel where the tree has one, which leaves the others out.

        Raises:
            UsageError: ``tflm-operator``: the tree has no such operator.
        """
        method = _METHODS.get(code) or "Add" + "".join(part.capitalize() for part in code.value.split("_"))
        method = re.sub(r"2d$", "2D", method)
        found = re.search(rf"\b{method}\(\s*(const TFLMRegistration&)?", self._resolver)
        if found is None:
            raise UsageError(
                "tflm-operator",
                f"the TFLM tree has no operator {code}",
                why=f"Its MicroMutableOpResolver has no {method}.",
                next="Take a newer tree, or the runtime aot.",
            )
        special = f"Register_{code}_INT8()"
        header = next((name for name, text in self._kernel_headers.items() if special in text), None)
        if not found[1] or header is None:
            return Registration(method)
        return Registration(method, f"tflite::{special}", header)

    @cached_property
    def _resolver(self) -> str:
        return (self.path / _MICRO / "micro_mutable_op_resolver.h").read_text("utf-8", "replace")

    @cached_property
    def _kernel_headers(self) -> dict[str, str]:
        headers = sorted((self.path / _MICRO / "kernels").glob("*.h"))
        return {f"{_MICRO}/kernels/{path.name}": path.read_text("utf-8", "replace") for path in headers}

    def _in(self, folder: str) -> list[Path]:
        place = self.path / folder
        return [path for path in place.iterdir() if path.suffix in _SOURCES] if place.is_dir() else []


def kernel_file(code: OpCode) -> str:
    """Stem of the source of an operator's kernel."""
    return _FILES.get(code) or code.value.lower()


HOW_TO_GET_ONE = (
    "Make one with TFLM's own tensorflow/lite/micro/tools/project_generation/create_tflm_tree.py (docs/runtimes.md), "
    "and name it with --tflm-tree, DANAS_TFLM_TREE or tflm_tree in danas.toml."
)
