"""Calls in Thumb-2 machine code, and whether it moves the stack pointer.

Enough of the encodings of the Armv7-M Architecture Reference Manual (DDI 0403, A5 and A7) to follow a program from
function to function: branches with link, branches that may leave a function (tail calls), calls through registers.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

_SP, _LR, _PC = 13, 14, 15


@dataclass(frozen=True)
class Flow:
    """Where the instructions of a piece of code may go, and what they do to the stack pointer.

    Attributes:
        calls: Addresses that it calls.
        branches: Addresses that it branches to; those inside the piece are among them.
        linked: Whether it calls through a register.
        jumps: Whether it jumps through one, or through memory, but to return.
        moves: Whether an instruction may move the stack pointer, upwards or downwards.
    """

    calls: frozenset[int]
    branches: frozenset[int]
    linked: bool
    jumps: bool
    moves: bool


def flow(code: bytes, address: int) -> Flow:
    """Follow a piece of code without data in it, which begins at an address."""
    calls: set[int] = set()
    branches: set[int] = set()
    linked = jumps = moves = False
    for place, first, second in _instructions(code, address):
        if second is None:
            if (target := _narrow_target(place, first)) is not None:
                branches.add(target)
            register = first >> 3 & 0xF
            linked |= first & 0xFF80 == 0x4780
            jumps |= (first & 0xFF80 == 0x4700 and register != _LR) or first & 0xFF87 == 0x4687
            moves |= _narrow_moves(first)
        else:
            if (target := _wide_target(place, first, second)) is not None:
                (calls if second & 0xD000 == 0xD000 else branches).add(target)
            jumps |= first & 0xFF70 == 0xF850 and second >> 12 == _PC and first & 0xF != _SP
            moves |= _wide_moves(first, second)
    return Flow(frozenset(calls), frozenset(branches), linked, jumps, moves)


def _instructions(code: bytes, address: int) -> Iterator[tuple[int, int, int | None]]:
    """(address, first half word, second one or None)."""
    at = 0
    while at + 2 <= len(code):
        first = int.from_bytes(code[at : at + 2], "little")
        if first >> 11 in (0b11101, 0b11110, 0b11111) and at + 4 <= len(code):
            yield address + at, first, int.from_bytes(code[at + 2 : at + 4], "little")
            at += 4
        else:
            yield address + at, first, None
            at += 2


def _narrow_target(place: int, word: int) -> int | None:
    if word >> 11 == 0b11100:  # B, encoding T2
        return place + 4 + _signed(word & 0x7FF, 11) * 2
    if word >> 12 == 0b1101 and word >> 8 & 0xF < 0xE:  # B, encoding T1
        return place + 4 + _signed(word & 0xFF, 8) * 2
    return None


def _wide_target(place: int, first: int, second: int) -> int | None:
    if first >> 11 != 0b11110 or not second & 0x8000:
        return None
    sign, j1, j2 = first >> 10 & 1, second >> 13 & 1, second >> 11 & 1
    if second & 0x1000:  # BL, or B of encoding T4
        high = sign << 23 | (j1 ^ sign ^ 1) << 22 | (j2 ^ sign ^ 1) << 21
        return place + 4 + _signed(high | (first & 0x3FF) << 11 | second & 0x7FF, 24) * 2
    if second & 0x4000 or first >> 7 & 7 == 7:  # BLX, which this core lacks, and what is no branch
        return None
    high = sign << 19 | j2 << 18 | j1 << 17  # B of encoding T3
    return place + 4 + _signed(high | (first & 0x3F) << 11 | second & 0x7FF, 20) * 2


def _signed(value: int, bits: int) -> int:
    return value - (value >> bits - 1 << bits)


def _narrow_moves(word: int) -> bool:
    return (
        word & 0xF600 == 0xB400  # PUSH, POP
        or word & 0xFF00 == 0xB000  # ADD and SUB of a constant
        or word & 0xFF87 in (0x4685, 0x4485)  # MOV and ADD of a register
    )


def _wide_moves(first: int, second: int) -> bool:
    if first >> 9 in (0b1110100, 0b1110110, 0b1111100, 0b1110111):  # loads and stores
        return first & 0xF == _SP or (first & 0x10 != 0 and second >> 12 == _SP)
    if first >> 11 == 0b11110 and second & 0x8000:  # branches and control
        return first & 0xFFF0 == 0xF380 and second & 0xFF in (8, 9)  # MSR MSP and PSP
    return second >> 8 & 0xF == _SP
