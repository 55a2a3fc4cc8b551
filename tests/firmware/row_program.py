"""Row kernels on their own: single-operator models run row by row over a ring, in one host program with sanitizers.

What is compiled are the kernels and the parameters that the lowering gives. Every buffer is a heap block of just its
size, so that the address sanitizer sees a byte too far.
"""

from __future__ import annotations

import shutil
import struct
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import aot_host
import numpy as np
from numpy.typing import NDArray

from pipeline import resources
from pipeline.firmware import filters
from pipeline.firmware.lowering import Call, ConstantPool, Lowering, Value
from pipeline.firmware.lowering.values import Constant, Float32
from pipeline.graph.model import Graph, OpCode, WindowOptions

_MAIN = """
#include <algorithm>
#include <cstdio>
#include <cstring>
#include <memory>
#include <vector>

struct Entry {
  void (*step)(const danas::aot::Rows&, const int8_t*, int32_t, int8_t*, uint32_t*);
  uint32_t input_rows, input_row, output_rows, output_row, kernel, stride, pad, scratch, second;
};

const Entry kEntries[] = {
@ENTRIES@
};

// A request is the model's number, the rows that the ring holds (0: all), and the inputs; an answer is the output.
int main() {
  uint32_t head[2];
  while (std::fread(head, sizeof head, 1, stdin) == 1) {
    const Entry& entry = kEntries[head[0]];
    const uint32_t kept = head[1] == 0 ? entry.input_rows : head[1];
    std::vector<int8_t> given(entry.input_rows * entry.input_row);
    if (std::fread(given.data(), 1, given.size(), stdin) != given.size()) return 2;
    std::unique_ptr<int8_t[]> second(new int8_t[entry.second]);
    if (std::fread(second.get(), 1, entry.second, stdin) != entry.second) return 3;
    std::unique_ptr<int8_t[]> ring(new int8_t[kept * entry.input_row]);
    std::unique_ptr<uint32_t[]> scratch(new uint32_t[entry.scratch / 4]);
    const danas::aot::Rows rows{ring.get(), entry.input_row, static_cast<uint16_t>(kept)};
    uint32_t fed = 0;
    for (uint32_t y = 0; y < entry.output_rows; ++y) {
      const uint32_t until = std::min(entry.input_rows, y * entry.stride + entry.kernel - entry.pad);
      for (; fed < until; ++fed) {
        std::memcpy(ring.get() + fed % kept * entry.input_row, given.data() + fed * entry.input_row, entry.input_row);
      }
      std::memset(scratch.get(), 0x5A, entry.scratch);
      std::unique_ptr<int8_t[]> output(new int8_t[entry.output_row]);
      entry.step(rows, second.get(), static_cast<int32_t>(y), output.get(), scratch.get());
      std::fwrite(output.get(), 1, entry.output_row, stdout);
    }
  }
  return 0;
}
"""

#: How a kernel is called, by the type of its parameters.
_CALLS = {
    "DepthwiseConv2dParams": "{function}(k{number}, rows, y, output, scratch)",
    "DepthwiseConv2dPlainParams": "{function}(k{number}, rows, y, output)",
    "AveragePool2dParams": "{function}(k{number}, rows, y, output)",
    "MaxPool2dParams": "{function}(k{number}, rows, y, output)",
}


@dataclass(frozen=True)
class Geometry:
    """How a model's rows are fed and taken."""

    input_rows: int
    input_row: int  # bytes
    output_rows: int
    output_row: int
    kernel: int
    stride: int
    pad: int
    scratch: int
    second: int = 0  # bytes of a second input


def lowered(graph: Graph) -> tuple[Call, ConstantPool]:
    """The call of a model's only operator, and its constants."""
    lowering = Lowering(graph)
    return lowering.call(graph.operators[0]), lowering.pool


def window_geometry(graph: Graph, call: Call, scratch: int) -> Geometry:
    """That of an operator with a window."""
    options = graph.operators[0].options
    assert isinstance(options, WindowOptions)
    fields = {field.name: field.value for field in call.fields}
    window = fields["window"]
    assert isinstance(window, tuple)
    sizes = {field.name: field.value for field in window}
    (_, height, width, depth), (_, rows, columns, channels) = graph.input.shape, graph.output.shape
    return Geometry(
        height,
        width * depth,
        rows,
        columns * channels,
        int(sizes["kernel_height"]),
        options.stride[0],
        int(sizes["pad_top"]),
        scratch,
    )


def text_of(value: Value, number: int) -> str:
    """A parameter as C++."""
    if isinstance(value, Constant):
        return f"kConstant{number}_{value.number}"
    if isinstance(value, Float32):
        return str(filters.c_float(value.value))
    if isinstance(value, tuple):
        return "{" + ", ".join(text_of(field.value, number) for field in value) + "}"
    return str(filters.c_int(value)) if isinstance(value, int) and value >= 0 else f"({value})"


def definitions(call: Call, pool: ConstantPool, number: int) -> str:
    """Constants, parameters and the step function of a model."""
    types = {"int8": "int8_t", "int32": "int32_t"}
    lines = []
    for index, array in enumerate(pool.arrays):
        values = ", ".join(map(str, array.tolist())).replace("-2147483648", "(-2147483647 - 1)")
        lines.append(f"alignas(4) const {types[array.dtype.name]} kConstant{number}_{index}[] = {{{values}}};")
    fields = ", ".join(
        f"danas::aot::Form({field.value})" if field.name == "form" else text_of(field.value, number)
        for field in call.fields
    )
    lines.append(f"constexpr danas::aot::{call.params} k{number} = {{{fields}}};")
    body = _CALLS[call.params].format(function=f"danas::aot::{call.function}", number=number)
    lines.append(
        f"void step_{number}(const danas::aot::Rows& rows, [[maybe_unused]] const int8_t* second, "
        f"[[maybe_unused]] int32_t y, int8_t* output, [[maybe_unused]] uint32_t* scratch) {{ {body}; }}"
    )
    return "\n".join(lines) + "\n"


class RowProgram:
    """Models with their geometry, in one executable."""

    def __init__(self, models: Sequence[tuple[Call, ConstantPool, Geometry]], folder: Path) -> None:
        self._geometries = [geometry for *_, geometry in models]
        aot = resources.firmware_templates() / "runtime" / "aot"
        kernels = sorted({call.kernel for call, *_ in models})
        source = folder / "rows.cpp"
        includes = "".join(f'#include "{kernel}.h"\n' for kernel in kernels) + '#include "rows.h"\n'
        body = "".join(definitions(call, pool, number) for number, (call, pool, _) in enumerate(models))
        entries = "".join(
            f"    {{step_{number}, {', '.join(map(str, geometry.__dict__.values()))}}},\n"
            for number, geometry in enumerate(self._geometries)
        )
        source.write_text(includes + "namespace {\n" + body + "}  // namespace\n" + _MAIN.replace("@ENTRIES@", entries))
        self._path = folder / "rows"
        flags = [flag for flag in aot_host.FLAGS if "sections" not in flag]
        units = [source, *(aot / f"{kernel}.cpp" for kernel in kernels)]
        command = [str(shutil.which("g++")), *flags, f"-I{aot}", "-o", str(self._path), *map(str, units)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr[-4000:]

    def run(self, requests: Sequence[tuple[int, int, NDArray[np.int8]]]) -> list[NDArray[np.int8]]:
        """The outputs, flat, of (model number, rows kept or 0 for all, inputs) one after another."""
        sent = b"".join(struct.pack("<II", number, kept) + values.tobytes() for number, kept, values in requests)
        done = subprocess.run([self._path], input=sent, capture_output=True, check=False)
        assert done.returncode == 0, done.stderr.decode(errors="replace")[-4000:]
        answers, position = [], 0
        for number, *_ in requests:
            geometry = self._geometries[number]
            size = geometry.output_rows * geometry.output_row
            answers.append(np.frombuffer(done.stdout, np.int8, size, position))
            position += size
        assert position == len(done.stdout)
        return answers
