"""A pytest plugin: a user's own tests on the devices of their lab, or on emulated boards.

::

    @pytest.mark.emulated
    def test_my_model(deployment):
        running = deployment(Path("model.tflite"))
        assert (running.run(inputs) == running.reference(inputs)).all()

    pytest --danas-devices emulated:nucleo_f746zg,rack-3

A test that asks for ``device``, ``board`` or ``deployment`` is run once a device. Of danas-deploy nothing but this file
is imported before one is named. A fixture of the same name in a conftest.py takes the place of ours, as usual.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pipeline.boards import Board
    from pipeline.job.deployment import Deployments
    from pipeline.job.verifying import Wanted

_OPTION = "danas_devices"
_MARKS = {
    "hil": "is for physical devices",
    "emulated": "is for emulated boards",
}


def pytest_addoption(parser: pytest.Parser) -> None:
    """``--danas-devices``, and the same in the configuration file."""
    text = "devices for danas-deploy's fixtures, with commas: names in the lab file, emulated:BOARD, or all"
    parser.getgroup("danas-deploy").addoption("--danas-devices", metavar="WHICH", dest=_OPTION, help=text)
    parser.addini(_OPTION, text)


def pytest_configure(config: pytest.Config) -> None:
    """Make the marks known, and a fixture ``device`` that is each of the devices named."""
    for name, text in _MARKS.items():
        config.addinivalue_line("markers", f"{name}: {text}")
    named = config.getoption(_OPTION) or config.getini(_OPTION)
    found: tuple[Wanted, ...] = ()
    if named:
        from pipeline.errors import DanasError
        from pipeline.job import verifying

        try:
            found = verifying.chosen(str(named))
        except DanasError as error:
            raise pytest.UsageError(f"--danas-devices: {error}") from error
    config.pluginmanager.register(_devices(found), "danas-devices")


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a test whose mark does not suit its device."""
    kinds = {mark.name for mark in item.iter_markers()} & _MARKS.keys()
    specification = getattr(item, "callspec", None)
    found: Wanted | None = specification.params.get("device") if specification is not None else None
    if kinds and found is not None and ("emulated" if found.target == "emulated" else "hil") not in kinds:
        pytest.skip(f"{found.name}: this test {' or '.join(_MARKS[name] for name in sorted(kinds))}")


def _devices(found: tuple[Wanted, ...]) -> object:
    """A plugin with the fixtures, since a fixture's parameters are known when it is defined."""

    class Devices:
        @pytest.fixture(scope="session", params=found or (None,), ids=[one.name for one in found] or ("no-device",))
        def device(self, request: pytest.FixtureRequest) -> Wanted:
            """The device: its name, its board, how it is chosen."""
            if request.param is None:
                pytest.skip("no device is named: --danas-devices")
            chosen: Wanted = request.param
            return chosen

        @pytest.fixture(scope="session")
        def board(self, device: Wanted) -> Board:
            """The type of the device: memory, core and all that its file says."""
            from pipeline import boards

            return boards.load(device.board)

        @pytest.fixture(scope="session")
        def deployment(self, device: Wanted, board: Board) -> Iterator[Deployments]:
            """Puts a model onto the device, ``deployment(Path("model.tflite"))``; lets go of it at the end."""
            from pipeline.job.deployment import Deployments

            with Deployments(device.where, board) as made:
                yield made

    return Devices()
