"""A file from the network, in one piece or not at all."""

from __future__ import annotations

import logging
import tempfile
from pathlib import Path

_SECONDS = 60
_CHUNK = 2**16


def get(address: str, known_hash: str | None = None) -> bytes:
    """What an address gives.

    Args:
        address: http or https.
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
        got = pooch.retrieve(address, known_hash, fname="file", path=folder, downloader=_download)
        return Path(got).read_bytes()


def _download(address: str, into: str, _: object) -> None:
    """For pooch, whose own downloader leaves the connection open where the answer is an error."""
    import requests

    with requests.get(address, stream=True, timeout=_SECONDS) as answer:
        answer.raise_for_status()
        with Path(into).open("wb") as file:
            for chunk in answer.iter_content(_CHUNK):
                file.write(chunk)
