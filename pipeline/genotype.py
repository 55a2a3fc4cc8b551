"""The searched point: what the sensor gives the network, and the network's depth and width.

These are plain values. Everybody may import them: the search samples them, the estimator turns them into shapes,
the trainer into Keras layers. The one place that knows how a Genotype becomes layers is :func:`architecture`.

There are two spaces. In the published one a design has a resolution, a colour, five depths and one width multiplier. In
the wide one it has, in place of the multiplier, widths of stem and stages, and an expansion and a kernel size a stage
(:class:`Wide`); docs/search.md says why these axes.

Source: arXiv 2502.12690 (data-aware NAS); the MobileNetV2 table is from Sandler et al., arXiv 1801.04381, table 2.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cache, cached_property, lru_cache

RESOLUTIONS = (32, 64, 96, 128, 160, 192, 224)
ALPHAS = tuple(tenths / 10 for tenths in range(1, 11))

STEM_CHANNELS = 32
#: (expansion, output channels, most blocks, stride of the first block) of MobileNetV2's stages 1-7.
STAGES = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)
#: Stages 1 and 2 are always kept whole; a Genotype's depths are those of stages 3-7.
FIXED_STAGES = 2
MAX_DEPTHS = tuple(stage[2] for stage in STAGES[FIXED_STAGES:])
#: Hidden channels come in multiples of this, as the kernels on the board like them.
CHANNEL_MULTIPLE = 8

#: Output channels of stem and stages in the wide space: so many quarters of MobileNetV2's, in multiples of four.
QUARTERS = (2, 3, 4)
#: Sides of the depthwise kernels of stages 2-7 there; those of stem and stage 1 are 3×3 throughout.
KERNELS = (3, 5, 7)
#: Hidden channels of stages 2-7 there, in multiples of a block's inputs.
EXPANSIONS = (1, 2, 3, 4, 6)
#: Output channels come in multiples of this in the wide space: channels that the kernels take in one word.
WIDTH_MULTIPLE = 4

_PUBLISHED_ID = re.compile(r"(\d{2,3})-(mono|rgb)-d(\d{5})-a(\d{2})", re.ASCII)
_WIDE_ID = re.compile(r"(\d{2,3})-(mono|rgb)-w(\d)(\d)((?:-\d{4}){1,6})", re.ASCII)


class Colour(StrEnum):
    """Colour channels the network sees."""

    MONO = "mono"
    RGB = "rgb"


@dataclass(frozen=True, order=True)
class DataConfig:
    """What the sensor gives the network: a square image of ``resolution`` pixels in one or three channels."""

    resolution: int
    colour: Colour

    @property
    def channels(self) -> int:
        """1 for mono, 3 for RGB."""
        return 1 if self.colour is Colour.MONO else 3

    @property
    def shape(self) -> tuple[int, int, int]:
        """(height, width, channels)."""
        return (self.resolution, self.resolution, self.channels)

    @property
    def id(self) -> str:
        """For example ``96-rgb``."""
        return f"{self.resolution}-{self.colour.value}"

    @classmethod
    def parse(cls, text: str) -> DataConfig:
        """The inverse of :attr:`id`.

        Raises:
            ValueError: The text is not ``RESOLUTION-mono`` or ``RESOLUTION-rgb``.
        """
        resolution, _, colour = text.partition("-")
        return cls(int(resolution), Colour(colour))


@dataclass(frozen=True)
class Fix:
    """What of the data configuration a search must not change; None: free."""

    resolution: int | None = None
    colour: Colour | None = None

    @property
    def whole(self) -> bool:
        """Whether one data configuration alone is left."""
        return self.resolution is not None and self.colour is not None

    def holds(self, data: DataConfig) -> bool:
        """Whether a data configuration is as it was fixed."""
        return self.resolution in (None, data.resolution) and self.colour in (None, data.colour)

    @property
    def id(self) -> str:
        """As ``--fix`` takes it: ``resolution=96,colour=rgb``; empty where nothing is fixed."""
        parts = [f"resolution={self.resolution}"] if self.resolution is not None else []
        return ",".join(parts + ([f"colour={self.colour.value}"] if self.colour is not None else []))


@dataclass(frozen=True)
class Block:
    """One inverted residual block.

    ``hidden`` is the width of the expanded tensor; ``expands`` is False for stage 1, which has no 1×1 expansion:
    there the depthwise convolution works on the block's input and ``hidden`` equals ``inputs``. ``kernel`` is the side
    of the depthwise convolution's window.
    """

    stage: int  # 1-7
    index: int  # within its stage, from 0
    inputs: int
    hidden: int
    outputs: int
    stride: int
    expands: bool
    kernel: int = 3

    @property
    def residual(self) -> bool:
        """True where the block's input is added to its output: all but a stage's first.

        A first block whose input happens to be as wide as its output (in the wide space) has no addition either, so
        that a block is of one kind in all subnets of a supernet.
        """
        return self.index > 0

    @property
    def name(self) -> str:
        """For example ``stage3_block0``; the layer names of supernet, subnet and checkpoint derive from it."""
        return f"stage{self.stage}_block{self.index}"


@dataclass(frozen=True, order=True)
class StageGenes:
    """What the wide space varies of one stage: all its blocks have the same.

    Attributes:
        width: Output channels, in quarters of MobileNetV2's; one of :data:`QUARTERS`.
        kernel: Side of the depthwise kernels; one of :func:`kernels`.
        expansion: Hidden channels, in multiples of a block's inputs; one of :data:`EXPANSIONS`.
    """

    width: int
    kernel: int
    expansion: int


@dataclass(frozen=True)
class Wide:
    """The genes of the wide space besides data configuration and depths.

    Attributes:
        stem: Output channels of the stem, in quarters of MobileNetV2's.
        first: Likewise of stage 1.
        stages: Stage 2 and those of stages 3-7 that are there.
    """

    stem: int
    first: int
    stages: tuple[StageGenes, ...]


@dataclass(frozen=True)
class Genotype:
    """A point of a space.

    Attributes:
        data: What the network sees.
        depths: Blocks kept in stages 3-7.
        alpha: Width multiplier of the hidden channels; 1 in the wide space.
        wide: The genes of the wide space; None in the published one.
    """

    data: DataConfig
    depths: tuple[int, int, int, int, int]
    alpha: float = 1.0
    wide: Wide | None = None

    def __post_init__(self) -> None:
        if self.data.resolution not in RESOLUTIONS:
            raise ValueError(f"resolution {self.data.resolution} is not one of {RESOLUTIONS}")
        if self.alpha not in ALPHAS:
            raise ValueError(f"alpha {self.alpha} is not one of {ALPHAS}")
        if len(self.depths) != len(MAX_DEPTHS) or any(
            not 0 <= depth <= most for depth, most in zip(self.depths, MAX_DEPTHS, strict=True)
        ):
            raise ValueError(f"depths {self.depths} are not within 0..{MAX_DEPTHS}")
        if any(later and not earlier for earlier, later in zip(self.depths, self.depths[1:], strict=False)):
            raise ValueError(f"depths {self.depths}: an empty stage precedes a non-empty one")
        if self.wide is not None:
            self._check_wide(self.wide)

    def _check_wide(self, wide: Wide) -> None:
        if self.alpha != 1.0:
            raise ValueError(f"alpha {self.alpha}: in the wide space the stages' expansions are in its place")
        if len(wide.stages) != 1 + sum(1 for depth in self.depths if depth):
            raise ValueError(f"genes of {len(wide.stages)} stages for depths {self.depths}")
        for number, genes in enumerate(wide.stages, start=FIXED_STAGES):
            possible = kernels(self.data, number)
            if genes.kernel not in possible:
                raise ValueError(f"kernel {genes.kernel} of stage {number} is not one of {possible}")
            if genes.expansion not in EXPANSIONS:
                raise ValueError(f"expansion {genes.expansion} is not one of {EXPANSIONS}")
        for width in (wide.stem, wide.first, *(genes.width for genes in wide.stages)):
            if width not in QUARTERS:
                raise ValueError(f"width {width} is not one of {QUARTERS} quarters")

    @cached_property
    def id(self) -> str:
        """Readable and unique, for example ``96-rgb-d32100-a03`` or ``96-rgb-w43-2436-3452-1233``.

        In the wide space: quarters of the widths of stem and stage 1, then for each stage from the second on its depth,
        quarters of its width, kernel and expansion.
        """
        if self.wide is None:
            return f"{self.data.id}-d{''.join(map(str, self.depths))}-a{round(self.alpha * 10):02d}"
        counts = (STAGES[FIXED_STAGES - 1][2], *self.depths)
        stages = (
            f"-{count}{genes.width}{genes.kernel}{genes.expansion}"
            for count, genes in zip(counts, self.wide.stages, strict=False)
        )
        return f"{self.data.id}-w{self.wide.stem}{self.wide.first}{''.join(stages)}"

    @classmethod
    def parse(cls, text: str) -> Genotype:
        """The inverse of :attr:`id`.

        Raises:
            ValueError: The text is no genotype id.
        """
        if (found := _PUBLISHED_ID.fullmatch(text)) is not None:
            made = cls(DataConfig(int(found[1]), Colour(found[2])), _five(map(int, found[3])), int(found[4]) / 10)
        elif (found := _WIDE_ID.fullmatch(text)) is not None:
            groups = [tuple(map(int, group)) for group in found[5][1:].split("-")]
            stages = tuple(StageGenes(width, kernel, expansion) for _, width, kernel, expansion in groups)
            depths = [depth for depth, *_ in groups[1:]]
            made = cls(
                DataConfig(int(found[1]), Colour(found[2])),
                _five([*depths, *(len(MAX_DEPTHS) - len(depths)) * [0]]),
                wide=Wide(int(found[3]), int(found[4]), stages),
            )
        else:
            raise ValueError(f"{text!r} is no genotype id")
        if made.id != text:
            raise ValueError(f"{text!r} is no genotype id; {made.id!r} would be")
        return made

    def at(self, data: DataConfig) -> Genotype:
        """The same design for other images; kernels that reach beyond the smaller maps of these become smaller."""
        wide = self.wide
        if wide is not None:
            stages = (
                replace(genes, kernel=min(genes.kernel, kernels(data, number)[-1]))
                for number, genes in enumerate(wide.stages, start=FIXED_STAGES)
            )
            wide = replace(wide, stages=tuple(stages))
        return Genotype(data, self.depths, self.alpha, wide)

    @cached_property
    def seed(self) -> int:
        """A 32-bit seed that depends on the genotype alone, so that its score does not depend on visiting order."""
        return int.from_bytes(hashlib.sha256(self.id.encode()).digest()[:4], "little")

    @property
    def genes(self) -> dict[str, int | float | str]:
        """Each gene by its name; :data:`GENES` has what it may be."""
        found: dict[str, int | float | str] = {
            "resolution": self.data.resolution,
            "colour": self.data.colour.value,
            **{f"depth{stage}": depth for stage, depth in enumerate(self.depths, start=FIXED_STAGES + 1)},
        }
        if self.wide is None:
            return found | {"alpha": self.alpha}
        found |= {"width0": self.wide.stem, "width1": self.wide.first}
        for stage, genes in enumerate(self.wide.stages, start=FIXED_STAGES):
            found |= {
                f"width{stage}": genes.width,
                f"kernel{stage}": genes.kernel,
                f"expansion{stage}": genes.expansion,
            }
        return found


#: What each gene may be; ``width0`` is the stem's. Genes of an absent stage are absent, and so are those of the other
#: space.
GENES: Mapping[str, tuple[int | float | str, ...]] = {
    "resolution": RESOLUTIONS,
    "colour": tuple(colour.value for colour in Colour),
    **{f"depth{stage}": tuple(range(most + 1)) for stage, most in enumerate(MAX_DEPTHS, start=FIXED_STAGES + 1)},
    "alpha": ALPHAS,
    **{f"width{stage}": QUARTERS for stage in range(len(STAGES) + 1)},
    **{f"kernel{stage}": KERNELS for stage in range(FIXED_STAGES, len(STAGES) + 1)},
    **{f"expansion{stage}": EXPANSIONS for stage in range(FIXED_STAGES, len(STAGES) + 1)},
}


def _five(depths: Iterable[int]) -> tuple[int, int, int, int, int]:
    one, two, three, four, five = depths
    return (one, two, three, four, five)


def map_side(data: DataConfig, stage: int) -> int:
    """Rows of the square map that a stage (0: the stem) makes."""
    side = -(-data.resolution // 2)
    for *_, stride in STAGES[:stage]:
        side = -(-side // stride)
    return side


@cache
def kernels(data: DataConfig, stage: int) -> tuple[int, ...]:
    """Sides of depthwise kernels that a stage from the second on may have in the wide space.

    A larger one would have taps that lie outside the stage's map wherever the kernel stands: they would cost flash and
    time, and change nothing.
    """
    return tuple(side for side in KERNELS if side <= max(KERNELS[0], 2 * map_side(data, stage) - 1))


def wide_channels(published: int, quarters: int) -> int:
    """Output channels of so many quarters of a width, to the nearest multiple of four (18 is made 20)."""
    return int(published * quarters / (4 * WIDTH_MULTIPLE) + 0.5) * WIDTH_MULTIPLE


def hidden_channels(inputs: int, expansion: int, alpha: float) -> int:
    """Width of the expanded tensor: alpha applies to it alone, rounded to the nearest multiple of 8, at least 8."""
    exact = inputs * expansion * round(alpha * 10) / 10
    return max(CHANNEL_MULTIPLE, int(exact / CHANNEL_MULTIPLE + 0.5) * CHANNEL_MULTIPLE)


def architecture(genotype: Genotype) -> tuple[Block, ...]:
    """The blocks between the stem (3×3, stride 2; its channels are the first block's inputs) and the head.

    The head is the global mean and a dense softmax.
    """
    blocks: list[Block] = []
    wide = genotype.wide
    channels = STEM_CHANNELS if wide is None else wide_channels(STEM_CHANNELS, wide.stem)
    counts = tuple(stage[2] for stage in STAGES[:FIXED_STAGES]) + genotype.depths
    for number, count in enumerate(counts, start=1):
        if not count:
            break
        outputs, expansion, kernel = _stage(wide, number)
        blocks += _blocks(number, count, channels, (outputs, expansion, kernel), genotype.alpha)
        channels = outputs
    return tuple(blocks)


@lru_cache(maxsize=4096)
def _blocks(number: int, count: int, inputs: int, genes: tuple[int, int, int], alpha: float) -> tuple[Block, ...]:
    """The blocks of a stage."""
    outputs, expansion, kernel = genes
    found = []
    for index in range(count):
        channels, stride = (outputs, 1) if index else (inputs, STAGES[number - 1][3])
        hidden = hidden_channels(channels, expansion, alpha) if number > 1 else channels
        found.append(Block(number, index, channels, hidden, outputs, stride, number > 1, kernel))
    return tuple(found)


def _stage(wide: Wide | None, number: int) -> tuple[int, int, int]:
    """Output channels, expansion and kernel of a stage."""
    expansion, outputs, _, _ = STAGES[number - 1]
    if wide is None:
        return outputs, expansion, KERNELS[0]
    if number < FIXED_STAGES:
        return wide_channels(outputs, wide.first), expansion, KERNELS[0]
    genes = wide.stages[number - FIXED_STAGES]
    return wide_channels(outputs, genes.width), genes.expansion, genes.kernel
