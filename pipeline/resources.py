"""Where boards/, firmware_templates/ and platformio.ini are, in a checkout and in an installed wheel alike."""

from __future__ import annotations

import sys
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def root() -> Path:
    """Folder that holds ``boards/``, ``firmware_templates/`` and ``platformio.ini``."""
    checkout = _PACKAGE.parent
    if (checkout / "platformio.ini").is_file() and (checkout / "boards").is_dir():
        return checkout
    return _PACKAGE / "_data"


def boards() -> Path:
    """Folder of the board files, one TOML a board type."""
    return root() / "boards"


def firmware_templates() -> Path:
    """Folder of the Jinja templates and the C++ that goes into every firmware."""
    return root() / "firmware_templates"


def platformio_ini() -> Path:
    """The only definition of build environments."""
    return root() / "platformio.ini"


def python() -> str:
    """The interpreter that runs us: sub-processes use it, so that they see the same packages."""
    return sys.executable
