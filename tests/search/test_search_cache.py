"""Scores kept for later."""

from __future__ import annotations

import threading
from pathlib import Path

from pipeline.search.cache import ScoreCache
from pipeline.search.fitness import Scores

ONE = Scores(0.1 + 0.2, 1 / 3, 0.5)


def test_what_was_kept_is_found_to_the_last_bit_and_nothing_else(tmp_path: Path) -> None:
    cache = ScoreCache(tmp_path / "scores.db")
    assert cache.get({"genotype": "a"}) is None
    cache.put({"genotype": "a", "seed": 1}, ONE)
    assert ScoreCache(tmp_path / "scores.db").get({"seed": 1, "genotype": "a"}) == ONE
    assert cache.get({"genotype": "a", "seed": 2}) is None
    cache.put({"genotype": "a", "seed": 1}, Scores(1, 1, 1))
    assert cache.get({"genotype": "a", "seed": 1}) == Scores(1, 1, 1)


def test_a_file_of_something_else_is_as_good_as_none(tmp_path: Path) -> None:
    (tmp_path / "scores.db").write_bytes(b"no database at all" * 100)
    cache = ScoreCache(tmp_path / "scores.db")
    cache.put({"genotype": "a"}, ONE)
    assert cache.get({"genotype": "a"}) is None
    nowhere = ScoreCache(tmp_path / "missing" / "scores.db")
    nowhere.put({"genotype": "a"}, ONE)
    assert nowhere.get({"genotype": "a"}) is None


def test_several_may_write_at_once(tmp_path: Path) -> None:
    def write(worker: int) -> None:
        for number in range(10):
            ScoreCache(tmp_path / "scores.db").put({"worker": worker, "number": number}, Scores(worker, number, 0))

    threads = [threading.Thread(target=write, args=(worker,)) for worker in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    cache = ScoreCache(tmp_path / "scores.db")
    for worker in range(3):
        for number in range(10):
            assert cache.get({"worker": worker, "number": number}) == Scores(worker, number, 0)
