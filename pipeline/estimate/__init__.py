"""What a Graph will need on a board, before anything is built.

The names are loaded when they are asked for: settings and command line import this package's values, and must not wait
for numpy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pipeline.estimate.estimator import estimate, plan_for
    from pipeline.estimate.model import Estimate, Item, Limits, MemoryPlan, Placement, Prefer
    from pipeline.estimate.planner import plan

__all__ = ["Estimate", "Item", "Limits", "MemoryPlan", "Placement", "Prefer", "estimate", "plan", "plan_for"]

_MODULES = {"estimate": "estimator", "plan": "planner", "plan_for": "estimator"}


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    found: object = getattr(import_module(f"{__name__}.{_MODULES.get(name, 'model')}"), name)
    globals()[name] = found
    return found
