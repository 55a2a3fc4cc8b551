"""Who calls whom, and the most stack that a chain of calls can take."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Function:
    """A function: bytes of its own stack frame, and the names of what it may call."""

    frame: int
    calls: frozenset[str]


@dataclass(frozen=True)
class Chain:
    """A chain of calls, and the bytes of all its frames."""

    bytes: int
    names: tuple[str, ...]


class NoBound(ValueError):  # noqa: N818 - the answer to a question, no failure
    """There is no bound: the message says why, the names in it as they are in the program."""


def deepest(functions: Mapping[str, Function], root: str) -> Chain:
    """The chain of calls from ``root`` whose frames take most.

    Raises:
        NoBound: Calls form a circle, or a function is called that is not there.
    """
    best: dict[str, Chain] = {}
    for name in callees_first(functions, root):
        below = (best[called] for called in sorted(functions[name].calls))
        longest = max(below, key=lambda chain: chain.bytes, default=Chain(0, ()))
        best[name] = Chain(functions[name].frame + longest.bytes, (name, *longest.names))
    return best[root]


def deepest_through(functions: Mapping[str, Function], root: str, through: str) -> Chain | None:
    """The same of the chains that go through a function; None where there are none.

    Raises:
        NoBound: As :func:`deepest`.
    """
    above: dict[str, Chain] = {}
    for name in callees_first(functions, root):
        if name == through:
            above[name] = deepest(functions, name)
            continue
        leading = (above[called] for called in sorted(functions[name].calls) if called in above)
        longest = max(leading, key=lambda chain: chain.bytes, default=None)
        if longest is not None:
            above[name] = Chain(functions[name].frame + longest.bytes, (name, *longest.names))
    return above.get(root)


def callees_first(functions: Mapping[str, Function], root: str) -> Iterator[str]:
    """All that ``root`` may reach, each after what it calls.

    Raises:
        NoBound: Calls form a circle, or a function is called that is not there.
    """
    finished: set[str] = set()
    # A chain may be longer than Python's own stack is deep.
    path: dict[str, Iterator[str]] = {root: _calls(functions, root, None)}
    while path:
        name = next(reversed(path))
        for called in path[name]:
            if called in path:
                circle = [*path][[*path].index(called) :]
                raise NoBound(" → ".join((*circle, called)) + " is a recursion")
            if called not in finished:
                path[called] = _calls(functions, called, name)
                break
        else:
            del path[name]
            finished.add(name)
            yield name


def _calls(functions: Mapping[str, Function], name: str, caller: str | None) -> Iterator[str]:
    if name not in functions:
        raise NoBound(f"nothing is known of {name}" + (f", which {caller} calls" if caller is not None else ""))
    return iter(sorted(functions[name].calls))
