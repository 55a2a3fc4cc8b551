"""A device in this process that speaks the firmware's side of ``docs/protocol.md``, faults on request.

Tests of everything that talks to a device run over it, ours and those of programs that use this package.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field

from pipeline.device.checked import reply_sum
from pipeline.device.deadline import Clock, ManualClock
from pipeline.device.frames import ACK, ENQ, PIECE, Receiver
from pipeline.device.replies import Identity, Memory

_COMMAND_LIMIT = 80
_TAGGED = re.compile(r"#(?!0{8})([0-9a-fA-F]{8}) +")
_TRANSFER_S = 2.0
_GAP_S = 0.1  # within a frame
_ASK_AGAIN_S = 0.5  # for a row


@dataclass
class Misbehaviour:
    """What goes wrong; nothing by default.

    Attributes:
        silent: The device never answers.
        deaf_for: Commands that it does not answer before it wakes up.
        prefix: Bytes that stand before its first answer.
        replace: Command to the whole reply, with the ``m-ready`` in it; of a checked command each part of it gets its
            checksum.
        crash_on: Command on which it reports a fault and halts.
        unplug_on: Command on which the cable is pulled.
        lose_acks: Numbers of acknowledgements, counted from 0 over a transfer, that never arrive.
        lose_requests: The same of requests for a row.
        damage: Changes what the host sent, before the device sees it, within a transfer.
        flip_input: The loaded input differs from what was sent, unseen by the frames' CRC.
    """

    silent: bool = False
    deaf_for: int = 0
    prefix: bytes = b""
    replace: dict[str, bytes] = field(default_factory=dict)
    crash_on: str | None = None
    unplug_on: str | None = None
    lose_acks: frozenset[int] = frozenset()
    lose_requests: frozenset[int] = frozenset()
    damage: Callable[[bytes], bytes] | None = None
    flip_input: bool = False


def fake_identity(**changes: object) -> Identity:
    """The identity of a small program on a Nucleo-F746ZG."""
    values: dict[str, object] = {
        "protocol": 2,
        "board": "nucleo_f746zg",
        "build": "0123456789abcdef",
        "model": "ab" * 32,
        "runtime": "aot",
        "clock_hz": 216_000_000,
        "input_bytes": 3000,
        "output_bytes": 2,
    }
    return Identity(**(values | changes))  # type: ignore[arg-type]


class FakeDevice:
    """Call it with what the host sends; it gives what the device answers.

    Args:
        identity: Who it is.
        model: Output bytes of input bytes.
        cycles: Of an inference on these bytes.
        clock: Time, for the transfer's time-out.
        misbehaviour: What goes wrong.
    """

    def __init__(
        self,
        identity: Identity | None = None,
        *,
        model: Callable[[bytes], bytes] | None = None,
        cycles: Callable[[bytes], int] = lambda _: 123456,
        clock: Clock | None = None,
        misbehaviour: Misbehaviour | None = None,
    ) -> None:
        self.identity = identity or fake_identity()
        self.clock = clock or ManualClock()
        self.wrong = misbehaviour or Misbehaviour()
        self.commands: list[str] = []
        self._model = model or (lambda data: (sum(data) % 65536).to_bytes(2, "little"))
        self._cycles = cycles
        self._start()

    def _start(self) -> None:
        self._command = bytearray()
        self._line = b""
        self._tag = 0
        self._first_tag = 0
        self._receiver: Receiver | None = None
        self._heard = 0.0
        self._acks = 0
        self._requests = 0
        self._asked = 0
        self._hex_expected = 0
        self._hex = bytearray()
        self._input = b""
        self._fresh = False
        self._output = bytes(self.identity.output_bytes)
        self._halted = False
        self._ran = False
        self._said = b""

    def restart(self) -> None:
        """Reset: what was loaded and computed is lost, and the banner is said."""
        self._start()
        self._said = b"m-timestamp-mode-performance\r\nm-lap-us-19\r\nm-init-done\r\nm-ready\r\n"

    def __call__(self, data: bytes) -> bytes:
        """Bytes from the host in, bytes to the host out."""
        if self._halted or self.wrong.silent:
            return b""
        answers = bytearray(self._said)
        self._said = b""
        if self._receiver is not None and not data:
            return self._silence(self._receiver, self.clock() - self._heard)
        if data:
            self._heard = self.clock()
        if self._receiver is not None:
            answers += self._transfer(self._receiver, self.wrong.damage(data) if self.wrong.damage else data)
        else:
            for byte in data:
                answers += self._byte(byte)
        if answers and self.wrong.prefix:
            answers[:0] = self.wrong.prefix
            self.wrong.prefix = b""
        return bytes(answers)

    def _byte(self, byte: int) -> bytes:
        if byte == ord("#"):
            self._command.clear()
        if byte != ord("%"):
            if byte not in b"\r\n":
                self._command.append(byte if 0x20 <= byte <= 0x7E else ord("?"))
            return b""
        self._line = bytes(self._command)
        self._command.clear()
        return self._execute()

    def _execute(self) -> bytes:
        self._tag = 0
        text = self._line.decode("ascii")
        if len(text) > _COMMAND_LIMIT:
            return self._reply(["e-[command too long]"])
        if text.startswith("#") and self.identity.protocol > 1:
            tagged = _TAGGED.match(text)
            if tagged is None:
                return self._reply(["e-[no tag]"])
            self._tag = int(tagged[1], 16)
            self._first_tag = self._first_tag or self._tag
            text = text[tagged.end() :]
        self.commands.append(text)
        if self.wrong.deaf_for > 0:
            self.wrong.deaf_for -= 1
            return b""
        return self._misbehave(text.split(" ")[0]) or self._obey(text)

    def _misbehave(self, word: str) -> bytes:
        if word == self.wrong.unplug_on:
            raise ConnectionError("unplugged")
        if word == self.wrong.crash_on:
            self._halted = True
            return b"e-[fault hard pc=0x080012a4 lr=0x08000f01 cfsr=0x00008200 addr=0x20050000]\r\n"
        return self._replaced(self.wrong.replace.get(word, b""))

    def _obey(self, text: str) -> bytes:
        answer = self._reply(self._answer(text))
        return answer + self._request() if self._receiver is not None and self._receiver.row else answer

    def _reply(self, lines: list[str]) -> bytes:
        """Lines with what ends a reply."""
        return self._replaced("".join(line + "\r\n" for line in [*lines, "m-ready"]).encode("ascii"))

    def _replaced(self, reply: bytes) -> bytes:
        if not self._tag:
            return reply
        made = bytearray()
        *parts, rest = reply.split(b"m-ready\r\n")
        for part in parts:
            lines = part.decode("latin-1").split("\r\n")[:-1]
            try:
                sum_ = reply_sum(self._line, lines, self._tag, self._first_tag)
            except UnicodeEncodeError:  # what cannot be said at all has no right checksum
                sum_ = 0
            made += part + f"m-check-[{self._tag:08x} {self._first_tag:08x} {sum_:08x}]\r\nm-ready\r\n".encode()
        return bytes(made) + rest

    def _answer(self, text: str) -> list[str]:  # noqa: PLR0911, PLR0912 - one case a command
        me = self.identity
        if me.input_rows and text.split(" ", maxsplit=1)[0] in ("load", "db", "infer", "run"):
            return [f"e-[the input is streamed: stream {me.input_bytes}]"]
        match text.split(" "):
            case ["name"]:
                return ["m-name-dut-[danas-deploy]"]
            case ["timestamp"]:
                return [f"m-lap-us-{int(self.clock() * 1e6)}"]
            case ["id"]:
                return [
                    f"m-id-[protocol={me.protocol} board={me.board} build={me.build} model={me.model}"
                    f" runtime={me.runtime} clock={me.clock_hz} input={me.input_bytes} output={me.output_bytes}"
                    + (f" rows={me.input_rows}]" if me.input_rows else "]")
                ]
            case ["memory"]:
                memory = self.memory()
                return [
                    f"m-memory-[arena={memory.arena_bytes} used={memory.arena_used} static={memory.static_bytes}"
                    f" stack_reserve={memory.stack_reserve} stack_used={memory.stack_used}]"
                ]
            case ["load", count]:
                if count != str(me.input_bytes):
                    return [f"e-[input takes {me.input_bytes} bytes]"]
                self._receiver = Receiver(me.input_bytes)
                self._heard = self.clock()
                self._acks = 0
                return [f"m-load-[piece={PIECE}]"]
            case ["stream", count]:
                if not me.input_rows:
                    return [f"e-[the input is not streamed: load {me.input_bytes}]"]
                if count != str(me.input_bytes):
                    return [f"e-[input takes {me.input_bytes} bytes]"]
                row = me.input_bytes // me.input_rows
                self._receiver = Receiver(me.input_bytes, row)
                self._heard = self.clock()
                self._acks = self._requests = 0
                return [f"m-stream-[rows={me.input_rows} bytes={row}]"]
            case ["db", "load", count]:
                if count != str(me.input_bytes):
                    return [f"e-[input takes {me.input_bytes} bytes]"]
                self._hex_expected, self._hex = me.input_bytes, bytearray()
                return [f"m-[Expecting {me.input_bytes} bytes]"]
            case ["db", "print"]:
                return self._lines("m-input", self._input)
            case ["db", digits]:
                return self._take_hex(digits)
            case ["run"]:
                return self._infer() or [f"m-run-[cycles={self._cycles(self._input)}]"]
            case ["infer", count, warmups]:
                return self._infer() or [
                    f"m-warmup-start-{warmups}",
                    "m-warmup-done",
                    f"m-infer-start-{count}",
                    "m-lap-us-1000",
                    "m-lap-us-2000",
                    "m-infer-done",
                    self._results(),
                ]
            case ["results"]:
                return [self._results()]
            case ["crc"]:
                return [f"m-crc-[input={zlib.crc32(self._input):08x} output={zlib.crc32(self._output):08x}]"]
            case ["output"]:
                return self._lines("m-output", self._output)
            case ["ops"]:
                return ["m-op-[0 CONV_2D 100000]", "m-op-[1 SOFTMAX 2345]"]
            case _:
                return ["e-[unknown command]"]

    def memory(self) -> Memory:
        """What it answers to ``memory``."""
        return Memory(65_536, 60_000 if self._ran else 0, 4_096, 2_048, 900 if self._ran else 400)

    def _infer(self) -> list[str]:
        if not self._fresh:
            return ["e-[no input]"]
        self._fresh = False
        self._ran = True
        self._output = self._model(self._input)
        return []

    def _results(self) -> str:
        return "m-results-[" + ",".join(f"{byte / 256:.3f}" for byte in self._output) + "]"

    @staticmethod
    def _lines(prefix: str, data: bytes) -> list[str]:
        return [f"{prefix}-[{data[at : at + 32].hex()}]" for at in range(0, len(data), 32)]

    def _take_hex(self, digits: str) -> list[str]:
        try:
            self._hex += bytes.fromhex(digits)
        except ValueError:
            return ["e-[not hexadecimal]"]
        if len(self._hex) > self._hex_expected:
            return ["e-[too many bytes]"]
        if len(self._hex) < self._hex_expected:
            return []
        self._loaded(bytes(self._hex))
        return ["m-load-done"]

    def _request(self) -> bytes:
        """Ask for the next row."""
        lost = self._requests in self.wrong.lose_requests
        self._requests += 1
        self._asked = 1
        return b"" if lost else bytes([ENQ])

    def _silence(self, receiver: Receiver, seconds: float) -> bytes:
        """Within a transfer nothing has been heard for so long."""
        asking = receiver.row is not None and receiver.between
        if seconds >= _TRANSFER_S:
            self._receiver = None
            return self._reply(["e-[input timed out]" if receiver.row else "e-[load timed out]"])
        if receiver.rest and seconds >= _GAP_S:
            return receiver.silence()
        if asking and seconds >= self._asked * _ASK_AGAIN_S:
            self._asked += 1
            return bytes([ENQ])
        return b""

    def _transfer(self, receiver: Receiver, data: bytes) -> bytes:
        answers = bytearray()
        self._asked = 1
        rows = receiver.rows
        for answer in receiver.feed(data):
            lost = answer == ACK and self._acks in self.wrong.lose_acks
            self._acks += answer == ACK
            if not lost:
                answers.append(answer)
        if receiver.row and rows < receiver.rows < self.identity.input_rows:
            answers += self._request()
        if receiver.complete:
            self._receiver = None
            self._loaded(bytes(receiver.data))
            if receiver.row:
                self._infer()
                answers += self._reply([f"m-run-[cycles={self._cycles(self._input)}]"])
            else:
                answers += self._reply(["m-load-done"])
            for byte in receiver.rest:
                answers += self._byte(byte)
        return bytes(answers)

    def _loaded(self, data: bytes) -> None:
        self._input = bytes([data[0] ^ 1]) + data[1:] if self.wrong.flip_input else data
        self._fresh = True
