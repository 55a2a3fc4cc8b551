"""What the TensorFlow Lite Micro interpreter needs: its arena, its code, its stack.

The arena has two ends. Its head holds activations and the scratch buffers of kernels, placed by TFLM's greedy planner,
which is repeated here exactly (source: greedy_memory_planner.cc and micro_allocation_info.cc; order by falling size,
ties by falling index, first fit among what lives at the same time). Its tail holds what lives as long as the
interpreter: a few structures a tensor and an operator, whose sizes on a 32-bit processor are in the tables below, and
each kernel's data, two words a channel for convolutions among them (source: micro_allocator.cc and the kernels'
Prepare functions). While it plans, the interpreter keeps lists in the head; a small model needs more for those than
for its activations. Kernels look at descriptions of their tensors, channel by channel, while they prepare; a wide
dense layer needs more for those than to run.

The tables were read from TFLM of August 2026 with GCC 12.2. Another version may need a little more or less: the
firmware says so before its first inference, and is then rendered again with what it asks for.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

from pipeline.boards import Board
from pipeline.errors import UsageError
from pipeline.estimate.macs import macs
from pipeline.estimate.model import ALIGNMENT, Estimate, Item, MemoryPlan, Placement, Segment
from pipeline.estimate.stages import Stage, StageKind
from pipeline.graph.model import DType, Graph, OpCode, Operator, Tensor, WindowOptions

Kernels = Literal["reference", "cmsis_nn"]

#: What the linker sets aside for the stack of a program with the interpreter, in bytes.
STACK_RESERVE = 4096

#: What programs take, measured; see :class:`Costs`.
COSTS = Path(__file__).with_suffix(".toml")
#: Bytes that the resolver keeps for an operator.
_REGISTRATION = 36
#: Bytes of stack to spare over what one kernel's program takes.
_SPARE_STACK = 128

# Bytes of TFLM's structures on a 32-bit processor.
_ALLOCATORS = 36 + 44 + 36 + 8 + 8  # arena allocator, planner, MicroAllocator, builtin data allocator, subgraph
_EVAL_TENSOR = 12
_NODE = 32
_TENSOR = 32
_AFFINE_QUANTIZATION = 12
_SCRATCH_HANDLE = 4
_SCRATCH_REQUEST = 12
_MOST_REQUESTS = 12  # of one operator; the list is kept that much longer
_ALLOCATION_INFO = 24
_PLANNED_BUFFER = 40

#: Bytes of an operator's options as the flatbuffer's parser keeps them.
_OPTIONS = {
    OpCode.CONV_2D: 28,
    OpCode.DEPTHWISE_CONV_2D: 28,
    OpCode.FULLY_CONNECTED: 8,
    OpCode.ADD: 4,
    OpCode.SUB: 4,
    OpCode.MUL: 4,
    OpCode.AVERAGE_POOL_2D: 40,
    OpCode.MAX_POOL_2D: 40,
    OpCode.MEAN: 4,
    OpCode.CONCATENATION: 8,
    OpCode.RESHAPE: 36,
    OpCode.SQUEEZE: 36,
    OpCode.SOFTMAX: 4,
    OpCode.STRIDED_SLICE: 24,
    OpCode.SPLIT: 4,
}
#: Bytes of a kernel's own data: reference kernels, CMSIS-NN kernels.
_DATA = {
    OpCode.CONV_2D: (56, 60),
    OpCode.DEPTHWISE_CONV_2D: (56, 60),
    OpCode.FULLY_CONNECTED: (48, 72),
    OpCode.ADD: (60, 60),
    OpCode.SUB: (52, 52),
    OpCode.MUL: (36, 36),
    OpCode.AVERAGE_POOL_2D: (32, 36),
    OpCode.MAX_POOL_2D: (32, 36),
    OpCode.MEAN: (44, 44),
    OpCode.PAD: (64, 64),
    OpCode.PADV2: (64, 64),
    OpCode.CONCATENATION: (64, 64),
    OpCode.RELU: (28, 28),
    OpCode.RELU6: (8, 8),
    OpCode.LOGISTIC: (16, 16),
    OpCode.HARD_SWISH: (20, 20),
    OpCode.SOFTMAX: (56, 56),
    OpCode.QUANTIZE: (32, 32),
    OpCode.DEQUANTIZE: (32, 32),
    OpCode.STRIDED_SLICE: (76, 76),
}


@dataclass(frozen=True)
class Arena:
    """The interpreter's arena: ``head`` and ``tail`` as it reports them, ``bytes`` what it must be given.

    ``scratch`` are the kernels' scratch buffers in the head, as Placements of tensor −1.
    """

    head: int
    tail: int
    bytes: int
    placements: tuple[Placement, ...]
    peak_operator: int
    scratch: tuple[Placement, ...] = ()


@dataclass(slots=True)
class _Buffer:
    """A buffer to be placed; ``tensor`` is −1 for a scratch buffer. It lives in the scopes [first, last]."""

    tensor: int
    size: int
    first: int
    last: int
    offset: int = 0

    @property
    def end(self) -> int:
        return self.offset + _aligned(self.size)


def arena(graph: Graph, kernels: Kernels) -> Arena:
    """The arena of a Graph; one without data will do."""
    buffers = [*_activations(graph), *_scratch(graph, kernels)]
    _place(buffers)
    scratch = sum(buffer.tensor < 0 for buffer in buffers)
    head = max((buffer.end for buffer in buffers), default=0)
    tail, preparing = _tail(graph, kernels)
    lists = (
        _SCRATCH_REQUEST * (scratch + _MOST_REQUESTS)
        + 4
        + _ALLOCATION_INFO * (len(graph.tensors) + scratch)
        + _PLANNED_BUFFER * len(buffers)
        + 2 * ALIGNMENT
    )
    # Scope 0 is the model's input alone; the operators follow.
    live = [sum(b.size for b in buffers if b.first <= scope <= b.last) for scope in range(len(graph.operators) + 1)]
    return Arena(
        head=head,
        tail=tail,
        bytes=_aligned(max(head + tail, lists + tail, preparing)),
        placements=tuple(_placement(buffer) for buffer in buffers if buffer.tensor >= 0),
        peak_operator=max(max(range(len(live)), key=live.__getitem__) - 1, 0),
        scratch=tuple(_placement(buffer) for buffer in buffers if buffer.tensor < 0),
    )


def _placement(buffer: _Buffer) -> Placement:
    """As part of a MemoryPlan, which counts operators: the input is there before the first one."""
    return Placement(buffer.tensor, buffer.offset, buffer.size, max(buffer.first - 1, 0), max(buffer.last - 1, 0))


def plan(graph: Graph, kernels: Kernels) -> MemoryPlan:
    """The same as a MemoryPlan: what the interpreter will do at start-up, in an arena with room for its own data."""
    found = arena(graph, kernels)
    segments = tuple(
        Segment(
            stages=(_stage(operator),),
            flat=False,
            scratch=0,
            scratch_bytes=0,
            sums=0,
            sums_bytes=0,
        )
        for operator in graph.operators
    )
    return MemoryPlan(found.bytes, found.placements, segments, found.peak_operator, found.bytes)


def _stage(operator: Operator) -> Stage:
    """Each operator runs alone, from whole tensors to whole tensors, RESHAPE too."""
    return Stage(operator.index, (operator,), StageKind.WHOLE, (), operator.outputs, 1)


def _aligned(size: int) -> int:
    return -(-size // ALIGNMENT) * ALIGNMENT


def _activations(graph: Graph) -> list[_Buffer]:
    """One buffer a tensor that has no data, aliases too: the interpreter copies for RESHAPE."""
    lives = {index: _Buffer(index, graph.tensors[index].nbytes, 0, 0) for index in graph.inputs}
    for operator in graph.operators:
        scope = operator.index + 1
        for index in operator.outputs:
            lives.setdefault(index, _Buffer(index, graph.tensors[index].nbytes, scope, scope)).last = scope
        for source in operator.inputs:
            if source is not None and source in lives:
                lives[source].last = scope
    for index in graph.outputs:
        if index in lives:
            lives[index].last = len(graph.operators)
    return [lives[index] for index in sorted(lives)]


def _scratch(graph: Graph, kernels: Kernels) -> list[_Buffer]:
    """Buffers that kernels ask for while they run, in the order in which they ask."""
    return [
        _Buffer(-1, size, operator.index + 1, operator.index + 1)
        for operator in graph.operators
        for size in _scratch_of(graph, operator, kernels)
    ]


def _scratch_of(graph: Graph, operator: Operator, kernels: Kernels) -> tuple[int, ...]:
    source, output = _tensor(graph, operator, 0), graph.tensors[operator.outputs[0]]
    if source is None:
        return ()
    if operator.code is OpCode.MEAN:
        axes = _tensor(graph, operator, 1)
        return (4 * output.elements, 4 * len(source.shape), 4 * (axes.elements if axes is not None else 1))
    size = 0
    if kernels == "cmsis_nn" and isinstance(operator.options, WindowOptions):
        size = _window_scratch(operator, source, _tensor(graph, operator, 1), output)
    return (size,) if size else ()


def _window_scratch(operator: Operator, source: Tensor, weights: Tensor | None, output: Tensor) -> int:
    """What CMSIS-NN's convolutions and pools ask for on a processor with the DSP extension."""
    channels = source.shape[-1]
    if operator.code is OpCode.AVERAGE_POOL_2D:
        return 4 * channels
    if weights is None:
        return 0
    height, width = weights.shape[1:3]
    if operator.code is OpCode.CONV_2D:
        # arm_convolve_s8: two columns of int16, taps in fours; a 1×1 reads its input where it is.
        return 0 if (height, width) == (1, 1) else 4 * (-(-height * width * channels // 4) * 4)
    # arm_depthwise_conv_s8_opt: one column of int16; a 3×3 has a kernel of its own.
    return 0 if channels != output.shape[-1] or (height, width) == (3, 3) else 2 * channels * height * width


def _place(buffers: list[_Buffer]) -> None:
    """TFLM's greedy planner."""
    placed: list[_Buffer] = []
    for buffer in sorted(enumerate(buffers), key=lambda pair: (-_aligned(pair[1].size), -pair[0])):
        one = buffer[1]
        offset = 0
        for other in placed:  # by rising offset
            if other.first > one.last or other.last < one.first:
                continue
            if other.offset - offset >= _aligned(one.size):
                break
            offset = max(offset, other.end)
        one.offset = offset
        placed.append(one)
        placed.sort(key=lambda item: item.offset)


def _tail(graph: Graph, kernels: Kernels) -> tuple[int, int]:
    """The tail, and the most that tail and head take while kernels prepare, one after the other."""
    total = _ALLOCATORS + _EVAL_TENSOR * len(graph.tensors) + _NODE * len(graph.operators)
    # The options of all operators come first, then the data of all kernels, then what these prepare. The tail grows
    # downwards, and what a kernel asks for starts at a multiple of 16.
    total += sum(_OPTIONS.get(operator.code, 0) for operator in graph.operators)
    for operator in graph.operators:
        size = _DATA.get(operator.code, (0, 0))[kernels == "cmsis_nn"]
        total = _aligned(total + size) if size else total
    most, requests = 0, 0
    for operator in graph.operators:
        for size in _multipliers(graph, operator):
            total = _aligned(total + size) if size else total
        most = max(most, total + _SCRATCH_REQUEST * (requests + _MOST_REQUESTS) + _looked_at(graph, operator))
        requests += len(_scratch_of(graph, operator, kernels))
    total += _SCRATCH_HANDLE * requests
    for tensor in (graph.input, graph.output):
        total = _aligned(total + 4)  # the array of one pointer
        total += _TENSOR + (_AFFINE_QUANTIZATION + 8 if tensor.dtype is not DType.FLOAT32 else 0)
    return total, most


def _looked_at(graph: Graph, operator: Operator) -> int:
    """Bytes of the descriptions of an operator's tensors, which its kernel has while it prepares."""
    sizes = []
    for index in (*operator.inputs, *operator.outputs):
        quantization = None if index is None else graph.tensors[index].quantization
        scales = 0 if quantization is None else len(quantization.scales)
        sizes.append(0 if index is None else _TENSOR + (_AFFINE_QUANTIZATION + 4 + 4 * scales if scales else 0))
    if operator.code in (OpCode.CONV_2D, OpCode.DEPTHWISE_CONV_2D):
        return 2 * sum(sizes) - (sizes[2] if len(operator.inputs) > 2 else 0)  # all but the bias twice
    return 2 * sum(sizes) if operator.code is OpCode.MEAN else sum(sizes)


def _multipliers(graph: Graph, operator: Operator) -> tuple[int, ...]:
    """Bytes of the multipliers and of the shifts that a kernel keeps."""
    weights = _tensor(graph, operator, 1) if operator.code is OpCode.FULLY_CONNECTED else None
    count = 0
    if operator.code in (OpCode.CONV_2D, OpCode.DEPTHWISE_CONV_2D):
        count = graph.tensors[operator.outputs[0]].shape[-1]
    elif weights is not None and weights.quantization is not None and len(weights.quantization.scales) > 1:
        count = len(weights.quantization.scales)
    return (4 * count, 4 * count)


def _tensor(graph: Graph, operator: Operator, position: int) -> Tensor | None:
    index = operator.inputs[position] if position < len(operator.inputs) else None
    return None if index is None else graph.tensors[index]


class Costs(BaseModel):
    """What programs with one kind of kernels take, in bytes.

    Attributes:
        code: Flash of every program, without the model: interpreter, command loop, port.
        shares: Flash of what some operators bring: their names with ``+`` between them, and the bytes that a program
            with any of them has once.
        static: .data and .bss outside the arena of a program with each operator, without what :func:`static_of` counts.
        stack: Stack of a program with each operator.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    code: int
    shares: dict[str, int]
    static: dict[str, int]
    stack: dict[str, int]


def costs() -> dict[Kernels, Costs]:
    """The table, by kind of kernels."""
    with COSTS.open("rb") as file:
        values = tomllib.load(file)
    return {name: Costs.model_validate(values[name]) for name in ("reference", "cmsis_nn") if name in values}


def toml(table: dict[Kernels, Costs]) -> str:
    """The table as its file."""
    lines = [
        "# Bytes of code, static data and stack of programs with the TensorFlow Lite Micro interpreter. Not by hand:",
        "#     python benchmarks/calibrate_tflm.py --tflm-tree PATH",
    ]
    for name, found in table.items():
        lines += ["", f"[{name}]", f"code = {found.code}"]
        for part, values in (("shares", found.shares), ("static", found.static), ("stack", found.stack)):
            lines += ["", f"[{name}.{part}]", *(f'"{key}" = {value}' for key, value in sorted(values.items()))]
    return "\n".join(lines) + "\n"


def static_of(graph: Graph) -> int:
    """Static data that depends on the model: the resolver, the profile, the copy of the first output."""
    return _REGISTRATION * len(graph.codes) + 8 * len(graph.operators) + -(-graph.output.nbytes // 4) * 4


def estimate(graph: Graph, board: Board, plan: MemoryPlan, kernels: Kernels) -> Estimate:
    """What a program with the interpreter will need on a board; a Graph without data will do.

    Raises:
        UsageError: ``no-calibration`` for an operator that the table does not have.
    """
    table = costs()[kernels]
    for code in graph.codes:
        if code.value not in table.stack:
            raise UsageError(
                "no-calibration",
                f"the interpreter's table has no kernel {code}",
                next="Write it again: python benchmarks/calibrate_tflm.py --tflm-tree PATH",
            )
    names = sorted(code.value for code in graph.codes)
    static, stack = (max((part[name] for name in names), default=0) for part in (table.static, table.stack))
    return Estimate(
        ram=(
            Item(name="arena", bytes=plan.arena_bytes),
            Item(name="static", bytes=static + static_of(graph)),
            Item(name="stack", bytes=stack + _SPARE_STACK),
        ),
        flash=(
            Item(name="model", bytes=graph.file_bytes or _file_bytes(graph)),
            Item(name="interpreter and port", bytes=table.code),
            Item(name="kernels", bytes=_kernel_bytes(table, set(names))),
        ),
        stack_reserve=max(board.stack.reserve_bytes, STACK_RESERVE),
        macs=macs(graph),
    )


def _kernel_bytes(table: Costs, names: set[str]) -> int:
    return sum(size for users, size in table.shares.items() if not names.isdisjoint(users.split("+")))


def _file_bytes(graph: Graph) -> int:
    """About what a .tflite of this Graph will take: its constants, their scales and zero points, its structure."""
    constants = sum(tensor.nbytes for tensor in graph.tensors if tensor.constant)
    channels = sum(len(t.quantization.scales) for t in graph.tensors if t.quantization is not None)
    return constants + 12 * channels + 250 * len(graph.tensors)
