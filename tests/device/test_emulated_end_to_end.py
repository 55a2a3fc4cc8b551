"""The whole way: render, build, run on the emulated board, and the very bytes of the host's reference."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from pipeline.boards import Board
from pipeline.device.flash import EmulatedFlasher, Program
from pipeline.device.link import SerialLink
from pipeline.device.measure import measure
from pipeline.device.protocol import Expected, Session
from pipeline.estimate.planner import plan
from pipeline.figures import Source
from pipeline.firmware import build, render
from pipeline.firmware.build import Firmware
from pipeline.graph import reader
from pipeline.graph.model import (
    Activation,
    ActivationOptions,
    DType,
    Graph,
    MeanOptions,
    OpCode,
    SoftmaxOptions,
    WindowOptions,
)
from pipeline.graph.reference import Reference
from pipeline.graph.writer import ModelWriter

SIDE = 24
INPUT_BYTES = SIDE * SIDE * 3

pytestmark = pytest.mark.slow


def model(side: int = SIDE) -> bytes:
    """Convolution, depthwise convolution, mean, dense layer and softmax on [1, side, side, 3]."""
    rng = np.random.default_rng(5)
    writer = ModelWriter()
    x = writer.tensor((1, side, side, 3), DType.INT8, name="image", scale=1 / 255, zero_point=-128)
    half = side // 2

    def activation(*shape: int) -> int:
        return writer.tensor(shape, DType.INT8, scale=0.03, zero_point=-7)

    def weights(*shape: int, axis: int = 0) -> int:
        scales = rng.uniform(0.002, 0.01, shape[axis])
        return writer.tensor(shape, DType.INT8, scale=scales, axis=axis, data=rng.integers(-127, 128, shape))

    def bias(count: int) -> int:
        return writer.tensor((count,), DType.INT32, scale=[0.0001] * count, data=rng.integers(-900, 900, count))

    y, z = activation(1, half, half, 8), activation(1, half, half, 8)
    stem = WindowOptions(stride=(2, 2), activation=Activation.RELU6)
    writer.operator(OpCode.CONV_2D, [x, weights(8, 3, 3, 3), bias(8)], [y], stem, version=3)
    writer.operator(OpCode.DEPTHWISE_CONV_2D, [y, weights(1, 3, 3, 8, axis=3), bias(8)], [z], WindowOptions())
    mean, logits = activation(1, 8), activation(1, 3)
    writer.operator(OpCode.MEAN, [z], [mean], MeanOptions((1, 2)), version=2)
    writer.operator(OpCode.FULLY_CONNECTED, [mean, weights(3, 8), None], [logits], ActivationOptions(), version=4)
    out = writer.tensor((1, 3), DType.INT8, scale=1 / 256, zero_point=-128)
    writer.operator(OpCode.SOFTMAX, [logits], [out], SoftmaxOptions(), version=2)
    return writer.finish([x], [out])


class Built:
    """A model file, its Graph and its firmware."""

    def __init__(self, file: Path, graph: Graph, program: Program, firmware: Firmware) -> None:
        self.file = file
        self.graph = graph
        self.program = program
        self.firmware = firmware

    @property
    def expected(self) -> Expected:
        return Expected("nucleo_f746zg", self.firmware.build_id, self.firmware.model_hash)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory, board: Board) -> Built:
    if shutil.which("arm-none-eabi-gcc") is None:
        pytest.skip("arm-none-eabi-gcc is not installed")
    folder = tmp_path_factory.mktemp("end-to-end")
    file = folder / "model.tflite"
    file.write_bytes(model())
    graph = reader.read(file)
    rendered = render.render(graph, plan(graph), board, into=folder / "firmware")
    firmware = build.build(rendered.folder, board)
    return Built(file, graph, Program(rendered.folder, firmware.environment, firmware.elf), firmware)


def session_on(port: str, board: Board) -> tuple[SerialLink, Session]:
    link = SerialLink(port, baud=board.serial.baud)
    return link, Session(link)


@pytest.mark.parametrize("pure_python", [False, True])
def test_the_device_gives_the_references_bytes(built: Built, board: Board, pure_python: bool) -> None:
    images = np.random.default_rng(3).integers(-128, 128, (6, SIDE, SIDE, 3), dtype=np.int8)
    expected = Reference(built.file).run(images)
    with EmulatedFlasher(board, pure_python=pure_python).flash(built.program) as device:
        link = SerialLink(device.port, baud=board.serial.baud)
        session = Session(link, health=device.check)
        found = measure(
            session,
            inputs=[image.tobytes() for image in images],
            expected=built.expected,
            statistics=device.statistics,
        )
        link.close()
    assert found.outputs == tuple(row.tobytes() for row in expected)
    assert len(set(found.outputs)) > 1
    assert found.target == "emulated"
    assert found.memory_after.ram.source is Source.EMULATED
    assert sum(int(op.cycles.value or 0) for op in found.operators) <= int(found.inputs[-1].cycles.value or 0)
    # Two witnesses of the stack: the painted words, and the lowest store that the emulator saw.
    assert found.emulator is not None
    painted, stored = found.memory_after.stack_used.value, found.emulator.stack_used.value
    assert painted is not None
    assert stored is not None
    assert 0 <= stored - painted <= 16


def test_the_same_cycles_each_time(built: Built, board: Board) -> None:
    image = np.random.default_rng(4).integers(-128, 128, INPUT_BYTES, dtype=np.int8).tobytes()
    cycles = []
    for pure_python in (False, True):
        with EmulatedFlasher(board, pure_python=pure_python).flash(built.program) as device:
            link, session = session_on(device.port, board)
            session.connect()
            for _ in range(2):
                session.load(image)
                cycles.append(session.run())
            link.close()
    assert len(set(cycles)) == 1


def test_mlperf_tinys_commands_work_on_the_real_firmware(built: Built, board: Board) -> None:
    image = np.random.default_rng(5).integers(-128, 128, INPUT_BYTES, dtype=np.int8).tobytes()
    with EmulatedFlasher(board).flash(built.program) as device:
        link, session = session_on(device.port, board)
        session.connect()
        assert session.name() == "danas-deploy"
        session.db_load(image)
        assert session.db_print(INPUT_BYTES) == image
        answer = session.infer(2, 1)
        assert answer.end_us > answer.begin_us
        assert session.results() == answer.results
        assert sum(answer.results) == pytest.approx(1, abs=0.02)
        link.close()


def test_a_transfer_that_stops_half_way_is_given_up_and_the_next_works(built: Built, board: Board) -> None:
    image = bytes(INPUT_BYTES)
    with EmulatedFlasher(board).flash(built.program) as device:
        link, session = session_on(device.port, board)
        session.connect()
        session.command(f"load {INPUT_BYTES}")
        link.close()  # the host dies
        link, session = session_on(device.port, board)
        session.connect()
        session.load(image)
        assert session.run() > 0
        link.close()
