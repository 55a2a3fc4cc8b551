# SPDX-License-Identifier: MIT
"""Extra script of the library ``runtime`` of a program with the interpreter: compiles a TFLM tree, once.

``tree.json`` beside this file, rendered with the model, says which tree, which of its sources, which include folders
and which definitions. The tree is read where it is. Its objects are kept in the folder that ``DANAS_TFLM_CACHE`` names,
by the tree's content, the compiler and its flags, so that the next program compiles what the ones before it did not
need: nothing, or a few kernels. Two builds at a time wait for each other.
"""

import hashlib
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from filelock import FileLock

from pipeline.firmware.runtimes.tree import TflmTree

Import("env", "pio_lib_builder")  # noqa: F821 - SCons defines it

#: Upstream's levels: kernels for speed, the interpreter for size.
_KERNELS, _CORE = "-O2", "-Os"
#: Not for code that is not ours: its warnings, and debug information of hundreds of megabytes.
_DROPPED = ("-W", "-O", "-g")
_PARTIAL = f".{os.getpid()}.part"


def _words(text):
    return [str(word) for word in env.subst_list(text)[0]]  # noqa: F821


def _tool(text):
    """A program and the flags of the project that hold for foreign code too."""
    return [word for word in _words(text) if not word.startswith(_DROPPED)]


def _version(compiler):
    found = subprocess.run([compiler, "--version"], env=_ENVIRONMENT, capture_output=True, text=True, check=True)
    return found.stdout.partition("\n")[0]


def _compile(source, flags, target):
    language = _CXX if source.suffix in (".cc", ".cpp") else _CC
    level = _KERNELS if source.is_relative_to(_KERNEL_FOLDER) or source.suffix == ".c" else _CORE
    partial = target.with_name(target.name + _PARTIAL)
    command = [*language, level, *flags, "-c", str(source), "-o", str(partial)]
    done = subprocess.run(command, env=_ENVIRONMENT, capture_output=True, text=True, check=False, errors="replace")
    if done.returncode:
        partial.unlink(missing_ok=True)
        return done.stderr or f"{source}: error: the compiler ended with {done.returncode}"
    partial.replace(target)
    return ""


def _object(folder, name):
    """Sources of one name may lie in several folders."""
    return folder / f"{Path(name).stem}-{hashlib.sha256(name.encode()).hexdigest()[:12]}.o"


def _archive():
    """The archive of the sources that this program needs, made where it is not there yet."""
    definitions = [f"-D{name}" for name in _TREE["definitions"]]
    stable = [*definitions, "-w", "-fmessage-length=0"]
    key = hashlib.sha256()
    # Where the tree lies is no part of the key: the same sources give the same objects.
    for part in (_TREE["sha256"], *_CXX, *_CC, *stable, _KERNELS, _CORE, _version(_CXX[0])):
        key.update(f"{len(part)} {part} ".encode())
    folder = Path(os.environ.get("DANAS_TFLM_CACHE") or env.subst("$BUILD_DIR/tflm")) / key.hexdigest()[:16]  # noqa: F821
    folder.mkdir(parents=True, exist_ok=True)
    flags = [*stable, *(f"-I{_ROOT / name}" for name in _TREE["includes"])]
    sources = sorted(_TREE["sources"])
    archive = folder / f"libtflm-{hashlib.sha256(' '.join(sources).encode()).hexdigest()[:16]}.a"
    with FileLock(folder / "lock"):
        if archive.is_file():
            return archive
        missing = [name for name in sources if not _object(folder, name).is_file()]
        if missing and TflmTree(_ROOT).sha256 != _TREE["sha256"]:
            raise SystemExit(f"error: the TFLM tree {_ROOT} has changed since the sources were rendered: render again")

        def one(name):
            profiled = name in _TREE["profiled"]
            given = [flag for flag in flags if not (profiled and flag == "-DTF_LITE_STRIP_ERROR_STRINGS")]
            return _compile(_ROOT / name, given, _object(folder, name))

        with ThreadPoolExecutor(os.cpu_count() or 1) as workers:
            for name, problem in zip(missing, workers.map(one, missing), strict=True):
                sys.stdout.write(f"Compiling {name}\n")
                sys.stdout.flush()
                if problem:
                    workers.shutdown(cancel_futures=True)
                    raise SystemExit(problem)
        partial = archive.with_name(archive.name + _PARTIAL)
        partial.unlink(missing_ok=True)
        objects = [str(_object(folder, name)) for name in sources]
        subprocess.run([*_words("$AR"), "rcsD", str(partial), *objects], env=_ENVIRONMENT, check=True)
        partial.replace(archive)
    return archive


_HERE = Path(pio_lib_builder.path)  # noqa: F821
_TREE = json.loads((_HERE / "tree.json").read_text(encoding="utf-8"))
_ROOT = Path(_TREE["path"])
_KERNEL_FOLDER = _ROOT / "tensorflow" / "lite" / "micro" / "kernels"
_ENVIRONMENT = {**os.environ, "PATH": str(env["ENV"]["PATH"]), "LC_ALL": "C.UTF-8"}  # noqa: F821
_CXX = _tool("$CXX $CXXFLAGS $CCFLAGS")
_CC = _tool("$CC $CFLAGS $CCFLAGS")

archive = _archive()
system = [word for name in _TREE["includes"] for word in ("-isystem", str(_ROOT / name))]
# The hash among the definitions: SCons does not look into system headers, and another tree must compile us again.
env.Append(  # noqa: F821
    CCFLAGS=system,
    # PlatformIO finds port.h for those sources alone that a header of ours leads to.
    CPPPATH=[str(_HERE.parent / "port")],
    CPPDEFINES=[*_TREE["definitions"], f"DANAS_TFLM_TREE={_TREE['sha256'][:16]}"],
    LIBS=[env.File(str(archive))],  # noqa: F821
)
