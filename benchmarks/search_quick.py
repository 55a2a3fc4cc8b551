"""How long the quick preset takes, phase by phase, and what its three finalists reach: the demo without a device.

    python benchmarks/search_quick.py [--data sample] [--evaluations 24] [--seed 0] [--supernet KIND] [--steps N]
                                      [--fine-tuning N] [--folder FOLDER]

Wall-clock and processor seconds; on a machine that does other work the latter, halved, say what two free cores take.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

from pipeline import boards, search
from pipeline.datasets import open_source
from pipeline.datasets.guard import Guarded, MemoryJournal
from pipeline.estimate.model import Limits
from pipeline.files import file_sha256
from pipeline.quantize import evaluate, quantize
from pipeline.search import training
from pipeline.search.backend import tensorflow


class Clock:
    """Seconds by phase; each moment belongs to the phase that was named last."""

    def __init__(self) -> None:
        self.wall: Counter[str] = Counter()
        self.processor: Counter[str] = Counter()
        self._phase = "start"
        self._since = (time.monotonic(), time.process_time())

    def enter(self, phase: str) -> None:
        """From now on it is this phase."""
        now = (time.monotonic(), time.process_time())
        self.wall[self._phase] += now[0] - self._since[0]  # type: ignore[assignment]
        self.processor[self._phase] += now[1] - self._since[1]  # type: ignore[assignment]
        self._phase, self._since = phase, now


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", default="sample")
    parser.add_argument("--evaluations", type=int, default=24)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--supernet", choices=training.SHARINGS, default="shared")
    parser.add_argument("--steps", type=int, help="of each supernet's training")
    parser.add_argument("--fine-tuning", type=int, help="steps of a candidate before it is scored")
    parser.add_argument("--folder", type=Path)
    options = parser.parse_args()
    folder = options.folder or Path(tempfile.mkdtemp(prefix="search-quick-"))
    clock = Clock()
    tensorflow()
    clock.enter("images")
    source = Guarded(open_source(options.data, seed=options.seed), MemoryJournal())
    board = boards.load("nucleo_f746zg")
    limits = Limits(ram_bytes=board.ram_bytes, flash_bytes=board.flash_bytes)
    config = search.quick(limits, sharing=options.supernet, evaluations=options.evaluations, seed=options.seed)
    steps = options.steps or config.training.steps
    tuning = config.scoring.fine_tuning_steps if options.fine_tuning is None else options.fine_tuning
    config = replace(
        config,
        training=replace(config.training, steps=steps),
        scoring=replace(config.scoring, fine_tuning_steps=tuning),
    )
    clock.enter("estimates and proposals")

    def progress(moment: search.Progress) -> None:
        if moment.phase is search.Phase.CANDIDATE:
            clock.enter("candidates")
        elif moment.phase is search.Phase.SUPERNET:
            clock.enter("supernets")
            if moment.step == moment.steps:
                accuracy = moment.accuracy or 0.0
                print(f"supernet {moment.subject:8} {moment.elapsed:6.1f} s, largest on its last batch {accuracy:.3f}")
                clock.enter("candidates")

    found = search.run(
        config,
        source,
        folder=folder,
        estimate=search.analytic(board, len(source.class_names)),
        progress=progress,
    )
    for candidate in found.candidates:
        print(
            f"{candidate.proposal:3} {candidate.genotype.id:24} validation {candidate.scores.accuracy:.4f} "
            f"fitness {candidate.fitness:.4f} {candidate.estimate.macs / 1e6:5.2f} M MAC "
            f"RAM {candidate.estimate.ram_bytes:7,} flash {candidate.estimate.flash_bytes:9,}"
        )
    clock.enter("finalists")
    finished = []
    for candidate in found.finalists():
        one = quantize(candidate.genotype, source, search_folder=folder, out=folder / "finalists", seed=options.seed)
        finished.append((-one.int8_accuracy, candidate.estimate.ram_bytes, one))
        print(
            f"{one.genotype.id:24} float {one.float_accuracy:.4f} int8 {one.int8_accuracy:.4f} {one.tflite_bytes:,} B"
        )
    winner = min(finished, key=lambda entry: entry[:2])[2]
    clock.enter("test")
    if source.has_test:
        seen = {winner.genotype.id: file_sha256(winner.path)}
        view = source.look(winner.genotype.data, models=seen, purpose="accuracy of the winner")
        accuracy = evaluate(winner.path, view)
        print(f"winner {winner.genotype.id}: int8 test accuracy {accuracy:.4f}")
    clock.enter("end")
    for phase, seconds in clock.wall.items():
        print(f"{phase:24} {seconds:7.1f} s wall {clock.processor[phase]:7.1f} s processor")
    total = sum(clock.wall.values()), sum(clock.processor.values())
    print(f"{'all':24} {total[0]:7.1f} s wall {total[1]:7.1f} s processor; {found.evaluations} evaluations")


if __name__ == "__main__":
    main()
