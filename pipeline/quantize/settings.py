"""How finalists are finished."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.search.standalone import StandaloneSettings

#: How much int8 may lose against float on validation, 0..1, before the network is trained for its quantization.
TOLERANCE = 0.005


@dataclass(frozen=True, kw_only=True)
class QuantizeSettings:
    """How a finalist is finished.

    Args:
        final_epochs: How often its final training sees the training split; 0 ships the weights as inherited.
        batch: Images a step.
        rate: Peak learning rate of the final training; linear warm-up, then cosine to zero.
        decay: Weight decay of it.
        smoothing: Share of the labels that is spread evenly over all classes.
        distillation: Share of the teacher's answer in the targets of the final training.
        calibration_images: Training images that batch-norm statistics and activation ranges are taken on.
        tolerance: Loss of int8 against float, as a share, beyond which quantization-aware training is made; with -1
            it always is.
        qat_epochs: Epochs of that.
        qat_rate: Its peak learning rate.
    """

    final_epochs: int = 6
    batch: int = 64
    rate: float = 2e-3
    decay: float = 0.05
    smoothing: float = 0.05
    distillation: float = 0.5
    calibration_images: int = 512
    tolerance: float = TOLERANCE
    qat_epochs: int = 4
    qat_rate: float = 1e-3

    def __post_init__(self) -> None:
        if self.final_epochs < 0 or self.qat_epochs < 1 or self.batch < 2 or self.calibration_images < 1:
            raise ValueError("final_epochs is not negative, qat_epochs and calibration_images are at least 1, batch 2")
        if min(self.rate, self.qat_rate) <= 0 or self.decay < 0:
            raise ValueError("rates are positive, decay is not negative")
        if not (0 <= self.smoothing < 1 and 0 <= self.distillation <= 1 and -1 <= self.tolerance <= 1):
            raise ValueError("smoothing is within 0..1, distillation too, tolerance within -1..1")

    @property
    def standalone(self) -> StandaloneSettings:
        """Of the final training."""
        return StandaloneSettings(
            rate=self.rate,
            decay=self.decay,
            batch=self.batch,
            smoothing=self.smoothing,
            distillation=self.distillation,
            calibration_images=self.calibration_images,
            checkpoint_every=50,
        )


#: The preset of the demo. Its supernets are trained for a minute: much is left to be learned, and not from them.
QUICK = QuantizeSettings(rate=5e-3, distillation=0.0)
FULL = QuantizeSettings(final_epochs=30, qat_epochs=8)


def steps(epochs: int, images: int, batch: int) -> int:
    """Optimizer steps of so many epochs.

    >>> steps(2, 100, 64), steps(0, 100, 64)
    (4, 0)
    """
    return -(-epochs * images // batch)
