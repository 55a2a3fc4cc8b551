"""What becomes of a supernet's subnets: as scored, after final training, as int8, and as int8 after training for it.

    python benchmarks/winners.py [--data sample] [--evaluations 12] [--count 6] [--only 32-mono] [--markdown]

A search of the quick preset finds candidates; ``--count`` of them, evenly from the best to the last, are finished, or
those that ``--genotypes A,B,C`` names, from the same supernets. Training for int8 is made for every one of them, also
where the conversion alone loses nothing. Accuracies are on the validation split, on which the search has chosen. A
folder that is named keeps what is done, and the next call goes on from there.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

from sheets import Sheet, Verdict, markdown, terminal

from pipeline import boards, search
from pipeline.datasets import open_source
from pipeline.estimate.model import Limits
from pipeline.genotype import DataConfig, Genotype
from pipeline.quantize import QUICK, TOLERANCE, Doing, Quantized, quantize

#: Every network loses less than this, and is trained for int8 all the same.
_ALWAYS = -1.0
_T = TypeVar("_T")


def main() -> None:
    """Search, finish, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="sample")
    parser.add_argument("--board", default="nucleo_f746zg")
    parser.add_argument("--evaluations", type=int, default=12)
    parser.add_argument("--count", type=int, default=6)
    parser.add_argument("--genotypes", help="separated by commas; from the search's supernets")
    parser.add_argument("--only", help="data configurations that are searched, separated by commas: 32-mono,64-rgb")
    parser.add_argument("--supernet-steps", type=int, help="in place of the preset's")
    parser.add_argument("--epochs", type=int, default=QUICK.final_epochs)
    parser.add_argument("--qat-epochs", type=int, default=QUICK.qat_epochs)
    parser.add_argument("--rate", type=float, default=QUICK.rate)
    parser.add_argument("--decay", type=float, default=QUICK.decay)
    parser.add_argument("--smoothing", type=float, default=QUICK.smoothing)
    parser.add_argument("--distillation", type=float, default=QUICK.distillation)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--out", default="finalists", help="folder within the folder, for other settings")
    parser.add_argument("--markdown", action="store_true")
    options = parser.parse_args()
    folder = options.folder or Path(tempfile.mkdtemp(prefix="winners-"))
    source = open_source(options.data, seed=options.seed)
    board = boards.load(options.board)
    limits = Limits(ram_bytes=board.ram_bytes, flash_bytes=board.flash_bytes)
    config = search.quick(limits, evaluations=options.evaluations, seed=options.seed)
    if options.only:
        datas = tuple(DataConfig.parse(text) for text in options.only.split(","))
        config = dataclasses.replace(config, space=dataclasses.replace(config.space, data=datas))
    if options.supernet_steps:
        training = dataclasses.replace(config.training, steps=options.supernet_steps)
        config = dataclasses.replace(config, training=training)
    found = search.run(
        config,
        source,
        folder=folder,
        estimate=search.analytic(board, len(source.class_names)),
        progress=lambda moment: _say(f"search: {moment.evaluations} evaluated, {moment.subject} {moment.step or ''}"),
    )
    settings = dataclasses.replace(
        QUICK,
        final_epochs=options.epochs,
        qat_epochs=options.qat_epochs,
        rate=options.rate,
        decay=options.decay,
        smoothing=options.smoothing,
        distillation=options.distillation,
        tolerance=_ALWAYS,
    )
    scores = {candidate.genotype: candidate.scores.accuracy for candidate in found.candidates}
    if options.genotypes:
        chosen = [Genotype.parse(text) for text in options.genotypes.split(",")]
    else:
        chosen = evenly([candidate.genotype for candidate in found.candidates], options.count)
    finished = []
    for genotype in chosen:
        began = time.monotonic()
        finished.append(
            quantize(
                genotype,
                source,
                search_folder=folder,
                out=folder / options.out,
                seed=options.seed,
                settings=settings,
                report=lambda at, subject=genotype.id: _say(f"{subject}: {_doing(at)}"),  # type: ignore[misc]
            )
        )
        one = finished[-1]
        figures = (one.inherited_accuracy, one.trained_accuracy, one.ptq_accuracy, one.qat_accuracy)
        _say(f"{genotype.id}: {' '.join(map(_percent, figures))}, {time.monotonic() - began:.0f} s\n")
    sheet = table(finished, scores, f"Winners on {options.data}, final training of {options.epochs} epochs")
    print(markdown(sheet) if options.markdown else terminal(sheet))


def evenly(found: Sequence[_T], count: int) -> list[_T]:
    """So many of a sequence, evenly from the first to the last.

    >>> evenly("abcdefg", 3)
    ['a', 'd', 'g']
    """
    if len(found) <= count:
        return list(found)
    return [found[round(number * (len(found) - 1) / max(1, count - 1))] for number in range(count)]


def table(finished: Sequence[Quantized], scores: dict[Genotype, float], title: str) -> Sheet:
    """A row a network, and the means; int8 is held to half a point below float."""
    heads = ("network", "supernet", "inherited", "trained", "PTQ", "QAT", "int8", "int8 - float", "bar", "seconds")
    rows: list[tuple[str | Verdict, ...]] = []
    for one in finished:
        lost = one.float_accuracy - one.int8_accuracy
        rows.append(
            (
                one.genotype.id,
                _percent(scores.get(one.genotype)),
                _percent(one.inherited_accuracy),
                _percent(one.trained_accuracy),
                _percent(one.ptq_accuracy),
                _percent(one.qat_accuracy),
                _percent(one.int8_accuracy),
                f"{-100 * lost:+.2f}",
                Verdict("≥ -0.50", lost <= TOLERANCE + 1e-9),
                f"{sum(one.seconds.values()):.0f}",
            )
        )
    count = max(1, len(finished))
    means = [
        [one.inherited_accuracy for one in finished],
        [one.trained_accuracy for one in finished],
        [one.ptq_accuracy for one in finished],
        [one.qat_accuracy or 0.0 for one in finished],
        [one.int8_accuracy for one in finished],
    ]
    lost = sum(one.float_accuracy - one.int8_accuracy for one in finished) / count
    known = [scores[one.genotype] for one in finished if one.genotype in scores]
    rows.append(
        (
            "mean",
            _percent(sum(known) / len(known) if known else None),
            *(_percent(sum(values) / count) for values in means),
            f"{-100 * lost:+.2f}",
            Verdict("≥ -0.50", lost <= TOLERANCE + 1e-9),
            f"{sum(sum(one.seconds.values()) for one in finished):.0f}",
        )
    )
    return Sheet(title, heads, tuple(rows))


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{share:.2%}"


def _doing(at: Doing) -> str:
    return f"{at.phase} {at.step}/{at.steps}" if at.steps else at.phase


def _say(text: str) -> None:
    if sys.stderr.isatty() or text.endswith("\n"):
        print(f"\r{text:<70}", end="", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
