"""The fast path: ``hook.c`` compiled on demand, attached to the engine without Python in between.

This module imports Unicorn, which is under the GNU General Public License, version 2; see NOTICE. It runs only in
the emulator's own process.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import platformdirs
import unicorn
from unicorn import unicorn_const

from pipeline.boards import MOST_AREAS, Board
from pipeline.device.emulator.core import DWT_CYCCNT
from pipeline.device.emulator.counting import RX_CAPACITY, TX_CAPACITY
from pipeline.device.emulator.families.family import UartLayout
from pipeline.device.emulator.image import Image

_SOURCE = Path(__file__).with_name("hook.c")
_FLAGS = ("-O2", "-std=c11", "-shared", "-fPIC", "-Wall", "-Wextra")
_COMPILE_S = 60.0

_Read = ctypes.CFUNCTYPE(ctypes.c_uint64, ctypes.c_void_p, ctypes.c_uint64, ctypes.c_uint, ctypes.c_void_p)
_Write = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_uint64, ctypes.c_uint, ctypes.c_uint64, ctypes.c_void_p)


class NativeUnavailableError(Exception):
    """No fast path on this machine; the text says why. The emulator goes on without it."""


class _HookState(ctypes.Structure):
    _fields_ = (
        ("instructions", ctypes.c_uint64),
        ("idle_cycles", ctypes.c_uint64),
        ("lowest_store", ctypes.c_uint64),
        ("cycle_origin", ctypes.c_uint64),
        ("counter_runs", ctypes.c_uint32),
        ("halted", ctypes.c_uint32),
        ("watch", ctypes.c_uint32),
        ("uart_status", ctypes.c_uint32),
        ("uart_transmits", ctypes.c_uint32),
        ("rx_head", ctypes.c_uint32),
        ("rx_tail", ctypes.c_uint32),
        ("tx_count", ctypes.c_uint32),
        ("tx_total", ctypes.c_uint32),
        ("tx_seen", ctypes.c_uint32),
        ("paint_begin", ctypes.c_uint32),
        ("paint_end", ctypes.c_uint32),
        ("uart_status_at", ctypes.c_uint32),
        ("uart_received", ctypes.c_uint32),
        ("uart_receive_at", ctypes.c_uint32),
        ("uart_send_at", ctypes.c_uint32),
        ("cycle_counter", ctypes.c_uint32),
        ("flash_base", ctypes.c_uint32),
        ("flash_bytes", ctypes.c_uint32),
        ("ram_base", ctypes.c_uint32 * MOST_AREAS),
        ("ram_bytes", ctypes.c_uint32 * MOST_AREAS),
        ("flash", ctypes.c_void_p),
        ("ram", ctypes.c_void_p * MOST_AREAS),
        ("known", ctypes.c_void_p),
        ("stop", ctypes.c_void_p),
        ("slow_read", ctypes.c_void_p),
        ("slow_write", ctypes.c_void_p),
        ("rx", ctypes.c_uint8 * RX_CAPACITY),
        ("tx", ctypes.c_uint8 * TX_CAPACITY),
    )


class _HookWindow(ctypes.Structure):
    _fields_ = (("base", ctypes.c_uint64), ("state", ctypes.c_void_p))


class NativeState:
    """:class:`~pipeline.device.emulator.counting.State` in memory that ``hook.c`` shares."""

    def __init__(self, raw: _HookState) -> None:
        self._raw = raw

    @property
    def instructions(self) -> int:
        """See :class:`State`."""
        return int(self._raw.instructions)

    @property
    def idle_cycles(self) -> int:
        """See :class:`State`."""
        return int(self._raw.idle_cycles)

    @idle_cycles.setter
    def idle_cycles(self, value: int) -> None:
        self._raw.idle_cycles = value

    @property
    def lowest_store(self) -> int:
        """See :class:`State`."""
        return int(self._raw.lowest_store)

    @lowest_store.setter
    def lowest_store(self, value: int) -> None:
        self._raw.lowest_store = value

    @property
    def halted(self) -> bool:
        """Whether the program branches to itself."""
        return bool(self._raw.halted)

    @property
    def tx_total(self) -> int:
        """See :class:`State`."""
        return int(self._raw.tx_total)

    def set_cycle_origin(self, origin: int | None) -> None:
        """See :class:`State`."""
        self._raw.counter_runs = origin is not None
        self._raw.cycle_origin = (origin or 0) & 0xFFFFFFFFFFFFFFFF

    def set_uart(self, *, status: int, transmits: bool) -> None:
        """See :class:`State`."""
        self._raw.uart_status = status
        self._raw.uart_transmits = transmits

    def rx_pending(self) -> int:
        """See :class:`State`."""
        return int(self._raw.rx_tail - self._raw.rx_head)

    def rx_put(self, data: bytes) -> None:
        """See :class:`State`."""
        raw = self._raw
        waiting = bytes(raw.rx[raw.rx_head : raw.rx_tail])
        data = waiting + data
        ctypes.memmove(raw.rx, data, len(data))
        raw.rx_head, raw.rx_tail = 0, len(data)

    def rx_take(self) -> int:
        """See :class:`State`."""
        raw = self._raw
        if raw.rx_head == raw.rx_tail:
            return 0
        byte = int(raw.rx[raw.rx_head])
        raw.rx_head += 1
        return byte

    def tx_put(self, byte: int) -> int:
        """See :class:`State`."""
        raw = self._raw
        raw.tx[raw.tx_count] = byte
        raw.tx_count += 1
        raw.tx_total = (raw.tx_total + 1) & 0xFFFFFFFF
        return int(raw.tx_count)

    def tx_take(self) -> bytes:
        """See :class:`State`."""
        raw = self._raw
        data = ctypes.string_at(raw.tx, raw.tx_count)
        raw.tx_count = 0
        return data


class NativePath:
    """``hook.c`` in this process.

    Args:
        board: The board type.
        uart: Where the registers of its UART are.
        image: What symbols say about the stack.
        flash, ram: Host addresses of the memory that the engine was given; of RAM one an area.

    Raises:
        NativeUnavailableError: There is no C compiler, it failed, or the engine's library is not as expected.
    """

    def __init__(self, board: Board, uart: UartLayout, image: Image, *, flash: int, ram: Sequence[int]) -> None:
        self._library = ctypes.CDLL(str(_compiled()))
        self._library.danas_hook_state_bytes.restype = ctypes.c_size_t
        if self._library.danas_hook_state_bytes() != ctypes.sizeof(_HookState):
            raise NativeUnavailableError("the compiled hook lays out its state differently")
        try:
            from unicorn.unicorn_py3.unicorn import uclib  # may be absent
        except ImportError as error:
            raise NativeUnavailableError(f"this version of Unicorn keeps its library elsewhere: {error}") from error
        self._engine_library = uclib
        self._known = (ctypes.c_uint32 * (board.flash[0].bytes // 2))()
        self._raw = _HookState(
            lowest_store=image.stack.end,
            watch=1,
            paint_begin=image.paint.begin if image.paint else 0,
            paint_end=image.paint.end if image.paint else 0,
            uart_status_at=board.serial.base + uart.status,
            uart_received=uart.received,
            uart_receive_at=board.serial.base + uart.receive,
            uart_send_at=board.serial.base + uart.send,
            cycle_counter=DWT_CYCCNT,
            flash_base=board.flash[0].base,
            flash_bytes=board.flash[0].bytes,
            ram_base=(ctypes.c_uint32 * MOST_AREAS)(*(area.base for area in board.areas)),
            ram_bytes=(ctypes.c_uint32 * MOST_AREAS)(*(area.bytes for area in board.areas)),
            flash=flash,
            ram=(ctypes.c_void_p * MOST_AREAS)(*ram),
            known=ctypes.addressof(self._known),
            stop=ctypes.cast(uclib.uc_emu_stop, ctypes.c_void_p).value,
        )
        self._keep: list[object] = []
        self._image = image
        self.state = NativeState(self._raw)

    def attach(
        self,
        uc: Any,
        windows: list[tuple[int, int]],
        *,
        read: Callable[[int, int], int],
        write: Callable[[int, int, int], None],
    ) -> None:
        """Hook an engine: blocks, stores to the stack, and the windows of registers (base and size).

        ``read`` and ``write`` answer what C does not; they must not raise.
        """
        slow_read = _Read(lambda _uc, offset, size, window: read(_base(window) + offset, size))
        slow_write = _Write(lambda _uc, offset, size, value, window: write(_base(window) + offset, size, value))
        self._keep += [slow_read, slow_write]
        self._raw.slow_read = ctypes.cast(slow_read, ctypes.c_void_p).value
        self._raw.slow_write = ctypes.cast(slow_write, ctypes.c_void_p).value
        state = ctypes.addressof(self._raw)
        stack = self._image.stack
        self._hook(uc, unicorn_const.UC_HOOK_BLOCK, "danas_hook_block", state, begin=1, end=0)
        if stack.begin < stack.end:
            self._hook(
                uc, unicorn_const.UC_HOOK_MEM_WRITE, "danas_hook_store", state, begin=stack.begin, end=stack.end - 1
            )
        for base, size in windows:
            window = _HookWindow(base=base, state=state)
            self._keep.append(window)
            address = ctypes.addressof(window)
            self._check(
                self._engine_library.uc_mmio_map(
                    uc._uch,
                    ctypes.c_uint64(base),
                    ctypes.c_size_t(size),
                    self._function("danas_hook_read"),
                    ctypes.c_void_p(address),
                    self._function("danas_hook_write"),
                    ctypes.c_void_p(address),
                )
            )

    def _hook(self, uc: Any, kind: int, function: str, user: int, *, begin: int, end: int) -> None:
        handle = ctypes.c_size_t()
        self._keep.append(handle)
        self._check(
            self._engine_library.uc_hook_add(
                uc._uch,
                ctypes.byref(handle),
                ctypes.c_int(kind),
                self._function(function),
                ctypes.c_void_p(user),
                ctypes.c_uint64(begin),
                ctypes.c_uint64(end),
            )
        )

    def _function(self, name: str) -> ctypes.c_void_p:
        return ctypes.cast(getattr(self._library, name), ctypes.c_void_p)

    @staticmethod
    def _check(status: int) -> None:
        if status != unicorn_const.UC_ERR_OK:
            raise unicorn.UcError(status)


def _base(window: int) -> int:
    return int(_HookWindow.from_address(window).base)


def _compiled() -> Path:
    """The shared library, compiled now where this machine has not compiled this very source yet."""
    source = _SOURCE.read_bytes()
    key = hashlib.sha256(b"\0".join([source, " ".join(_FLAGS).encode(), unicorn.__version__.encode()])).hexdigest()[:24]
    folder = _private_folder()
    target = folder / f"hook-{key}.so"
    if target.is_file():
        return target
    compiler = next((found for name in ("cc", "gcc", "clang") if (found := shutil.which(name))), None)
    if compiler is None:
        raise NativeUnavailableError("there is no C compiler (cc, gcc or clang) on PATH")
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        built = Path(scratch) / "hook.so"
        try:
            done = subprocess.run(
                [compiler, *_FLAGS, "-o", str(built), str(_SOURCE)],
                capture_output=True,
                text=True,
                errors="replace",
                timeout=_COMPILE_S,
                check=False,
                stdin=subprocess.DEVNULL,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise NativeUnavailableError(f"the C compiler did not run: {error}") from error
        if done.returncode != 0:
            last = (done.stderr.strip().splitlines() or ["no message"])[-1]
            raise NativeUnavailableError(f"the C compiler failed: {last}")
        built.replace(target)  # atomic: whoever compiles at the same time makes the same file
    return target


def _private_folder() -> Path:
    """A folder that only this user can write: what is in it will be loaded as code."""
    folder = platformdirs.user_cache_path("danas-deploy") / "emulator"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o700)
        if folder.stat().st_uid != os.getuid():
            raise NativeUnavailableError(f"{folder} belongs to somebody else")
    except OSError as error:
        raise NativeUnavailableError(f"no private cache folder: {error}") from error
    return folder
