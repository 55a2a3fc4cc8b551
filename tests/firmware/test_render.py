"""Rendering: the same input gives the same files, only changed files are written, and no hostile name gets through."""

from __future__ import annotations

import configparser
import re
import subprocess
import tempfile
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
from firmware_samples import tiny
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline import boards, resources
from pipeline.errors import BuildError, EnvironmentProblem, UsageError
from pipeline.firmware import render

BOARD = boards.load("nucleo_f746zg")
GRAPH, PLAN = tiny()


def _files(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): path.read_text(encoding="utf-8")
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def _times(folder: Path) -> dict[str, int]:
    return {str(path): path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


def test_two_renderings_are_equal_and_complete(tmp_path: Path) -> None:
    first = render.render(GRAPH, PLAN, BOARD, into=tmp_path / "a")
    second = render.render(GRAPH, PLAN, BOARD, into=tmp_path / "b b")
    assert _files(tmp_path / "a") == _files(tmp_path / "b b")
    assert first.build_id == second.build_id
    assert first.model_hash == GRAPH.sha256
    assert first.environment == "nucleo_f746zg_local"
    expected = {
        "linker.ld",
        "render.json",
        "src/model.cpp",
        "src/identity.cpp",
        "src/first_output.cpp",
        "lib/app/main.cpp",
        "lib/port/board.h",
        "lib/port/cortex_m/startup.cpp",
        "lib/port/stm32f7/clock.cpp",
        "lib/runtime/runtime.h",
        "lib/runtime/conv_2d.cpp",
    }
    files = _files(tmp_path / "a")
    assert expected <= files.keys()
    assert "lib/runtime/pad.cpp" not in files, "a kernel that the model does not need"
    assert not [path for path in files if path.endswith(".j2")]
    assert f'"{first.build_id}"' in files["src/identity.cpp"]


def test_nothing_is_written_twice(tmp_path: Path) -> None:
    render.render(GRAPH, PLAN, BOARD, into=tmp_path)
    before = _times(tmp_path)
    render.render(GRAPH, PLAN, BOARD, into=tmp_path)
    assert _times(tmp_path) == before


def test_another_model_changes_the_models_files_alone(tmp_path: Path) -> None:
    render.render(GRAPH, PLAN, BOARD, into=tmp_path)
    before = _files(tmp_path)
    render.render(*tiny(seed=1), BOARD, into=tmp_path)
    after = _files(tmp_path)
    assert before.keys() == after.keys()
    changed = {path for path in after if after[path] != before[path]}
    assert changed
    assert all(path.startswith("src/") or path == "render.json" for path in changed)
    assert {"src/constants.cpp", "src/identity.cpp"} <= changed


def test_leftovers_are_removed_from_the_sources_alone(tmp_path: Path) -> None:
    for stale in ("src/old.cpp", "lib/runtime/old.cpp", "lib/other/x.cpp", "build/keep.o", "notes.txt"):
        (tmp_path / stale).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / stale).write_text("int old;")
    render.render(GRAPH, PLAN, BOARD, into=tmp_path)
    files = _files(tmp_path)
    assert {"build/keep.o", "notes.txt"} <= files.keys()
    assert not {"src/old.cpp", "lib/runtime/old.cpp", "lib/other/x.cpp"} & files.keys()


def test_the_build_id_names_everything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ids = [
        render.render(GRAPH, PLAN, BOARD, into=tmp_path / "0").build_id,
        render.render(GRAPH, PLAN, BOARD, into=tmp_path / "1", model_id="vww01").build_id,
        render.render(GRAPH, PLAN, BOARD, into=tmp_path / "2", baud=115_200).build_id,
        render.render(GRAPH, PLAN, BOARD, into=tmp_path / "3", environment="nucleo_f746zg").build_id,
        render.render(*tiny(seed=2), BOARD, into=tmp_path / "4").build_id,
    ]
    source = tmp_path / "0" / "lib" / "app" / "main.cpp"
    source.write_text(source.read_text() + "// changed by hand\n")
    ids.append(render.restamp(tmp_path / "0").build_id)
    monkeypatch.setattr(render, "_compiler", lambda _: "another compiler")
    ids.append(render.restamp(tmp_path / "2").build_id)
    assert len(set(ids)) == len(ids)
    assert all(re.fullmatch(r"[0-9a-f]{16}", one) for one in ids)
    assert ids[-1] in (tmp_path / "2" / "src" / "identity.cpp").read_text()


@settings(max_examples=12)
@given(
    st.one_of(
        st.sampled_from(["*/ int x; /*", 'a"b', "\n#error hostile\n", "</script>", "\x1b[31m", "$(reboot)", "??/\n"]),
        st.text(min_size=1, max_size=40),
    )
)
def test_hostile_tensor_names_change_comments_at_most(name: str) -> None:
    hostile = replace(GRAPH, tensors=(*(replace(tensor, name=name) for tensor in GRAPH.tensors),))
    with tempfile.TemporaryDirectory() as folder:
        render.render(hostile, PLAN, BOARD, into=Path(folder))
        assert _code(_files(Path(folder))) == _plain_code()


@cache
def _plain_code() -> dict[str, list[str]]:
    with tempfile.TemporaryDirectory() as folder:
        render.render(GRAPH, PLAN, BOARD, into=Path(folder))
        return _code(_files(Path(folder)))


def _code(files: dict[str, str]) -> dict[str, list[str]]:
    """The sources without their comments and without the build id, which comments change too."""
    return {
        path: [line.split("//")[0].rstrip() for line in text.split("\n")]
        for path, text in files.items()
        if path not in ("src/identity.cpp", "render.json")
    }


@pytest.mark.parametrize("name", ["", "a b", 'x"', "]\r\nm-ready", "-x", "x" * 33, "é"])
def test_a_model_id_that_would_break_the_protocol_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError) as caught:
        render.render(GRAPH, PLAN, BOARD, into=tmp_path, model_id=name)
    assert caught.value.id == "bad-model-id"
    assert not list(tmp_path.iterdir())


def test_what_cannot_be_rendered_is_refused(tmp_path: Path) -> None:
    def refused(**changes: object) -> str:
        arguments = {"into": tmp_path, **changes}
        graph = arguments.pop("graph", GRAPH)
        board = arguments.pop("board", BOARD)
        with pytest.raises(UsageError) as caught:
            render.render(graph, PLAN, board, **arguments)  # type: ignore[arg-type]
        return caught.value.id

    assert refused(baud=300) == "bad-baud"
    assert refused(environment="no_such_board") == "unknown-environment"
    assert refused(environment="x]\n[env:y") == "unknown-environment"
    assert refused(graph=replace(GRAPH, sha256="")) == "skeleton"
    assert refused(board=BOARD.model_copy(update={"port": "stm32x9"})) == "unknown-port"
    assert not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_written_or_read_says_so(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    with pytest.raises(EnvironmentProblem) as problem:
        render.render(GRAPH, PLAN, BOARD, into=file)
    assert problem.value.id == "not-writable"
    for content in (None, "{", '{"schema_version": 2}', '{"build_id": "x"}'):
        if content is not None:
            (tmp_path / "render.json").write_text(content)
        with pytest.raises(BuildError) as caught:
            render.restamp(tmp_path)
        assert caught.value.id == "not-rendered"


def test_the_linker_script_has_the_boards_memory(tmp_path: Path) -> None:
    render.render(GRAPH, PLAN, BOARD, into=tmp_path)
    text = (tmp_path / "linker.ld").read_text()
    assert "FLASH (rx) : ORIGIN = 0x08000000, LENGTH = 1048576" in text
    assert "RAM (rwx) : ORIGIN = 0x20000000, LENGTH = 327680" in text
    assert ". += 2048;" in text
    places = [text.index(f"\n  {section}") for section in (".stack", ".data", ".bss", ".arena")]
    assert places == sorted(places), "the stack is at the bottom, the arena last"


def test_the_linker_script_has_several_pieces_of_ram(tmp_path: Path) -> None:
    dtcm, sram1, *_ = BOARD.ram
    pieces = (dtcm, sram1.model_copy(update={"base": 0x2400_0000}), *BOARD.flash)
    board = BOARD.model_copy(update={"memory": pieces})

    def script(arena: int, static: int | None = None) -> str:
        render.render(GRAPH, replace(PLAN, arena_bytes=arena), board, into=tmp_path, static_bytes=static)
        return (tmp_path / "linker.ld").read_text()

    text = script(60_000)
    assert "RAM_DTCM (rwx) : ORIGIN = 0x20000000, LENGTH = 65536" in text
    assert "RAM_SRAM1 (rwx) : ORIGIN = 0x24000000, LENGTH = 245760" in text
    memories = re.findall(r"} > (RAM_\w+) AT", text)
    assert memories == ["RAM_DTCM"] * 4 and text.count(":zero") == 2
    text = script(70_000)
    assert re.findall(r"} > (RAM_\w+) AT", text) == ["RAM_DTCM"] * 3 + ["RAM_SRAM1"]
    assert "danas_ram_end = ORIGIN(RAM_SRAM1) + LENGTH(RAM_SRAM1);" in text
    assert text.count(":arena") == 1 and "  arena PT_LOAD FLAGS(6);\n}" in text
    # Static data give way to the arena; what they take is estimated, or given.
    text = script(63_400)
    assert re.findall(r"} > (RAM_\w+) AT", text) == ["RAM_DTCM", "RAM_SRAM1", "RAM_SRAM1", "RAM_DTCM"]
    assert "the arena must follow the stack" in text
    assert script(60_000) != script(60_000, static=16_384)


def test_board_facts_reach_the_port(tmp_path: Path) -> None:
    render.render(GRAPH, PLAN, BOARD, into=tmp_path, baud=115_200)
    text = (tmp_path / "lib" / "port" / "board.h").read_text()
    for fact in (
        "kClockHz = 216000000;",
        "kClockSourceHz = 8000000;",
        "kClockSourceIsBypass = true;",
        "kBaud = 115200;",
    ):
        assert fact in text
    assert "kUartBase = 0x40004800U;" in text
    assert "kEmulatedHz = 216000000;" in text


def test_qemus_pace_reaches_the_port(tmp_path: Path) -> None:
    """1 ns an instruction."""
    render.render(GRAPH, PLAN, boards.load("mps2_an500"), into=tmp_path)
    assert "kEmulatedHz = 1000000000;" in (tmp_path / "lib" / "port" / "board.h").read_text()


@pytest.mark.parametrize("name", boards.names())
def test_platformio_and_board_file_agree(name: str) -> None:
    """Both environments of a board: its processor and FPU, and one and the same set of flags."""
    board = boards.load(name)
    parser = configparser.ConfigParser(interpolation=None)
    parser.read(resources.platformio_ini(), encoding="utf-8")
    if board.build.framework is not None:
        section = parser[f"env:{board.build.registry}"]
        assert (section["extends"], section["board"]) == (f"board_{name}", name)
        assert parser[f"board_{name}"]["extends"] == board.build.framework
        assert parser[board.build.framework]["framework"] == board.build.framework
        return
    flags = []
    for environment in filter(None, (board.build.local, board.build.registry)):
        extends = [part.strip() for part in parser[f"env:{environment}"]["extends"].split(",")]
        assert "build_flags" not in parser[f"env:{environment}"]
        flags.append([parser[section].get("build_flags", "") for section in extends])
        words = " ".join(flags[-1]).split()
        assert f"-mcpu={board.core.cpu}" in words
        assert f"-mfpu={board.core.fpu}" in words
        assert "${firmware.build_flags}" in words
    assert all(one[0] == flags[0][0] for one in flags)
    assert {"-O2", "-std=gnu++17", "-fno-exceptions", "-fno-rtti", "-Wall", "-Wextra"} <= set(
        parser["firmware"]["build_flags"].split()
    )


def test_environment_text_follows_what_is_extended_and_quoted() -> None:
    local = render.environment_text("nucleo_f746zg_local")
    assert local.startswith("[env:nucleo_f746zg_local]\n")
    for section in ("board_nucleo_f746zg", "local_arm", "firmware", "platformio"):
        assert f"[{section}]\n" in local
    assert "env:nucleo_f746zg]" not in local
    assert "registry_arm" not in local


def test_a_compiler_that_hangs_is_an_error_of_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def hang(command: list[str], **options: object) -> None:
        raise subprocess.TimeoutExpired(command, 30)

    monkeypatch.setattr("pipeline.firmware.render.shutil.which", lambda name: f"/bin/{name}")
    monkeypatch.setattr("pipeline.firmware.render.subprocess.run", hang)
    with pytest.raises(EnvironmentProblem) as caught:
        render.render(GRAPH, PLAN, BOARD, into=tmp_path)
    assert caught.value.id == "missing-compiler"
