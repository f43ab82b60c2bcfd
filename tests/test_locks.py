"""Locks on files: alone or shared, waited for or not, and none where the system has none."""

from __future__ import annotations

from pathlib import Path

import pytest

from streamderain import locks
from streamderain.locks import lock, unlock

needs_locks = pytest.mark.skipif(not locks.ARE_THERE, reason="this system has no locks on files")


@needs_locks
def test_one_alone_has_a_lock_until_it_lets_go(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with path.open("a") as first, path.open("a") as second:
        lock(first)
        for shared in (False, True):
            with pytest.raises(BlockingIOError):
                lock(second, shared, waits=False)
        unlock(first)
        lock(second, waits=False)


@needs_locks
def test_those_that_share_a_lock_keep_out_who_wants_it_alone(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with path.open("a") as first, path.open("a") as second:
        lock(first, shared=True)
        lock(second.fileno(), shared=True, waits=False)
        with pytest.raises(BlockingIOError):
            lock(first, waits=False)
        second.close()
        lock(first, waits=False)


def test_without_locks_everybody_has_each(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locks, "fcntl", None)
    path = tmp_path / "lock"
    with path.open("a") as first, path.open("a") as second:
        for file in (first, second):
            lock(file)
        unlock(first)
