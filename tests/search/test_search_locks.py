"""A lock between processes."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.errors import EnvironmentProblem
from pipeline.search.locks import alone

_HOLDER = """
import sys, time
from pathlib import Path
from pipeline.search.locks import alone
with alone(Path(sys.argv[1]), keep_going=lambda: True) as held:
    print(held, flush=True)
    time.sleep(600)
"""


def test_another_process_waits_until_the_holder_ends_however_it_ends(tmp_path: Path) -> None:
    path = tmp_path / "below" / "one.lock"
    holder = subprocess.Popen([sys.executable, "-c", _HOLDER, str(path)], stdout=subprocess.PIPE, text=True)
    asked: list[int] = []

    def patient() -> bool:
        asked.append(1)
        if len(asked) == 2:
            holder.send_signal(signal.SIGKILL)
            holder.wait()
        return True

    assert holder.stdout is not None
    with holder.stdout as lines:
        assert lines.readline() == "True\n"
        with alone(path, keep_going=lambda: False) as held:
            assert not held
        with alone(path, keep_going=patient) as held:
            assert held and len(asked) == 2
    with alone(path, keep_going=lambda: False) as held:
        assert held


def test_a_lock_that_cannot_be_made_is_an_error_of_the_environment(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(EnvironmentProblem), alone(tmp_path / "file" / "one.lock", keep_going=lambda: True):
        pass
