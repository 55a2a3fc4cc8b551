"""The order of a network's layers, once: what to make of each is the business of a :class:`Kit`.

Keras layers for the converter (:mod:`pipeline.quantize.keras_network`) and fake-quantized arithmetic for
quantization-aware training (:mod:`pipeline.quantize.fake_quant`) are two kits.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from pipeline.genotype import Genotype, architecture


@dataclass(frozen=True, kw_only=True)
class Convolution:
    """A convolution with its batch normalisation, and RELU6 where it is ``activated``.

    Attributes:
        layer: As the weights call it: ``stage3_block0/expand``.
        filters: Output channels.
        kernel: Side of the square kernel.
        stride: 1 or 2, SAME padding.
        depthwise: A kernel a channel.
    """

    layer: str
    filters: int
    kernel: int = 1
    stride: int = 1
    depthwise: bool = False
    activated: bool = True


class Kit(Protocol):
    """Makes a network of its parts; tensors are whatever the kit works on."""

    def image(self, x: Any) -> Any:
        """The input, 0..1, as the network takes it."""

    def convolve(self, convolution: Convolution, x: Any) -> Any:
        """Convolution, batch normalisation, activation."""

    def add(self, layer: str, x: Any, y: Any) -> Any:
        """The residual sum."""

    def mean(self, x: Any) -> Any:
        """Global average [N, C]."""

    def head(self, layer: str, x: Any) -> Any:
        """The dense classifier; logits or probabilities, as the kit says."""


def assemble(genotype: Genotype, kit: Kit, x: Any) -> Any:
    """The network from image to classifier."""
    blocks = architecture(genotype)
    x = kit.image(x)
    x = kit.convolve(Convolution(layer="stem", filters=blocks[0].inputs, kernel=3, stride=2), x)
    for block in blocks:
        y = x
        if block.expands:
            y = kit.convolve(Convolution(layer=f"{block.name}/expand", filters=block.hidden), y)
        y = kit.convolve(
            Convolution(
                layer=f"{block.name}/depthwise",
                filters=block.hidden,
                kernel=block.kernel,
                stride=block.stride,
                depthwise=True,
            ),
            y,
        )
        y = kit.convolve(Convolution(layer=f"{block.name}/project", filters=block.outputs, activated=False), y)
        x = kit.add(f"{block.name}/sum", x, y) if block.residual else y
    return kit.head(f"head{blocks[-1].stage}", kit.mean(x))
