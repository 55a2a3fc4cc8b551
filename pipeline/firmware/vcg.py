"""What GCC says of calls and stack: the files that ``-fcallgraph-info=su`` leaves beside the objects.

They are graphs in VCG's format, one node or edge a line, in the form that GCC's sources print (GCC 10 and later)::

    node: { title: "FILE:_ZL3addi" label: "int add(int)\\nfile.cpp:3:12\\n24 bytes (static)" }
    node: { title: "memcpy" label: "memcpy\\n<built-in>" shape : ellipse }
    edge: { sourcename: "FILE:_ZL3addi" targetname: "memcpy" label: "file.cpp:4:3" }

A title is the linker's name; of a function that is not public the source file stands before it. The ellipses are
functions of elsewhere. A call through a pointer goes to ``__indirect_call``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from pipeline.errors import BuildError, printable

#: The node that stands for whatever a pointer may call.
INDIRECT = "__indirect_call"

_GRAPH = re.compile(r'graph: \{ title: "(.*)"')
_NODE = re.compile(r'node: \{ title: "(.*?)" label: "(.*)"( shape : ellipse)? \}')
_EDGE = re.compile(r'edge: \{ sourcename: "(.*?)" targetname: "(.*?)"(?: label: ".*")? \}')
_FRAME = re.compile(r"\\n(\d+) bytes \((static|dynamic|dynamic,bounded)\)(?=\\n|$)")


@dataclass
class Compiled:
    """A function as the compiler made it.

    Attributes:
        name: The linker's name.
        local: Whether other files have another function of this name, or this one in a copy of their own.
        frame: Bytes of stack, saved registers and arguments of calls included.
        dynamic: Whether it takes more than that while it runs, so that nobody knows how much.
        calls: (name, local) of the functions that it calls; of pointers :data:`INDIRECT`.
    """

    name: str
    local: bool
    frame: int
    dynamic: bool
    calls: set[tuple[str, bool]] = field(default_factory=set)


@dataclass
class Unit:
    """A compiled file: the path as the compiler was given it, and its functions by title."""

    path: str
    functions: dict[str, Compiled]


def parse(text: str) -> Unit:
    """Read one file.

    Raises:
        BuildError: ``bad-call-graph`` where it is not in the form above.
    """
    path: str | None = None
    functions: dict[str, Compiled] = {}
    edges: list[tuple[str, str]] = []
    for number, line in enumerate(text.split("\n"), 1):
        if found := _NODE.fullmatch(line):
            title, label, elsewhere = found.groups()
            if elsewhere is None:
                frame = _FRAME.search(label)
                if path is None or frame is None:
                    raise _bad(number, line)
                name, local = _name(title, path)
                functions[title] = Compiled(name, local, int(frame[1]), frame[2] == "dynamic")
        elif found := _EDGE.fullmatch(line):
            edges.append((found[1], found[2]))
        elif (found := _GRAPH.fullmatch(line)) and path is None:
            path = found[1]
        elif line not in ("", "}"):
            raise _bad(number, line)
    if path is None:
        raise _bad(0, text[:80])
    for source, target in edges:
        if source not in functions:
            raise _bad(0, f"an edge from {source}, which is no node")
        functions[source].calls.add(_name(target, path))
    return Unit(path, functions)


def _name(title: str, path: str) -> tuple[str, bool]:
    local = title.startswith(f"{path}:")
    return (title[len(path) + 1 :] if local else title), local


def _bad(number: int, line: str) -> BuildError:
    return BuildError(
        "bad-call-graph",
        f"line {number} of the compiler's call graph cannot be read",
        why=printable(line),
        next="Build with a GCC between 10 and 15, or report this with the compiler's version.",
    )
