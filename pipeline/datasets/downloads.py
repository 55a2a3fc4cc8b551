"""A file from the network, in one piece or not at all."""

from __future__ import annotations

import logging
import tempfile
from pathlib import Path

_SECONDS = 60


def get(address: str, known_hash: str | None = None) -> bytes:
    """What an address gives.

    Args:
        address: http, https or ftp.
        known_hash: What it must be: ``sha256:…`` or ``md5:…``.

    Raises:
        OSError: It cannot be fetched.
        ValueError: It is something else.
    """
    import pooch  # late: it brings requests, which nothing else needs

    # Its own lines would stand between ours.
    pooch.get_logger().setLevel(logging.WARNING)
    with tempfile.TemporaryDirectory(prefix="danas-") as folder:
        # requests' errors are OSErrors; a wrong hash is a ValueError.
        got = pooch.retrieve(
            address, known_hash, fname="file", path=folder, downloader=pooch.HTTPDownloader(timeout=_SECONDS)
        )
        return Path(got).read_bytes()
