"""Captured output: whatever writes, and wherever Python's own streams point."""

import io
import os
import sys

import pytest

from pipeline.search.backend import captured


def test_descriptors_and_python_streams_are_captured(capfd: pytest.CaptureFixture[str]) -> None:
    with captured() as noise:
        os.write(1, b"native out\n")
        os.write(2, b"native err\n")
        print("python out")  # noqa: T201
        sys.stderr.write("python err\n")
    assert capfd.readouterr() == ("", "")
    assert sorted(noise.text.split("\n")) == ["", "native err", "native out", "python err", "python out"]


def test_replaced_streams_are_captured_and_given_back(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stdout", stream)
    with pytest.raises(KeyboardInterrupt), captured() as noise:
        print("noise")  # noqa: T201
        raise KeyboardInterrupt
    assert sys.stdout is stream
    assert stream.getvalue() == ""
    assert noise.text == "noise\n"
