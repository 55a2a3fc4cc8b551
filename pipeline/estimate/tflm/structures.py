"""The interpreter's structures, member by member, and the bytes that a compiler gives them.

The same lists give a 32-bit board's sizes and those of the host's Python package, so that what is counted for a board
can be checked on a host. Source: micro_allocator.h, recording_micro_allocator.h, the headers of arena_allocator/,
memory_planner/ and kernels/, common.h, builtin_op_data.h and internal/types.h of TensorFlow Lite Micro, August 2026.

A structure is a tuple of runs of members and of names of other structures. A member is a letter::

    p  a pointer, also a size_t and an intptr_t          i  four bytes: int, int32_t, float
    e  an enumeration                                    h  two bytes: int16_t, uint16_t
    d  eight bytes, aligned to eight: double             b  one byte: bool, int8_t, an enumeration of one byte
"""

from __future__ import annotations

from dataclasses import dataclass, field

_STRUCTURES: dict[str, tuple[str, ...]] = {
    # Allocators and planner. A class with virtual functions begins with a pointer, one with two bases with two.
    "SingleArenaBufferAllocator": ("pp", "ppppp", "p", "i"),
    "RecordingSingleArenaBufferAllocator": ("SingleArenaBufferAllocator", "pppp"),
    "GreedyMemoryPlanner": ("p", "ii", "pppp", "ii", "p", "b"),
    "BufferRequirements": ("iiii",),
    "ListEntry": ("iii",),
    "MicroAllocator": ("p", "pppp", "b", "ppp"),
    "RecordingMicroAllocator": ("MicroAllocator", "p", 7 * "ppp"),
    "MicroBuiltinDataAllocator": ("pp",),
    "SubgraphAllocations": ("pp",),
    "NodeAndRegistration": ("pppppp", "i", "p"),
    "ScratchBufferRequest": ("p", "ii"),
    "ScratchBufferHandle": ("p",),
    "AllocationInfo": ("pp", "iii", "b"),
    # Tensors.
    "TfLiteEvalTensor": ("pp", "e"),
    "TfLiteTensor": ("ep", "ii", "pp", "p", "eeb"),
    "TfLiteAffineQuantization": ("pp", "i"),
    # Options, as the flatbuffer's parser keeps them.
    "TfLiteConvParams": ("eii", "e", "ii", "e"),
    "TfLiteDepthwiseConvParams": ("eii", "i", "e", "ii"),
    "TfLiteFullyConnectedParams": ("ee", "bb", "e"),
    "TfLitePoolParams": ("eiiii", "e", "iiii"),
    "TfLiteAddParams": ("eb",),
    "TfLiteSubParams": ("eb",),
    "TfLiteMulParams": ("e",),
    "TfLiteReducerParams": ("b",),
    "TfLiteConcatenationParams": ("ie",),
    "TfLiteReshapeParams": (8 * "i", "i"),
    "TfLiteSqueezeParams": (8 * "i", "i"),
    "TfLiteSoftmaxParams": ("i",),
    "TfLiteStridedSliceParams": ("iiiii", "b"),
    "TfLiteSplitParams": ("i",),
    # Data of the reference kernels.
    "OpDataConv": ("iiii", "iii", "ii", "pp", "ii", "i"),
    "OpDataFullyConnected": ("ii", "ii", "i", "iii", "i", "pp", "b"),
    "OpDataAdd": ("b", 12 * "i", "ii"),
    "OpDataSub": ("b", 12 * "i"),
    "OpDataMul": ("ii", "iiiii", "ii"),
    "OpDataPooling": ("iiii", "ii", "ii"),
    "OpDataReduce": (11 * "i",),
    "PadParams": ("b", 5 * "i", "b", 5 * "i", "b"),
    "OpDataPad": ("PadParams", "i"),
    "ConcatenationParams": ("i", "pp", "iii"),
    "ReluOpData": ("bii", "iiii"),
    "Relu6OpData": ("ii",),
    "OpDataLogistic": ("iiii",),
    "HardSwishParams": ("hhh", "i", "h", "i"),
    "SoftmaxParams": ("d", 6 * "i", "i", 5 * "p"),
    "QuantizationParams": ("id",),
    "OpDataQuantizeReference": ("QuantizationParams", "ii", "i"),
    "DequantizeOpData": ("QuantizationParams", "ii", "i"),
    "StridedSliceParams": ("b", 5 * "i", "b", 5 * "i", "b", 5 * "i", 5 * "h", "b"),
    # Data of the CMSIS-NN kernels where it is another: the reference kernel's, and indices of buffers.
    "CmsisNnConv": ("OpDataConv", "i"),
    "CmsisNnFullyConnected": ("OpDataFullyConnected", "ii", "p", "iii"),
    "CmsisNnPooling": ("OpDataPooling", "i"),
    "CmsisNnSoftmax": ("SoftmaxParams", "ii"),
}
#: What follows where TFLM is built for compressed weights, as the Python package is: places of unpacked tensors.
_COMPRESSION = {
    "RecordingMicroAllocator": "ppp",
    "SubgraphAllocations": "p",
    "OpDataConv": "ii",
    "OpDataFullyConnected": "ii",
    "ConcatenationParams": 10 * "i",
}


@dataclass(frozen=True)
class Sizes:
    """How a compiler lays structures out.

    Attributes:
        pointer: Bytes of a pointer.
        enumeration: Bytes of an enumeration: bare-metal ARM compilers take the fewest that hold its values.
        recording: Whether the allocators are those that keep a report.
        compression: Whether TFLM is built for compressed weights.
    """

    pointer: int
    enumeration: int
    recording: bool = False
    compression: bool = False
    _known: dict[str, tuple[int, int]] = field(default_factory=dict, compare=False, repr=False)

    def of(self, name: str) -> int:
        """Bytes of a structure."""
        return self.layout(name)[0]

    def layout(self, name: str) -> tuple[int, int]:
        """Bytes and alignment of a structure."""
        if name not in self._known:
            size, widest = 0, 1
            for bytes_, alignment in self._members(name):
                size = aligned(size, alignment) + bytes_
                widest = max(widest, alignment)
            self._known[name] = aligned(size, widest), widest
        return self._known[name]

    def _members(self, name: str) -> list[tuple[int, int]]:
        letters = {"p": self.pointer, "e": self.enumeration, "i": 4, "h": 2, "b": 1, "d": 8}
        found: list[tuple[int, int]] = []
        more = (_COMPRESSION[name],) if self.compression and name in _COMPRESSION else ()
        for part in (*_STRUCTURES[name], *more):
            found += [self.layout(part)] if part in _STRUCTURES else [(letters[one], letters[one]) for one in part]
        return found


#: A bare-metal ARM compiler's, for every Cortex-M.
CORTEX_M = Sizes(pointer=4, enumeration=1)
#: The ``tflite-micro`` package's, on 64-bit Linux.
HOST = Sizes(pointer=8, enumeration=4, recording=True, compression=True)


def aligned(size: int, alignment: int) -> int:
    """The next multiple of an alignment.

    >>> aligned(17, 16), aligned(32, 16)
    (32, 32)
    """
    return -(-size // alignment) * alignment
