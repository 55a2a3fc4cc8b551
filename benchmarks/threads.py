"""What processes of one thread gain over one process of all cores, in steps of a shared supernet's training.

    python benchmarks/threads.py [--seconds 60]

Prints a table in Markdown: one process that uses every core, and as many processes as there are cores, of a thread
each, each training a supernet of its own on the sample images for so many seconds. Steps are counted when all of a
process's graphs have been traced. The machine must be idle otherwise.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time

WARM_UP = 40
ENOUGH = 10**6


def work(seconds: float) -> int:
    """Steps in so many seconds."""
    from supernet import BATCH, FAMILY, Setting

    from pipeline.datasets import open_source
    from pipeline.search import TrainingSettings, training

    setting = Setting(open_source("sample"))
    settings, trained = TrainingSettings(steps=ENOUGH, batch=BATCH), setting.population(FAMILY)
    network, batches = setting.network(trained.envelope), setting.batches(FAMILY, BATCH)
    done, until = 0, float("inf")
    for number in range(ENOUGH):
        if number == WARM_UP:
            until = time.monotonic() + seconds
        if time.monotonic() >= until:
            break
        chosen = training.subnets(trained, settings, (0,), number)
        batch = batches(number, [genotype.data for genotype in chosen])
        training.sandwich_step(network, batch, chosen, settings=settings)
        done += number >= WARM_UP
    return done


def together(processes: int, threads: int, seconds: float) -> int:
    """Steps of so many processes in all."""
    told = {"TF_NUM_INTRAOP_THREADS": str(threads), "TF_NUM_INTEROP_THREADS": str(threads)}
    command = [sys.executable, __file__, "--work", "--seconds", str(seconds)]
    running = [
        subprocess.Popen(command, env=os.environ | told, stdout=subprocess.PIPE, text=True) for _ in range(processes)
    ]
    found = [process.communicate()[0] for process in running]
    if any(process.returncode for process in running):
        raise SystemExit("a process failed: see above")
    return sum(int(text) for text in found)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Processes of one thread against one process of all cores.")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--work", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.work:
        print(work(given.seconds))
        return
    cores = len(os.sched_getaffinity(0))
    print(f"{cores} cores; {given.seconds:.0f} s each\n")
    print("| processes | threads of each | steps a second, all together |")
    print("|---|---|---|")
    for processes, threads in ((1, cores), (cores, 1)):
        steps = together(processes, threads, given.seconds)
        print(f"| {processes} | {threads} | {steps / given.seconds:.2f} |")


if __name__ == "__main__":
    main()
