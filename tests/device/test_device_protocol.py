"""The session against a device in memory: every reply, and every way in which a device can fail."""

from __future__ import annotations

import random
import zlib
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.device import frames, replies
from pipeline.device.deadline import Deadline, ManualClock
from pipeline.device.fake import FakeDevice, Misbehaviour, fake_identity
from pipeline.device.link import MemoryLink
from pipeline.device.protocol import Expected, Session
from pipeline.device.replies import Memory
from pipeline.errors import ArenaTooSmallError, DanasError, DeviceError


def session_with(
    wrong: Misbehaviour | None = None,
    *,
    health: Callable[[], None] | None = None,
    **identity: object,
) -> tuple[Session, FakeDevice]:
    clock = ManualClock()
    device = FakeDevice(fake_identity(**identity), clock=clock, misbehaviour=wrong)
    return Session(MemoryLink(device, clock=clock), health=health, clock=clock), device


def fails(call: Callable[[], object]) -> DanasError:
    with pytest.raises(DanasError) as caught:
        call()
    return caught.value


def data_for(session: Session, seed: int = 0) -> bytes:
    return random.Random(seed).randbytes(session.identity().input_bytes)


# Going well.


def test_connect_tells_who_is_there() -> None:
    session, device = session_with()
    assert session.connect() == device.identity
    assert device.commands == ["id"]


def test_one_whole_measurement() -> None:
    session, _ = session_with()
    session.connect()
    data = data_for(session)
    seen: list[tuple[int, int]] = []
    session.load(data, progress=lambda done, whole: seen.append((done, whole)))
    assert seen == [(min(done, 3000), 3000) for done in range(256, 3256, 256)]
    assert session.run() == 123456
    assert session.output() == (sum(data) % 65536).to_bytes(2, "little")
    assert [op.code for op in session.ops()] == ["CONV_2D", "SOFTMAX"]
    assert session.memory().arena_used == 60_000
    assert session.name() == "danas-deploy"
    assert len(session.results()) == 2


def test_a_runtime_that_has_not_started_says_what_it_needs() -> None:
    def session(values: str) -> Session:
        line = f"m-memory-[{values} static=1 stack_reserve=2 stack_used=2"
        return session_with(Misbehaviour(replace={"memory": f"{line}]\r\nm-ready\r\n".encode()}))[0]

    session("arena=512 used=512").demand_ready()
    error = fails(session("arena=512 used=528").demand_ready)
    assert isinstance(error, ArenaTooSmallError)
    assert (error.id, error.needed) == ("arena-too-small", 528)


def test_the_two_ends_of_an_arena_are_read() -> None:
    line = b"m-memory-[arena=9 used=8 static=7 stack_reserve=6 stack_used=5 head=4 tail=3]\r\nm-ready\r\n"
    session, _ = session_with(Misbehaviour(replace={"memory": line}))
    assert session.memory() == Memory(9, 8, 7, 6, 5, 4, 3)
    session, _ = session_with(Misbehaviour(replace={"memory": line.replace(b" tail=3", b"")}))
    assert fails(session.memory).id == "garbled-line"


def test_what_the_firmware_cannot_know_is_unknown() -> None:
    text = "m-memory-[arena=9 used=8 static=unknown stack_reserve=unknown stack_used=5]"
    assert replies.parse_memory([text]) == Memory(9, 8, None, None, 5)
    for wrong in (text.replace("=5", "=none"), text.replace("arena=9", "arena=unknown")):
        with pytest.raises(DeviceError) as caught:
            replies.parse_memory([wrong])
        assert caught.value.id == "garbled-line"


def test_mlperf_tinys_way_gives_the_same() -> None:
    session, _ = session_with(input_bytes=100)
    data = data_for(session)
    session.db_load(data)
    assert session.db_print(100) == data
    binary = session.crc().input
    answer = session.infer(3, 1)
    assert (answer.begin_us, answer.end_us) == (1000, 2000)
    session.load(data)
    assert session.crc().input == binary


def test_the_devices_clock_is_read() -> None:
    clock = ManualClock()
    session = Session(MemoryLink(FakeDevice(clock=clock), clock=clock), clock=clock)
    clock.advance(1.5)
    assert session.timestamp_us() == 1_500_000
    session, _ = session_with(Misbehaviour(replace={"timestamp": b"m-lap-us-soon\r\nm-ready\r\n"}))
    assert fails(session.timestamp_us).id == "garbled-line"


def test_the_results_of_thousands_of_outputs_are_one_line() -> None:
    outputs = bytes(range(256)) * 16
    clock = ManualClock()
    device = FakeDevice(fake_identity(output_bytes=len(outputs)), model=lambda _: outputs, clock=clock)
    session = Session(MemoryLink(device, clock=clock), clock=clock)
    session.load(data_for(session))
    wanted = tuple(round(value / 256, 3) for value in outputs)
    assert session.infer(1).results == wanted
    assert session.results() == wanted
    assert session.output() == outputs


class SlowLink(MemoryLink):
    """9600 baud: 96 characters in a tenth of a second, and nothing behind the deadline."""

    def read(self, limit: int, deadline: Deadline) -> bytes:
        if deadline.expired:
            return b""
        self._clock.advance(0.1)
        return super().read(min(limit, 96), deadline)


def test_a_large_output_takes_its_time() -> None:
    outputs = random.Random(1).randbytes(20_000)
    clock = ManualClock()
    device = FakeDevice(fake_identity(input_bytes=4, output_bytes=len(outputs)), model=lambda _: outputs, clock=clock)
    session = Session(SlowLink(device, clock=clock), clock=clock)
    session.load(bytes(4))
    session.run()
    assert session.output() == outputs
    assert clock() > 40, "far longer than other answers may take"


@pytest.mark.parametrize("claimed", [2, 10**7])
def test_a_line_of_results_ends_somewhere(claimed: int) -> None:
    """Whatever the device says about its outputs."""
    endless = b"m-results-[" + b"0.000," * 1_000_000
    session, _ = session_with(Misbehaviour(replace={"results": endless}), output_bytes=claimed)
    session.load(data_for(session))
    session.run()
    error = fails(session.results)
    assert error.id == "garbled-line"
    assert "a line of at most" in str(error.why)


# A device that is late, deaf or talks to itself.


@pytest.mark.parametrize("prefix", [b"m-init-done\r\nm-ready\r\n", b"\xff\x00half a li", b"m-ready\r\n", b"z" * 9000])
def test_connect_skips_what_was_on_its_way(prefix: bytes) -> None:
    session, device = session_with(Misbehaviour(prefix=prefix))
    assert session.connect() == device.identity
    assert session.memory() == device.memory()


def test_connect_waits_for_a_device_that_wakes_up() -> None:
    session, device = session_with(Misbehaviour(deaf_for=3))
    assert session.connect() == device.identity


def test_connect_gets_a_device_out_of_an_interrupted_transfer() -> None:
    session, device = session_with()
    device(b"load 3000%")
    assert session.connect() == device.identity


def test_nobody_there() -> None:
    session, _ = session_with(Misbehaviour(silent=True))
    error = fails(session.connect)
    assert (error.id, error.exit_code) == ("no-answer", 6)
    assert "10.0 s" in error.why


def test_garbage_alone_is_no_silence() -> None:
    session, _ = session_with(Misbehaviour(replace={"id": b"\xfe\xfd\x80\r\n"}))
    assert fails(session.connect).id == "garbled-line"


def test_the_reason_of_whoever_knows_better_comes_first() -> None:
    def health() -> None:
        raise replies.FaultReportError(replies.DeviceFault("write-to-flash", 0x08001234, 0, 0x08000000))

    for wrong in (Misbehaviour(silent=True), Misbehaviour(unplug_on="id")):
        session, _ = session_with(wrong, health=health)
        error = fails(session.connect)
        assert error.id == "device-fault"
        assert "write-to-flash" in error.what


# Each failure of a command.


@pytest.mark.parametrize(
    ("reply", "id_"),
    [
        (b"e-[no input]\r\nm-ready\r\n", "device-error"),
        (b"e-[no input]\r\n", "no-answer"),
        (b"m-run-[cycles=12", "no-answer"),
        (b"m-ready\r\n", "garbled-line"),
        (b"m-run-[cycles=1]\r\nm-run-[cycles=2]\r\nm-ready\r\n", "garbled-line"),
        (b"m-run-[cycles=-1]\r\nm-ready\r\n", "garbled-line"),
        (b"m-run-[cycles=1e9]\r\nm-ready\r\n", "garbled-line"),
        (b"m-run-[cycles=\xb2]\r\nm-ready\r\n", "garbled-line"),
        (b"m-run-[cycles=\x1b[2J]\r\nm-ready\r\n", "garbled-line"),
        (b"m-run" * 2000 + b"\r\nm-ready\r\n", "garbled-line"),
        (b"m-init-done\r\nm-ready\r\n", "device-restarted"),
        (b"\r\ne-[fault BusFault pc=0x08001234 lr=0x08000f01 cfsr=0x00008200 addr=0x20050000]\r\nm-r", "device-fault"),
        (b"e-[fault in an unknown form]\r\n", "device-fault"),
    ],
)
def test_a_bad_reply_is_an_error_of_its_own(reply: bytes, id_: str) -> None:
    session, _ = session_with(Misbehaviour(replace={"run": reply}))
    session.connect()
    error = fails(session.run)
    assert (error.id, error.exit_code) == (id_, 6)
    assert error.next
    assert str(error).isprintable()


def test_a_fault_report_keeps_its_figures() -> None:
    session, _ = session_with(Misbehaviour(crash_on="memory"))
    with pytest.raises(replies.FaultReportError) as caught:
        session.memory()
    fault = caught.value.fault
    assert (fault.kind, fault.pc, fault.lr, fault.cfsr, fault.address) == (
        "hard", 0x080012A4, 0x08000F01, 0x8200, 0x20050000,
    )  # fmt: skip
    assert "0x080012a4" in str(caught.value)


def test_an_unplugged_device_is_gone() -> None:
    session, _ = session_with(Misbehaviour(unplug_on="run"))
    session.connect()
    assert fails(session.run).id == "link-closed"


@pytest.mark.parametrize(
    ("expected", "id_"),
    [
        (Expected(board="disco_f746ng"), "wrong-board"),
        (Expected(model="0" * 64), "wrong-model"),
        (Expected(build="f" * 16), "wrong-build"),
        (Expected(board="nucleo_f746zg", model="ab" * 32, build="f" * 16), "wrong-build"),
    ],
)
def test_another_firmware_is_named(expected: Expected, id_: str) -> None:
    session, _ = session_with()
    session.connect()
    assert fails(lambda: session.verify(expected)).id == id_


def test_the_right_firmware_passes() -> None:
    session, device = session_with()
    assert session.verify(Expected("nucleo_f746zg", device.identity.build, device.identity.model)) == device.identity


@pytest.mark.parametrize("protocol", [1, 3])
def test_another_protocol_is_refused(protocol: int) -> None:
    """Version 1 knows no checked commands."""
    session, _ = session_with(protocol=protocol)
    assert fails(session.connect).id == "wrong-protocol"


def test_an_input_of_the_wrong_size_is_the_devices_word() -> None:
    session, _ = session_with()
    session.connect()
    error = fails(lambda: session.load(bytes(17)))
    assert error.id == "device-error"
    assert "3000" in error.what


# The transfer over a bad line.


def damaging(seed: int, rate: float) -> Callable[[bytes], bytes]:
    """Changes, loses or adds bytes in this part of what is sent."""
    rng = random.Random(seed)

    def damage(data: bytes) -> bytes:
        if not data or rng.random() > rate:
            return data
        bad = bytearray(data)
        match rng.randrange(4):
            case 0:
                bad[rng.randrange(len(bad))] ^= 1 << rng.randrange(8)
            case 1:
                del bad[rng.randrange(len(bad))]
            case 2:
                del bad[rng.randrange(len(bad)) :]
            case _:
                bad[rng.randrange(len(bad)) : 0] = rng.randbytes(3)
        return bytes(bad)

    return damage


@given(seed=st.integers(0, 2**32), rate=st.floats(0, 0.35), losses=st.frozensets(st.integers(0, 8), max_size=4))
@settings(max_examples=60)
def test_a_bad_line_delivers_the_very_bytes_or_says_that_it_cannot(
    seed: int, rate: float, losses: frozenset[int]
) -> None:
    session, _ = session_with(Misbehaviour(damage=damaging(seed, rate), lose_acks=losses))
    session.connect()
    data = data_for(session, seed)
    try:
        session.load(data)
    except DanasError as error:
        assert error.id == "load-failed"
        return
    session.run()
    assert session.output() == (sum(data) % 65536).to_bytes(2, "little")
    assert session.crc().input == zlib.crc32(data)


def test_a_lost_last_acknowledgement_is_made_up_for_by_the_text() -> None:
    session, _ = session_with(Misbehaviour(lose_acks=frozenset({2})))
    session.connect()
    session.load(data_for(session))
    assert session.run() == 123456


def test_a_line_that_never_delivers_fails() -> None:
    session, _ = session_with(Misbehaviour(damage=lambda data: data[:-1]))
    session.connect()
    assert fails(lambda: session.load(bytes(3000))).id == "load-failed"


def test_a_device_that_gives_up_a_transfer() -> None:
    clock = ManualClock()
    device = FakeDevice(clock=clock)
    texts = [b"e-[load timed out]\r\nm-ready\r\n"]

    def peer(data: bytes) -> bytes:
        return texts.pop() if texts and data.startswith(b"\xa5") else device(data)

    session = Session(MemoryLink(peer, clock=clock), clock=clock)
    session.connect()
    error = fails(lambda: session.load(bytes(3000)))
    assert error.id == "load-failed"
    assert "load timed out" in error.what


# A firmware that takes its input row by row.


def streaming(wrong: Misbehaviour | None = None, **identity: object) -> tuple[Session, FakeDevice]:
    return session_with(wrong, health=None, **({"input_rows": 10} | identity))


@pytest.mark.parametrize(("size", "rows"), [(3000, 10), (3000, 1), (4096, 2), (6150, 3), (300, 300)])
def test_an_input_goes_row_by_row(size: int, rows: int) -> None:
    """Rows of more than a frame, of just some frames, and of one byte."""
    session, _ = streaming(input_bytes=size, input_rows=rows)
    assert session.connect().input_rows == rows
    data = data_for(session)
    seen: list[tuple[int, int]] = []
    assert session.stream(data, progress=lambda done, whole: seen.append((done, whole))) == 123456
    assert seen == [(size // rows * (row + 1), size) for row in range(rows)]
    assert session.crc().input == zlib.crc32(data)
    assert session.output() == (sum(data) % 65536).to_bytes(2, "little")


@pytest.mark.parametrize("rows", [0, 10])
def test_one_method_runs_an_inference_either_way(rows: int) -> None:
    session, device = session_with(input_rows=rows)
    data = data_for(session)
    assert session.infer_on(data) == 123456
    assert session.output() == (sum(data) % 65536).to_bytes(2, "little")
    words = [command.split(" ")[0] for command in device.commands]
    assert words == ["id", *(["stream"] if rows else ["load", "run"]), "output"]


def test_each_firmware_says_which_way_it_goes() -> None:
    session, _ = streaming()
    for call in (lambda: session.load(bytes(3000)), lambda: session.db_load(bytes(3000)), session.run,
                 lambda: session.infer(1)):  # fmt: skip
        assert "the input is streamed" in fails(call).what
    session, _ = session_with()
    assert "the input is not streamed" in fails(lambda: session.stream(bytes(3000))).what
    session, _ = streaming()
    assert "3000" in fails(lambda: session.stream(bytes(17))).what


@given(
    seed=st.integers(0, 2**32),
    rate=st.floats(0, 0.3),
    acks=st.frozensets(st.integers(0, 12), max_size=4),
    requests=st.frozensets(st.integers(0, 12), max_size=4),
    shape=st.sampled_from([(3000, 10), (4096, 2), (12, 12)]),
)
@settings(max_examples=60)
def test_a_bad_line_streams_the_very_bytes_or_says_that_it_cannot(
    seed: int, rate: float, acks: frozenset[int], requests: frozenset[int], shape: tuple[int, int]
) -> None:
    wrong = Misbehaviour(damage=damaging(seed, rate), lose_acks=acks, lose_requests=requests)
    session, _ = streaming(wrong, input_bytes=shape[0], input_rows=shape[1])
    session.connect()
    data = data_for(session, seed)
    try:
        session.stream(data)
    except DanasError as error:
        assert error.id == "load-failed"
    else:
        assert session.output() == (sum(data) % 65536).to_bytes(2, "little")
        assert session.crc().input == zlib.crc32(data)
    assert session.connect().input_rows == shape[1], "the device is there as before"


def test_lost_requests_and_acknowledgements_are_made_up_for() -> None:
    wrong = Misbehaviour(lose_acks=frozenset({0, 4, 9, 10}), lose_requests=frozenset({0, 3, 8}))
    session, _ = streaming(wrong)
    data = data_for(session)
    assert session.stream(data) == 123456
    assert session.crc().input == zlib.crc32(data)


def test_a_host_that_goes_leaves_a_device_that_works() -> None:
    session, device = streaming()
    assert device(b"stream 3000%").endswith(b"m-ready\r\n\x05")
    device(frames.frame(0, bytes(300)))
    device(frames.frame(1, bytes(300))[:20])
    assert session.connect() == device.identity
    data = data_for(session)
    assert session.stream(data) == 123456
    assert session.crc().input == zlib.crc32(data)


@pytest.mark.parametrize(
    ("answers", "identifier"),
    [
        (b"m-stream-[rows=7 bytes=300]\r\nm-ready\r\n", "garbled-line"),
        (b"m-stream-[rows=10 bytes=300]\r\nm-ready\r\n", "load-failed"),
        (b"m-stream-[rows=10 bytes=300]\r\nm-ready\r\n" + b"\x07" * 9000, "load-failed"),
        (b"m-stream-[rows=10 bytes=300]\r\nm-ready\r\ne-[input timed out]\r\nm-ready\r\n", "load-failed"),
        (b"m-stream-[rows=10 bytes=300]\r\nm-ready\r\nm-init-done\r\n", "device-restarted"),
        (b"m-stream-[rows=10 bytes=300]\r\nm-ready\r\ne-[fault hard pc=0x080012a4 lr=0x08000f01"
         b" cfsr=0x00008200 addr=0x20050000]\r\n", "device-fault"),
    ],
)  # fmt: skip
def test_a_device_that_does_not_ask_for_rows(answers: bytes, identifier: str) -> None:
    session, _ = streaming(Misbehaviour(replace={"stream": answers}))
    assert fails(lambda: session.stream(bytes(3000))).id == identifier


# Nothing from a device raises anything but our errors.

_FRAGMENTS = st.sampled_from(
    [b"m-ready\r\n", b"m-id-[", b"protocol=1", b"]\r\n", b"e-[", b"fault hard pc=0x", b"m-crc-[input=", b"\r\n",
     b"m-load-[piece=1024]\r\n", b"m-stream-[rows=2 bytes=1000]\r\n", b"\x05", b"m-op-[0 ", b"m-output-[", b"\x06",
     b"\x15", b"m-results-[1,2", b"=", b" ", b"\x00"]
)  # fmt: skip


@given(st.lists(st.one_of(st.binary(max_size=40), _FRAGMENTS), max_size=12), st.integers(0, 10))
@settings(max_examples=150)
def test_arbitrary_bytes_raise_only_our_errors(pieces: list[bytes], which: int) -> None:
    answers = list(pieces)
    clock = ManualClock()
    session = Session(MemoryLink(lambda _: answers.pop(0) if answers else b"", clock=clock), clock=clock)
    call: Callable[[], object] = [
        session.connect, session.identity, session.memory, session.crc, session.ops, session.run, session.results,
        lambda: session.load(bytes(2000)), lambda: session.infer(1), lambda: session.output(64),
        lambda: session.stream(bytes(2000)),
    ][which]  # fmt: skip
    try:
        call()
    except DeviceError as error:
        assert str(error).isprintable()


@given(st.lists(st.text(st.characters(codec="ascii"), max_size=60), max_size=3))
def test_parsers_raise_only_our_errors(lines: list[str]) -> None:
    for parse in (
        replies.parse_identity,
        replies.parse_memory,
        replies.parse_crc,
        replies.parse_cycles,
        replies.parse_operators,
        lambda given: replies.parse_stream(given, 12),
        lambda given: replies.parse_hex(given, "m-output", 3),
        lambda given: replies.parse_inference(given, count=1, warmups=0),
        lambda given: replies.parse_text(given, "m-name-dut"),
    ):
        try:
            parse(lines)
        except DeviceError as error:
            assert error.id == "garbled-line"


def test_an_error_text_cannot_write_to_the_terminal() -> None:
    error = replies.error_of("e-[\x1b]0;title\x07]")
    assert error is not None
    assert str(error).isprintable()


@pytest.mark.parametrize(
    ("cfsr", "cause", "advice"),
    [
        (0x92, "the stack has overflowed", "stack.reserve_bytes"),
        (0x8200, "there is no memory", "addr2line"),
        (0x10000, "undefined instruction", "addr2line"),
        (0, "address 0x", "addr2line"),
    ],
)
def test_a_fault_reports_status_is_told_in_words(cfsr: int, cause: str, advice: str) -> None:
    error = replies.error_of(f"e-[fault MemManage pc=0x00000000 lr=0x00000000 cfsr=0x{cfsr:08x} addr=0x1ffffff8]")
    assert isinstance(error, replies.FaultReportError)
    assert cause in error.why and advice in error.next
    assert (error.fault.cfsr, error.exit_code) == (cfsr, 6)
