"""Scores that were worked out before, kept beside the supernets for every search that shares them."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pipeline.search.fitness import Scores

#: Seconds that a process waits while another one writes.
_PATIENCE = 30.0


class ScoreCache:
    """A table from all that a score depends on to the score.

    Nothing but time is lost with it: a file that cannot be read or written is as good as an empty one.

    Args:
        path: The SQLite file; made when the first score is kept.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def get(self, identity: Mapping[str, Any]) -> Scores | None:
        """The score that was kept under this identity (JSON), None if there is none."""
        if not self._path.is_file():
            return None
        try:
            with closing(sqlite3.connect(self._path, timeout=_PATIENCE)) as file:
                row = file.execute("SELECT scores FROM scores WHERE key = ?", (_key(identity),)).fetchone()
            return None if row is None else Scores(**json.loads(row[0]))
        except (sqlite3.Error, ValueError, TypeError):
            return None

    def put(self, identity: Mapping[str, Any], scores: Scores) -> None:
        """Keep a score."""
        try:
            with closing(sqlite3.connect(self._path, timeout=_PATIENCE)) as file, file:
                file.execute("CREATE TABLE IF NOT EXISTS scores (key TEXT PRIMARY KEY, scores TEXT NOT NULL)")
                file.execute(
                    "INSERT OR REPLACE INTO scores VALUES (?, ?)", (_key(identity), json.dumps(asdict(scores)))
                )
        except sqlite3.Error:
            return


def _key(identity: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()
