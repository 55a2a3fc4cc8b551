"""The compiler's call graphs: as GCC writes them, with names of all kinds, and damaged."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import BuildError
from pipeline.firmware import vcg

_TEXT = r"""graph: { title: "/a b/src/x.cpp"
node: { title: "/a b/src/x.cpp:_ZL3recl.isra.0" label: "int rec(int)\n/a b/src/x.cpp:6:38\n24 bytes (static)" }
node: { title: "memcpy" label: "void* __builtin_memcpy(void*, const void*, unsigned int)\n<built-in>" shape : ellipse }
edge: { sourcename: "/a b/src/x.cpp:_ZL3recl.isra.0" targetname: "memcpy" }
node: { title: "_Zli2kmPKc" label: "int operator\"\"_km(const char*)\n/a b/src/x.cpp:8:6\n8 bytes (dynamic)" }
edge: { sourcename: "_Zli2kmPKc" targetname: "/a b/src/x.cpp:_ZL3recl.isra.0" label: "/a b/src/x.cpp:8:31" }
node: { title: "__indirect_call" label: "Indirect Call Placeholder" shape : ellipse }
edge: { sourcename: "_Zli2kmPKc" targetname: "__indirect_call" label: "/a b/src/x.cpp:9:9" }
node: { title: "_Z1bv" label: "void b()\n/a b/src/x.cpp:8:6\n16 bytes (dynamic,bounded)\n1 dynamic objects" }
}
"""


def test_functions_frames_and_calls() -> None:
    unit = vcg.parse(_TEXT.replace('\\"\\"', '""'))
    assert unit.path == "/a b/src/x.cpp"
    local, operator, bounded = unit.functions.values()
    assert (local.name, local.local, local.frame, local.dynamic) == ("_ZL3recl.isra.0", True, 24, False)
    assert local.calls == {("memcpy", False)}
    assert (operator.name, operator.local, operator.frame, operator.dynamic) == ("_Zli2kmPKc", False, 8, True)
    assert operator.calls == {("_ZL3recl.isra.0", True), (vcg.INDIRECT, False)}
    assert (bounded.frame, bounded.dynamic, bounded.calls) == (16, False, set())


_names = st.text(st.characters(blacklist_categories=("Cs", "Cc"), blacklist_characters='"\\'), min_size=1, max_size=20)


@given(
    path=_names, names=st.lists(_names, min_size=1, max_size=5, unique=True), frames=st.lists(st.integers(0, 9999)),
    data=st.data(),
)  # fmt: skip
def test_hostile_names_stay_names(path: str, names: list[str], frames: list[int], data: st.DataObject) -> None:
    titles = [f"{path}:{name}" if data.draw(st.booleans()) else name for name in names]
    frames = [*frames, *[8] * len(titles)][: len(titles)]
    calls = data.draw(st.lists(st.tuples(st.sampled_from(titles), st.sampled_from(titles))))
    lines = [f'graph: {{ title: "{path}"']
    for title, frame in zip(titles, frames, strict=True):
        label = f"{data.draw(_names)}\\n{path}:1:2\\n{frame} bytes (static)"
        lines.append(f'node: {{ title: "{title}" label: "{label}" }}')
    lines += [f'edge: {{ sourcename: "{one}" targetname: "{other}" }}' for one, other in calls]
    unit = vcg.parse("\n".join([*lines, "}"]))
    assert {title: one.frame for title, one in unit.functions.items()} == dict(zip(titles, frames, strict=True))
    for title, one in unit.functions.items():
        assert len(one.calls) == len({other for caller, other in calls if caller == title})


@given(st.text(max_size=200) | st.binary(max_size=200).map(lambda content: content.decode("latin-1")))
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(BuildError) as caught:
        vcg.parse(text)
    assert caught.value.id == "bad-call-graph"


@given(st.data())
def test_damage_never_raises_anything_else(data: st.DataObject) -> None:
    text = _TEXT
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, len(text) - 1))
        text = text[:place] + data.draw(st.text(max_size=3)) + text[place + data.draw(st.integers(0, 9)) :]
    try:
        unit = vcg.parse(text)
    except BuildError as error:
        assert error.id == "bad-call-graph" and "\x1b" not in error.why
    else:
        assert all(one.frame >= 0 for one in unit.functions.values())
