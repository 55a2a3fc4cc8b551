"""Reading ELF files: a small program of known sizes, and damaged copies of it."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest
from firmware_samples import tiny
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline import boards
from pipeline.errors import BuildError
from pipeline.firmware import elf, render

BOARD = boards.load("nucleo_f746zg")

_PROGRAM = """
#include <cstdint>
namespace danas::identity {
extern const char board[] = "nucleo_f746zg";
extern const char build_id[] = "0123456789abcdef";
extern const char model_hash[] = "HASH";
extern const char model_id[] = "vww01";
}
extern "C" {
extern const uint32_t vectors[16];
[[gnu::section(".vectors"), gnu::used]] const uint32_t vectors[16] = {};
alignas(16) [[gnu::section(".arena")]] uint8_t danas_arena[4096];
uint32_t initialised[25] = {1};
uint32_t cleared[50];
[[gnu::naked]] void Reset_Handler() {
  __asm volatile(".global danas_paint_begin, danas_paint_end\\ndanas_paint_begin: nop\\ndanas_paint_end: b .");
}
}
"""


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _compile(tmp_path_factory.mktemp("elf"), _PROGRAM.replace("HASH", "ab" * 32))


def _compile(folder: Path, source: str) -> Path:
    if shutil.which("arm-none-eabi-g++") is None:
        pytest.skip("needs arm-none-eabi-g++")
    render.render(*tiny(), BOARD, into=folder)
    (folder / "p.cpp").write_text(source)
    arguments = [
        "-mcpu=cortex-m7",
        "-mthumb",
        "-O1",
        "-nostdlib",
        "-std=gnu++17",
        "-T",
        "linker.ld",
        "p.cpp",
        "-o",
        "p.elf",
    ]
    subprocess.run(["arm-none-eabi-g++", *arguments], cwd=folder, check=True)
    return folder / "p.elf"


def test_sizes_symbols_and_identity(program: Path) -> None:
    report = elf.read(program)
    assert (report.board, report.build_id, report.model_id) == (BOARD.name, "0123456789abcdef", "vww01")
    assert report.model_hash == "ab" * 32
    assert report.arena_bytes == 4096
    assert report.data_bytes == 100
    assert report.static_bytes == 100 + 200
    assert report.stack_reserve == 2048
    assert report.symbols["danas_stack_top"] == 0x2000_0800
    assert report.symbols["danas_arena"] % 16 == 0
    assert report.functions["initialised"] == 100
    image = program.with_suffix(".bin")
    subprocess.run(["arm-none-eabi-objcopy", "-O", "binary", str(program), str(image)], check=True)
    assert report.flash_bytes == image.stat().st_size, "the image is what is flashed, .data's initial values included"


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ('"0123456789abcdef"', '"0123456789abcdeX"', "build_id"),
        ('"nucleo_f746zg"', '"\\033[31m"', "board"),
        ("model_hash[]", "model_hush[]", "model_hash"),
        ("danas_paint_end", "danas_paint_and", "danas_paint_end"),
    ],
)
def test_a_program_that_is_not_ours(tmp_path: Path, old: str, new: str, why: str) -> None:
    with pytest.raises(BuildError) as caught:
        elf.read(_compile(tmp_path, _PROGRAM.replace("HASH", "ab" * 32).replace(old, new)))
    assert caught.value.id == "bad-elf"
    assert why in caught.value.why
    assert "\x1b" not in str(caught.value)


def test_files_that_are_no_firmware(tmp_path: Path, program: Path) -> None:
    stripped = tmp_path / "stripped.elf"
    subprocess.run(["arm-none-eabi-strip", "-o", str(stripped), str(program)], check=True)
    empty = tmp_path / "empty"
    empty.write_bytes(b"")
    for path in (tmp_path / "missing", empty, Path("/bin/sh"), stripped, tmp_path):
        with pytest.raises(BuildError) as caught:
            elf.read(path)
        assert caught.value.id == "bad-elf"


@settings(max_examples=150)
@given(data=st.data())
def test_damage_never_raises_anything_else(program: Path, data: st.DataObject) -> None:
    content = bytearray(program.read_bytes())
    headers = int.from_bytes(content[32:36], "little")
    places = st.one_of(st.integers(0, 200), st.integers(headers, len(content) - 1), st.integers(0, len(content) - 1))
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(places)] = data.draw(st.integers(0, 255))
    if data.draw(st.booleans()):
        del content[data.draw(st.integers(0, len(content))) :]
    with tempfile.NamedTemporaryFile(suffix=".elf") as file:
        file.write(content)
        file.flush()
        try:
            report = elf.read(Path(file.name))
        except BuildError as error:
            assert error.id == "bad-elf"
        else:
            assert report.board
            assert report.static_bytes >= 0
