"""One process at a time does what several would otherwise do twice."""

from __future__ import annotations

import fcntl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.files import disk_problem

_POLL = 0.2


@contextmanager
def alone(path: Path, *, keep_going: Callable[[], bool]) -> Iterator[bool]:
    """Hold a lock file in the block; the system lets go of it when the process ends, however it ends.

    Args:
        path: The lock file; it stays there, empty.
        keep_going: Asked while another process holds it; False ends the waiting.

    Yields:
        Whether it is held.

    Raises:
        EnvironmentProblem: ``disk-full`` or ``not-writable``.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("ab")
    except OSError as error:
        raise disk_problem(error, path) from error
    with file:
        held = _take(file.fileno())
        while not held and keep_going():
            time.sleep(_POLL)
            held = _take(file.fileno())
        yield held


def _take(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
