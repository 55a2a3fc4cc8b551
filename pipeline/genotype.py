"""The searched point: what the sensor gives the network, and the network's depth and width.

These are plain values. Everybody may import them: the search samples them, the estimator turns them into shapes,
the trainer into Keras layers. The one place that knows how a Genotype becomes layers is :func:`architecture`.

Source: arXiv 2502.12690 (data-aware NAS); the MobileNetV2 table is from Sandler et al., arXiv 1801.04381, table 2.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property

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
        """True where the block's input is added to its output."""
        return self.stride == 1 and self.inputs == self.outputs

    @property
    def name(self) -> str:
        """For example ``stage3_block0``; the layer names of supernet, subnet and checkpoint derive from it."""
        return f"stage{self.stage}_block{self.index}"


@dataclass(frozen=True)
class Genotype:
    """A point of the space: DataConfig, blocks kept in stages 3-7, width multiplier of the hidden channels."""

    data: DataConfig
    depths: tuple[int, int, int, int, int]
    alpha: float

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

    @cached_property
    def id(self) -> str:
        """Readable and unique, for example ``96-rgb-d32100-a03``."""
        return f"{self.data.id}-d{''.join(map(str, self.depths))}-a{round(self.alpha * 10):02d}"

    @classmethod
    def parse(cls, text: str) -> Genotype:
        """The inverse of :attr:`id`.

        Raises:
            ValueError: The text is no genotype id.
        """
        resolution, colour, depths, alpha = text.split("-")
        counts = tuple(int(digit) for digit in depths.removeprefix("d"))
        if len(counts) != len(MAX_DEPTHS):
            raise ValueError(f"{text!r} is no genotype id")
        return cls(
            DataConfig(int(resolution), Colour(colour)),
            (counts[0], counts[1], counts[2], counts[3], counts[4]),
            int(alpha.removeprefix("a")) / 10,
        )

    @property
    def shorter(self) -> Genotype | None:
        """The one without the last block of the last stage that may be empty; None where they all are."""
        last = next((stage for stage in reversed(range(len(self.depths))) if self.depths[stage]), None)
        if last is None:
            return None
        depths = tuple(depth - (stage == last) for stage, depth in enumerate(self.depths))
        return Genotype(self.data, (depths[0], depths[1], depths[2], depths[3], depths[4]), self.alpha)

    @cached_property
    def seed(self) -> int:
        """A 32-bit seed that depends on the genotype alone, so that its score does not depend on visiting order."""
        return int.from_bytes(hashlib.sha256(self.id.encode()).digest()[:4], "little")


def hidden_channels(inputs: int, expansion: int, alpha: float) -> int:
    """Width of the expanded tensor: alpha applies to it alone, rounded to the nearest multiple of 8, at least 8."""
    exact = inputs * expansion * round(alpha * 10) / 10
    return max(CHANNEL_MULTIPLE, int(exact / CHANNEL_MULTIPLE + 0.5) * CHANNEL_MULTIPLE)


def architecture(genotype: Genotype) -> tuple[Block, ...]:
    """The blocks between the stem (3×3, stride 2, 32 channels) and the head (global mean, dense softmax)."""
    blocks: list[Block] = []
    channels = STEM_CHANNELS
    counts = tuple(stage[2] for stage in STAGES[:FIXED_STAGES]) + genotype.depths
    for number, ((expansion, outputs, _, stride), count) in enumerate(zip(STAGES, counts, strict=True), start=1):
        for index in range(count):
            expands = expansion != 1
            hidden = hidden_channels(channels, expansion, genotype.alpha) if expands else channels
            blocks.append(Block(number, index, channels, hidden, outputs, stride if index == 0 else 1, expands))
            channels = outputs
    return tuple(blocks)
