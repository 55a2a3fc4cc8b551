"""The pytest plugin, in pytests of its own."""

from __future__ import annotations

import shutil

import graph_samples
import pytest

pytest_plugins = ["pytester"]

_TESTS = """
import pytest

@pytest.mark.hil
def test_physical(device): pass

@pytest.mark.emulated
def test_emulated(device, board):
    assert board.name == device.board

def test_any(board): pass

def test_none(): pass
"""


@pytest.fixture
def suite(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """A user's tests; the plugin is named, wherever the package is installed or not."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    pytester.makepyfile(_TESTS)
    pytester.makeini("[pytest]\naddopts = -p pipeline.pytest_plugin --strict-markers -rs\n")
    return pytester


def test_without_a_device_its_tests_are_skipped(suite: pytest.Pytester) -> None:
    result = suite.runpytest_inprocess()
    result.assert_outcomes(passed=1, skipped=3)
    result.stdout.fnmatch_lines(["*no device is named: --danas-devices*"])


def test_each_test_runs_once_a_device_that_suits_it(suite: pytest.Pytester) -> None:
    result = suite.runpytest_inprocess("--danas-devices", "emulated:nucleo_f746zg,emulated:nucleo_l4r5zi", "-v")
    result.assert_outcomes(passed=2 + 2 + 1, skipped=2)
    result.stdout.fnmatch_lines(["*test_any*emulated:nucleo_f746zg* PASSED*", "*this test is for physical devices*"])


def test_devices_may_stand_in_the_configuration(suite: pytest.Pytester) -> None:
    with (suite.path / "tox.ini").open("a") as file:
        file.write("\ndanas_devices = emulated:nucleo_f746zg\n")
    suite.runpytest_inprocess().assert_outcomes(passed=3, skipped=1)


def test_a_wrong_device_is_a_usage_error(suite: pytest.Pytester) -> None:
    result = suite.runpytest_inprocess("--danas-devices", "emulated:nowhere")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*unknown-board*"])


def test_a_fixture_of_the_user_takes_the_place_of_ours(suite: pytest.Pytester) -> None:
    suite.makeconftest("import pytest\n@pytest.fixture\ndef board(): return 'mine'\n")
    suite.makepyfile("def test_mine(board): assert board == 'mine'\n")
    suite.runpytest_inprocess("-k", "mine").assert_outcomes(passed=1, deselected=0)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("arm-none-eabi-gcc") is None, reason="needs arm-none-eabi-gcc")
def test_a_model_is_deployed_once_and_asked(suite: pytest.Pytester) -> None:
    (suite.path / "model.tflite").write_bytes(graph_samples.content())
    suite.makepyfile(
        """
        from pathlib import Path
        import numpy as np
        from pipeline.graph.inputs import random_inputs

        MODEL = Path("model.tflite").resolve()

        def test_outputs(deployment):
            running = deployment(MODEL)
            inputs = random_inputs(running.graph.input, 3, 0)
            assert np.array_equal(running.run(inputs), running.reference(inputs))

        def test_again(deployment):
            running = deployment(MODEL)
            assert deployment(MODEL) is running
            assert running.run(random_inputs(running.graph.input, 0, 0)).shape[0] == 0
            assert running.measure(random_inputs(running.graph.input, 1, 0)).target == "emulated"
        """
    )
    suite.runpytest_inprocess("--danas-devices", "emulated:nucleo_f746zg").assert_outcomes(passed=2)
