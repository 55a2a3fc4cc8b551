"""What an emulated board can do, whichever engine it runs on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class Fault:
    """Why the program cannot go on."""

    kind: str
    address: int
    pc: int
    lr: int
    sp: int
    function: str


class Machine(Protocol):
    """A board type with a program in its flash.

    Attributes:
        path: ``native`` or ``python`` (Unicorn, with and without the compiled hook), or ``qemu``.
        path_reason: Why not another one; empty where there is nothing to say.
    """

    path: str
    path_reason: str

    def run(self) -> Fault | None:
        """Reset, and run until :meth:`stop` or a fault; the fault, if there is one."""

    def stop(self) -> None:
        """End :meth:`run`, from any thread; call again while it has not returned."""

    @property
    def stopping(self) -> bool:
        """Whether :meth:`stop` was called."""

    def statistics(self) -> dict[str, int | float | str | bool | None]:
        """What was counted so far; the keys are those of ``emulated.Statistics``, None what the engine cannot tell."""
