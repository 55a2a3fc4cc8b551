"""The Report: every figure of a run with its source. JSON is its form; JUnit and terminal are views of it."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from pipeline.device.power import EnergyMeasurement
from pipeline.figures import Figure, Modelled
from pipeline.validate import Verdict


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ModelSummary(_Frozen):
    """The .tflite that was deployed. Names and hashes, never its contents."""

    sha256: str
    file_bytes: int
    input_shape: tuple[int, ...]
    output_shape: tuple[int, ...]
    operators: int
    macs: Figure


class Finalist(_Frozen):
    """One of the best candidates, as it was finished. Accuracies are on the validation split.

    Attributes:
        inherited_accuracy: With the supernet's weights.
        float_accuracy: After final training.
        ptq_accuracy: As int8, ranges by calibration.
        qat_accuracy: As int8 after training for it; None where that was not needed, or not made.
        qat_reason: Why it was made, or not.
        int8_accuracy: Of the better of both, which is what counts.
        final_training: Accuracy before and after it, its steps and its teacher.
    """

    genotype: str
    inherited_accuracy: Figure
    float_accuracy: Figure
    int8_accuracy: Figure
    ram: Figure
    flash: Figure
    macs: Figure
    ptq_accuracy: Figure | None = None
    qat_accuracy: Figure | None = None
    qat_reason: str = ""
    final_training: dict[str, Any] = {}
    instructions: Figure | None = None
    latency: Modelled | None = None
    energy: Modelled | None = None


class HealthEvent(_Frozen):
    """What happened in the search: after how many candidates, and what was done or can be done about it."""

    kind: str
    at: int
    text: str
    remedy: str


class SearchSummary(_Frozen):
    """What the search did, and its finalists, best first; ``front``: genotypes that none beats in every objective.

    ``metric`` is what accuracies are: ``accuracy``, or ``balanced accuracy`` where one class is rare; ``warnings`` are
    about the images.
    """

    data: dict[str, Any]
    preset: str
    limits: dict[str, int | float | None]
    evaluations: int
    finalists: tuple[Finalist, ...]
    genotype: str
    objectives: tuple[str, ...] = ("accuracy",)
    front: tuple[str, ...] = ()
    metric: str = "accuracy"
    warnings: tuple[str, ...] = ()
    events: tuple[HealthEvent, ...] = ()


class LookAtTest(_Frozen):
    """A look at the test split: when, what for, and which models saw it (name -> SHA-256).

    ``number`` grows whenever a model takes part that had not seen the split before: from 2 on accuracies flatter.
    """

    at: str
    purpose: str
    models: dict[str, str]
    number: int


class Line(_Frozen):
    """One quantity as it was estimated and as it was found."""

    name: str
    estimate: Figure
    found: Figure


class Work(_Frozen):
    """What an inference executes, and what is known of its time and energy without measuring either.

    Attributes:
        executed: Predicted and found; instructions on an emulated board, cycles on one that was calibrated.
        predicted_by: The profile that predicted it.
        latency, energy: Modelled from the prediction; None where the board's file does not allow it.
        reasons: Why one of them is None.
    """

    executed: Line
    predicted_by: str
    latency: Modelled | None
    energy: Modelled | None
    reasons: tuple[str, ...] = ()


class Report(_Frozen):
    """A run's report, ``schema_version`` 1; ``files`` are documents beside it, by what they are.

    ``serial_number`` is that of the physical board's probe, or of its own USB, where it is known.

    ``upload_retries`` says why uploads had failed before the one that did not.

    ``energy`` is what a power monitor's trace has said: where it is there, no energy is modelled. ``repeated``
    are the inferences that were made again, and ``restarts`` how often the device restarted meanwhile.
    """

    schema_version: Literal[1] = 1
    created: str
    board: str
    target: Literal["emulated", "device"]
    serial_number: str | None = None
    build_id: str
    versions: dict[str, str]
    model: ModelSummary
    search: SearchSummary | None
    accuracy: dict[str, Figure]
    test_looks: tuple[LookAtTest, ...] = ()
    upload_retries: tuple[str, ...] = ()
    ram: tuple[Line, ...]
    flash: tuple[Line, ...]
    timing: dict[str, Figure]
    work: Work | None = None
    energy: EnergyMeasurement | None = None
    repeated: int = 0
    restarts: int = 0
    verdict: Verdict
    passed: bool
    files: dict[str, str] = {}
