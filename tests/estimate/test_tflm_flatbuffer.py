"""The .tflite's size from shapes, against files that TensorFlow's converter wrote.

The sizes are those of files that ``benchmarks/estimates_tflm.py --convert`` made; one is made again in
tests/test_quantize.py.
"""

from __future__ import annotations

import flatbuffers
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.estimate.tflm.flatbuffer import _Packer, predicted_bytes
from pipeline.genotype import Genotype
from pipeline.graph.skeleton import from_genotype

FILES = {
    ("32-mono-d00000-a01", 2): 17344,
    ("32-mono-d22100-a02", 2): 90840,
    ("32-mono-d11120-a01", 2): 114232,
    ("32-mono-d11121-a01", 2): 178504,
    ("32-mono-d34331-a01", 2): 311560,
    ("64-rgb-d21000-a03", 2): 56096,
    ("64-rgb-d21000-a03", 10): 56832,
    ("64-rgb-d22000-a02", 2): 67992,
    ("64-mono-d11110-a10", 2): 381496,
    ("64-mono-d34331-a04", 2): 966384,
    ("96-mono-d12210-a05", 2): 329768,
    ("96-rgb-d32100-a03", 2): 123960,
    ("128-rgb-d10000-a01", 2): 23440,
    ("160-mono-d21100-a02", 2): 70752,
}


@pytest.mark.parametrize(("name", "classes"), FILES)
def test_a_files_size_follows_from_shapes(name: str, classes: int) -> None:
    assert predicted_bytes(from_genotype(Genotype.parse(name), classes)) == FILES[name, classes]


_PIECES = st.lists(
    st.one_of(
        st.tuples(st.just("string"), st.integers(0, 40)),
        st.tuples(st.just("bytes"), st.integers(0, 40)),
        st.tuples(st.just("longs"), st.integers(0, 5)),
        st.tuples(st.just("table"), st.sets(st.integers(0, 4), max_size=4)),
    ),
    min_size=1,
    max_size=12,
)
_WIDTHS = (4, 1, 8, 2, 4)


@settings(max_examples=60)
@given(_PIECES)
def test_the_packer_counts_what_flatbuffers_writes(pieces: list[tuple[str, int | set[int]]]) -> None:
    builder, packer = flatbuffers.Builder(64), _Packer()
    prepend = {1: builder.PrependInt8Slot, 2: builder.PrependInt16Slot}
    prepend |= {4: builder.PrependInt32Slot, 8: builder.PrependInt64Slot}
    for kind, value in [*pieces, ("table", {0})]:
        if isinstance(value, set):
            builder.StartObject(5)
            for slot in sorted(value):
                prepend[_WIDTHS[slot]](slot, 1, 0)
            root = builder.EndObject()
            packer.table(*((slot, _WIDTHS[slot]) for slot in sorted(value)))
        elif kind == "string":
            builder.CreateString("x" * value)
            packer.string(value)
        else:
            item = np.int64 if kind == "longs" else np.int8
            builder.CreateNumpyVector(np.ones(value, item))
            packer.vector(np.dtype(item).itemsize, value)
    builder.Finish(root, b"TFL3")
    assert packer.finish() == len(builder.Output())
