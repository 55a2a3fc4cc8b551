"""What the sources keep among themselves: who imports whom, and that each error's id is documented.

These read the sources without importing them.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline import errors

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "pipeline"

#: From the shared values to the command line; a module imports from its own layer and those before it.
LAYERS: tuple[tuple[str, ...], ...] = (
    ("errors", "resources", "figures", "files", "genotype", "boards", "graph"),
    ("estimate", "settings"),
    ("datasets",),
    ("search",),
    ("quantize",),
    ("firmware",),
    ("device",),
    ("calibration",),
    ("validate",),
    ("runs", "progress", "preflight", "doctor"),
    ("report",),
    ("job",),
    ("experiments",),
    ("commands", "cli", "pytest_plugin", "__main__"),
)
#: Packages that only these parts may import, with all that is below them.
CONFINED = {
    "tensorflow": ("pipeline.search.", "pipeline.quantize"),
    "unicorn": ("pipeline.device.emulator.",),
    "optuna": ("pipeline.search.",),
    "cv2": ("pipeline.datasets.",),
    "huggingface_hub": ("pipeline.datasets.wake_vision",),
    "pyarrow": ("pipeline.datasets.wake_vision",),
    "tensorflow_datasets": ("pipeline.datasets.wake_vision_tfds",),
    "pooch": ("pipeline.datasets.",),
    "serial": ("pipeline.device.",),
    "elftools": ("pipeline.firmware.", "pipeline.device.emulator."),
    "altair": ("pipeline.report.html.",),
    "vl_convert": ("pipeline.report.html.",),
    "jinja2": ("pipeline.firmware.", "pipeline.report."),
    "pytest": ("pipeline.pytest_plugin",),
    "ai_edge_litert": ("pipeline.graph.", "pipeline.quantize"),
}


MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): ast.parse(path.read_text("utf-8"))
    for path in PACKAGE.rglob("*.py")
}


def _imports(tree: ast.Module) -> Iterator[str]:
    """All that a module imports, wherever in it, by full names."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _layer(module: str) -> int:
    part = module.split(".")[1]
    (found,) = (number for number, parts in enumerate(LAYERS) if part in parts)
    return found


def test_no_module_imports_against_the_arrow() -> None:
    wrong = [
        f"{module} imports {name}"
        for module, tree in MODULES.items()
        for name in _imports(tree)
        if name.startswith("pipeline.") and name != "pipeline.__version__"
        if module == "pipeline" or _layer(name) > _layer(module)
    ]
    assert wrong == []


@pytest.mark.parametrize("package", sorted(CONFINED))
def test_heavy_and_foreign_packages_stay_where_they_belong(package: str) -> None:
    users = {module for module, tree in MODULES.items() if package in {name.split(".")[0] for name in _imports(tree)}}
    assert users, "nobody imports it: the rule has no use"
    assert {module for module in users if not f"{module}.".startswith(CONFINED[package])} == set()


def test_only_data_sets_name_the_test_split() -> None:
    """Whoever else wants it asks the guard, which writes it down."""
    users = {
        module
        for module, tree in MODULES.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and node.attr == "TEST" and ast.unparse(node.value).endswith("Split")
    }
    assert users
    assert {module for module in users if not module.startswith("pipeline.datasets.")} == set()


KINDS = {name: kind for name, kind in vars(errors).items() if isinstance(kind, type) and hasattr(kind, "exit_code")}


def _raised() -> set[tuple[int, str]]:
    """(exit code, id) of every error that the sources make."""
    usage = errors.UsageError.exit_code
    found: set[tuple[int, str]] = set()
    for tree in MODULES.values():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call):
                name = ast.unparse(node.func).rsplit(".", maxsplit=1)[-1]
                if name in KINDS and node.args:
                    found |= {(KINDS[name].exit_code, text) for text in _ids(node.args[0])}
                elif name == "refuse":  # the graph's rules: a UsageError whose id is a keyword …
                    found |= {(usage, text) for word in node.keywords if word.arg == "id" for text in _ids(word.value)}
            elif isinstance(node, ast.FunctionDef) and node.name == "refuse":  # … or its default
                for argument, default in zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True):
                    found |= {(usage, text) for text in (_ids(default) if argument.arg == "id" else ())}
    return found


def _ids(node: ast.expr | None) -> set[str]:
    """The ids that an argument may be; of an f-string the beginning, with ``*``."""
    if isinstance(node, ast.Constant):
        return {str(node.value)}
    if isinstance(node, ast.IfExp):
        return _ids(node.body) | _ids(node.orelse)
    if isinstance(node, ast.JoinedStr) and isinstance(node.values[0], ast.Constant):
        return {str(node.values[0].value) + "*"}
    return set()


def _documented() -> set[tuple[int, str]]:
    """(exit code, id) in the tables of docs/errors.md, whose sections are the codes."""
    _, *sections = re.split(r"^## (?=\d+:)", (ROOT / "docs" / "errors.md").read_text("utf-8"), flags=re.MULTILINE)
    return {
        (int(section.partition(":")[0]), text)
        for section in sections
        for cell in re.findall(r"^\| (`.*?) \|", section, re.MULTILINE)
        for text in re.findall(r"`([a-z0-9-]+)`", cell)
    }


def test_the_documented_errors_are_those_that_are_raised() -> None:
    raised, documented = _raised(), _documented()
    families = {(code, text.rstrip("*")) for code, text in raised if text.endswith("*")}
    members = {
        (code, text)
        for code, text in documented
        if any(code == of and text.startswith(family) for of, family in families)
    }
    named = {(code, text) for code, text in raised if not text.endswith("*")}
    assert len(members) >= len(families)
    assert named - documented == set(), "not documented"
    assert documented - members - named == set(), "documented, never raised"


def test_docstrings_name_errors_that_exist() -> None:
    known = {text for _, text in _documented()}
    wrong = [
        f"{module}: {text}"
        for module, tree in MODULES.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.Module)
        for listed in re.findall(r"^    \w*(?:Error|Problem|Run): (.*(?:\n     .*)*)", _raises(node), re.MULTILINE)
        for text in re.findall(r"``([a-z]+(?:-[a-z0-9]+)+)``", listed)
        if text not in known
    ]
    assert wrong == []


def _raises(node: ast.FunctionDef | ast.ClassDef | ast.Module) -> str:
    return (ast.get_docstring(node) or "").partition("Raises:\n")[2]
