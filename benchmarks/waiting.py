"""Which share of its time the training of a supernet waits for images: at most 20 %, in the steady state.

    python benchmarks/waiting.py --data folder:PATH [--resolution 96] [--colour rgb] [--batch 64] [--steps 40]
        [--sharing per-config]

Prints how fast the images are decoded and resized (once, into the cache: an empty one, unless --cache names it), what a
batch takes to be made, what a step takes, and the share of waiting over all steps and without the first ones, in which
graphs are traced. Ends with exit code 1 where the latter is over the bar.
"""

from __future__ import annotations

import argparse
import dataclasses
import statistics
import tempfile
import time
from pathlib import Path

from pipeline import boards, search
from pipeline.datasets import Split, open_source
from pipeline.estimate.model import Limits
from pipeline.genotype import Colour, DataConfig
from pipeline.search.batches import Batches
from pipeline.search.feasibility import Feasibility
from pipeline.search.feeding import MOST_WAITING
from pipeline.search.supernets import Supernets
from pipeline.search.training import Step, TrainingSettings

WARM_UP = 10


def main() -> int:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", required=True)
    parser.add_argument("--resolution", type=int, default=96)
    parser.add_argument("--colour", default="rgb", choices=[colour.value for colour in Colour])
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--sharing", default="per-config")
    parser.add_argument("--cache", type=Path)
    options = parser.parse_args()
    data = DataConfig(options.resolution, Colour(options.colour))
    folder = Path(tempfile.mkdtemp(prefix="waiting-"))
    source = open_source(options.data, cache=options.cache or folder / "cache")

    began = time.monotonic()
    view = source.view(Split.TRAIN, data)
    seconds = time.monotonic() - began
    print(
        f"{len(view)} images of {source.name} at {data.id}: {seconds:.2f} s, {len(view) / seconds:,.0f} images a second"
    )

    batches = Batches({data: view.images}, view.labels, len(source.class_names), options.batch, (0,))
    taken = []
    for step in range(20):
        began = time.monotonic()
        batches(step, (data,))
        taken.append(time.monotonic() - began)
    print(f"a batch of {options.batch}: {1000 * statistics.median(taken):.1f} ms (median of {len(taken)})")

    board = boards.load("nucleo_f746zg")
    limits = Limits(ram_bytes=board.ram_bytes, flash_bytes=board.flash_bytes)
    space = search.full(limits).space
    if options.sharing == "per-config":
        space = dataclasses.replace(space, data=(data,))
    feasibility = Feasibility(space, search.analytic(board, len(source.class_names)), limits)
    settings = TrainingSettings(
        steps=options.steps, batch=options.batch, sharing=options.sharing, population="space", checkpoint_every=10**6
    )
    moments: list[tuple[float, float]] = []
    began = time.monotonic()

    def report(step: Step) -> None:
        moments.append((time.monotonic() - began, step.waiting))

    Supernets(source, feasibility, settings, seed=0, folder=folder).get(data, report=report, keep_going=lambda: True)
    (early, before), (end, share) = moments[min(WARM_UP, len(moments) - 2)], moments[-1]
    steady = (share * end - before * early) / (end - early)
    times = [later[0] - earlier[0] for earlier, later in zip(moments[WARM_UP:], moments[WARM_UP + 1 :], strict=False)]
    print(f"a step: {1000 * statistics.median(times):.0f} ms (median of {len(times)}, after {WARM_UP})")
    held = steady <= MOST_WAITING
    print(
        f"waiting: {share:.1%} of all {len(moments)} steps, {steady:.1%} after the first {WARM_UP} "
        f"(bar {MOST_WAITING:.0%}: {'held' if held else 'MISSED'})"
    )
    return 0 if held else 1


if __name__ == "__main__":
    raise SystemExit(main())
