"""The rendered C++ on the host: many models in one program, under the address and undefined-behaviour sanitizers.

What is compiled is what :func:`model_sources` renders, parameters included. Only three names are changed, so that
many models fit one program: the two namespaces that each model defines, and the arena.
"""

from __future__ import annotations

import operator
import shutil
import struct
import subprocess
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import reduce
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline import resources
from pipeline.estimate.model import MemoryPlan
from pipeline.estimate.stages import image_rows
from pipeline.firmware import features
from pipeline.firmware.model_sources import ModelSources, model_sources, runtime_files
from pipeline.graph.model import Graph

COMPILER = shutil.which("g++")
FLAGS = (
    "-std=c++17",
    "-O1",
    "-Wall",
    "-Wextra",
    "-Wpedantic",
    "-Werror",
    "-fsanitize=address,undefined",
    "-fno-sanitize-recover=all",
    "-fsanitize-sections=.arena",
    "-fno-exceptions",
    "-fno-rtti",
)
#: Models in one translation unit.
UNIT = 32

_MAIN = """
#include <cstdio>
#include <cstring>
#include <vector>

#include "runtime.h"

struct Entry {
  bool (*init)();
  danas::runtime::EdgeTensor (*input)();
  danas::runtime::EdgeTensor (*output)();
  bool (*invoke)(danas::runtime::RowSource);
  danas::runtime::MemoryReport (*memory)();
  size_t (*operator_count)();
  danas::runtime::OperatorProfile (*profile)(size_t);
  const char* (*name)();
  const uint8_t* arena;
};

#define MODEL(N)                                                                   \\
  extern "C" uint8_t danas_arena_##N[];                                            \\
  namespace model_##N {                                                            \\
  bool init();                                                                     \\
  danas::runtime::EdgeTensor input();                                              \\
  danas::runtime::EdgeTensor output();                                             \\
  bool invoke(danas::runtime::RowSource);                                          \\
  danas::runtime::MemoryReport memory();                                           \\
  size_t operator_count();                                                         \\
  danas::runtime::OperatorProfile profile(size_t);                                 \\
  const char* name();                                                              \\
  }
@DECLARATIONS@

const Entry kEntries[] = {
#define ENTRY(N) {model_##N::init, model_##N::input, model_##N::output, model_##N::invoke, model_##N::memory, \\
                  model_##N::operator_count, model_##N::profile, model_##N::name, danas_arena_##N},
@ENTRIES@
};

namespace danas::port {
uint32_t cycles() {
  static uint32_t now = 0xFFFFFF00;  // it wraps soon
  return now += 7;
}
}  // namespace danas::port

uint32_t limit;  // rows that a source of rows gives
uint32_t asked;

bool next_row(int8_t* row, size_t bytes) {
  return asked++ < limit && std::fread(row, 1, bytes, stdin) == bytes;
}

// A request is the model's number, how many rows of its input come (all of an input that is not streamed), and the
// input; an answer is whether the inference went well and how often a row was asked for, and then, if it did, the
// output, the arena's watermark, the arena, and for each stage its name in 64 bytes and its cycles.
int main() {
  uint32_t number;
  while (std::fread(&number, sizeof number, 1, stdin) == 1 && std::fread(&limit, sizeof limit, 1, stdin) == 1) {
    const Entry& entry = kEntries[number];
    if (!entry.init()) return 2;
    const danas::runtime::EdgeTensor input = entry.input();
    if ((input.data == nullptr) != (input.rows != 0)) return 7;
    if (input.rows != 0 && entry.invoke(nullptr)) return 8;
    if (input.rows == 0 && std::fread(input.data, 1, input.bytes, stdin) != input.bytes) return 3;
    asked = 0;
    const uint32_t done = entry.invoke(next_row) ? 1 : 0;
    std::fwrite(&done, sizeof done, 1, stdout);
    std::fwrite(&asked, sizeof asked, 1, stdout);
    if (!done) continue;
    const danas::runtime::EdgeTensor output = entry.output();
    const danas::runtime::MemoryReport memory = entry.memory();
    const uint32_t used = static_cast<uint32_t>(memory.used_bytes);
    std::fwrite(output.data, 1, output.bytes, stdout);
    std::fwrite(&used, sizeof used, 1, stdout);
    std::fwrite(entry.arena, 1, memory.arena_bytes, stdout);
    if (std::strcmp(entry.name(), "aot") != 0) return 5;
    for (size_t i = 0; i < entry.operator_count(); ++i) {
      const danas::runtime::OperatorProfile profile = entry.profile(i);
      char code[64] = {};
      std::strncpy(code, profile.code, sizeof code - 1);
      std::fwrite(code, 1, sizeof code, stdout);
      std::fwrite(&profile.cycles, sizeof profile.cycles, 1, stdout);
    }
    if (entry.profile(entry.operator_count()).cycles != 0) return 6;
  }
  return 0;
}
"""


@dataclass(frozen=True)
class Answer:
    """What one inference left."""

    output: NDArray[np.generic]
    used: int
    arena: NDArray[np.uint8]
    profile: tuple[tuple[str, int], ...]  # of each stage: name, cycles (7 a step)
    asked: int = 0  # rows that were asked for


class HostProgram:
    """Models with their plans, compiled into one executable in ``folder``."""

    def __init__(self, models: Sequence[tuple[Graph, MemoryPlan]], folder: Path, *, workers: int = 2) -> None:
        self._models = list(models)
        self._path = folder / "models"
        sources = [model_sources(graph, plan) for graph, plan in self._models]
        kernels = tuple(sorted({kernel for made in sources for kernel in made.kernels}))
        for path in (*runtime_files(kernels), resources.firmware_templates() / "port" / "port.h"):
            shutil.copy(path, folder)
        needed = reduce(operator.or_, (made.features for made in sources))
        (folder / "model_features.h").write_text(features.header(needed))
        units = [folder / f"{kernel}.cpp" for kernel in kernels]
        for start in range(0, len(sources), UNIT):
            unit = folder / f"unit_{start}.cpp"
            unit.write_text("".join(renamed(made, start + i) for i, made in enumerate(sources[start : start + UNIT])))
            units.append(unit)
        numbers = range(len(sources))
        main = _MAIN.replace("@DECLARATIONS@", "\n".join(f"MODEL({number})" for number in numbers))
        main = main.replace("@ENTRIES@", "\n".join(f"ENTRY({number})" for number in numbers))
        (folder / "main.cpp").write_text(main)
        units.append(folder / "main.cpp")
        with ThreadPoolExecutor(workers) as pool:
            objects = list(pool.map(_compile, units))
        _run([str(COMPILER), *FLAGS, "-o", str(self._path), *map(str, objects)])

    def run(self, requests: Sequence[tuple[int, NDArray[np.generic]]]) -> list[Answer]:
        """Run (model number, input) one after another."""
        rows = [image_rows(graph.input) for graph, _ in self._models]
        answers = self.attempt([(number, values, rows[number]) for number, values in requests])
        assert None not in answers
        return [answer for answer in answers if answer is not None]

    def attempt(self, requests: Sequence[tuple[int, NDArray[np.generic], int]]) -> list[Answer | None]:
        """Run (model number, input, rows of it that come); None for an inference that says that it failed."""
        sent = b""
        for number, values, rows in requests:
            graph, plan = self._models[number]
            row = values.nbytes // image_rows(graph.input)
            given = rows * row if plan.streams(graph.input.index) else values.nbytes
            sent += struct.pack("<II", number, rows) + values.tobytes()[:given]
        done = subprocess.run([self._path], input=sent, capture_output=True, check=False)
        assert done.returncode == 0, done.stderr.decode(errors="replace")[-4000:]
        answers: list[Answer | None] = []
        position = 0
        for number, _, _ in requests:
            graph, plan = self._models[number]
            well, asked = struct.unpack_from("<II", done.stdout, position)
            position += 8
            if not well:
                answers.append(None)
                continue
            size = graph.output.nbytes
            output = np.frombuffer(done.stdout, graph.output.dtype.value, graph.output.elements, position)
            (used,) = struct.unpack_from("<I", done.stdout, position + size)
            arena = np.frombuffer(done.stdout, np.uint8, plan.arena_bytes, position + size + 4)
            position += size + 4 + plan.arena_bytes
            stages = len(plan.stages) + plan.streams(graph.input.index)
            lines = [struct.unpack_from("<64sI", done.stdout, position + 68 * i) for i in range(stages)]
            position += 68 * len(lines)
            profile = tuple((code.rstrip(b"\0").decode(), cycles) for code, cycles in lines)
            answers.append(Answer(output.reshape(graph.output.shape), used, arena, profile, asked))
        assert position == len(done.stdout)
        return answers


def renamed(made: ModelSources, number: int) -> str:
    """The three files of a model as one text, in namespaces and with an arena of its number."""
    text = "".join(made.files[name] for name in ("constants.h", "constants.cpp", "model.cpp"))
    for line in ("#pragma once\n", '#include "constants.h"\n'):
        text = text.replace(line, "")
    usings = "using namespace danas; using namespace danas::runtime;"
    return (
        text.replace("namespace danas::model {", f"namespace model_{number}::model {{")
        .replace("namespace danas::runtime {", f"namespace model_{number} {{ {usings}")
        .replace("danas_arena", f"danas_arena_{number}")
    )


def _compile(unit: Path) -> Path:
    made = unit.with_suffix(".o")
    _run([str(COMPILER), *FLAGS, f"-I{unit.parent}", "-c", str(unit), "-o", str(made)])
    return made


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stderr[-4000:]}"
