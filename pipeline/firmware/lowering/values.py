"""What a kernel call is made of: parameters, and the constants that they refer to."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.graph.model import DType


@dataclass(frozen=True)
class Constant:
    """A constant array, by its number in the pool."""

    number: int


@dataclass(frozen=True)
class Float32:
    """A parameter of type float."""

    value: float


@dataclass(frozen=True)
class Enumerator:
    """A parameter that is one of an enumeration of the runtime's: ``Form::kRelu``."""

    name: str


#: A parameter: an integer, a float, an enumerator, a constant array, or a struct or array of parameters.
Value = int | Float32 | Enumerator | Constant | tuple["Field", ...]


@dataclass(frozen=True)
class Field:
    """A field of a parameter struct, in the struct's order."""

    name: str
    value: Value


def array(values: tuple[int, ...]) -> tuple[Field, ...]:
    """A parameter that is an array of integers."""
    return tuple(Field(str(position), value) for position, value in enumerate(values))


class Form(StrEnum):
    """What a kernel takes after its parameters.

    ``whole``: its inputs and its output. ``elements``: as many elements of each as its parameters say. ``window``: the
    rows of its input, the number of an output row, that row. ``blocks``: the same and scratch. ``sums``: an input row,
    its number, the sums so far, the output.
    """

    WHOLE = "whole"
    ELEMENTS = "elements"
    WINDOW = "window"
    BLOCKS = "blocks"
    SUMS = "sums"


@dataclass(frozen=True)
class Params:
    """A parameter struct of a kernel."""

    type: str
    fields: tuple[Field, ...]


@dataclass(frozen=True)
class Call:
    """One kernel call. ``inputs`` and ``output`` are tensor indices; ``type`` is the element type the kernel sees."""

    kernels: tuple[str, ...]  # file stems in firmware_templates/runtime/aot
    function: str
    params: tuple[Params, ...]
    form: Form
    inputs: tuple[int, ...]
    input_type: DType
    output: int
    output_type: DType
    gathered: bool = False  # the inputs are one argument, an array, and their number
    scattered: tuple[int, ...] = ()  # all outputs, where there are several: then they are an array, and their number


class ConstantPool:
    """The constant arrays of a model; arrays equal in type and bytes are one."""

    def __init__(self) -> None:
        self.arrays: list[NDArray[Any]] = []
        self._numbers: dict[tuple[str, bytes], int] = {}

    def add(self, values: NDArray[Any]) -> Constant:
        """The array's number; int8 and int32 arrays are known to the templates."""
        flat = np.ascontiguousarray(values).reshape(-1)
        key = (flat.dtype.name, flat.tobytes())
        if key not in self._numbers:
            self._numbers[key] = len(self.arrays)
            self.arrays.append(flat)
        return Constant(self._numbers[key])
