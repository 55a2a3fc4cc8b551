"""The inference engines that a firmware can have, behind one Protocol.

On the device a runtime is what implements ``firmware_templates/runtime/runtime.h``; here it is what plans, estimates
and renders for it. ``tests/firmware/test_runtimes_contract.py`` holds all of them to the same contract.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.errors import UsageError, printable

if TYPE_CHECKING:
    from pipeline.firmware.runtimes.protocol import Runtime

__all__ = ["NAMES", "open_runtime"]

#: What ``--runtime`` takes.
NAMES = ("aot", "tflm")


def open_runtime(name: str = "aot", *, tflm_tree: Path | str | None = None) -> Runtime:
    """A runtime by its name.

    Args:
        name: One of :data:`NAMES`.
        tflm_tree: Source tree of TensorFlow Lite Micro, for ``tflm``.

    Raises:
        UsageError: ``unknown-runtime``; ``tflm-tree-missing`` or ``tflm-tree-incomplete``; ``unsafe-folder`` for a tree
            in whose path the builder would see a command.
    """
    if name == "aot":
        from pipeline.firmware.runtimes.aot import AotRuntime

        return AotRuntime()
    if name == "tflm":
        from pipeline.firmware.platformio import demand_safe
        from pipeline.firmware.runtimes.tflm import TflmRuntime
        from pipeline.firmware.runtimes.tree import HOW_TO_GET_ONE, TflmTree

        if tflm_tree is None:
            raise UsageError(
                "tflm-tree-missing",
                "the runtime tflm needs a source tree of TensorFlow Lite Micro, and none is named",
                why="Its sources are no part of danas-deploy.",
                next=HOW_TO_GET_ONE,
            )
        tree = TflmTree.open(Path(tflm_tree))
        demand_safe(tree.path)
        return TflmRuntime(tree)
    raise UsageError(
        "unknown-runtime", f"there is no runtime {printable(name)!r}", next=f"Choose one of {', '.join(NAMES)}."
    )
