"""What is said of a table for another compiler, or for other flags."""

from __future__ import annotations

import datetime
import stat
from pathlib import Path

import pytest

from pipeline import boards
from pipeline.errors import BuildError
from pipeline.estimate import compilers, estimate
from pipeline.estimate.compilers import OTHER_COMPILER, OTHER_FLAGS, Toolchain
from pipeline.estimate.profiles import Profile
from pipeline.estimate.table import calibration_of, load_for
from pipeline.firmware import toolchain
from pipeline.genotype import Genotype
from pipeline.graph.skeleton import from_genotype

_FLAGS = "-O2 -g -std=gnu++17 -fno-rtti -Wall -mcpu=cortex-m7 -mthumb"
_PROFILE = Profile(
    cpu="cortex-m7",
    board="nucleo_f746zg",
    compiler="arm-none-eabi-gcc (15:12.2.rel1-1) 12.2.1 20221205",
    flags=_FLAGS,
    clock_hz=216_000_000,
    date=datetime.date(2026, 11, 25),
    source="linked ELF",
)


def _said(compiler: str = "", flags: str = "") -> compilers.Calibration:
    return compilers.calibration(_PROFILE, _FLAGS, Toolchain(compiler, flags), origin="package")


@pytest.mark.parametrize(
    ("compiler", "flags"),
    [
        ("", ""),
        (_PROFILE.compiler, _FLAGS),
        ("GCC: (15:12.2.rel1-1) 12.2.1 20221205", ""),
        ("arm-none-eabi-gcc (Another packager 12.2) 12.2.1 20221205", ""),
        ("", "-mcpu=cortex-m7 -mthumb -march=armv7e-m -g -O2 -std=gnu++17 -fno-rtti"),
        ("", "-O3 -mcpu=cortex-m7 -mthumb -fno-rtti -O2"),
    ],
)
def test_the_same_compiler_or_none_that_is_known_has_no_mark(compiler: str, flags: str) -> None:
    found = _said(compiler, flags)
    assert (found.mark, found.doubt) == ("", None)


@pytest.mark.parametrize(
    ("compiler", "flags", "doubt"),
    [
        ("arm-none-eabi-gcc (GNU Arm) 13.2.1 20231009", _FLAGS, OTHER_COMPILER),
        ("arm-none-eabi-gcc (15:12.2.rel1-1) 12.2.1 20230101", _FLAGS, OTHER_COMPILER),
        ("clang version 14.0.6", _FLAGS, OTHER_COMPILER),
        ("no number", _FLAGS, OTHER_COMPILER),
        (_PROFILE.compiler, _FLAGS.replace("-O2", "-Os"), OTHER_FLAGS),
        (_PROFILE.compiler, _FLAGS.replace("-fno-rtti", ""), OTHER_FLAGS),
        (_PROFILE.compiler, _FLAGS.replace("-mthumb", "-marm"), OTHER_FLAGS),
    ],
)
def test_another_one_has_a_visible_mark(compiler: str, flags: str, doubt: compilers.Doubt) -> None:
    found = _said(compiler, flags)
    assert found.doubt == doubt
    assert f"not calibrated for this compiler: code ±{doubt.code} %" in found.mark
    assert found.other in found.mark


def test_both_differences_add_up() -> None:
    found = _said("arm-none-eabi-gcc 13.2.1", "-O3")
    assert found.doubt is not None and found.doubt.code == OTHER_COMPILER.code + OTHER_FLAGS.code
    assert "13.2.1" in found.mark and "flags" in found.mark


def test_an_estimate_names_its_table_and_keeps_it_in_json() -> None:
    board = boards.load("mps2_an500")
    found = estimate(from_genotype(Genotype.parse("32-mono-d00000-a01"), 2), board)
    assert found.calibration is not None and found.calibration.origin == "package"
    assert found.calibration.compiler == load_for(board).profile.compiler
    assert type(found).model_validate_json(found.model_dump_json()) == found


def test_todays_flags_are_the_tables() -> None:
    """A change of platformio.ini asks for a calibration."""
    for name in boards.names():
        board = boards.load(name)
        if board.build.framework is None:  # else the flags are mostly the framework's
            assert calibration_of(board, Toolchain("", toolchain.flags(board))).mark == ""


def _compiler(folder: Path, text: str) -> None:
    path = folder / toolchain.GCC
    path.write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
    path.chmod(path.stat().st_mode | stat.S_IEXEC)


def test_the_compiler_on_path_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    board = boards.load("nucleo_f746zg")
    assert toolchain.at_hand(board).compiler == ""
    _compiler(tmp_path, "echo 'arm-none-eabi-gcc (x) 14.1.0 20250101'")
    assert toolchain.at_hand(board).compiler == "arm-none-eabi-gcc (x) 14.1.0 20250101"
    assert calibration_of(board, toolchain.at_hand(board)).doubt == OTHER_COMPILER
    assert toolchain.at_hand(board, board.build.registry).compiler == "", "that environment brings its own"


def test_a_compiler_that_fails_is_not_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    _compiler(tmp_path, "exit 3")
    assert toolchain.at_hand(boards.load("nucleo_f746zg")).compiler == ""


def test_an_elf_says_what_has_built_it(probe: Path) -> None:
    found = toolchain.built_with(probe)
    assert compilers.version(found.compiler) == compilers.version(toolchain.compiler())


def test_a_damaged_elf_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "firmware.elf"
    path.write_bytes(b"\x7fELF" + bytes(60))
    with pytest.raises(BuildError) as caught:
        toolchain.built_with(path)
    assert caught.value.id == "bad-elf"
