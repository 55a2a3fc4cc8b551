"""The firmware's command loop, compiled for the host with the address and undefined-behaviour sanitizers.

What each command answers is in docs/protocol.md.
"""

from __future__ import annotations

import math
import re
import shutil
import struct
import zlib

import app_program
import numpy as np
import pytest
from app_program import Program
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline import resources
from pipeline.device.checked import reply_sum

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("g++") is None, reason="needs a C++ compiler for the host"),
]

SIZE = app_program.SIZE
ROWS = 3
BANNER = "m-timestamp-mode-performance\r\nm-lap-us-19883804\r\nm-init-done\r\nm-ready\r\n"


@pytest.fixture(scope="module")
def integers(tmp_path_factory: pytest.TempPathFactory) -> Program:
    """300 int8 values; scale 0.5, zero point of the output −3."""
    return app_program.compiled(tmp_path_factory.mktemp("app"), "kInt8", keep=False)


@pytest.fixture(scope="module")
def floats(tmp_path_factory: pytest.TempPathFactory) -> Program:
    """75 float32 values that come out as they went in."""
    return app_program.compiled(tmp_path_factory.mktemp("app"), "kFloat32", keep=True)


@pytest.fixture(scope="module")
def streamed(tmp_path_factory: pytest.TempPathFactory) -> Program:
    """300 int8 values in 3 rows, which come out as they went in."""
    return app_program.compiled(tmp_path_factory.mktemp("app"), "kInt8", keep=True, rows=ROWS)


def _ask(program: Program, *commands: str) -> list[str]:
    """The reply to each command, without `m-ready`."""
    said = program([b"".join(command.encode() + b"%" for command in commands)]).decode("ascii")
    assert said.startswith(BANNER)
    replies = said.removeprefix(BANNER).split("m-ready\r\n")
    assert replies.pop() == ""
    assert len(replies) == len(commands)
    return [reply.replace("\r\n", "\n").strip() for reply in replies]


def _frame(sequence: int, payload: bytes, damage: int = 0) -> bytes:
    body = struct.pack("<BH", sequence % 256, len(payload)) + payload
    return b"\xa5" + body + struct.pack("<I", zlib.crc32(body) ^ damage)


def _hex(data: bytes) -> list[str]:
    return [f"db load {len(data)}", *(f"db {data[place : place + 38].hex()}" for place in range(0, len(data), 38))]


def test_fixed_answers(integers: Program) -> None:
    assert _ask(integers, "name", "profile", "id", "memory", "crc") == [
        "m-name-dut-[danas-deploy]",
        "m-profile-[ULPMark for tinyML Firmware V0.0.1]\nm-model-[model]",
        "m-id-[protocol=2 board=host build=0123456789abcdef model=hash runtime=fake clock=216000000 input=300"
        " output=300]",
        "m-memory-[arena=64 used=48 static=1 stack_reserve=2 stack_used=3]",
        "m-crc-[input=00000000 output=00000000]",
    ]
    (lines,) = _ask(integers, "help")
    named = re.findall(r"m-help-\[(\w+)", lines)
    documented = re.findall(r"^\| `(\w+)[^`]*%`", (resources.root() / "docs" / "protocol.md").read_text(), re.MULTILINE)
    assert set(named) == set(documented)


@pytest.mark.parametrize(
    ("command", "reply"),
    [
        ("", "e-[unknown command]"),
        ("ids", "e-[unknown command]"),
        ("id now", "e-[no arguments expected]"),
        ("x" * 80, "e-[unknown command]"),
        ("x" * 81, "e-[command too long]"),
        ("x" * 5000, "e-[command too long]"),
        ("run", "e-[no input]"),
        ("infer 1", "e-[no input]"),
        ("db print", "e-[no input]"),
        ("results", "e-[no output]"),
        ("output", "e-[no output]"),
        ("ops", "e-[no output]"),
        ("infer", "e-[infer N W: N of 1 or more, W of 0 or more]"),
        ("infer 0", "e-[infer N W: N of 1 or more, W of 0 or more]"),
        ("infer 1 -1", "e-[infer N W: N of 1 or more, W of 0 or more]"),
        ("infer 4294967297", "e-[infer N W: N of 1 or more, W of 0 or more]"),
        ("load", "e-[input takes 300 bytes]"),
        ("load 301", "e-[input takes 300 bytes]"),
        ("db load 4294967596", "e-[input takes 300 bytes]"),
        ("db 00", "e-[no db load]"),
        ("db", "e-[no db load]"),
    ],
)
def test_errors_are_answers(integers: Program, command: str, reply: str) -> None:
    assert _ask(integers, command, "name") == [reply, "m-name-dut-[danas-deploy]"]


def test_hexadecimal_load_inference_and_results(integers: Program) -> None:
    data = bytes(range(256)) + bytes(44)
    replies = _ask(integers, *_hex(data), "db print", "crc", "infer 2 1", "results", "output", "crc", "ops", "run")
    assert replies[0] == "m-[Expecting 300 bytes]"
    pieces, (printed, loaded, infer, results, output, used, ops, run) = replies[1:-8], replies[-8:]
    assert pieces == [""] * (len(pieces) - 1) + ["m-load-done"]
    assert "".join(re.findall(r"m-input-\[([0-9a-f]{2,64})\]", printed)) == data.hex()
    assert loaded == f"m-crc-[input={zlib.crc32(data):08x} output=00000000]"
    values = ",".join(f"{(value + 3) / 2:.3f}" for value in np.frombuffer(data, np.int8).tolist())
    form = r"m-warmup-start-1\nm-warmup-done\nm-infer-start-2\n"
    form += r"m-lap-us-(\d+)\nm-lap-us-(\d+)\nm-infer-done\nm-results-\[(.*)\]"
    match = re.fullmatch(form, infer)
    assert match is not None
    assert int(match[1]) <= int(match[2])
    assert match[3] == values, "the warm-up was made on the input, so its output is the result"
    assert results == f"m-results-[{values}]"
    assert "".join(re.findall(r"m-output-\[([0-9a-f]{2,64})\]", output)) == data.hex()
    assert used == f"m-crc-[input={zlib.crc32(data):08x} output={zlib.crc32(data):08x}]"
    assert ops == "m-op-[0 ADD 7]\nm-op-[1 PAD 7]"
    assert run == "e-[no input]"


def test_a_bad_piece_changes_nothing(integers: Program) -> None:
    data = bytes(reversed(range(256))) + b"\x80" * 44
    first, second, *rest = _hex(data)
    replies = _ask(integers, first, second, "db 123", "db 12g4", "db", *rest[:-1], f"{rest[-1]}00", rest[-1], "crc")
    assert replies[2] == "e-[hexadecimal digits come in pairs]"
    assert replies[3] == "e-[not hexadecimal]"
    assert replies[-3:-1] == ["e-[too many bytes]", "m-load-done"]
    assert replies[-1] == f"m-crc-[input={zlib.crc32(data):08x} output=00000000]"


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.floats(width=32, allow_nan=True, allow_infinity=True), min_size=75, max_size=75))
def test_three_decimals(floats: Program, values: list[float]) -> None:
    data = np.array(values, np.float32).tobytes()
    results = _ask(floats, *_hex(data), "infer 1", "results")[-1]
    printed = results.removeprefix("m-results-[").removesuffix("]").split(",")
    assert len(printed) == len(values)
    for text, value in zip(printed, values, strict=True):
        if math.isnan(value):
            assert text == "nan"
            continue
        assert re.fullmatch(r"-?\d+\.\d{3}", text)
        limited = max(-4294967295.0, min(4294967295.0, value))
        assert abs(float(text) - limited) <= 0.000501, (text, value)
        assert text != "-0.000"


@settings(max_examples=60)
@given(st.binary(max_size=400))
def test_garbage_is_answered_and_survived(integers: Program, garbage: bytes) -> None:
    garbage = garbage.replace(b"load", b"lode")  # a binary transfer takes bytes instead of commands
    said = integers([garbage, b"%id%"]).decode("ascii")
    assert said.count("m-ready\r\n") == 1 + garbage.count(b"%") + 2
    assert re.fullmatch(r"(([em]-.*)?\r\n)*m-id-\[.*\]\r\nm-ready\r\n", said)


# Checked commands.


def _checked(program: Program, *commands: tuple[int, str]) -> list[str]:
    """The reply to each command without checksum and `m-ready`, once both have been found to be right."""
    said = program([b"".join(f"#{tag:08x} {text}%".encode() for tag, text in commands)]).decode("ascii")
    parts = said.removeprefix(BANNER).split("m-ready\r\n")
    assert parts.pop() == "" and len(parts) == len(commands)
    made = []
    for (tag, text), part in zip(commands, parts, strict=True):
        *lines, check = part.removesuffix("\r\n").split("\r\n")
        sum_ = reply_sum(f"#{tag:08x} {text}".encode(), lines, tag, commands[0][0])
        assert check == f"m-check-[{tag:08x} {commands[0][0]:08x} {sum_:08x}]"
        made.append("\n".join(lines))
    return made


def test_a_checked_command_answers_with_its_checksum(integers: Program) -> None:
    plain = ["id", "memory", "crc", "run", "help", "nonsense", "load 3"]
    commands = [(0xA5A5_0000 + number, text) for number, text in enumerate(plain)]
    assert _checked(integers, *commands) == _ask(integers, *plain)


def test_both_parts_of_a_load_are_checked(integers: Program) -> None:
    data = bytes(range(256)) + bytes(44)
    said = integers([b"#00000007 load 300%", _frame(0, data), 30, b"name%"]).decode("latin-1").removeprefix(BANNER)
    first, second, third, rest = said.split("m-ready\r\n")
    for lines, part in ((["m-load-[piece=1024]"], first), (["m-load-done"], second.removeprefix("\x06"))):
        sum_ = reply_sum(b"#00000007 load 300", lines, 7, 7)
        assert part == f"{lines[0]}\r\nm-check-[00000007 00000007 {sum_:08x}]\r\n"
    assert (third, rest) == ("m-name-dut-[danas-deploy]\r\n", ""), "as MLPerf Tiny asks, without"


def test_a_stream_is_checked(streamed: Program) -> None:
    events: list[bytes | int] = [b"#0000000a stream 300%"]
    for row in range(ROWS):
        events += [_frame(row, bytes(ROW)), 50]
    said = streamed(events).decode("latin-1")
    lines = re.findall(r"m-run-\[cycles=\d+\]", said)
    assert f"m-check-[0000000a 0000000a {reply_sum(b'#0000000a stream 300', lines, 10, 10):08x}]" in said


@pytest.mark.parametrize("noise", [b"m-re", b"x" * 200, b"#123", b"\xff\x00id", b"#0000"])
def test_a_checked_command_begins_anew(integers: Program, noise: bytes) -> None:
    assert integers([noise + b"#00000001 name%"]) == integers([b"#00000001 name%"])


@pytest.mark.parametrize("tag", [b"#%", b"# id%", b"#1 id%", b"#00000000 id%", b"#0000000g id%", b"#00000001id%"])
def test_a_tag_is_eight_digits_and_not_zero(integers: Program, tag: bytes) -> None:
    assert integers([tag]) == BANNER.encode() + b"e-[no tag]\r\nm-ready\r\n"


def test_a_transfer_that_falls_silent_is_given_up(integers: Program) -> None:
    said = integers([b"load 300%", _frame(0, bytes(100)), 1900, _frame(1, bytes(100)), 2100, b"name%run%"])
    assert said.decode("latin-1") == (
        BANNER + "m-load-[piece=1024]\r\nm-ready\r\n\x06\x06e-[load timed out]\r\nm-ready\r\n"
        "m-name-dut-[danas-deploy]\r\nm-ready\r\ne-[no input]\r\nm-ready\r\n"
    )


def test_time_goes_on_within_a_slow_transfer(integers: Program) -> None:
    """Longer than a turn of the cycle counter, 19.9 s."""
    events: list[bytes | int] = [b"timestamp%load 300%"]
    for sequence in range(15):
        events += [1900, _frame(sequence, bytes(20))]
    said = integers([*events, b"timestamp%"])
    _, before, after = (int(lap) for lap in re.findall(rb"m-lap-us-(\d+)", said))
    assert 15 * 1_900_000 <= after - before < 30_000_000


_DAMAGES = ("none", "crc", "sequence", "cut", "long", "empty", "overflow", "noise", "lost ack", "header")


@settings(max_examples=60)
@given(st.binary(min_size=SIZE, max_size=SIZE), st.integers(1, SIZE), st.lists(st.sampled_from(_DAMAGES), max_size=12))
def test_damaged_frames_are_refused_once_and_repeated(
    integers: Program, data: bytes, piece: int, damages: list[str]
) -> None:
    events: list[bytes | int] = [b"load 300%"]
    answers = b""
    pieces = [data[place : place + piece] for place in range(0, SIZE, piece)]
    schedule = iter(damages)
    for sequence, payload in enumerate(pieces):
        good = _frame(sequence, payload)
        bad = {
            "none": b"",
            "crc": _frame(sequence, payload, damage=1 << 7),
            "sequence": _frame(sequence + 3, payload),
            "cut": good[:-2],
            "long": _frame(sequence, bytes(1025)),
            "empty": _frame(sequence, b""),
            "overflow": _frame(sequence, bytes(SIZE + 1)),
            "noise": b"\x00\xff%\r\n",
            "lost ack": _frame(sequence - 1, pieces[sequence - 1]) if sequence else b"",
            "header": good[:2],
        }
        damage = next(schedule, "none")
        # A host writes again only after the answer; the device may be silent for up to 200 ms before it.
        events += [bad[damage], 200, good, 30]
        if damage == "lost ack" and sequence:
            answers += b"\x06"
        elif damage not in ("none", "noise", "lost ack"):
            answers += b"\x15"
        answers += b"\x06"
    said = integers([*events, b"crc%"])
    assert said == (
        BANNER.encode()
        + b"m-load-[piece=1024]\r\nm-ready\r\n"
        + answers
        + b"m-load-done\r\nm-ready\r\n"
        + f"m-crc-[input={zlib.crc32(data):08x} output=00000000]\r\nm-ready\r\n".encode()
    )


# A streamed input.

ROW = SIZE // ROWS
COMPUTED = 10  # ms that the harness computes after each row
STREAM = b"m-stream-[rows=3 bytes=100]\r\nm-ready\r\n"


def test_a_streamed_input_is_asked_for_row_by_row(streamed: Program) -> None:
    data = bytes(range(256)) + bytes(44)
    events: list[bytes | int] = [b"id%stream 300%"]
    for row in range(ROWS):
        events += [_frame(row, data[row * ROW : (row + 1) * ROW]), 50]
    said = streamed([*events, b"crc%output%ops%"]).removeprefix(BANNER.encode())
    identity, rest = said.split(b"m-ready\r\n", 1)
    assert identity.rstrip().endswith(b"output=300 rows=3]")
    assert rest.startswith(STREAM + b"\x05\x06" * ROWS)
    lines = rest[len(STREAM) + 2 * ROWS :].decode().splitlines()
    cycles = int(re.fullmatch(r"m-run-\[cycles=(\d+)\]", lines[0])[1])  # type: ignore[index]
    assert 30 * 216_000 <= cycles < 31 * 216_000, "without the 150 ms in which rows came"
    assert lines[1:3] == ["m-ready", f"m-crc-[input={zlib.crc32(data):08x} output={zlib.crc32(data):08x}]"]
    assert "".join(re.findall(r"m-output-\[([0-9a-f]{2,64})\]", rest.decode("latin-1"))) == data.hex()


def test_a_row_may_come_in_pieces(streamed: Program) -> None:
    data = bytes(reversed(range(256))) + bytes(44)
    events: list[bytes | int] = [b"stream 300%"]
    for number, place in enumerate(range(0, SIZE, 20)):
        events += [_frame(number, data[place : place + 20]), 30]
    said = streamed([*events, b"crc%"])
    assert (b"\x05" + b"\x06" * 5) * 3 in said
    assert f"m-crc-[input={zlib.crc32(data):08x}".encode() in said


def test_a_piece_ends_with_its_row(streamed: Program) -> None:
    said = streamed([b"stream 300%", _frame(0, bytes(ROW + 1)), 30, _frame(0, bytes(ROW)), 30, 3000, b"name%"])
    assert said.startswith(BANNER.encode() + STREAM + b"\x05\x15\x06\x05")


def test_a_host_that_sends_no_row_is_asked_again_and_given_up(streamed: Program) -> None:
    said = streamed([b"stream 300%", _frame(0, bytes(ROW)), 1700, _frame(1, bytes(ROW)), 2300, b"crc%output%name%"])
    wanted = STREAM + b"\x05\x06" + b"\x05" * 4 + b"\x06" + b"\x05" * 4
    wanted += b"e-[input timed out]\r\nm-ready\r\nm-crc-[input=00000000 output=00000000]\r\nm-ready\r\n"
    wanted += b"e-[no output]\r\nm-ready\r\nm-name-dut-[danas-deploy]\r\nm-ready\r\n"
    assert said == BANNER.encode() + wanted


def test_a_broken_stream_leaves_a_device_that_works(streamed: Program) -> None:
    data = bytes(range(200, 256)) + bytes(244)
    events: list[bytes | int] = [b"stream 300%", _frame(0, data[:ROW]), 20, _frame(1, data)[:30], 3000, b"stream 300%"]
    for row in range(ROWS):
        events += [_frame(row, data[row * ROW : (row + 1) * ROW]), 50]
    said = streamed([*events, b"crc%"])
    assert b"e-[input timed out]" in said
    assert f"m-crc-[input={zlib.crc32(data):08x} output={zlib.crc32(data):08x}]".encode() in said


@pytest.mark.parametrize("command", ["load 300", "db load 300", "db 00", "db print", "infer 1", "run"])
def test_what_needs_a_resident_input_says_so(streamed: Program, command: str) -> None:
    assert _ask(streamed, command, "name") == ["e-[the input is streamed: stream 300]", "m-name-dut-[danas-deploy]"]


def test_a_resident_input_is_not_streamed(integers: Program, streamed: Program) -> None:
    assert _ask(integers, "stream 300") == ["e-[the input is not streamed: load 300]"]
    assert _ask(streamed, "stream", "stream 299", "stream 300 1") == ["e-[input takes 300 bytes]"] * 3


@settings(max_examples=40)
@given(st.binary(min_size=SIZE, max_size=SIZE), st.integers(1, ROW), st.lists(st.sampled_from(_DAMAGES), max_size=12))
def test_rows_survive_damaged_frames(streamed: Program, data: bytes, piece: int, damages: list[str]) -> None:
    events: list[bytes | int] = [b"stream 300%"]
    schedule = iter(damages)
    pieces = [data[row + place : row + min(place + piece, ROW)] for row in range(0, SIZE, ROW)
              for place in range(0, ROW, piece)]  # fmt: skip
    for sequence, payload in enumerate(pieces):
        good = _frame(sequence, payload)
        bad = {
            "none": b"",
            "crc": _frame(sequence, payload, damage=1 << 7),
            "sequence": _frame(sequence + 3, payload),
            "cut": good[:-2],
            "long": _frame(sequence, bytes(1025)),
            "empty": _frame(sequence, b""),
            "overflow": _frame(sequence, bytes(ROW + 1)),
            "noise": b"\x00\xff%\r\n",
            "lost ack": _frame(sequence - 1, pieces[sequence - 1]) if sequence else b"",
            "header": good[:2],
        }
        events += [bad[next(schedule, "none")], 200, good, 60]
    said = streamed([*events, b"crc%output%"])
    assert f"m-crc-[input={zlib.crc32(data):08x} output={zlib.crc32(data):08x}]".encode() in said
    assert "".join(re.findall(r"m-output-\[([0-9a-f]{2,64})\]", said.decode("latin-1"))) == data.hex()
