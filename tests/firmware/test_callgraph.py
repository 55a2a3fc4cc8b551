"""The bound of the stack of small programs, as the compiler and the linker make them."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from pipeline.errors import BuildError
from pipeline.firmware import callgraph, code
from pipeline.firmware.callgraph import StackBounds

_FLAGS = ["-mcpu=cortex-m4", "-mthumb", "-std=gnu++17", "-g", "-fno-exceptions", "-fcallgraph-info=su"]
_MAIN = """
#include <cstdint>
#include <cstddef>
using Source = bool (*)(signed char*, size_t);
namespace danas::runtime { bool invoke(Source source); }
volatile int sink;
[[gnu::noinline]] void take(void* p) { __asm volatile("" :: "r"(p) : "memory"); }
extern "C" [[gnu::used]] void danas_start();
extern "C" [[gnu::naked, gnu::used]] void Reset_Handler() { __asm volatile("b danas_start"); }
extern "C" [[gnu::used]] void danas_fault() { int room[10]; take(room); }
extern "C" [[gnu::naked, gnu::used]] void danas_fault_entry() { __asm volatile("b danas_fault"); }
"""
_INVOKE = "[[gnu::noipa]] bool danas::runtime::invoke(Source) { int room[30]; take(room); return sink; }\n"
_START = (
    'extern "C" void danas_start() { int room[4]; take(room); sink = danas::runtime::invoke(nullptr); sink = 2; }\n'
)


def _built(folder: Path, *sources: str, optimise: str = "-O1") -> Path:
    if shutil.which("arm-none-eabi-g++") is None:
        pytest.skip("needs arm-none-eabi-g++")
    objects = []
    for number, source in enumerate(sources):
        place = folder / f"{'abc'[number]}.cpp"
        place.write_text(source)
        objects.append(place.with_suffix(".o"))
        compiler = ["arm-none-eabi-g++", *_FLAGS, optimise, "-c", str(place), "-o", str(objects[-1])]
        subprocess.run(compiler, check=True, cwd=folder)
    # Pointers of a table in the program, and the ends that linker.ld gives the constructors.
    names = ["-Wl,--defsym=danas_init_array_start=0", "-Wl,--defsym=danas_init_array_end=0", "-Wl,-e,Reset_Handler"]
    linker = ["arm-none-eabi-g++", *_FLAGS[:2], "-nostartfiles", "--specs=nosys.specs", *names]
    subprocess.run([*linker, *map(str, objects), "-o", str(folder / "p.elf")], check=True, capture_output=True)
    return folder / "p.elf"


def _bounds(folder: Path, *sources: str, optimise: str = "-O1") -> StackBounds:
    return callgraph.bounds(callgraph.functions_of(_built(folder, *sources, optimise=optimise), folder))


def _refused(folder: Path, *sources: str, optimise: str = "-O1") -> str:
    with pytest.raises(BuildError) as caught:
        _bounds(folder, *sources, optimise=optimise)
    assert caught.value.id == "stack-unbounded"
    return caught.value.why


def test_each_path_has_its_deepest_chain(tmp_path: Path) -> None:
    found = _bounds(tmp_path, _MAIN + _INVOKE + _START)
    assert found.commands.names == ("Reset_Handler", "danas_start", callgraph.INVOKE, "_Z4takePv")
    assert 4 * 4 + 4 * 30 <= found.commands.bytes == found.inference.bytes == found.bytes <= 4 * 34 + 40
    assert found.fault.names == ("danas_fault_entry", "danas_fault", "_Z4takePv")
    assert 40 <= found.fault.bytes <= 64


def test_a_command_may_go_deeper_than_the_model(tmp_path: Path) -> None:
    deep = "[[gnu::noinline]] void deep() { int room[99]; take(room); sink = 3; }\n"
    found = _bounds(tmp_path, _MAIN + _INVOKE + deep + _START.replace("sink = 2;", "deep(); sink = 2;"))
    assert found.commands.names[-2:] == ("_Z4deepv", "_Z4takePv")
    assert callgraph.INVOKE in found.inference.names and found.inference.bytes < found.commands.bytes


def test_recursion_is_refused(tmp_path: Path) -> None:
    twice = "int odd(int); [[gnu::noinline]] int even(int n) { take(&n); return n ? odd(n - 1) + 1 : 0; }\n"
    twice += "[[gnu::noinline]] int odd(int n) { take(&n); return n ? even(n - 1) + 1 : 1; }\n"
    start = _START.replace("sink = 2;", "sink = even(sink);")
    assert "_Z4eveni → _Z3oddi → _Z4eveni is a recursion" in _refused(tmp_path, _MAIN + _INVOKE + twice + start)
    once = "[[gnu::noinline]] int again(int n) { take(&n); return n ? again(n - 1) + n : 0; }\n"
    start = _START.replace("sink = 2;", "sink = again(sink);")
    assert "is a recursion" in _refused(tmp_path, _MAIN + _INVOKE + once + start)


def test_what_nothing_calls_is_not_asked_for_a_bound(tmp_path: Path) -> None:
    once = "int again(int n) { take(&n); return n ? again(n - 1) + n : 0; }\n"
    assert _bounds(tmp_path, _MAIN + _INVOKE + once + _START).bytes


@pytest.mark.parametrize("frame", ["int room[sink]; take(room);", "take(__builtin_alloca(sink));"])
def test_a_frame_that_grows_is_refused(tmp_path: Path, frame: str) -> None:
    invoke = "bool danas::runtime::invoke(Source) { " + frame + " return sink; }\n"
    assert "grows while it runs" in _refused(tmp_path, _MAIN + invoke + _START)


def test_a_pointer_calls_what_is_stated(tmp_path: Path) -> None:
    invoke = "bool danas::runtime::invoke(Source source) { return source(nullptr, 0) + sink; }\n"
    start = _START.replace("nullptr", "danas::app::next_row")
    row = "namespace danas::app { bool next_row(signed char*, size_t) { int room[50]; take(room); return sink; } }\n"
    found = _bounds(tmp_path, _MAIN + invoke + row + start)
    assert "_ZN5danas3app8next_rowEPaj" in found.inference.names and found.bytes > 200


def test_a_table_of_pointers_is_read(tmp_path: Path) -> None:
    loop = """
namespace danas::app {
void one() { int room[60]; take(room); sink = 1; }
void two() { int room[20]; take(room); sink = 2; }
extern void (*const kCommands[])();
void (*const kCommands[])() = {one, two};
[[gnu::noinline]] void serve() { kCommands[sink](); sink = 3; }
}
"""
    start = _START.replace("sink = 2;", "danas::app::serve();")
    found = _bounds(tmp_path, _MAIN + _INVOKE + loop + start)
    assert found.commands.names[-2:] == ("_ZN5danas3app3oneEv", "_Z4takePv") and found.bytes > 4 * 60


def test_a_pointer_of_which_nothing_is_stated_is_refused(tmp_path: Path) -> None:
    other = "void (*volatile any)(); [[gnu::noinline]] void other() { any(); sink = 1; }\n"
    why = _refused(tmp_path, _MAIN + _INVOKE + other + _START.replace("sink = 2;", "other();"))
    assert "nothing is stated of the pointers that _Z5otherv calls" in why


def test_equal_names_in_several_files_are_kept_apart(tmp_path: Path) -> None:
    part = "extern void take(void*); extern volatile int sink;\n"
    part += "static __attribute__((noinline)) void same() { int room[SIZE]; take(room); sink = 1; }\n"
    part += "void call_NAME() { same(); sink = 2; }\n"
    parts = [part.replace("SIZE", size).replace("NAME", name) for size, name in (("5", "small"), ("70", "large"))]
    calls = "void call_small(); void call_large();\n"
    small = _bounds(tmp_path, _MAIN + _INVOKE + calls + _START.replace("sink = 2;", "call_small();"), *parts)
    assert small.bytes == small.inference.bytes
    large = _bounds(tmp_path, _MAIN + _INVOKE + calls + _START.replace("sink = 2;", "call_large();"), *parts)
    assert "c.cpp:_ZL4samev" in large.commands.names and large.bytes > 4 * 70


def test_an_inline_function_of_several_files_counts_with_its_largest_frame(tmp_path: Path) -> None:
    shared = "inline __attribute__((noinline)) void shared() { int room[16]; take(room); sink = 1; }\n"
    other = "extern void take(void*); extern volatile int sink;\n" + shared.replace("16", "64")
    sources = (_MAIN + shared + _INVOKE + _START.replace("sink = 2;", "shared();"), other + "void o() { shared(); }\n")
    assert _bounds(tmp_path, *sources).bytes > 4 * 64


def test_clones_are_functions_of_their_own(tmp_path: Path) -> None:
    clone = "[[gnu::noinline]] static int part(int n, int m) { int room[40]; take(room); return n + m + room[0]; }\n"
    start = _START.replace("sink = 2;", "sink = part(sink, 7);")
    found = _bounds(tmp_path, _MAIN + _INVOKE + clone + start, optimise="-O2")
    (name,) = (name for name in found.commands.names if "part" in name)
    assert "." in name.partition(":")[2].partition("_ZL4part")[2] and found.bytes > 160


def test_the_library_is_bounded_by_what_was_linked(tmp_path: Path) -> None:
    """memcpy is assembly without debug information, a 64-bit division assembly that calls C."""
    start = _START.replace("sink = 2;", "copy(); sink = divide(sink, sink);")
    use = 'extern "C" void* memcpy(void*, const void*, size_t); char from[200], to[200];\n'
    use += "[[gnu::noinline]] void copy() { memcpy(to, from, sink); sink = 1; }\n"
    use += "[[gnu::noinline]] uint64_t divide(uint64_t a, uint64_t b) { return a / b + 1; }\n"
    elf = _built(tmp_path, _MAIN + _INVOKE + use + start)
    functions = callgraph.functions_of(elf, tmp_path)
    assert functions["memcpy"].frame == 0 and code.read(elf).functions["memcpy"].frame is None
    assert functions["__aeabi_uldivmod"].frame == 16
    assert "__udivmoddi4" in functions["__aeabi_uldivmod"].calls
    assert callgraph.bounds(functions).bytes >= functions["__udivmoddi4"].frame + 16


def test_assembly_that_moves_the_stack_pointer_must_say_how_far(tmp_path: Path) -> None:
    text = '__asm(".thumb_func\\n.type hidden, %function\\n.global hidden\\nhidden: push {r4, lr}\\n pop {r4, pc}\\n");'
    start = 'extern "C" void hidden();\n' + _START.replace("sink = 2;", "hidden(); sink = 2;")
    assert "nothing is known of the frame of hidden" in _refused(tmp_path, _MAIN + _INVOKE + text + start)


def test_a_call_graph_that_is_damaged_is_refused(tmp_path: Path) -> None:
    elf = _built(tmp_path, _MAIN + _INVOKE + _START)
    (tmp_path / "a.ci").write_text("graph: {")
    with pytest.raises(BuildError) as caught:
        callgraph.functions_of(elf, tmp_path)
    assert caught.value.id == "bad-call-graph"


def test_files_that_are_no_program(tmp_path: Path) -> None:
    (tmp_path / "empty").write_bytes(b"")
    for path in (tmp_path / "missing", tmp_path / "empty", Path("/bin/sh"), tmp_path):
        with pytest.raises(BuildError) as caught:
            code.read(path)
        assert caught.value.id == "bad-elf"
