"""The rendered C++ on an emulated Cortex-M7: many models in one image, as :mod:`aot_host` has them on the host.

Unicorn runs in a process of its own (this file as a script), as it does in the product.
"""

from __future__ import annotations

import json
import operator
import shutil
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import reduce
from importlib.util import find_spec
from pathlib import Path

import aot_host
import numpy as np
from elftools.elf.elffile import ELFFile
from numpy.typing import NDArray

from pipeline import resources
from pipeline.estimate.model import MemoryPlan
from pipeline.firmware import features
from pipeline.firmware.model_sources import model_sources, runtime_files
from pipeline.graph.model import Graph

COMPILER = shutil.which("arm-none-eabi-g++")
AVAILABLE = COMPILER is not None and find_spec("unicorn") is not None
FLAGS = (
    *("-std=c++17", "-O2", "-fno-exceptions", "-fno-rtti", "-ffunction-sections", "-fdata-sections"),
    *("-mcpu=cortex-m7", "-mthumb", "-mfpu=fpv5-sp-d16", "-mfloat-abi=hard"),
)
LINK = ("-nostartfiles", "--specs=nano.specs", "--specs=nosys.specs", "-Wl,--no-warn-rwx-segments")
FLASH, RAM, STACK, STOP = 0x0800_0000, 0x2000_0000, 0x2100_0000, 0x0FFF_0000
SIZE = 8 << 20

_SCRIPT = """
ENTRY(infer)
MEMORY {
  FLASH (rx) : ORIGIN = 0x08000000, LENGTH = 8M
  RAM (rwx) : ORIGIN = 0x20000000, LENGTH = 8M
}
SECTIONS {
  .text : { *(.text*) *(.rodata*) *(.ARM.*) } > FLASH
  .data : { *(.data*) } > RAM
  .bss : { *(.bss*) *(COMMON) *(.arena*) } > RAM
}
"""
_MAIN = """
#include "port.h"
#include "runtime.h"

#define MODEL(N)                              \\
  namespace model_##N {                       \\
  bool init();                                \\
  danas::runtime::EdgeTensor input();         \\
  danas::runtime::EdgeTensor output();        \\
  bool invoke(danas::runtime::RowSource);     \\
  danas::runtime::MemoryReport memory();      \\
  }
@DECLARATIONS@

namespace danas::port {
uint32_t cycles() { return 0; }
}  // namespace danas::port

extern "C" {
void prepare(uint32_t number) {
#define CASE(N) case N: model_##N::init(); return;
  switch (number) { @CASES@ }
#undef CASE
}
uint32_t input_address(uint32_t number) {
#define CASE(N) case N: return reinterpret_cast<uint32_t>(model_##N::input().data);
  switch (number) { @CASES@ }
#undef CASE
  return 0;
}
uint32_t output_address(uint32_t number) {
#define CASE(N) case N: return reinterpret_cast<uint32_t>(model_##N::output().data);
  switch (number) { @CASES@ }
#undef CASE
  return 0;
}
uint32_t used(uint32_t number) {
#define CASE(N) case N: return model_##N::memory().used_bytes;
  switch (number) { @CASES@ }
#undef CASE
  return 0;
}
void infer(uint32_t number) {
#define CASE(N) case N: model_##N::invoke(nullptr); return;
  switch (number) { @CASES@ }
#undef CASE
}
}
"""
_ENTRIES = ("prepare", "input_address", "infer", "output_address", "used")


class ArmProgram:
    """Models with their plans, linked into one image in ``folder``."""

    def __init__(self, models: Sequence[tuple[Graph, MemoryPlan]], folder: Path, *, workers: int = 2) -> None:
        self._models = list(models)
        self._path = folder / "models.elf"
        sources = [model_sources(graph, plan) for graph, plan in self._models]
        kernels = tuple(sorted({kernel for made in sources for kernel in made.kernels}))
        for path in (*runtime_files(kernels), resources.firmware_templates() / "port" / "port.h"):
            shutil.copy(path, folder)
        needed = reduce(operator.or_, (made.features for made in sources))
        (folder / "model_features.h").write_text(features.header(needed))
        units = [folder / f"{kernel}.cpp" for kernel in kernels]
        for start in range(0, len(sources), aot_host.UNIT):
            unit = folder / f"unit_{start}.cpp"
            part = sources[start : start + aot_host.UNIT]
            unit.write_text("".join(aot_host.renamed(made, start + i) for i, made in enumerate(part)))
            units.append(unit)
        declarations = "\n".join(f"MODEL({number})" for number in range(len(sources)))
        cases = " ".join(f"CASE({number})" for number in range(len(sources)))
        (folder / "main.cpp").write_text(_MAIN.replace("@DECLARATIONS@", declarations).replace("@CASES@", cases))
        units.append(folder / "main.cpp")
        (folder / "image.ld").write_text(_SCRIPT)
        with ThreadPoolExecutor(workers) as pool:
            objects = list(pool.map(_compile, units))
        keep = [f"-Wl,-u,{name}" for name in _ENTRIES]
        script = ["-T", str(folder / "image.ld")]
        _run([str(COMPILER), *FLAGS, *LINK, *keep, *script, "-o", str(self._path), *map(str, objects)])

    def run(self, requests: Sequence[tuple[int, NDArray[np.generic]]]) -> list[aot_host.Answer]:
        """Run (model number, input) one after another; arenas and profiles stay empty."""
        sent = [(number, values.tobytes().hex(), self._models[number][0].output.nbytes) for number, values in requests]
        done = subprocess.run(
            [sys.executable, __file__, self._path], input=json.dumps(sent), capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr[-4000:]
        answers = []
        for (number, _), (data, used) in zip(requests, json.loads(done.stdout), strict=True):
            tensor = self._models[number][0].output
            output = np.frombuffer(bytes.fromhex(data), tensor.dtype.value).reshape(tensor.shape)
            answers.append(aot_host.Answer(output, used, np.zeros(0, np.uint8), ()))
        return answers


def _compile(unit: Path) -> Path:
    made = unit.with_suffix(".o")
    _run([str(COMPILER), *FLAGS, f"-I{unit.parent}", "-c", str(unit), "-o", str(made)])
    return made


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stderr[-4000:]}"


def _serve(image: Path) -> None:
    import unicorn
    from unicorn import arm_const as arm

    machine = unicorn.Uc(unicorn.UC_ARCH_ARM, unicorn.UC_MODE_THUMB | unicorn.UC_MODE_MCLASS)
    machine.ctl_set_cpu_model(arm.UC_CPU_ARM_CORTEX_M7)
    for start, size in ((FLASH, SIZE), (RAM, SIZE), (STACK, 0x1_0000), (STOP, 0x1000)):
        machine.mem_map(start, size)
    with image.open("rb") as file:
        elf = ELFFile(file)
        for segment in elf.iter_segments("PT_LOAD"):
            machine.mem_write(segment["p_paddr"], segment.data())
        symbols = elf.get_section_by_name(".symtab")
        entries = {name: symbols.get_symbol_by_name(name)[0]["st_value"] for name in _ENTRIES}

    def call(name: str, number: int) -> int:
        machine.reg_write(arm.UC_ARM_REG_R0, number)
        machine.reg_write(arm.UC_ARM_REG_SP, STACK + 0xFFF0)
        machine.reg_write(arm.UC_ARM_REG_LR, STOP | 1)
        machine.emu_start(entries[name] | 1, STOP)
        return int(machine.reg_read(arm.UC_ARM_REG_R0))

    answers = []
    for number, values, size in json.load(sys.stdin):
        call("prepare", number)
        machine.mem_write(call("input_address", number), bytes.fromhex(values))
        call("infer", number)
        output = bytes(machine.mem_read(call("output_address", number), size))
        answers.append((output.hex(), call("used", number)))
    json.dump(answers, sys.stdout)


if __name__ == "__main__":
    _serve(Path(sys.argv[1]))
