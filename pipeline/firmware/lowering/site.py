"""One operator in its Graph: its tensors and options, the checks that many operators share, and how each is refused."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

from pipeline.errors import UsageError, printable
from pipeline.estimate.stages import Stage, StageKind
from pipeline.firmware import fixed_point
from pipeline.firmware.lowering.values import Call, ConstantPool, Field, Form, Params
from pipeline.graph.model import Activation, DType, Graph, Operator, Quantization, Tensor

T = TypeVar("T")

#: The largest dimension that the kernels' 16-bit fields hold.
LARGEST_DIMENSION = 65_535
_INT8_ZERO_POINTS = range(-128, 128)


def quantization(tensor: Tensor) -> Quantization:
    """The quantization of a tensor that has passed :meth:`Site.expect`."""
    if tensor.quantization is None:
        raise TypeError(f"tensor {tensor.index} is not quantized")
    return tensor.quantization


def scale(tensor: Tensor) -> float:
    """Its scale, where it has one for the whole tensor."""
    return quantization(tensor).scale


def zero_point(tensor: Tensor) -> int:
    """Its zero point, where it has one for the whole tensor."""
    return quantization(tensor).zero_point


@dataclass(frozen=True)
class Site:
    """An operator that is being lowered, as part of a stage; its constants go to ``pool``.

    ``flat``: the stage takes the image for one long row.
    """

    graph: Graph
    operator: Operator
    pool: ConstantPool
    stage: Stage
    flat: bool = False

    # What the operator has.

    def options(self, kind: type[T]) -> T:
        """Its options, which the reader made of this kind."""
        if not isinstance(self.operator.options, kind):
            raise TypeError(f"operator {self.operator.index} has {type(self.operator.options).__name__}")
        return self.operator.options

    def optional(self, position: int) -> Tensor | None:
        """The tensor at an input position; None where it is absent."""
        index = self.operator.inputs[position] if position < len(self.operator.inputs) else None
        return None if index is None else self.graph.tensors[index]

    def input(self, position: int = 0) -> Tensor:
        """The tensor at an input position."""
        tensor = self.optional(position)
        if tensor is None:
            raise self.unsupported(f"no input {position}", "Export the model again.")
        return tensor

    @property
    def output(self) -> Tensor:
        """Its only output."""
        return self.graph.tensors[self.operator.outputs[0]]

    @property
    def outputs(self) -> tuple[Tensor, ...]:
        """Its outputs."""
        return tuple(self.graph.tensors[index] for index in self.operator.outputs)

    @property
    def elements(self) -> int:
        """Elements of the output that one call makes: a row of it, or all."""
        by_rows = self.stage.kind is StageKind.ROWS and not self.flat
        return self.output.elements // (self.stage.steps if by_rows else 1)

    # Checks.

    def int8(self, *, rank: int | None = None) -> tuple[Tensor, Tensor]:
        """First input and output, both quantized int8."""
        return self.expect(self.input(), rank=rank), self.expect(self.output, rank=rank)

    def expect(self, tensor: Tensor, *, rank: int | None = None) -> Tensor:
        """The tensor, if it is int8, not empty and soundly quantized: an activation with one scale."""
        if tensor.dtype is not DType.INT8:
            raise self.wrong_type(tensor, DType.INT8)
        if rank is not None and len(tensor.shape) != rank:
            raise self.refused(tensor, f"it has {len(tensor.shape)} dimensions, the kernel takes {rank}")
        if not tensor.elements:
            raise self.refused(tensor, "it is empty")
        if tensor.quantization is None:
            raise self.refused(tensor, "it is not quantized")
        if not tensor.constant and len(tensor.quantization.scales) != 1:
            raise self.refused(tensor, "an activation has one scale")
        if not all(0.0 < value < float("inf") for value in tensor.quantization.scales):
            raise self.refused(tensor, "its scale is not a positive number")
        if not all(value in _INT8_ZERO_POINTS for value in tensor.quantization.zero_points):
            raise self.refused(tensor, "its zero point does not fit its type")
        return tensor

    def check_dimensions(self, *sizes: int) -> None:
        """Sizes must fit the kernels' fields."""
        if max(sizes) > LARGEST_DIMENSION:
            raise self.unsupported(f"a dimension of {max(sizes)}", f"At most {LARGEST_DIMENSION} works.")

    # Parts of a call.

    def multiplier(self, factor: float) -> tuple[int, int]:
        """(multiplier, shift) of a rescaling."""
        if not factor < 2.0**30:
            raise self.unsupported(f"a rescaling by {factor:.3g}", "Check the scales of its tensors.")
        return fixed_point.quantize_multiplier(factor)

    def output_range(self, activation: Activation) -> tuple[Field, Field]:
        """The bounds that a fused activation sets."""
        low, high = fixed_point.activation_range(activation, scale(self.output), zero_point(self.output))
        return Field("output_min", low), Field("output_max", high)

    def call(
        self,
        kernel: str,
        params: str,
        *fields: Field,
        function: str | None = None,
        parts: tuple[str, ...] = (),
        form: Form = Form.WHOLE,
        inputs: tuple[Tensor, ...] | None = None,
        input_type: DType = DType.INT8,
        output_type: DType = DType.INT8,
        gathered: bool = False,
        scattered: tuple[int, ...] = (),
    ) -> Call:
        """The call of a kernel, on the first input unless ``inputs`` says otherwise; a function of its own name.

        ``parts``: kernels that it is made of.
        """
        taken = (self.input(),) if inputs is None else inputs
        return Call(
            kernels=(kernel, *parts),
            function=function or kernel,
            params=(Params(params, fields),),
            form=form,
            inputs=tuple(tensor.index for tensor in taken),
            input_type=input_type,
            output=self.output.index,
            output_type=output_type,
            gathered=gathered,
            scattered=scattered,
        )

    # Errors, to be raised.

    @property
    def _place(self) -> str:
        return f"operator {self.operator.index} ({self.operator.code}, version {self.operator.version})"

    def unsupported(self, what: str, next_step: str) -> UsageError:
        """No kernel can do what the options or the shapes ask."""
        return UsageError(
            "unsupported-options",
            f"{self._place} has {what}; the aot runtime has no kernel for it",
            why=f"It makes tensor {self.output.index} '{printable(self.output.name)}'.",
            next=next_step,
        )

    def refused(self, tensor: Tensor, why: str) -> UsageError:
        """No kernel takes this tensor."""
        return UsageError(
            "unsupported-tensor",
            f"{self._place} cannot take tensor {tensor.index} '{printable(tensor.name)}'",
            why=f"{why[0].upper()}{why[1:]}.",
            next="Convert the model to full int8 with TensorFlow 2.21's converter.",
        )

    def wrong_type(self, tensor: Tensor, wanted: DType | None = None) -> UsageError:
        """No kernel takes a tensor of this type."""
        return self.refused(
            tensor, f"its type is {tensor.dtype}" + (f", the kernel takes {wanted}" if wanted is not None else "")
        )

    def mismatch(self, tensor: Tensor) -> UsageError:
        """The shapes contradict each other."""
        return UsageError(
            "shape-mismatch",
            f"the shapes of {self._place} do not fit together",
            why=f"Tensor {tensor.index} '{printable(tensor.name)}' is {tensor.shape}.",
            next="Export the model again; the file is damaged or inconsistent.",
        )

    def overflow(self) -> UsageError:
        """The sums may leave 32 bits."""
        return UsageError(
            "accumulator-overflow",
            f"the sums of {self._place} may not fit 32 bits",
            why="The weights and the bias are so large that an input exists for which they do not.",
            next="Check the scales and the bias of the operator.",
        )
