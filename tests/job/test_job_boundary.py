"""The limits bind to the byte: one byte less than a network needs and it is rejected, not one and it runs.

What a network needs is the least RAM that any plan of it takes: with less room the planner looks for a smaller one.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

import pytest
from search_toy import ToySource, config

from pipeline import search
from pipeline.__main__ import run
from pipeline.boards import Board
from pipeline.errors import DoesNotFitError
from pipeline.estimate.model import Estimate, Limits
from pipeline.estimate.regions import of_estimate
from pipeline.genotype import Genotype
from pipeline.graph.filling import filled_bytes
from pipeline.graph.skeleton import from_genotype
from pipeline.job.context import Context
from pipeline.job.finding import runtime_estimate
from pipeline.progress import QuietDisplay
from pipeline.runs import Run
from pipeline.search import PaperSpace
from pipeline.search.feasibility import Feasibility, analytic
from pipeline.settings import Kind, Settings, Target

#: Needs a little less than 64 kB; with more room it has a plan of more than that, and fewer instructions.
GENOTYPE = Genotype.parse("128-rgb-d00000-a03")
#: The smallest of these need less than 64 kB however they are planned, the largest more.
AROUND = tuple(
    Genotype.parse(f"{data}-d{depths}-a{alpha}")
    for data in ("96-rgb", "128-mono", "128-rgb", "160-mono")
    for depths in ("00000", "21000")
    for alpha in ("01", "05")
)
CLASSES = 2
LIMIT = 64 * 1024


def _demand(genotype: Genotype, board: Board, ram: int | None, flash: int | None = None) -> tuple[Estimate, Limits]:
    """What a search with ``--ram`` and ``--flash`` estimates, and the limits that it holds it to."""
    settings = Settings(kind=Kind.SEARCH, board=board.name, target=Target(emulate=True), ram=ram, flash=flash)
    with tempfile.TemporaryDirectory() as folder:
        context = Context(Run.create(settings, Path(folder) / "run"), QuietDisplay())
        return analytic(board, CLASSES, of=runtime_estimate(context))(genotype), context.limits


def _needs(genotype: Genotype, board: Board) -> int:
    """The least limit on RAM that a genotype is within: where there is no room at all, its plan is the smallest."""
    return _demand(genotype, board, 1)[0].ram_bytes


def _deploy(
    capsys: pytest.CaptureFixture[str], model: Path, folder: Path, *options: object
) -> tuple[int, dict[str, Any]]:
    capsys.readouterr()
    arguments = ["deploy", model, "--board", "nucleo_f746zg", "--emulate", "--images", 1, "--run", folder, *options]
    code = run([*map(str, arguments), "-q", "--json"])
    printed: dict[str, Any] = json.loads(capsys.readouterr().out)
    return code, printed


def test_one_byte_decides_what_a_search_admits(board: Board) -> None:
    needs = {genotype: _needs(genotype, board) for genotype in AROUND}
    assert min(needs.values()) < LIMIT < max(needs.values())
    for genotype, needed in needs.items():
        for ram in (needed - 1, needed, LIMIT):
            figures, limits = _demand(genotype, board, ram)
            assert limits.ram_bytes == ram
            assert limits.admits(figures) == (needed <= ram), genotype.id


def test_what_the_linker_sets_aside_for_the_stack_counts_where_the_board_ends(board: Board) -> None:
    """A program that would not link is not trained either."""
    figures, _ = _demand(GENOTYPE, board, 1)
    reserved = figures.linked_bytes
    assert reserved > figures.ram_bytes + 1000
    for ram, fits in ((reserved - 1, False), (reserved, True)):
        region = board.ram[0].model_copy(update={"bytes": ram})
        small = board.model_copy(update={"memory": (region, *board.flash)})
        limits = Settings(kind=Kind.SEARCH, board=board.name).limits(small)
        assert figures.ram_bytes < limits.ram_bytes == ram
        assert limits.admits(figures) == fits == (not of_estimate(small, figures).over)


@pytest.mark.parametrize("which", ["ram", "flash"])
def test_a_search_without_that_byte_ends_before_training(which: str, board: Board, tmp_path: Path) -> None:
    needed = _needs(GENOTYPE, board)
    flash = _demand(GENOTYPE, board, needed)[0].flash_bytes
    space = PaperSpace(data=(GENOTYPE.data,), depths=(GENOTYPE.depths,), alphas=(GENOTYPE.alpha,))
    enough = {"ram": needed, "flash": flash}
    scarce = enough | {which: enough[which] - 1}
    figures, limits = _demand(GENOTYPE, board, **enough)
    assert Feasibility(space, lambda _: figures, limits).of(GENOTYPE.data) == (GENOTYPE,)
    figures, limits = _demand(GENOTYPE, board, **scarce)
    with pytest.raises(DoesNotFitError) as caught:
        search.run(config(space=space, limits=limits), ToySource(), folder=tmp_path, estimate=lambda _: figures)
    assert (caught.value.id, caught.value.exit_code) == ("nothing-feasible", 8)
    assert f"limit {enough[which] - 1:,}" in caught.value.why
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("arm-none-eabi-gcc") is None, reason="needs arm-none-eabi-gcc")
def test_with_its_last_byte_a_network_is_built_flashed_and_passes(
    board: Board, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    needed = _needs(GENOTYPE, board)
    assert LIMIT - 4096 < needed <= LIMIT < _demand(GENOTYPE, board, None)[0].ram_bytes
    flash = _demand(GENOTYPE, board, needed)[0].flash_bytes
    model = tmp_path / "model.tflite"
    model.write_bytes(filled_bytes(from_genotype(GENOTYPE, CLASSES), seed=2))
    # An estimate from shapes has the worst case of all weights; the model is known to the byte.
    code, printed = _deploy(capsys, model, tmp_path / "flash", "--ram", needed, "--flash", 1024)
    assert (code, printed["error"]["id"]) == (8, "does-not-fit")
    exact = json.loads((tmp_path / "flash" / "estimate.json").read_bytes())["flash_bytes"]
    assert exact <= flash
    for number, options in enumerate((("--ram", needed - 1), ("--ram", needed, "--flash", exact - 1))):
        code, printed = _deploy(capsys, model, tmp_path / f"scarce{number}", *options)
        assert (code, printed["error"]["id"]) == (8, "does-not-fit")
        assert "1 B more than the limit" in printed["error"]["what"]
        assert not (tmp_path / f"scarce{number}" / "firmware").exists()
    code, printed = _deploy(capsys, model, tmp_path / "enough", "--ram", needed, "--flash", exact)
    assert code == 0, printed
    report = printed["report"]
    assert report["passed"]
    checks = {check["id"]: check for check in report["verdict"]["checks"]}
    assert checks["ram-limit"]["expected"] == needed and checks["flash-limit"]["expected"] == exact
