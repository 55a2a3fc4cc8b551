"""The binary transfer: framing, and delivery over a bad line."""

from __future__ import annotations

import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.device.frames import ACK, NAK, PIECE, START, Receiver, frame, frames


def test_the_layout_is_that_of_the_protocol() -> None:
    whole = frame(7, b"\x01\x02\x03")
    assert whole[:4] == bytes([START, 7, 3, 0])
    assert whole[4:7] == b"\x01\x02\x03"
    assert int.from_bytes(whole[7:], "little") == zlib.crc32(b"\x07\x03\x00\x01\x02\x03")


@pytest.mark.parametrize("size", [0, PIECE + 1])
def test_a_payload_must_fit(size: int) -> None:
    with pytest.raises(ValueError, match="1 to 1024"):
        frame(0, bytes(size))


@given(data=st.binary(min_size=1, max_size=5000), piece=st.integers(1, PIECE), chunk=st.integers(1, 3000))
def test_frames_put_together_again(data: bytes, piece: int, chunk: int) -> None:
    receiver = Receiver(len(data))
    stream = b"".join(frames(data, piece))
    answers = b"".join(receiver.feed(stream[at : at + chunk]) for at in range(0, len(stream), chunk))
    assert bytes(receiver.data) == data
    assert answers == bytes([ACK]) * -(-len(data) // piece)
    assert receiver.complete


def test_more_than_256_frames_wrap_the_sequence() -> None:
    data = bytes(range(256)) * 2
    receiver = Receiver(len(data))
    for one in frames(data, 1):
        assert receiver.feed(one) == bytes([ACK])
    assert bytes(receiver.data) == data


@given(data=st.binary(min_size=10, max_size=200), flips=st.lists(st.integers(0, 10_000), min_size=1, max_size=4))
def test_a_damaged_frame_is_never_taken_for_another(data: bytes, flips: list[int]) -> None:
    whole = bytearray(frame(0, data))
    for flip in flips:
        whole[flip // 8 % len(whole)] ^= 1 << flip % 8
    receiver = Receiver(len(data))
    answers = receiver.feed(bytes(whole)) + receiver.silence()
    if whole == frame(0, data):
        assert answers == bytes([ACK])
    else:
        assert ACK not in answers
        assert not receiver.data
        assert receiver.feed(frame(0, data)) == bytes([ACK])


@given(st.binary(max_size=300))
def test_noise_before_a_frame_is_skipped_or_refused(noise: bytes) -> None:
    receiver = Receiver(3)
    receiver.feed(noise)
    receiver.silence()
    assert receiver.feed(frame(0, b"abc")) == bytes([ACK])
    assert bytes(receiver.data) == b"abc"


def test_a_repeated_frame_is_acknowledged_and_dropped() -> None:
    receiver = Receiver(4)
    first, second = frame(0, b"ab"), frame(1, b"cd")
    assert receiver.feed(first) + receiver.feed(first) + receiver.feed(second) == bytes([ACK] * 3)
    assert bytes(receiver.data) == b"abcd"


@pytest.mark.parametrize("wrong", [frame(1, b"ab"), frame(0, b"abcde")], ids=["sequence", "length"])
def test_what_does_not_fit_is_refused(wrong: bytes) -> None:
    receiver = Receiver(4)
    assert receiver.feed(wrong) == bytes([NAK])
    assert not receiver.data
