"""Builds: what is compiled again and what is not, which flags count, what failures are called."""

from __future__ import annotations

import os
import shutil
import signal
import stat
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from firmware_samples import tiny

from pipeline import boards, resources
from pipeline.errors import BuildError, DanasError, DoesNotFitError, EnvironmentProblem, UsageError
from pipeline.firmware import build, platformio, render
from pipeline.firmware.platformio import Outcome

BOARD = boards.load("nucleo_f746zg")
PIECES = BOARD.model_copy(
    update={"memory": (BOARD.ram[0], BOARD.ram[1].model_copy(update={"base": 0x2400_0000}), *BOARD.flash)}
)


# ---- what PlatformIO's output means ----


@pytest.mark.parametrize(
    ("lines", "kind", "id_", "part"),
    [
        (["ld: region `RAM' overflowed by 84 bytes"], DoesNotFitError, "region-overflow", "84 bytes more RAM"),
        (["ld: region `FLASH' overflowed by 1 byte"], DoesNotFitError, "region-overflow", "1 bytes more FLASH"),
        (
            ["x.h:1:10: fatal error: cstdint: No such file or directory"],
            EnvironmentProblem,
            "missing-compiler",
            "gcc-arm",
        ),
        (["as: out: No space left on device"], EnvironmentProblem, "disk-full", "disk is full"),
        (["HTTPClientError: "], EnvironmentProblem, "no-registry", "nucleo_f746zg_local"),
        (["ok", "a.cpp:3:1: error: expected ';'", "b: error: two"], BuildError, "compile-failed", "expected ';'"),
        (["a.o: in function `f': undefined reference to `g'"], BuildError, "compile-failed", "undefined reference"),
        (["something", "else", ""], BuildError, "compile-failed", "else"),
        ([], BuildError, "compile-failed", "it said nothing"),
    ],
)
def test_failures_have_names(lines: list[str], kind: type[DanasError], id_: str, part: str) -> None:
    error = build.failure(Outcome(1, tuple(lines)), BOARD)
    assert type(error) is kind
    assert error.id == id_
    assert part in str(error)


def test_of_several_pieces_of_ram_the_full_one_is_named() -> None:
    error = build.failure(Outcome(1, ("ld: region `RAM_SRAM1' overflowed by 84 bytes",)), PIECES)
    assert "84 bytes more RAM in sram1 than nucleo_f746zg has (245760)" in str(error)


def test_a_missing_compiler_names_its_packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    render.render(*tiny(), BOARD, into=tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(EnvironmentProblem) as caught:
        build.build(tmp_path, BOARD)
    assert caught.value.id == "missing-compiler"
    for package in ("gcc-arm-none-eabi", "libnewlib-arm-none-eabi", "libstdc++-arm-none-eabi-newlib"):
        assert package in caught.value.next


def test_what_was_not_rendered_for_this_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BuildError) as caught:
        build.build(tmp_path, BOARD)
    assert caught.value.id == "not-rendered"
    render.render(*tiny(), BOARD, into=tmp_path)
    with pytest.raises(BuildError) as caught:
        build.build(tmp_path, BOARD.model_copy(update={"name": "another"}))
    assert caught.value.id == "other-board"
    with pytest.raises(UsageError) as unknown:
        build.build(tmp_path, BOARD, environment="another")
    assert unknown.value.id == "unknown-environment"


# ---- the sub-process ----


def _as_platformio(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    program = tmp_path / "program"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setattr(resources, "python", lambda: str(program))


def _is_gone(process: int) -> bool:
    """True when the process has ended, or ends within 5 s."""
    for _ in range(500):
        try:
            state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            return True
        if state == "Z":
            return True
        time.sleep(0.01)
    return False


def test_lines_arrive_clean_and_arguments_are_a_list(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _as_platformio(
        tmp_path, monkeypatch, 'printf "one\\033[31m\\r\\n"; for a in "$@"; do echo "<$a>"; done; printf last; exit 3'
    )
    seen: list[str] = []
    outcome = platformio.run(tmp_path, "env$(reboot)", targets=["nobuild", "upload"], on_line=seen.append)
    assert outcome.status == 3
    assert list(outcome.lines) == seen
    assert seen[0] == "one?[31m"
    assert seen[-1] == "last"
    assert seen[-6:-1] == ["<env$(reboot)>", "<-t>", "<nobuild>", "<-t>", "<upload>"]


def test_the_users_variables_cannot_change_a_build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _as_platformio(tmp_path, monkeypatch, "env")
    for name in ("PLATFORMIO_BUILD_FLAGS", "PLATFORMIO_SRC_DIR", "CPATH"):
        monkeypatch.setenv(name, "/elsewhere")
    monkeypatch.setenv("PLATFORMIO_CORE_DIR", "/the/users/choice")
    lines = platformio.run(tmp_path, "x", variables={"DANAS_PROBE_SERIAL": "066AFF"}).lines
    assert not [line for line in lines if "/elsewhere" in line]
    assert "PLATFORMIO_CORE_DIR=/the/users/choice" in lines
    assert f"PLATFORMIO_SRC_DIR={tmp_path.resolve() / 'src'}" in lines
    assert "DANAS_PROBE_SERIAL=066AFF" in lines
    monkeypatch.delenv("PLATFORMIO_CORE_DIR")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    (core,) = [line for line in platformio.run(tmp_path, "x").lines if line.startswith("PLATFORMIO_CORE_DIR=")]
    assert str(tmp_path) in core


def test_a_deadline_ends_the_whole_process_group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _as_platformio(tmp_path, monkeypatch, "sleep 600 & echo $!; wait")
    seen: list[str] = []
    with pytest.raises(BuildError) as caught:
        platformio.run(tmp_path, "x", on_line=seen.append, deadline_s=0.3)
    assert caught.value.id == "build-timeout"
    assert _is_gone(int(seen[0]))


def test_an_interruption_ends_the_whole_process_group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _as_platformio(tmp_path, monkeypatch, "sleep 600 & echo $!; wait")
    seen: list[str] = []

    def interrupt(line: str) -> None:
        seen.append(line)
        os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        platformio.run(tmp_path, "x", on_line=interrupt)
    assert _is_gone(int(seen[0]))


def test_a_read_only_installation_builds_from_a_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert platformio.project() == resources.root()
    monkeypatch.setattr(platformio, "_is_writable", lambda _: False)
    copy = platformio.project()
    assert copy.is_relative_to(tmp_path)
    assert copy == platformio.project()
    assert (copy / "platformio.ini").read_bytes() == resources.platformio_ini().read_bytes()
    assert (copy / "firmware_templates" / "platform" / "bare_metal.py").is_file()


# ---- real builds ----


@pytest.fixture(scope="module")
def core(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A PlatformIO folder of these tests' own, empty at first: everything must come from this machine."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PLATFORMIO_CORE_DIR", str(tmp_path_factory.mktemp("core")))
        yield


@pytest.fixture(scope="module")
def built(core: None, tmp_path_factory: pytest.TempPathFactory) -> build.Firmware:
    """The tiny model, built once, in a folder with a space in its name."""
    folder = tmp_path_factory.mktemp("run") / "a run"
    render.render(*tiny(), BOARD, into=folder)
    return _build(folder)[0]


def _build(folder: Path) -> tuple[build.Firmware, set[str]]:
    """A build and the objects that it compiled."""
    lines: list[str] = []
    firmware = build.build(folder, BOARD, on_line=lines.append)
    assert not [line for line in lines if "warning" in line.lower()]
    return firmware, {Path(line).name for line in lines if line.startswith("Compiling ")}


@pytest.mark.slow
def test_the_program_says_what_it_is(built: build.Firmware) -> None:
    graph, plan = tiny()
    report = built.report
    assert (report.board, report.build_id, report.model_hash) == (BOARD.name, built.build_id, graph.sha256)
    assert report.model_id == graph.sha256[:8]
    assert report.arena_bytes == plan.arena_bytes
    assert report.stack_reserve == BOARD.stack.reserve_bytes
    assert report.symbols["danas_stack_bottom"] == 0x2000_0000
    assert report.flash_bytes == built.bin.stat().st_size
    in_flash = sum(report.sections.get(name, 0) for name in (".vectors", ".text", ".rodata", ".init_array", ".data"))
    assert in_flash <= report.flash_bytes < in_flash + 32
    assert report.static_bytes == report.sections.get(".data", 0) + report.sections[".bss"]
    assert ".heap" not in report.sections
    assert not {"malloc", "_malloc_r", "printf", "_sbrk", "__cxa_throw"} & report.functions.keys()
    assert "danas_arena" in built.map.read_text()


@pytest.mark.slow
def test_only_what_changed_is_compiled(built: build.Firmware) -> None:
    folder = built.elf.parents[2]
    image = built.bin.read_bytes()
    assert _build(folder)[1] == set()
    render.render(*tiny(seed=1), BOARD, into=folder)
    other, compiled = _build(folder)
    assert {"constants.o", "identity.o"} <= compiled <= {"constants.o", "identity.o", "model.o"}
    assert other.build_id != built.build_id
    render.render(*tiny(), BOARD, into=folder)
    again, _ = _build(folder)
    assert again.bin.read_bytes() == image, "the same sources must give the same program"
    script = folder / "linker.ld"
    script.write_text(script.read_text().replace(". += 2048;", ". += 4096;"))
    relinked, compiled = _build(folder)
    assert compiled == {"identity.o"}
    assert relinked.report.stack_reserve == 4096


@pytest.mark.slow
def test_a_flag_changed_in_platformio_ini_changes_the_elf(
    built: build.Firmware, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a copy of the installation that is read-only as far as PlatformIO can see: nothing may be written there."""
    root = tmp_path / "installed"
    for part in ("firmware_templates", "boards"):
        shutil.copytree(resources.root() / part, root / part, ignore=shutil.ignore_patterns("__pycache__"))
    text = resources.platformio_ini().read_text()
    assert text.count("    -O2\n") == 1
    (root / "platformio.ini").write_text(text.replace("    -O2\n", "    -O1\n"))
    before = sorted((str(path), path.stat().st_mtime_ns) for path in root.rglob("*"))
    monkeypatch.setattr(resources, "root", lambda: root)
    monkeypatch.setattr(platformio, "_is_writable", lambda _: False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder = tmp_path / "run"
    rendered = render.render(*tiny(), BOARD, into=folder)
    changed, _ = _build(folder)
    assert rendered.build_id == changed.build_id != built.build_id
    assert changed.report.sections[".text"] != built.report.sections[".text"]
    assert sorted((str(path), path.stat().st_mtime_ns) for path in root.rglob("*")) == before


@pytest.mark.slow
def test_what_does_not_fit_or_compile_is_named(built: build.Firmware) -> None:
    folder = built.elf.parents[2]
    graph, plan = tiny()
    render.render(graph, replace(plan, arena_bytes=BOARD.ram_bytes), BOARD, into=folder)
    with pytest.raises(DoesNotFitError) as large:
        _build(folder)
    assert large.value.id == "region-overflow"
    assert "more RAM than nucleo_f746zg has (327680)" in large.value.what
    render.render(graph, plan, BOARD, into=folder)
    source = folder / "src" / "model.cpp"
    source.write_text(source.read_text() + "\nint broken = ;\n")
    with pytest.raises(BuildError) as broken:
        _build(folder)
    assert broken.value.id == "compile-failed"
    assert "model.cpp" in broken.value.why
    assert "error:" in broken.value.why
    render.render(graph, plan, BOARD, into=folder)
    assert _build(folder)[0].report.model_hash == graph.sha256


@pytest.mark.slow
def test_upload_calls_openocd_with_the_probes_serial_number(
    built: build.Firmware, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    openocd = tmp_path / "openocd"
    openocd.write_text('#!/bin/sh\nfor word in "$@"; do echo "<$word>"; done\n')
    openocd.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    folder = built.elf.parents[2]

    def upload(**variables: str) -> Outcome:
        return platformio.run(folder, built.environment, targets=("nobuild", "upload"), variables=variables)

    outcome = upload(DANAS_PROBE_SERIAL="066AFF495451")
    assert outcome.status == 0
    assert [line for line in outcome.lines if line.startswith("<")] == [
        "<-c>",
        "<adapter serial 066AFF495451>",
        "<-f>",
        "<board/st_nucleo_f7.cfg>",
        "<-c>",
        f"<program {{{built.elf}}} verify reset; shutdown>",
    ]
    assert "<adapter serial" not in "".join(upload().lines)
    hostile = upload(DANAS_PROBE_SERIAL="x; exec reboot")
    assert hostile.status != 0
    assert not [line for line in hostile.lines if line.startswith("<")]
    openocd.write_text("#!/bin/sh\necho 'Error: open failed'\nexit 1\n")
    assert upload().status != 0
