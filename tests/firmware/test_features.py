"""What calls need of the kernels reaches the compiler, and a call that would lack something does not compile."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import fields, replace
from pathlib import Path

import aot_host
import pytest

from pipeline import resources
from pipeline.estimate.features import EVERYTHING, Features
from pipeline.estimate.planner import plan
from pipeline.firmware import features
from pipeline.firmware.model_sources import ModelSources, model_sources, runtime_files
from pipeline.genotype import Genotype
from pipeline.graph.filling import filled
from pipeline.graph.skeleton import from_genotype

_COMMAND = (str(aot_host.COMPILER), "-std=c++17", "-O1", "-I.")
needs_compiler = pytest.mark.skipif(aot_host.COMPILER is None, reason="g++ is not installed")


@pytest.fixture(scope="module")
def made() -> ModelSources:
    return _sources()


def _sources() -> ModelSources:
    graph = filled(from_genotype(Genotype.parse("64-rgb-d11000-a01"), 2), seed=2)
    return model_sources(graph, plan(graph))


def test_the_header_says_what_is_needed() -> None:
    text = features.header(Features(relu=0b11000, depthwise_pairs=0b10, depthwise_relu=1))
    numbers = re.findall(r"\b(?:\d+|true|false)(?=,|})", text[text.index("kBlockFeatures = {") :])
    assert numbers[:5] == ["24", "0", "0", "false", "false"]
    assert numbers[5:] == ["0", "2", "true", "false", "false", "false", "false"]


@needs_compiler
@pytest.mark.parametrize("given", [EVERYTHING, None], ids=["everything", "its own"])
def test_a_model_compiles_with_what_it_needs(given: Features | None, made: ModelSources, tmp_path: Path) -> None:
    assert _compiles(made, made.features if given is None else given, tmp_path) == ""


@needs_compiler
@pytest.mark.parametrize("name", ["relu", "linear", "spread", "depthwise_pairs", "depthwise_relu"])
def test_a_call_that_would_lack_something_does_not_compile(name: str, made: ModelSources, tmp_path: Path) -> None:
    assert getattr(made.features, name)
    lacking = replace(made.features, **{name: 0})
    assert "model_features.h lacks what this call needs" in _compiles(made, lacking, tmp_path)


@pytest.mark.slow
@needs_compiler
@pytest.mark.parametrize("name", ["", *(each.name for each in fields(Features))])
def test_kernels_compile_with_any_parts(name: str, made: ModelSources, tmp_path: Path) -> None:
    """Without a warning: what is left out leaves nothing that is not used."""
    alone = Features(**{name: getattr(EVERYTHING, name)}) if name else Features()
    _lay_out(made, alone, tmp_path)
    for kernel in ("block", "conv_2d", "depthwise_conv_2d", "separable_conv_2d"):
        command = [*_COMMAND, "-Wall", "-Wextra", "-Wpedantic", "-c", f"{kernel}.cpp", "-o", "made.o"]
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
        assert (done.returncode, done.stderr) == (0, ""), kernel


def _compiles(made: ModelSources, given: Features, folder: Path) -> str:
    """What the compiler complains about."""
    _lay_out(made, given, folder)
    command = [*_COMMAND, "-fsyntax-only", "model.cpp"]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder).stderr


def _lay_out(made: ModelSources, given: Features, folder: Path) -> None:
    for path in (*runtime_files(made.kernels), resources.firmware_templates() / "port" / "port.h"):
        shutil.copy(path, folder)
    (folder / "model_features.h").write_text(features.header(given))
    for name, text in made.files.items():
        (folder / name).write_text(text)
