"""The lab file: what it may hold, each way in which it cannot be used, and how devices come and go."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.device.lab import Entry, Lab, add, open_lab, path_of, remove
from pipeline.errors import DanasError, NoBoardError

WHOLE = """# Our lab
schema_version = 1

[[device]]
alias = "desk-f7"
board = "nucleo_f746zg"
serial_number = "066EFF303435554157121019"  # from the sticker
location = "rack 1, slot 3"
notes = "blue jumper on JP5"

[[device]]
alias = "far"
board = "nucleo_l4r5zi"
port = "rfc2217://rack1:4000"
"""


def write(folder: Path, text: str | bytes) -> Path:
    path = folder / "lab.toml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_a_whole_file(tmp_path: Path) -> None:
    lab = open_lab(write(tmp_path, WHOLE))
    assert [entry.alias for entry in lab.entries] == ["desk-f7", "far"]
    first = lab.entries[0]
    assert lab.by_alias("DESK-F7") is lab.by_serial_number("066eff303435554157121019") is first
    assert lab.by_port("rfc2217://rack1:4000") is lab.entries[1]
    assert lab.by_alias("x") is lab.by_serial_number(None) is lab.by_serial_number("") is None


def test_where_the_file_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert path_of() == tmp_path / "danas-deploy" / "lab.toml"
    assert open_lab() == Lab(path_of())
    monkeypatch.setenv("DANAS_LAB", str(tmp_path / "other.toml"))
    assert path_of() == tmp_path / "other.toml"
    assert path_of(tmp_path / "given.toml") == tmp_path / "given.toml"


DEVICE = '[[device]]\nalias = "a"\nboard = "nucleo_f746zg"\nserial_number = "ABCD1"\n'


@pytest.mark.parametrize(
    ("text", "id_", "says"),
    [
        ("[[device]\n", "lab-not-toml", "lab.toml"),
        (b"\xff\xfe", "lab-not-toml", "lab.toml"),
        (b"x = 1\n" * 200_000, "lab-not-toml", "larger"),
        ("a = " + "[" * 5000, "lab-not-toml", "lab.toml"),
        ("schema_version = 2\n", "lab-field", "schema_version"),
        ("device = 3\n", "lab-field", "device"),
        ("device = [3]\n", "lab-field", "device 1"),
        ('[[devices]]\nalias = "a"\n', "lab-field", "devices"),
        (DEVICE + 'colour = "red"\n', "lab-field", "device 1 (a): colour"),
        (DEVICE.replace('"a"', '"a b"'), "lab-field", "alias"),
        (DEVICE.replace('"a"', '"all"'), "lab-field", "means something else"),
        (DEVICE.replace('"a"', '"COM3"'), "lab-field", "means something else"),
        (DEVICE.replace('"ABCD1"', '"AB; reset"'), "lab-field", "serial_number"),
        (DEVICE.replace('"ABCD1"', '"[exec]"'), "lab-field", "serial_number"),
        (DEVICE + 'notes = "\\u001b[2J"\n', "lab-field", "control characters"),
        (DEVICE + 'location = "\\u202e"\n', "lab-field", "control characters"),
        (DEVICE + 'port = "/dev/\\u0000"\n', "lab-field", "control characters"),
        (DEVICE.replace('serial_number = "ABCD1"', ""), "lab-field", "serial_number, a port"),
        (DEVICE.replace("nucleo_f746zg", "toaster"), "lab-unknown-board", "toaster"),
        (DEVICE + DEVICE.replace("ABCD1", "ABCD2").replace('"a"', '"A"'), "lab-alias-twice", "devices 1 (a) and 2"),
        (DEVICE + DEVICE.replace('"a"', '"b"').replace("ABCD1", "abcd1"), "lab-serial-twice", "devices 1 (a) and 2"),
        (DEVICE + DEVICE.replace('"a"', '"abcd1"').replace("ABCD1", "ABCD2"), "lab-alias-twice", "serial number of a"),
        (
            '[[device]]\nalias = "a"\nboard = "nucleo_f746zg"\nport = "socket://h:1"\n'
            '[[device]]\nalias = "b"\nboard = "nucleo_f746zg"\nport = "socket://h:1"\n',
            "lab-port-twice",
            "socket://h:1",
        ),
    ],
)
def test_each_way_to_be_wrong_has_an_id(tmp_path: Path, text: str | bytes, id_: str, says: str) -> None:
    with pytest.raises(DanasError) as caught:
        open_lab(write(tmp_path, text))
    assert (caught.value.id, caught.value.exit_code) == (id_, 2)
    assert says in str(caught.value)
    assert caught.value.next
    assert str(caught.value).isprintable()


def test_a_file_that_is_named_must_be_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for named in (tmp_path / "none.toml", None):
        monkeypatch.setenv("DANAS_LAB", str(tmp_path / "none.toml"))
        with pytest.raises(DanasError) as caught:
            open_lab(named)
        assert caught.value.id == "lab-missing"
    for wrong in (tmp_path, "/dev/null/x", "a\0b"):
        with pytest.raises(DanasError) as caught:
            open_lab(wrong)
        assert caught.value.id == "lab-unreadable"


@given(st.text() | st.binary())
def test_any_content_is_a_lab_or_a_clean_error(tmp_path_factory: pytest.TempPathFactory, text: str | bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "any-lab.toml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass"))
    try:
        open_lab(path)
    except DanasError as error:
        assert error.id.startswith("lab-")


def test_devices_come_and_go_and_comments_stay(tmp_path: Path) -> None:
    path = write(tmp_path, WHOLE)
    entry = Entry(alias="new", board="mps2_an500", serial_number="1234", notes='"quoted" \\ ]')
    assert add(entry, path) == path
    assert open_lab(path).by_alias("new") == entry
    assert path.read_text().startswith(WHOLE.rstrip())
    remove("FAR", path)
    assert [one.alias for one in open_lab(path).entries] == ["desk-f7", "new"]
    assert "# Our lab" in path.read_text()
    assert "# from the sticker" in path.read_text()
    with pytest.raises(NoBoardError) as caught:
        remove("far", path)
    assert caught.value.id == "unknown-device"
    assert "desk-f7, new" in caught.value.why


@pytest.mark.parametrize("text", [None, "", "device = []\n", "# nothing\n", "schema_version = 1\n"])
def test_the_first_device_makes_the_file(tmp_path: Path, text: str | None) -> None:
    path = tmp_path / "deep" / "lab.toml"
    if text is not None:
        path.parent.mkdir()
        path.write_text(text)
    add(Entry(alias="a", board="nucleo_f746zg", serial_number="ABCD1"), path)
    add(Entry(alias="b", board="nucleo_f746zg", serial_number="ABCD2"), path)
    assert [one.alias for one in open_lab(path).entries] == ["a", "b"]


def test_what_would_make_the_file_wrong_is_not_written(tmp_path: Path) -> None:
    path = write(tmp_path, DEVICE)
    for entry, id_ in (
        (Entry(alias="A", board="nucleo_f746zg", serial_number="ABCD2"), "lab-alias-twice"),
        (Entry(alias="b", board="nucleo_f746zg", serial_number="abcd1"), "lab-serial-twice"),
        (Entry(alias="b", board="toaster", serial_number="ABCD2"), "lab-unknown-board"),
    ):
        with pytest.raises(DanasError) as caught:
            add(entry, path)
        assert caught.value.id == id_
    assert path.read_text() == DEVICE


def test_two_that_add_at_once_both_get_in(tmp_path: Path) -> None:
    path = tmp_path / "lab.toml"
    entries = [Entry(alias=f"d{number}", board="nucleo_f746zg", serial_number=f"ABCD{number}") for number in range(6)]
    threads = [threading.Thread(target=add, args=(entry, path)) for entry in entries]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(one.alias for one in open_lab(path).entries) == [entry.alias for entry in entries]
