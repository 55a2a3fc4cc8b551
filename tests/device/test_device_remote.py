"""Serial lines on another machine: the emulated board's, behind pyserial's own RFC 2217 server and a plain socket."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import graph_samples
import pytest
from device_samples import Talker, openocd_calls
from exporters import Exporter, exported

from pipeline.__main__ import run
from pipeline.boards import Board
from pipeline.device.deadline import Deadline
from pipeline.device.emulated import EmulatedDevice, start
from pipeline.device.link import SerialLink
from pipeline.errors import DeviceError, NoBoardError
from pipeline.runs import Run

KINDS = ("rfc2217", "socket")
# pyserial 3.5's RFC 2217 client starts its thread in the old way.
pytestmark = pytest.mark.filterwarnings("ignore:set(Daemon|Name)\\(\\) is deprecated:DeprecationWarning")


@pytest.fixture(scope="module")
def emulated(board: Board, probe: Path) -> Iterator[EmulatedDevice]:
    pytest.importorskip("unicorn")
    with start(board, probe) as device:
        yield device


@pytest.fixture(params=KINDS)
def exporter(request: pytest.FixtureRequest, emulated: EmulatedDevice) -> Iterator[Exporter]:
    with exported(emulated.port, request.param) as one:
        yield one


def test_a_board_answers_over_the_network(exporter: Exporter) -> None:
    talker = Talker(exporter.url)
    for _ in range(3):
        assert talker.ask(b"p")[0] == 0x410FC271
    talker.close()
    again = Talker(exporter.url)
    assert again.ask(b"p")[0] == 0x410FC271
    again.close()
    assert exporter.clients == 2


def test_a_line_that_is_cut_is_a_closed_link(exporter: Exporter) -> None:
    talker = Talker(exporter.url)
    assert talker.ask(b"p")
    exporter.hang_up()
    link = talker._link
    with pytest.raises(DeviceError) as caught:
        for _ in range(200):
            link.write(b"p", Deadline(5))
            link.read(100, Deadline(0.1))
    assert caught.value.id == "link-closed"
    link.close()


@pytest.mark.parametrize("kind", KINDS)
def test_nobody_there_is_an_error_that_names_the_exporter(kind: str, unused_port: int) -> None:
    with pytest.raises(NoBoardError) as caught:
        SerialLink(f"{kind}://127.0.0.1:{unused_port}", baud=115200)
    assert (caught.value.id, "exporter" in caught.value.next) == ("no-such-port", True)


@pytest.fixture
def unused_port() -> int:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("arm-none-eabi-gcc") is None, reason="needs arm-none-eabi-gcc")
def test_a_run_is_measured_over_the_network(board: Board, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Flashed where the board is, measured from here; the answers are the very ones."""
    model, folder = tmp_path / "model.tflite", tmp_path / "run"
    model.write_bytes(graph_samples.content())
    options = ["--images", "3", "--run", str(folder), "-q"]
    assert run(["deploy", str(model), "--board", board.name, "--emulate", *options]) == 0
    here = json.loads((folder / "measurement.json").read_text())
    elf = folder / json.loads((folder / "firmware" / "elf.json").read_text())["elf"]
    for kind in KINDS:
        with start(board, elf) as device, exported(device.port, kind) as exporter:
            lab = tmp_path / f"{kind}.toml"
            lab.write_text(f'[[device]]\nalias = "far"\nboard = "{board.name}"\nport = "{exporter.url}"\n')
            assert run(["measure", str(folder), "--device", "far", "--lab", str(lab), "-q"]) == 0
            there = json.loads((folder / "measurement.json").read_text())
            assert there["target"] == "device"
            assert [one["output"] for one in there["inputs"]] == [one["output"] for one in here["inputs"]]
            capsys.readouterr()
            # Nothing says which probe is at the other end: it is not flashed.
            assert run(["flash", str(folder), "--device", "far", "--lab", str(lab), "-q", "--json"]) == 3
            assert json.loads(capsys.readouterr().out)["error"]["id"] == "no-probe"


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("arm-none-eabi-gcc") is None, reason="needs arm-none-eabi-gcc")
def test_a_probe_of_ones_own_and_a_line_elsewhere(
    board: Board, tmp_path: Path, openocd: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Uploads go to the probe of the lab file's serial number, the talk over its port; a second try is told."""
    model, folder, lab = tmp_path / "model.tflite", tmp_path / "run", tmp_path / "lab.toml"
    model.write_bytes(graph_samples.content())
    (openocd / "behaviours").write_text("absent ok")
    assert run(["build", str(model), "--board", board.name, "--run", str(folder), "-q"]) == 0
    elf = folder / json.loads((folder / "firmware" / "elf.json").read_text())["elf"]
    with start(board, elf) as device, exported(device.port, "socket") as exporter:
        lab.write_text(
            f'[[device]]\nalias = "far"\nboard = "{board.name}"\nserial_number = "066EFF111"\nport = "{exporter.url}"\n'
        )
        assert run(["flash", str(folder), "--device", "066eff111", "--lab", str(lab), "-q"]) == 0
    assert [call[1] for call in openocd_calls(openocd)] == ["adapter serial 066EFF111"] * 2
    assert (openocd / "flash").read_bytes() == elf.read_bytes()
    flashed = json.loads((folder / "device" / "flashed.json").read_text())
    assert (flashed["alias"], flashed["serial_number"], flashed["target"]) == ("far", "066EFF111", "device")
    assert "[probe-not-found]" in flashed["upload_retries"][0]
    assert [event["id"] for event in Run.open(folder).noted("upload-retry")] == ["probe-not-found"]
