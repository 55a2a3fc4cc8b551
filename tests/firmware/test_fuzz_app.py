"""The firmware's command loop under a coverage-guided fuzzer, with the address and undefined-behaviour sanitizers.

libFuzzer where clang is installed, and a small driver of our own with GCC's coverage. A fixed number of runs from a
fixed seed: the same every time, and bounded. More of it: ``DANAS_FUZZ_RUNS=5000000 pytest`` of this file.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from pipeline import resources
from pipeline.device.frames import frames

HERE = Path(__file__).parent
RUNS = int(os.environ.get("DANAS_FUZZ_RUNS", "40000"))
LIMIT_S = 60 + RUNS // 500
SANITIZERS = ["-fno-sanitize-recover=all", "-fno-exceptions", "-fno-rtti", "-std=gnu++17", "-g", "-O1"]

pytestmark = pytest.mark.slow
needs_gcc = pytest.mark.skipif(shutil.which("g++") is None, reason="needs a C++ compiler for the host")
needs_clang = pytest.mark.skipif(shutil.which("clang++") is None, reason="needs clang with libFuzzer")


def _sources() -> list[str]:
    """All but protocol.cpp, which is a part of app_fuzz.cpp."""
    app = resources.firmware_templates() / "app"
    skipped = ("main.cpp", "protocol.cpp")
    return [str(HERE / "app_fuzz.cpp"), *(str(one) for one in sorted(app.glob("*.cpp")) if one.name not in skipped)]


def _flags(lie: int) -> list[str]:
    templates = resources.firmware_templates()
    return [*SANITIZERS, f"-DFUZZ_LIE={lie}", *(f"-I{templates / part}" for part in ("app", "port", "runtime"))]


def _gcc(folder: Path, lie: int = 0) -> Path:
    program = folder / "fuzz"
    covered = [*_flags(lie), "-fsanitize=address,undefined", "-fsanitize-coverage=trace-pc"]
    objects = []
    for number, source in enumerate(_sources()):
        objects.append(str(folder / f"{number}.o"))
        subprocess.run(["g++", *covered, "-c", source, "-o", objects[-1]], check=True)
    # The driver itself is not covered: it would call itself.
    driver = ["g++", *_flags(lie), "-fsanitize=address,undefined", "-static-libasan", str(HERE / "app_fuzz_driver.cpp")]
    subprocess.run([*driver, *objects, "-o", str(program)], check=True)
    return program


def _corpus(folder: Path) -> list[str]:
    """One good conversation of each kind, and what stands between commands."""
    load = b"".join(frames(bytes(range(250)) + bytes(50), 100))
    inputs = {
        "load": b"\x00#00000001 load 300%" + load + b"#00000002 run%output%crc%ops%results%",
        "stream": b"\x01#00000001 stream 300%" + load + b"crc%output%",
        "hex": b"\x00db load 300%" + b"".join(b"db " + b"0a" * 30 + b"%" for _ in range(10)) + b"db print%infer 2 1%",
        "ask": b"\x02id%memory%help%name%profile%timestamp%run%",
        "late": b"\x00load 300%" + load[:150] + b"\xfe\xff" + b"name%",
    }
    made = []
    for name, content in inputs.items():
        path = folder / f"seed-{name}"
        path.write_bytes(content)
        made.append(str(path))
    return made


def _fuzz(program: Path, folder: Path, runs: int, inputs: list[str]) -> subprocess.CompletedProcess[str]:
    command = [str(program), str(runs), "1", str(folder / "current"), *inputs]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=LIMIT_S)


@needs_gcc
def test_no_input_breaks_the_command_loop(tmp_path: Path) -> None:
    done = _fuzz(_gcc(tmp_path), tmp_path, RUNS, _corpus(tmp_path))
    current = (tmp_path / "current").read_bytes()
    reproduce = current[4 : 4 + int.from_bytes(current[:4], "little")].hex()
    assert (done.returncode, done.stderr) == (0, ""), f"input {reproduce}\n{done.stderr[-4000:]}"
    found = re.fullmatch(r"runs (\d+), inputs kept (\d+), pairs of places (\d+), before (\d+)\n", done.stdout)
    assert found is not None
    runs, kept, pairs, before = (int(group) for group in found.groups())
    assert runs == RUNS
    assert kept > 20 and pairs > before > 200, "the fuzzer is guided: it has found places that no first input reaches"


@needs_gcc
def test_the_fuzzer_finds_a_firmware_that_writes_beyond_its_input(tmp_path: Path) -> None:
    begun = tmp_path / "begun"
    begun.write_bytes(b"\x00#00000001 load 301%" + b"".join(frames(bytes(200), 100)))
    done = _fuzz(_gcc(tmp_path, lie=1), tmp_path, 20_000, [str(begun)])
    assert done.returncode != 0
    assert "AddressSanitizer: global-buffer-overflow" in done.stderr


@needs_clang
def test_libfuzzer_finds_nothing_either(tmp_path: Path) -> None:
    program = tmp_path / "fuzz"
    flags = [*_flags(0), "-fsanitize=fuzzer,address,undefined"]
    compiled = subprocess.run(
        ["clang++", *flags, *_sources(), "-o", str(program)], check=False, capture_output=True, text=True
    )
    if compiled.returncode != 0 and "fuzzer" in compiled.stderr:
        pytest.skip("this clang has no libFuzzer")
    assert compiled.returncode == 0, compiled.stderr
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    _corpus(corpus)
    command = [str(program), f"-runs={RUNS}", "-seed=1", "-max_len=2048", f"-artifact_prefix={tmp_path}/", str(corpus)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=LIMIT_S)
    assert done.returncode == 0, done.stderr[-4000:]
