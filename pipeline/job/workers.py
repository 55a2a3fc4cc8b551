"""What one of the processes does that search together."""

from __future__ import annotations

import dataclasses

from pipeline.job import finding
from pipeline.job.context import Context


def work(context: Context) -> None:
    """Search as one of several workers, until the budget is spent; the results are in the study.

    Raises:
        DanasError: What the search raises.
    """
    finding.demand_search(context)
    wanted = finding.config(context)
    space = finding.usable(wanted.space, context.settings, context.source)
    finding.explored(context, dataclasses.replace(wanted, space=space), helps=True)
