"""What can fail before work begins fails before work begins."""

import shutil
from collections import namedtuple
from pathlib import Path

import pytest

from pipeline import boards, preflight
from pipeline.errors import DanasError
from pipeline.settings import Kind, Settings, Target

EMULATED = Settings(kind=Kind.SEARCH, board="nucleo_f746zg", target=Target(emulate=True))


def _id(settings: Settings, folder: Path | None = None, *, needs_board: bool = True) -> str:
    with pytest.raises(DanasError) as caught:
        preflight.preflight(settings, folder, needs_board=needs_board)
    assert caught.value.next
    return caught.value.id


def test_a_machine_that_has_everything_passes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: f"/bin/{name}")
    preflight.preflight(EMULATED, tmp_path / "new" / "run", needs_board=True)


def test_a_missing_compiler_names_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: None)
    assert _id(EMULATED) == "missing-compiler"
    # A search alone, or an estimate, needs none.
    preflight.preflight(EMULATED, None, needs_board=False)
    # The registry's environment brings its own.
    board = boards.load("nucleo_f746zg")
    assert board.build.registry is not None
    preflight.compiler(board.build.registry, board)


def test_a_missing_openocd_is_seen_before_work_begins(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None if name == "openocd" else f"/bin/{name}")
    physical = EMULATED.model_copy(update={"target": Target(device="/dev/null")})
    assert _id(physical, tmp_path) == "missing-openocd"
    # The registry's environment brings its own, and an emulated board needs none.
    board = boards.load("nucleo_f746zg")
    preflight.preflight(physical.model_copy(update={"environment": board.build.registry}), tmp_path, needs_board=True)
    preflight.preflight(EMULATED, tmp_path, needs_board=True)


def test_a_board_without_a_registry_environment_is_offered_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: None)
    board = boards.load("mps2_an500")
    with pytest.raises(DanasError) as caught:
        preflight.compiler(board.build.usual, board)
    assert caught.value.id == "missing-compiler"
    assert "None" not in caught.value.next and "--environment" not in caught.value.next


def test_a_missing_unicorn_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    assert _id(EMULATED) == "missing-extra"


def test_what_is_needed_follows_from_the_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: None)
    board = boards.load("mps2_an500")
    for emulator, wanted in ((None, "missing-qemu"), ("qemu", "missing-qemu"), ("unicorn", None)):
        target = Target.model_validate({"emulate": True, "emulator": emulator})
        if wanted is None:
            preflight.device(board, target)
            continue
        with pytest.raises(DanasError) as caught:
            preflight.device(board, target)
        assert caught.value.id == wanted
    with pytest.raises(DanasError) as caught:
        preflight.device(boards.load("nucleo_f746zg"), Target(emulate=True, emulator=boards.Engine.QEMU))
    assert caught.value.id == "no-emulator"


def test_a_full_disk_is_seen_at_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "which", lambda name: f"/bin/{name}")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10**9, 10**9, 2**20))
    assert _id(EMULATED, tmp_path) == "disk-full"


def test_a_board_that_cannot_be_emulated_says_so() -> None:
    board = boards.load("nucleo_f746zg").model_copy(update={"emulator": None})
    with pytest.raises(DanasError) as caught:
        preflight.device(board, Target(emulate=True))
    assert caught.value.id == "no-emulator"


def test_no_board(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("serial.tools.list_ports.comports", list)
    assert _id(Settings(kind=Kind.SEARCH, board="nucleo_f746zg")) == "no-board"


def test_a_port_that_is_not_there_is_seen_at_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("serial.tools.list_ports.comports", list)
    here, gone = tmp_path / "port", tmp_path / "no-port"
    here.touch()
    for port, id_ in ((gone, "no-such-port"), (here, "port-not-serial"), (tmp_path, "port-not-serial")):
        target = Target(device=str(port))
        assert _id(Settings(kind=Kind.SEARCH, board="nucleo_f746zg", target=target)) == id_
    board = boards.load("nucleo_f746zg")
    assert preflight.device(board, Target(device="/dev/null")).port == "/dev/null"
    assert preflight.device(board, Target(device="socket://localhost:1")).remote


@pytest.mark.parametrize(
    "name", ["$x", "a;b", "it's", "a  b", "`ls`", "100%", "a&b", "(1)", "a\nb", "a\\b", 'a"b', "*"]
)
def test_a_folder_that_a_shell_would_read_as_a_command_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str
) -> None:
    monkeypatch.setattr(shutil, "which", lambda program: f"/bin/{program}")
    assert _id(EMULATED, tmp_path / name) == "unsafe-folder"


@pytest.mark.parametrize("name", ["a b", "räume", "run-1_x.y+z,a=b@c~", "a:b"])
def test_a_folder_of_plain_characters_is_taken(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str) -> None:
    monkeypatch.setattr(shutil, "which", lambda program: f"/bin/{program}")
    preflight.preflight(EMULATED, tmp_path / name, needs_board=True)
