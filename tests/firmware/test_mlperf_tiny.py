"""MLPerf Tiny's own runner drives the firmware: what it sends, and what it waits for, as a conversation.

Facts, written down by us, of the runner in github.com/mlcommons/tiny (folder benchmark/runner at commit 1afd2c9,
May 2026) and of the benchmark's firmware (benchmark/api, benchmark/reference_submissions):

- serial_device.py: opens the port at the rate of devices.yaml (115,200 baud for performance and accuracy) without a
  reset; sends a command and `%`; reads lines, of which CR, LF and NUL are dropped; a reply ends with the first line
  that has `m-ready` in it. No line may take more than 5 s, of `infer` 30 s. Bytes that are no UTF-8 are warned of.
- device_manager.py, device_under_test.py: `name%` must answer `m-name-dut-[…]`, `profile%` both `m-profile-[…]` and
  `m-model-[…]`; the model's id names test script and data set.
- device_under_test.py: an input is `db load N%` with the bytes of the data set's file, then `db HEX%` with 31 bytes
  each (26 with a power monitor), lower case, without waiting for anything but `m-ready`.
- script.py: `infer N W%`; of its reply the first `m-lap-us-N` is the beginning, the last one the end, and
  `m-results-[v,v,…]` the output, in floats; results are divided by their sum.
- tests_performance.yaml, tests_accuracy.yaml: `infer 20 5` in five rounds, and `infer 1 0` for each file.
- The start-up banner is `m-timestamp-mode-performance`, a time stamp, `m-init-done`, `m-ready`.
- th_load_tensor of vww01 and ic01 takes 128 from each byte: their files are pixels of 0 to 255.
"""

from __future__ import annotations

import random
import re
import shutil
from dataclasses import dataclass, field

import app_program
import numpy as np
import pytest
from app_program import Program

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("g++") is None, reason="needs a C++ compiler for the host"),
]

PIECE = 31
FILE = random.Random(0).randbytes(app_program.SIZE)


@pytest.fixture(scope="module")
def person_detection(tmp_path_factory: pytest.TempPathFactory) -> Program:
    """A firmware that says it is vww01; its output is its input, scale 0.5, zero point −3."""
    return app_program.compiled(tmp_path_factory.mktemp("app"), keep=True, flip=0x80, model_id="vww01")


@dataclass
class Conversation:
    """What the runner says, in order, and the lines that it then has of each reply."""

    commands: list[str] = field(default_factory=list)

    def load(self, data: bytes, piece: int = PIECE) -> None:
        self.commands.append(f"db load {len(data)}")
        self.commands += [f"db {data[at : at + piece].hex()}" for at in range(0, len(data), piece)]

    def held(self, program: Program) -> tuple[list[str], list[list[str]]]:
        """The banner's lines and each reply's, as the runner's reader makes them."""
        said = program([b"".join(command.encode() + b"%" for command in self.commands)]).decode()
        replies: list[list[str]] = [[]]
        for line in said.split("\n")[:-1]:
            replies[-1].append(line.strip("\r\0"))
            if "m-ready" in line:
                replies.append([])
        assert replies.pop() == []
        assert len(replies) == len(self.commands) + 1
        return replies[0], replies[1:]


def _named(lines: list[str], name: str) -> list[str]:
    found = [re.match(rf"^m-{name}-\[([^\]]+)\]$", line) for line in lines]
    return [match[1] for match in found if match]


def _laps(lines: list[str]) -> list[int]:
    return [int(match[1]) for line in lines if (match := re.match(r"^m-lap-us-([0-9]+)$", line))]


def test_the_banner(person_detection: Program) -> None:
    banner, _ = Conversation().held(person_detection)
    assert [re.sub("[0-9]+", "N", line) for line in banner] == [
        "m-timestamp-mode-performance", "m-lap-us-N", "m-init-done", "m-ready",
    ]  # fmt: skip


def test_the_device_is_found_and_named(person_detection: Program) -> None:
    _, (name, profile) = Conversation(["name", "profile"]).held(person_detection)
    assert _named(name, "name-dut") == ["danas-deploy"]
    assert _named(profile, "profile") == ["ULPMark for tinyML Firmware V0.0.1"]
    assert _named(profile, "model") == ["vww01"]


@pytest.mark.parametrize("piece", [PIECE, 26])
def test_accuracy(person_detection: Program, piece: int) -> None:
    """`download`, `infer 1 0`: the file's pixels are what the model sees."""
    runner = Conversation(["name", "profile"])
    runner.load(FILE, piece)
    runner.commands.append("infer 1 0")
    _, replies = runner.held(person_detection)
    loads, infer = replies[2:-1], replies[-1]
    assert loads[0] == [f"m-[Expecting {len(FILE)} bytes]", "m-ready"]
    assert loads[1:-1] == [["m-ready"]] * (len(loads) - 2)
    assert loads[-1] == ["m-load-done", "m-ready"]
    (results,) = _named(infer, "results")
    values = [float(value) for value in results.split(",")]
    pixels = np.frombuffer(FILE, np.uint8).astype(int) - 128
    assert values == [(pixel + 3) / 2 for pixel in pixels.tolist()]
    begin, *_, end = _laps(infer)
    assert end >= begin


def test_performance(person_detection: Program) -> None:
    """Five rounds of `download`, `infer 20 5`; the results are of the loaded input."""
    runner = Conversation()
    for _ in range(5):
        runner.load(FILE)
        runner.commands.append("infer 20 5")
    _, replies = runner.held(person_detection)
    rounds = [reply for command, reply in zip(runner.commands, replies, strict=True) if command.startswith("infer")]
    assert len(rounds) == 5
    for reply in rounds:
        begin, end = _laps(reply)
        assert end > begin
        assert (reply[0], reply[1], reply[2]) == ("m-warmup-start-5", "m-warmup-done", "m-infer-start-20")
        assert reply[-3] == "m-infer-done" and reply[-1] == "m-ready"
        assert len(_named(reply, "results")) == 1
    assert not [line for reply in replies for line in reply if line.startswith("e-")]


def test_the_other_commands(person_detection: Program) -> None:
    runner = Conversation(["timestamp", "help", "nonsense"])
    runner.load(FILE)
    runner.commands += ["infer 1 0", "results", "timestamp"]
    _, replies = runner.held(person_detection)
    assert len(_laps(replies[0])) == 1 and _laps(replies[-1]) >= _laps(replies[0])
    assert all(line.startswith("m-") for line in replies[1])
    assert replies[2][0].startswith("e-["), "an error is a reply like any other"
    assert _named(replies[-2], "results") == _named(replies[-3], "results")


def test_nothing_is_said_that_the_runner_does_not_know(person_detection: Program) -> None:
    """Checksums are for who asks for them."""
    runner = Conversation(["name"])
    runner.load(FILE)
    _, replies = runner.held(person_detection)
    assert not [line for reply in replies for line in reply if "check" in line]
