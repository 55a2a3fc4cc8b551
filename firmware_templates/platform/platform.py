# SPDX-License-Identifier: MIT
"""The local development platform: what PlatformIO needs to know to build without its package registry.

The compiler is the ``arm-none-eabi-gcc`` on PATH and the build engine is the SCons that pip installed, handed over as
a package of two files (``tool-scons/``). Where one of them is missing, PlatformIO is told to fetch its own package
instead, so the same environment also works on a machine that has only PlatformIO and the internet.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import semantic_version
from platformio.dependencies import get_core_dependencies
from platformio.platform.base import PlatformBase

#: GCC 12.3, the same generation as Debian 12's compiler.
_TOOLCHAIN = "~1.120301.0"


def _pip_scons() -> str | None:
    """Version of the importable SCons in PlatformIO's numbering (4.11.1 is 4.41101.0); None when there is none."""
    try:
        from SCons import __version__ as version
    except ImportError:
        return None
    try:
        major, minor, patch = (int(part) for part in version.split(".")[:3])
    except ValueError:
        return None
    return f"{major}.{major}{minor:02d}{patch:02d}.0"


class Danas_armPlatform(PlatformBase):  # type: ignore[misc]  # noqa: N801 - PlatformIO derives this name from platform.json
    """Arm Cortex-M with a local compiler."""

    def is_embedded(self) -> bool:
        """True. PlatformIO's own answer looks for a package of type "uploader", and that becomes mandatory."""
        return True

    def configure_default_packages(self, options: dict[str, Any], targets: list[str]) -> Any:
        """Take what the machine has; name a registry package only for what is missing."""
        have, wanted = _pip_scons(), semantic_version.SimpleSpec(get_core_dependencies()["tool-scons"])
        if have and semantic_version.Version(have) in wanted:
            shim = Path(self.get_dir()).resolve() / "tool-scons"
            self.packages["tool-scons"] = {
                "owner": "platformio",
                "type": "builder",
                "optional": False,
                "version": f"symlink://{shim}",
            }
        if not shutil.which("arm-none-eabi-gcc"):
            self.packages["toolchain-gccarmnoneeabi"] = {
                "owner": "platformio",
                "type": "toolchain",
                "optional": False,
                "version": _TOOLCHAIN,
            }
        return super().configure_default_packages(options, targets)
