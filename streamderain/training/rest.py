"""Training rests while something is measured: both hold one lock file, those that measure together, training alone.
And one training alone writes into a folder.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from streamderain.errors import TrainingError
from streamderain.locks import lock, unlock

LOCK = Path("training") / "lock"
"""In the folder that `make` runs in."""


class Rest:
    """What training asks before each step; called, it returns at once unless the lock at `path` is held, then when it
    is free again.
    """

    def __init__(self, path: Path = LOCK) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("a")

    def __call__(self) -> None:
        """Wait while others hold the lock."""
        lock(self._file)
        unlock(self._file)

    def __enter__(self) -> Rest:
        return self

    def __exit__(self, *exception: object) -> None:
        self._file.close()


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Inside, no other training writes into `folder`. Raises TrainingError where one does."""
    with (folder / "lock").open("a") as file:
        try:
            lock(file, waits=False)
        except BlockingIOError as error:
            raise TrainingError(f"another training writes into {folder}; wait for its end or stop it") from error
        yield


def run_meanwhile(command: list[str], path: Path = LOCK) -> None:
    """Become `command`, which holds the lock until it and its children have ended."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    lock(descriptor, shared=True)
    os.set_inheritable(descriptor, True)
    os.execvp(command[0], command)


if __name__ == "__main__":
    run_meanwhile(sys.argv[1:])
