"""The c_* filters: whatever a model says, the C++ stays what the templates mean."""

from __future__ import annotations

import math
import re
import shutil
import subprocess
from pathlib import Path

import jinja2
import numpy as np
import pytest
from aot_builder import HOSTILE
from hypothesis import example, given
from hypothesis import strategies as st

from pipeline.firmware import filters

texts = st.one_of(st.text(), st.sampled_from(HOSTILE), st.lists(st.sampled_from(HOSTILE)).map("".join))


def unescape(literal: str) -> bytes:
    """The bytes of a literal as a C++ compiler reads it: octal escapes are all there is."""
    assert literal[0] == literal[-1] == '"'
    body = literal[1:-1]
    assert re.fullmatch(r'(?:[^"\\?\x00-\x1f\x7f-\U0010ffff]|\\[0-3][0-7]{2})*', body)
    return re.sub(rb"\\([0-7]{3})", lambda found: bytes([int(found[1], 8)]), body.encode("ascii"))


@given(texts)
def test_strings_keep_their_bytes(text: str) -> None:
    assert unescape(filters.c_string(text)) == text.encode("utf-8", "surrogatepass")


@given(texts)
@example("x")
def test_identifiers_are_identifiers(text: str) -> None:
    made = filters.c_ident(text)
    assert re.fullmatch(r"x(_[A-Za-z0-9]+)*", made)
    assert len(made) <= 102


@given(texts)
def test_comments_end_nowhere(text: str) -> None:
    made = filters.c_comment(text)
    assert made.isascii()
    assert made.isprintable()
    assert len(made) <= 200
    assert not re.search(r"[*\\?]", made)


@given(st.lists(st.integers(-(2**31), 2**31 - 1)))
def test_arrays_say_their_integers(values: list[int]) -> None:
    made = filters.c_int_array(values)
    assert [int(part) for part in made.replace("\n", " ").split(",") if part.strip()] == values
    assert all(len(line) <= 120 for line in made.splitlines())
    assert filters.c_int_array(np.array(values, np.int32)) == made


@given(st.floats(allow_nan=False, allow_infinity=False, width=32))
def test_floats_are_exact(value: float) -> None:
    made = filters.c_float(value)
    assert made.endswith("F")
    assert float.fromhex(made[:-1]) == value
    assert math.copysign(1, float.fromhex(made[:-1])) == math.copysign(1, value)


@pytest.mark.parametrize("value", [0.1, math.inf, -math.inf, math.nan, 1e300])
def test_a_float_that_is_none_is_refused(value: float) -> None:
    with pytest.raises((ValueError, OverflowError)), np.errstate(over="ignore"):
        filters.c_float(value)


@pytest.mark.parametrize("value", ["1", 1.0, None, "1; evil()"])
def test_only_integers_become_integers(value: object) -> None:
    for make in (filters.c_int, filters.c_hex):
        with pytest.raises(TypeError):
            make(value)
    with pytest.raises(TypeError):
        filters.c_int_array([value])


def test_an_array_of_floats_holds_no_integers() -> None:
    with pytest.raises(TypeError, match="no integers"):
        filters.c_int_array(np.zeros(3))


@pytest.mark.parametrize("value", [2**63, -(2**63), 2**70])
def test_integers_fit_the_language(value: int) -> None:
    with pytest.raises(ValueError, match="64 bits"):
        filters.c_int(value)
    with pytest.raises(ValueError, match="64 unsigned bits"):
        filters.c_hex(-1)


@pytest.mark.parametrize(
    "template", ["{{ name }}", "{{ 1 + 1 }}", "{{ name ~ (3 | c_int) }}", "{{ missing | c_string }}"]
)
def test_nothing_unfiltered_is_printed(template: str, tmp_path: Path) -> None:
    (tmp_path / "t.j2").write_text(template)
    with pytest.raises((TypeError, jinja2.UndefinedError)):
        filters.environment(tmp_path).get_template("t.j2").render(name="x")


def test_filtered_values_are_printed(tmp_path: Path) -> None:
    (tmp_path / "t.j2").write_text("{{ n | c_int }} {{ n | c_hex }} {{ s | c_string }}\n")
    assert filters.environment(tmp_path).get_template("t.j2").render(n=31, s="a?") == '31 0x1fU "a\\077"\n'


@pytest.mark.skipif(shutil.which("g++") is None, reason="g++ is not installed")
def test_a_compiler_reads_what_was_meant(tmp_path: Path) -> None:
    """Hostile names in strings and comments, trigraphs switched on, every warning an error."""
    floats = [0.0, -0.0, 1 / 255, 3.4e38, 1e-45, -0.15625]
    exact = [float(np.float32(value)) for value in floats]
    lines = ["#include <cstdio>", "int main() {"]
    for text in HOSTILE:
        lines += [f"  // {filters.c_comment(text)}", f"  /* {filters.c_comment(text)} */"]
        lines.append(f"  std::fwrite({filters.c_string(text)}, 1, sizeof({filters.c_string(text)}), stdout);")
    lines.append(f"  const float floats[] = {{{', '.join(map(filters.c_float, exact))}}};")
    lines.append("  std::fwrite(floats, sizeof(float), sizeof floats / sizeof(float), stdout);")
    lines.append(f"  const int ints[] = {{{filters.c_int_array([-(2**31), 2**31 - 1, 0])}}};")
    lines.append("  std::fwrite(ints, sizeof(int), sizeof ints / sizeof(int), stdout);")
    lines.append("}")
    source, program = tmp_path / "hostile.cpp", tmp_path / "hostile"
    source.write_text("\n".join(lines), encoding="ascii")
    flags = ["-std=c++17", "-trigraphs", "-Wall", "-Wextra", "-Werror"]
    subprocess.run(["g++", *flags, "-o", program, source], check=True, capture_output=True)
    said = subprocess.run([program], check=True, capture_output=True).stdout
    wanted = b"".join(text.encode("utf-8", "surrogatepass") + b"\0" for text in HOSTILE)
    wanted += np.array(exact, np.float32).tobytes() + np.array([-(2**31), 2**31 - 1, 0], np.int32).tobytes()
    assert said == wanted
