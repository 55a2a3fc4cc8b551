"""Board files: the ones we ship are sound, wrong ones are named by file and field."""

from pathlib import Path

import pytest

from pipeline import boards, resources
from pipeline.errors import UsageError


@pytest.mark.parametrize("name", boards.names())
def test_every_shipped_board_is_sound(name: str) -> None:
    board = boards.load(name)
    assert board.name == name
    assert board.stack.reserve_bytes < board.ram_bytes
    assert all(region.source for region in board.memory)


def test_the_nucleo_has_what_its_documents_say() -> None:
    board = boards.load("nucleo_f746zg")
    assert (board.ram_bytes, board.flash_bytes) == (320 * 1024, 1024 * 1024)
    assert board.ram[0].base == 0x2000_0000
    assert board.core.clock_hz == 216_000_000
    assert (board.usb[0].vid, board.usb[0].pid) == (0x0483, 0x374B)


def test_the_other_boards_have_what_their_documents_say() -> None:
    nucleo, mps2, m4 = (boards.load(name) for name in ("nucleo_l4r5zi", "mps2_an500", "mps2_an386"))
    assert (nucleo.ram_bytes, nucleo.flash_bytes) == (640 * 1024, 2048 * 1024)
    assert (nucleo.ram[0].base, nucleo.core.clock_hz) == (0x2000_0000, 120_000_000)
    assert (mps2.ram_bytes, mps2.flash[0].base, mps2.flash_bytes) == (4 << 20, 0, 4 << 20)
    assert (m4.ram_bytes, m4.flash[0].base, m4.core.cpu) == (4 << 20, 0, "cortex-m4")
    assert isinstance(mps2.emulator, boards.QemuEmulator)
    # What the port counts with: whole instructions in a tick of the board's clock.
    assert mps2.emulator.instructions_per_second % mps2.core.clock_hz == 0


def test_a_boards_ram_may_be_in_several_pieces() -> None:
    board = boards.load("nucleo_h743zi")
    assert [(area.base, area.bytes // 1024, area.name) for area in board.areas] == [
        (0x2000_0000, 128, "dtcm"),
        (0x2400_0000, 512, "axi_sram"),
        (0x3000_0000, 288, "sram1 and sram2 and sram3"),
        (0x3800_0000, 64, "sram4"),
    ]
    assert [set(area.holds) == {"stack", "static", "arena"} for area in board.areas] == [True, True, False, False]
    assert (board.flash_bytes, board.core.clock_hz) == (2048 * 1024, 400_000_000)
    assert board.energy is None and board.latency is not None, "no document with its current was at hand"
    one = boards.load("nucleo_f746zg")
    assert [area.regions for area in one.areas] == [one.ram]


@pytest.mark.parametrize(
    ("name", "ram", "flash", "mhz", "source"),
    [
        ("nucleo_f446re", [(0x2000_0000, 128)], 512, 180, ("hse-bypass", 8_000_000)),
        ("disco_l475vg_iot01a", [(0x1000_0000, 32), (0x2000_0000, 96)], 1024, 80, ("internal", 4_000_000)),
        ("disco_f746ng", [(0x2000_0000, 320)], 1024, 216, ("hse-crystal", 25_000_000)),
    ],
)
def test_further_stm32_boards_have_what_their_documents_say(
    name: str, ram: list[tuple[int, int]], flash: int, mhz: int, source: tuple[str, int]
) -> None:
    board = boards.load(name)
    assert [(area.base, area.bytes) for area in board.areas] == [(base, size * 1024) for base, size in ram]
    assert (board.flash[0].base, board.flash_bytes) == (0x0800_0000, flash * 1024)
    assert (board.core.clock_hz, board.clock.kind, board.clock.hz) == (mhz * 1_000_000, *source)


def test_what_time_and_energy_are_modelled_with_has_its_source() -> None:
    for name in ("nucleo_f746zg", "disco_f746ng", "nucleo_l4r5zi"):
        board = boards.load(name)
        assert board.latency is not None
        assert board.energy is not None
        assert "DDI0" in board.latency.source
        assert "DS1" in board.energy.source
        assert board.energy.conditions
    # An FPGA's current says nothing of a microcontroller; and of none of these has anybody published cycles.
    for name in ("mps2_an500", "nucleo_f446re", "disco_l475vg_iot01a"):
        board = boards.load(name)
        assert (board.latency, board.energy) == (None, None)


def test_an_unknown_board_gets_the_near_names() -> None:
    with pytest.raises(UsageError) as caught:
        boards.load("nucleo-f746")
    assert caught.value.id == "unknown-board"
    assert "nucleo_f746zg" in caught.value.why


@pytest.mark.parametrize("name", ["../nucleo_f746zg", "\x1b[2J", "", "nucleo_f746zg.toml"])
def test_a_board_name_is_no_path(name: str) -> None:
    with pytest.raises(UsageError) as caught:
        boards.load(name)
    assert caught.value.id == "unknown-board"
    assert "\x1b" not in caught.value.what


@pytest.mark.parametrize(
    ("old", "new", "field"),
    [
        ("clock_hz = 216_000_000", "clock_hz = 0", "core.clock_hz"),
        ('mcu = "STM32F746ZGT6"', 'mcu = "STM32F746ZGT6"\nspeed = 3', "speed"),
        ("schema_version = 1", "schema_version = 9", "schema_version"),
        ("base = 0x2001_0000", "base = 0x2000_8000", "overlap"),
        (
            "base = 0x2004_C000",
            "base = 0x2005_0000",
            "sram2 may hold the stack, but sram1 is where",
        ),
        ("base = 0x2000_0000", "base = 0x1FFF_F000", "ram region dtcm may hold the stack, but does not start at"),
        ("speed = 0", 'speed = 0\nholds = ["stack", "heap"]', "memory.0.holds.1"),
        ("speed = 0", "speed = 0\nholds = []", "memory.0.holds"),
        ("speed = 0", 'speed = 0\nholds = ["arena", "arena"]', "region dtcm holds something twice"),
        ("speed = 0", 'speed = 0\nholds = ["stack", "constants"]', "ram region dtcm cannot hold constants"),
        ('kind = "flash"', 'kind = "flash"\nholds = ["arena"]', "flash region flash cannot hold arena"),
        ("speed = 0", "speed = 2", "ram region sram1 is faster than dtcm"),
        ("speed = 0", "speed = -1", "memory.0.speed"),
        ("reserve_bytes = 2_048", "reserve_bytes = 100", "stack.reserve_bytes"),
        ('engine = "unicorn"', 'engine = "renode"', "emulator"),
        ('engine = "unicorn"', 'engine = "qemu"\nicount_shift = 3\nmachine = "-kernel x"', "emulator.qemu.machine"),
        ("low = 0.50", "low = 0.90", "latency"),
        ("amperes = 0.106", "amperes = 0.2", "energy"),
        ("volts = 3.3", "volts = 0", "energy.volts"),
        ("[core]", "[core", "not a TOML file"),
    ],
)
def test_a_wrong_field_is_named(tmp_path: Path, old: str, new: str, field: str) -> None:
    text = (resources.boards() / "nucleo_f746zg.toml").read_text()
    assert old in text
    path = tmp_path / "broken.toml"
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(UsageError) as caught:
        boards.read(path)
    assert caught.value.id == "board-file"
    assert "broken.toml" in caught.value.what
    assert field in caught.value.what


def test_a_file_that_is_no_text_is_named(tmp_path: Path) -> None:
    path = tmp_path / "broken\x1b.toml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UsageError) as caught:
        boards.read(path)
    assert caught.value.id == "board-file"
    assert "broken?.toml" in caught.value.what


def test_another_engine_is_chosen_by_its_name() -> None:
    board = boards.load("mps2_an500")
    assert [one.engine for one in board.emulators] == ["qemu", "unicorn"]
    assert board.emulated_by(None) is board.emulated_by(boards.Engine.QEMU) is board
    other = board.emulated_by(boards.Engine.UNICORN)
    assert [one.engine for one in other.emulators] == ["unicorn", "qemu"]
    assert other.emulated_by(boards.Engine.QEMU) == board


@pytest.mark.parametrize("bare", [False, True])
def test_an_engine_that_the_board_lacks_is_refused(bare: bool) -> None:
    board = boards.load("nucleo_f746zg")
    board = board.model_copy(update={"emulator": None}) if bare else board
    assert board.emulated_by(None) is board
    with pytest.raises(UsageError) as caught:
        board.emulated_by(boards.Engine.QEMU)
    assert caught.value.id == "no-emulator"
    assert ("unicorn" in caught.value.why) != bare
    assert caught.value.next


@pytest.mark.parametrize(
    ("tail", "words"),
    [
        ('\n[[other_emulators]]\nengine = "unicorn"\n', "named twice"),
        ('\n[[other_emulators]]\nengine = "renode"\n', "other_emulators"),
    ],
)
def test_engines_are_named_once(tmp_path: Path, tail: str, words: str) -> None:
    path = tmp_path / "twice.toml"
    path.write_text((resources.boards() / "nucleo_f746zg.toml").read_text() + tail)
    with pytest.raises(UsageError) as caught:
        boards.read(path)
    assert caught.value.id == "board-file"
    assert words in caught.value.what
    path.write_text(path.read_text().replace('[emulator]\nengine = "unicorn"\n', ""))
    with pytest.raises(UsageError):
        boards.read(path)
