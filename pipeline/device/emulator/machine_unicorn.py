"""The board on the Unicorn engine: memory, registers, counters and faults.

This module imports Unicorn, which is under the GNU General Public License, version 2; see NOTICE. It runs only in
the emulator's own process.
"""

from __future__ import annotations

import ctypes
import mmap
import random
import threading
import time
from typing import Any

import unicorn
from unicorn import arm_const, unicorn_const

from pipeline.boards import Board, RegionKind
from pipeline.device.emulator import core, families
from pipeline.device.emulator.counting import BlockCounter, PythonState, State
from pipeline.device.emulator.families.family import Window
from pipeline.device.emulator.image import Image
from pipeline.device.emulator.machine import Fault
from pipeline.device.emulator.native import NativePath, NativeUnavailableError
from pipeline.device.emulator.registers import Registers
from pipeline.device.emulator.terminal import Terminal
from pipeline.errors import UsageError

_CPU = {"cortex-m7": arm_const.UC_CPU_ARM_CORTEX_M7, "cortex-m4": arm_const.UC_CPU_ARM_CORTEX_M4}
_ACCESS_FAULTS = {
    unicorn_const.UC_MEM_READ_UNMAPPED: "read-outside-memory",
    unicorn_const.UC_MEM_WRITE_UNMAPPED: "write-outside-memory",
    unicorn_const.UC_MEM_FETCH_UNMAPPED: "fetch-outside-memory",
    unicorn_const.UC_MEM_WRITE_PROT: "write-to-flash",
    unicorn_const.UC_MEM_READ_PROT: "read-outside-memory",
    unicorn_const.UC_MEM_FETCH_PROT: "fetch-outside-memory",
}
# Numbers of exceptions as the engine's core gives them to an interrupt hook.
_EXCEPTIONS = {
    1: "undefined-instruction",
    2: "supervisor-call",
    3: "fetch-outside-memory",
    7: "breakpoint",
    8: "exception-return",
    17: "no-coprocessor",
    18: "invalid-state",
}
_NOWHERE = 0xFFFFFFFF  # "until" of the engine: it never gets there


class UnicornMachine:
    """A board type with a program in its flash.

    Args:
        board: The board type, of a family that is described in ``families``.
        image: The program.
        terminal: The host's side of the UART.
        pure_python: Do without the compiled fast path.

    Attributes:
        path: ``native`` with the fast path, ``python`` without; ``path_reason`` says why not.
    """

    def __init__(self, board: Board, image: Image, terminal: Terminal, *, pure_python: bool = False) -> None:
        self._family = families.of(board)
        self._board = board
        self._image = image
        self._uc: Any = unicorn.Uc(
            unicorn_const.UC_ARCH_ARM, unicorn_const.UC_MODE_THUMB | unicorn_const.UC_MODE_MCLASS
        )
        self._uc.ctl_set_cpu_model(_CPU[board.core.cpu])
        self._memory = _Memory(board, image)
        self._pending: tuple[str, int] | None = None
        self._failure: BaseException | None = None
        self._python_halted = False
        self._stopping = threading.Event()
        self._busy_since: float | None = None
        self._busy_seconds = 0.0
        self.path_reason = ""
        self._terminal = terminal
        self._native_path = self._native(pure_python)
        self.path = "python" if self._native_path is None else "native"
        try:
            self._memory.map_into(self._uc)
            self._attach()
        except unicorn.UcError as error:
            raise UsageError(
                "board-file",
                f"{board.name}: the engine cannot lay out its memory and register windows",
                why=f"{error}; each must start and end at a multiple of 4096 and overlap no other.",
                next="Mend the board file.",
            ) from error

    def _attach(self) -> None:
        windows = (*self._family.windows, Window(core.BASE, core.BYTES, "private peripheral bus"))
        self._state: State
        if self._native_path is None:
            state = PythonState(watch_end=self._image.stack.end)
            self._state = state
            self._registers = Registers(self._board, self._family, state, self._terminal)
            self._attach_python(state, windows)
        else:
            self._state = self._native_path.state
            self._registers = Registers(self._board, self._family, self._native_path.state, self._terminal)
            self._native_path.attach(
                self._uc,
                [(window.base, window.bytes) for window in windows],
                read=self._guarded_read,
                write=self._guarded_write,
            )
        self._attach_faults()

    def _native(self, pure_python: bool) -> NativePath | None:
        if pure_python:
            self.path_reason = "asked for"
            return None
        try:
            return NativePath(
                self._board, self._family.uart, self._image, flash=self._memory.flash, ram=self._memory.ram
            )
        except (NativeUnavailableError, OSError) as error:
            self.path_reason = str(error)
            return None

    # What the engine calls.

    def _attach_python(self, state: PythonState, windows: tuple[Window, ...]) -> None:
        flash = self._board.flash[0]
        counter = BlockCounter(
            state,
            read=lambda address, size: bytes(self._uc.mem_read(address, size)),
            in_flash=lambda address: flash.base <= address < flash.end,
        )
        paint = self._image.paint
        watching = True

        def block(_uc: Any, address: int, size: int, _user: Any) -> None:
            nonlocal watching
            watching = paint is None or not (address < paint.end and address + size > paint.begin)
            if counter.enter(address, size):
                self._python_halted = True
                self._uc.emu_stop()

        def store(_uc: Any, _access: int, address: int, _size: int, _value: int, _user: Any) -> None:
            if watching and address < state.lowest_store:
                state.lowest_store = address

        self._uc.hook_add(unicorn_const.UC_HOOK_BLOCK, block)
        stack = self._image.stack
        if stack.begin < stack.end:
            self._uc.hook_add(unicorn_const.UC_HOOK_MEM_WRITE, store, None, stack.begin, stack.end - 1)
        for window in windows:
            self._uc.mmio_map(
                window.base,
                window.bytes,
                lambda _uc, offset, size, base: self._guarded_read(base + offset, size),
                window.base,
                lambda _uc, offset, size, value, base: self._guarded_write(base + offset, size, value),
                window.base,
            )

    def _guarded_read(self, address: int, size: int) -> int:
        # An exception must not unwind through the engine's frames.
        try:
            return self._registers.read(address, size)
        except Exception as error:
            self._fail(error)
            return 0

    def _guarded_write(self, address: int, size: int, value: int) -> None:
        try:
            self._registers.write(address, size, value)
        except Exception as error:
            self._fail(error)

    def _fail(self, error: Exception) -> None:
        self._failure = self._failure or error
        self._uc.emu_stop()

    def _attach_faults(self) -> None:
        def access(_uc: Any, kind: int, address: int, _size: int, _value: int, _user: Any) -> bool:
            self._pending = (_ACCESS_FAULTS.get(kind, "access-outside-memory"), address)
            return False

        def interrupt(_uc: Any, number: int, _user: Any) -> None:
            self._pending = (_EXCEPTIONS.get(number, f"exception-{number}"), 0)
            self._uc.emu_stop()

        def invalid(_uc: Any, _user: Any) -> bool:
            self._pending = ("undefined-instruction", 0)
            return False

        unmapped = (
            unicorn_const.UC_HOOK_MEM_READ_UNMAPPED
            | unicorn_const.UC_HOOK_MEM_WRITE_UNMAPPED
            | unicorn_const.UC_HOOK_MEM_FETCH_UNMAPPED
        )
        protected = (
            unicorn_const.UC_HOOK_MEM_READ_PROT
            | unicorn_const.UC_HOOK_MEM_WRITE_PROT
            | unicorn_const.UC_HOOK_MEM_FETCH_PROT
        )
        self._uc.hook_add(unmapped | protected, access)
        self._uc.hook_add(unicorn_const.UC_HOOK_INTR, interrupt)
        self._uc.hook_add(unicorn_const.UC_HOOK_INSN_INVALID, invalid)

    # Running.

    def run(self) -> Fault | None:
        """Reset, and run until :meth:`stop`, a fault or a halt; the fault, if there is one.

        A program that branches to itself has halted: this then waits for :meth:`stop`, at no cost.
        """
        stack_pointer, entry = self._memory.vectors()
        self._uc.reg_write(arm_const.UC_ARM_REG_MSP, stack_pointer)
        self._uc.reg_write(arm_const.UC_ARM_REG_SP, stack_pointer)
        self._uc.reg_write(arm_const.UC_ARM_REG_LR, 0xFFFFFFFF)
        if not entry & 1:
            return self._faulted("invalid-state", entry)
        self._busy_since = time.monotonic()
        try:
            self._uc.emu_start(entry, _NOWHERE)
        except unicorn.UcError as error:
            self._pending = self._pending or (f"engine-error-{error.errno}", 0)
        finally:
            self._busy_seconds = time.monotonic() - self._busy_since
            self._busy_since = None
        self._registers.flush()
        if self._failure is not None:
            raise self._failure
        if self._pending is not None:
            return self._faulted(*self._pending)
        if not self._stopping.is_set() and not self.halted:
            return self._faulted("wait-for-interrupt", 0)  # WFI or WFE: nothing here would ever wake it
        while not self._stopping.is_set():
            self._terminal.wait(0.25)
        return None

    def stop(self) -> None:
        """End :meth:`run`, from any thread.

        The engine forgets a stop that comes just before it starts: call again while :meth:`run` has not returned.
        """
        self._stopping.set()
        self._terminal.wake()
        self._uc.emu_stop()

    @property
    def stopping(self) -> bool:
        """Whether :meth:`stop` was called."""
        return self._stopping.is_set()

    @property
    def halted(self) -> bool:
        """Whether the program branches to itself for ever."""
        return self._python_halted or (self._native_path is not None and self._native_path.state.halted)

    def _faulted(self, kind: str, address: int) -> Fault:
        pc = self._cpu_register(arm_const.UC_ARM_REG_PC)
        lr = self._cpu_register(arm_const.UC_ARM_REG_LR)
        # A jump to nowhere is found at its target: the caller tells more.
        where = lr if kind == "fetch-outside-memory" else pc
        return Fault(
            kind=kind,
            address=address,
            pc=pc,
            lr=lr,
            sp=self._cpu_register(arm_const.UC_ARM_REG_SP),
            function=self._image.function_at(where),
        )

    def _cpu_register(self, number: int) -> int:
        return int(self._uc.reg_read(number)) & 0xFFFFFFFF

    def statistics(self) -> dict[str, int | float | str | bool | None]:
        """What was counted so far; the keys are those of ``emulated.Statistics``."""
        stack = self._image.stack
        lowest = self._state.lowest_store
        touched = lowest < stack.end
        since = self._busy_since
        wall = time.monotonic() - since if since is not None else self._busy_seconds
        busy = max(wall - self._registers.idle_seconds, 1e-9)
        instructions = self._state.instructions
        return {
            "path": self.path,
            "path_reason": self.path_reason,
            "instructions": instructions,
            "idle_cycles": self._state.idle_cycles,
            "lowest_store": lowest if touched else None,
            "stack_used": stack.end - lowest if touched else 0,
            "stack_bottom": stack.begin,
            "stack_top": stack.end,
            "halted": self.halted,
            "dropped_bytes": self._terminal.dropped,
            "busy_seconds": round(busy, 6),
            "mips": round(instructions / busy / 1e6, 3),
        }


class _Memory:
    """The board's memory as this process holds it: flash erased and programmed, RAM with arbitrary contents.

    RAM is not zero after power-up; a program that relies on it would run here and fail on the board.
    """

    def __init__(self, board: Board, image: Image) -> None:
        self._flash = board.flash
        self._blocks: list[tuple[int, int, RegionKind, mmap.mmap]] = []
        for region in board.flash:
            block = mmap.mmap(-1, region.bytes)
            block.write(b"\xff" * region.bytes)
            for begin, data in image.pieces:
                if region.base <= begin < region.end:
                    block[begin - region.base : begin - region.base + len(data)] = data
            self._blocks.append((region.base, region.bytes, region.kind, block))
        # Contiguous regions are one block, so that the fast path knows few ranges.
        arbitrary = random.Random(0)
        for area in board.areas:
            block = mmap.mmap(-1, area.bytes)
            block.write(arbitrary.randbytes(area.bytes))
            self._blocks.append((area.base, area.bytes, RegionKind.RAM, block))
        self.flash = _address(self._blocks[0][3])
        self.ram = [_address(block) for _, _, kind, block in self._blocks if kind is RegionKind.RAM]

    def map_into(self, uc: Any) -> None:
        """Give the memory to an engine; a write to flash is then a fault."""
        readable = unicorn_const.UC_PROT_READ | unicorn_const.UC_PROT_EXEC
        for base, size, kind, block in self._blocks:
            permissions = readable | (unicorn_const.UC_PROT_WRITE if kind is RegionKind.RAM else 0)
            uc.mem_map_ptr(base, size, permissions, _address(block))

    def vectors(self) -> tuple[int, int]:
        """Initial stack pointer and entry, as the core reads them at reset."""
        table = self._blocks[0][3][:8]
        return int.from_bytes(table[:4], "little") & ~3, int.from_bytes(table[4:], "little")


def _address(block: mmap.mmap) -> int:
    return ctypes.addressof(ctypes.c_char.from_buffer(block))
