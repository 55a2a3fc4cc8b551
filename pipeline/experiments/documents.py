"""Tables in a document, written by the command that has the figures: nobody types numbers."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from pipeline.errors import UsageError, printable
from pipeline.experiments import runner
from pipeline.files import write_atomic

BEGIN = "<!-- results: written by `danas-deploy experiment report` -->"
END = "<!-- end of results -->"


def journals(results: Path) -> list[tuple[Path, dict[str, Any]]]:
    """All journals below a folder, by their folders' names.

    Raises:
        UsageError: ``bad-journal``; ``no-journals`` where there is none.
    """
    found = sorted(results.glob("*/journal.json"))
    if not found:
        raise UsageError(
            "no-journals",
            f"there is no journal of an experiment below {printable(results, 4096)}",
            why="Each experiment leaves NAME-SCALE/journal.json there.",
            next="Run one: `danas-deploy experiment list` names them.",
        )
    return [(path, runner.read_journal(path)) for path in found]


def update(document: Path, results: Path) -> int:
    """Write the journals' tables between the document's marks; returns how many there are.

    Raises:
        UsageError: ``bad-journal``, ``no-journals``; ``no-marks``: the document has no place for them.
        EnvironmentProblem: ``disk-full``, ``not-writable``.
    """
    every = journals(results)
    try:
        text = document.read_text(encoding="utf-8")
    except (OSError, ValueError):
        text = ""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise UsageError(
            "no-marks",
            f"{printable(document, 4096)} has no place for results",
            why=f"They go between the lines `{BEGIN}` and `{END}`.",
            next="Add these lines, or name another document with --docs.",
        )
    sections = [
        runner.section(journal, pictures=os.path.relpath(path.parent, document.parent) + "/") for path, journal in every
    ]
    write_atomic(document, before + begin + "\n\n" + "\n".join(sections) + "\n" + end + after)
    return len(every)
