"""The only way from a value to C++: a small set of Jinja filters, and an environment that lets nothing else through.

Every filter returns :class:`CText`. The environment of :func:`environment` refuses to print anything that is not
CText, so a template that forgets a filter fails when it is rendered, whatever the model contains.

============== ============================================ ==========================
filter         takes                                        gives
============== ============================================ ==========================
c_int          an integer                                   ``-12``
c_hex          an integer ≥ 0                               ``0x1fU``
c_int_array    integers                                     ``1, -2, 3`` (in lines)
c_float        a number that float32 holds exactly          ``0x1.8p-3F``
c_ident        any text                                     a C++ identifier
c_string       any text                                     ``"a string literal"``
c_comment      any text                                     text that ends no comment
============== ============================================ ==========================
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable
from operator import index
from pathlib import Path
from typing import Any

import jinja2
import numpy as np

#: Characters a line of an array may have.
_LINE = 112


class CText(str):
    """Text that a filter has made: safe to put into a C++ source as it stands."""

    __slots__ = ()


def c_int(value: Any) -> CText:
    """A decimal integer literal.

    Raises:
        TypeError: The value is not an integer.
        ValueError: It does not fit 64 bits.
    """
    number = index(value)
    if not -(2**63) < number < 2**63:
        raise ValueError(f"{number} does not fit 64 bits")
    return CText(number)


def c_bool(value: Any) -> CText:
    """``true`` or ``false``, for anything that is one or the other."""
    return CText("true" if value else "false")


def c_hex(value: Any) -> CText:
    """A hexadecimal literal, unsigned."""
    number = index(value)
    if not 0 <= number < 2**64:
        raise ValueError(f"{number} does not fit 64 unsigned bits")
    return CText(f"{number:#x}U")


def c_int_array(values: Iterable[Any]) -> CText:
    """The elements of an integer array, several lines of at most 112 characters; flattened in row-major order."""
    if isinstance(values, np.ndarray):
        if values.dtype.kind not in "iu":
            raise TypeError(f"an array of {values.dtype} holds no integers")
        return _lines(map(str, values.reshape(-1).tolist()))
    return _lines(c_int(value) for value in values)


def c_float(value: Any) -> CText:
    """A float literal in hexadecimal, exactly the value.

    Raises:
        ValueError: The value is not finite, or float32 cannot hold it exactly.
    """
    number = float(value)
    if not math.isfinite(number) or float(np.float32(number)) != number:
        raise ValueError(f"{number!r} is no float32")
    return CText(_hexadecimal(number) + "F")


def c_ident(text: object) -> CText:
    """An identifier that resembles the text. Different texts may give the same one.

    The prefix keeps it from being a keyword or starting with a digit; two underscores in a row, which belong to the
    compiler, do not occur.

    >>> c_ident("model/conv2d:0")
    'x_model_conv2d_0'
    """
    name = re.sub(r"[^A-Za-z0-9]+", "_", str(text)).strip("_")[:100].rstrip("_")
    return CText(f"x_{name}" if name else "x")


def c_string(text: object) -> CText:
    r"""A string literal, quotes included, of the text's UTF-8 bytes.

    Everything but plain printable ASCII becomes an octal escape of three digits, which no following digit can
    lengthen; so do the quote, the backslash and the question mark (trigraphs).

    >>> print(c_string('a"b\n'))
    "a\042b\012"
    """
    data = str(text).encode("utf-8", "surrogatepass")
    return CText('"' + "".join(chr(byte) if _plain(byte) else f"\\{byte:03o}" for byte in data) + '"')


def c_comment(text: object) -> CText:
    """Text for a ``//`` or ``/* */`` comment, at most 200 characters.

    What could end the comment or carry it on to the next line (asterisks, backslashes, question marks for
    trigraphs, control characters, all beyond ASCII) becomes an underscore.
    """
    return CText(re.sub(r"[^A-Za-z0-9 _.,:;=()\[\]<>+/#@!|^&$%'\"{}~-]", "_", str(text)[:200]).strip())


def _plain(byte: int) -> bool:
    return 0x20 <= byte < 0x7F and byte not in b'"\\?'


def _hexadecimal(number: float) -> str:
    """``float.hex`` without trailing zeros: 0x1.8000000000000p+1 is 0x1.8p+1."""
    mantissa, exponent = number.hex().split("p")
    if "." in mantissa:
        mantissa = mantissa.rstrip("0").rstrip(".")
    return f"{mantissa}p{exponent}"


def _lines(elements: Iterable[str]) -> CText:
    lines: list[str] = []
    line: list[str] = []
    width = 0
    for element in elements:
        if line and width + len(element) + 2 > _LINE:
            lines.append(", ".join(line))
            line, width = [], 0
        line.append(element)
        width += len(element) + 2
    if line:
        lines.append(", ".join(line))
    return CText(",\n    ".join(lines))


FILTERS: dict[str, Callable[..., CText]] = {
    "c_int": c_int,
    "c_bool": c_bool,
    "c_hex": c_hex,
    "c_int_array": c_int_array,
    "c_float": c_float,
    "c_ident": c_ident,
    "c_string": c_string,
    "c_comment": c_comment,
}


def _only_filtered(value: Any) -> CText:
    if not isinstance(value, CText):
        raise TypeError(f"a template prints a {type(value).__name__} that no c_* filter has made")
    return value


def environment(folder: Path) -> jinja2.Environment:
    """The environment of every C++ template in ``folder``: an undefined name is an error, unfiltered output is one too.

    The output is C++, so HTML's autoescape would only damage it; the c_* filters do what it is for.
    """
    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader(folder),
        undefined=jinja2.StrictUndefined,
        autoescape=False,  # noqa: S701 - see above
        finalize=_only_filtered,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    made.filters.update(FILTERS)
    return made
