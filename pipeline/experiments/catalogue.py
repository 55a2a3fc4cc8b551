"""All experiments, by name."""

from __future__ import annotations

from collections.abc import Callable

from pipeline.errors import UsageError, printable
from pipeline.experiments.comparing import ConstraintSensitivity, DataAblation, DataAware
from pipeline.experiments.protocol import Experiment, Scale
from pipeline.experiments.scales import BUDGETS, Budget
from pipeline.experiments.scoring import OursVsPublished, SupernetVsNaive
from pipeline.experiments.trusting import Fidelity, at_scale
from pipeline.experiments.varying import Ablation, LatencyLimit

#: In the order in which they are best run: the first trains the supernets that the others share.
EXPERIMENTS: dict[str, Callable[[Budget], Experiment]] = {
    DataAware.name: DataAware,
    DataAblation.name: DataAblation,
    ConstraintSensitivity.name: ConstraintSensitivity,
    SupernetVsNaive.name: SupernetVsNaive,
    Fidelity.name: at_scale,
    Ablation.name: Ablation,
    OursVsPublished.name: OursVsPublished,
    LatencyLimit.name: LatencyLimit,
}


def make(name: str, scale: Scale) -> Experiment:
    """An experiment at a scale.

    Raises:
        UsageError: ``unknown-experiment``.
    """
    if name not in EXPERIMENTS:
        raise UsageError(
            "unknown-experiment",
            f"there is no experiment {printable(name)!r}",
            why=f"Possible are {', '.join(EXPERIMENTS)}.",
            next="`danas-deploy experiment list` says what each is about.",
        )
    return EXPERIMENTS[name](BUDGETS[scale])
