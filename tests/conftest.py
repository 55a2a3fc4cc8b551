"""What tests of several folders share."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import hypothesis
import pytest
from device_samples import compile_probe

from pipeline import boards
from pipeline.boards import Board

# How long an example takes says how busy the machine is, and nothing about what is tested.
hypothesis.settings.register_profile(
    "danas", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow], parent=hypothesis.settings()
)
hypothesis.settings.load_profile("danas")


@pytest.fixture(scope="session", autouse=True)
def interrupts() -> None:
    """Ctrl-C as in a terminal: a shell starts its background jobs with SIGINT ignored, and that is inherited."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def tables(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Estimates from the package's own tables, whatever the machine's user has calibrated."""
    monkeypatch.setenv("DANAS_TABLES", str(tmp_path_factory.getbasetemp() / "no-tables"))


@pytest.fixture(autouse=True)
def machines_lab(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """No lab but the test's own, and locks that nobody else takes, whatever the machine's users have."""
    base = tmp_path_factory.getbasetemp()
    monkeypatch.delenv("DANAS_LAB", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(base / "no-configuration"))
    monkeypatch.setenv("DANAS_LOCKS", str(base / "locks"))


@pytest.fixture(scope="session")
def board() -> Board:
    """The Nucleo-F746ZG."""
    return boards.load("nucleo_f746zg")


@pytest.fixture(scope="session")
def probe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``probe.c``, compiled."""
    return compile_probe(tmp_path_factory.mktemp("probe"))


@pytest.fixture(scope="session")
def batch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``probe.c`` that works without input and halts."""
    return compile_probe(tmp_path_factory.mktemp("batch"), "BATCH=3000")


@pytest.fixture
def openocd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a fake OpenOCD that is first on PATH."""
    place = tmp_path / "fake"
    (place / "bin").mkdir(parents=True)
    script = place / "bin" / "openocd"
    source = Path(__file__).parent / "device" / "fake_openocd.py"
    script.write_text(f'#!/bin/sh\nexec "{sys.executable}" -S "{source}" "$@"\n')
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{script.parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("FAKE_OPENOCD", str(place))
    return place
