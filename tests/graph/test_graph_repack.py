"""Weights behind the flatbuffer are found, re-packed, or refused."""

from __future__ import annotations

import graph_samples
import pytest

from pipeline.errors import UsageError
from pipeline.graph.reader import parse
from pipeline.graph.repack import self_contained
from pipeline.graph.writer import buffer, pack


def _outside(*, missing: int = 0) -> bytes:
    """The sample with every constant behind the flatbuffer; ``missing`` bytes are cut from the end."""
    model = graph_samples.schema_model()
    payloads = []
    for index, held in enumerate(model.buffers):
        if held.data is not None:
            payloads.append(held.data.tobytes())
            model.buffers[index] = buffer()
            # Scalars of their default value are left out of the file, so the length is known once they are not zero.
            model.buffers[index].offset, model.buffers[index].size = 1 << 20, len(payloads[-1])
    position = -(-len(pack(model)) // 16) * 16
    start, tail = position, b""
    for held in model.buffers:
        if held.offset:
            held.offset = position
            position += -(-held.size // 16) * 16
    head = pack(model).ljust(start, b"\0")
    for payload in payloads:
        tail += payload.ljust(-(-len(payload) // 16) * 16, b"\0")
    return (head + tail)[: len(head + tail) - missing]


def test_weights_outside_the_flatbuffer_are_read_where_they_are() -> None:
    inside, outside = parse(graph_samples.content()), parse(_outside())
    for first, second in zip(inside.tensors, outside.tensors, strict=True):
        found = [None if tensor.data is None else tensor.data.tolist() for tensor in (first, second)]
        assert found[0] == found[1]


def test_repacking_puts_them_inside() -> None:
    packed = self_contained(_outside())
    assert packed == graph_samples.content()
    assert parse(packed).operators == parse(_outside()).operators


def test_a_self_contained_model_is_kept_to_the_byte() -> None:
    content = graph_samples.content() + b"trailing metadata"
    assert self_contained(content) is content


def test_weights_behind_the_end_of_the_file_are_refused() -> None:
    with pytest.raises(UsageError) as caught:
        parse(_outside(missing=64))
    assert caught.value.id == "external-weights"
    assert "tensor" in caught.value.what
