"""Calls and the stack pointer in Thumb-2 code: instructions as the assembler encodes them."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.firmware.thumb import flow

_AT = 0x0800_1000


@pytest.mark.parametrize(
    ("words", "calls", "branches", "linked", "jumps", "moves"),
    [
        ((0xF002, 0xFFDB), {_AT + 4 + 0x2FB6}, set(), False, False, False),  # bl
        ((0xF7FF, 0xFFFE), {_AT}, set(), False, False, False),  # bl to itself
        ((0xF000, 0xB96A), set(), {_AT + 4 + 0x2D4}, False, False, False),  # b.w
        ((0xF43F, 0xAF00), set(), {_AT + 4 - 0x200}, False, False, False),  # beq.w
        ((0xD16D,), set(), {_AT + 4 + 0xDA}, False, False, False),  # bne
        ((0xE7FE,), set(), {_AT}, False, False, False),  # b .
        ((0xDE00,), set(), set(), False, False, False),  # udf, no branch
        ((0xDF00,), set(), set(), False, False, False),  # svc, no branch
        ((0xF3BF, 0x8F4F), set(), set(), False, False, False),  # dsb, no branch
        ((0x4798,), set(), set(), True, False, False),  # blx r3
        ((0x4718,), set(), set(), False, True, False),  # bx r3
        ((0x4770,), set(), set(), False, False, False),  # bx lr
        ((0x469F,), set(), set(), False, True, False),  # mov pc, r3
        ((0xF853, 0xF022), set(), set(), False, True, False),  # ldr.w pc, [r3, r2, lsl #2]
        ((0xF85D, 0xFB04), set(), set(), False, False, True),  # ldr.w pc, [sp], #4: a return
        ((0xB510,), set(), set(), False, False, True),  # push {r4, lr}
        ((0xB084,), set(), set(), False, False, True),  # sub sp, #16
        ((0xE92D, 0x4FF0), set(), set(), False, False, True),  # push.w
        ((0xE96D, 0xCE04), set(), set(), False, False, True),  # strd ip, lr, [sp, #-16]!
        ((0xED2D, 0x8B02), set(), set(), False, False, True),  # vpush {d8}
        ((0xF5AD, 0x7D00), set(), set(), False, False, True),  # sub.w sp, sp, #512
        ((0xEBAD, 0x0D00), set(), set(), False, False, True),  # sub.w sp, sp, r0
        ((0x46A5,), set(), set(), False, False, True),  # mov sp, r4
        ((0xF38C, 0x8808), set(), set(), False, False, True),  # msr msp, ip
        ((0x4684,), set(), set(), False, False, False),  # mov ip, r0
        ((0xF851, 0x3B04), set(), set(), False, False, False),  # ldr.w r3, [r1], #4
    ],
)
def test_an_instruction(
    words: tuple[int, ...], calls: set[int], branches: set[int], linked: bool, jumps: bool, moves: bool
) -> None:
    found = flow(b"".join(word.to_bytes(2, "little") for word in words), _AT)
    assert (set(found.calls), set(found.branches)) == (calls, branches)
    assert (found.linked, found.jumps, found.moves) == (linked, jumps, moves)


@given(st.binary(max_size=40))
def test_any_bytes_are_followed(code: bytes) -> None:
    found = flow(code, _AT)
    assert len(found.calls) + len(found.branches) <= len(code) // 2


def test_calls_are_those_of_the_disassembler(tmp_path: Path) -> None:
    if shutil.which("arm-none-eabi-g++") is None:
        pytest.skip("needs arm-none-eabi-g++")
    # 64-bit division brings assembly of libgcc.
    source = tmp_path / "p.c"
    source.write_text("unsigned long long d(unsigned long long a, unsigned long long b) { return a % b + a / b; }\n")
    elf = tmp_path / "p.elf"
    compiler = ["arm-none-eabi-gcc", "-mcpu=cortex-m4", "-mthumb", "-O2", "-nostartfiles", "-Wl,-e,d", "-o", str(elf)]
    subprocess.run([*compiler, str(source)], check=True)
    listing = subprocess.run(["arm-none-eabi-objdump", "-d", elf], check=True, capture_output=True, text=True).stdout
    count = 0
    for place, words, name, rest in re.findall(
        r"^\s*([0-9a-f]+):\t([0-9a-f]{4}(?: [0-9a-f]{4})?)\s*\t(\S+)(.*)$", listing, re.M
    ):
        found = flow(b"".join(int(word, 16).to_bytes(2, "little") for word in words.split()), int(place, 16))
        target = re.search(r"\t(?:\w+, )?([0-9a-f]+) <", rest)
        expected = (
            {int(target[1], 16)} if target is not None and re.fullmatch(r"b(l|[a-z]{2})?(\.[nw])?", name) else set()
        )
        assert found.calls | found.branches == expected, (name, rest)
        assert bool(found.calls) == (name == "bl")
        count += 1
    assert count > 100
