"""What a page shows beside the Report itself. Each part may be missing: runs differ, and so do their versions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.estimate.model import Item
from pipeline.figures import Source
from pipeline.report.evaluated import Evaluated
from pipeline.report.html.architecture import Stage


@dataclass(frozen=True, kw_only=True)
class Classified:
    """What the device made of inputs whose classes are known.

    Attributes:
        classes: Their names; may be hostile.
        labels: [N] The true class of each input.
        found: [N] The class with the device's largest output.
        source: Where ``found`` comes from: an emulated board, or a device.
        origin: Where the inputs come from, such as ``test split``.
        images: [N, H, W, C] What the device was given, as pixels; None: not to be shown, or no images.
    """

    classes: tuple[str, ...]
    labels: tuple[int, ...]
    found: tuple[int, ...]
    source: Source
    origin: str
    images: NDArray[np.uint8] | None = field(default=None, repr=False)

    @cached_property
    def counts(self) -> Counter[tuple[int, int]]:
        """How many inputs of a class (first) were taken for a class (second)."""
        return Counter(zip(self.labels, self.found, strict=True))

    @property
    def wrong(self) -> tuple[int, ...]:
        """Numbers of the inputs that were taken for another class, in their order."""
        return tuple(
            number for number, (label, found) in enumerate(zip(self.labels, self.found, strict=True)) if label != found
        )


@dataclass(frozen=True, kw_only=True)
class Material:
    """Everything else.

    Attributes:
        board: Title of the board.
        stages: The network, from its input on.
        flash_estimate, flash_linked: Items of both, with their parts.
        evaluated: What the search has evaluated, by proposal number.
        space: Which share of the space fits, as :func:`pipeline.report.space.space_json` says it.
        memory_map: The drawing's SVG document, from :func:`pipeline.report.memory_svg.map_svg`; trusted.
        classified: What the device made of the images.
    """

    board: str
    stages: tuple[Stage, ...] = ()
    flash_estimate: tuple[Item, ...] = ()
    flash_linked: tuple[Item, ...] = ()
    evaluated: tuple[Evaluated, ...] = ()
    space: Mapping[str, Any] | None = None
    memory_map: str = ""
    classified: Classified | None = None
