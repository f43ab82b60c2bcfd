"""Rest: training stands still while a command holds the lock, and no longer, however that command ends."""

from __future__ import annotations

import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from streamderain.training.rest import Rest

fcntl = pytest.importorskip("fcntl")

HOLD = "import sys; from streamderain.training.rest import run_meanwhile; run_meanwhile(sys.argv[2:], __import__('pathlib').Path(sys.argv[1]))"  # noqa: E501
SPEAK_AND_WAIT = "print('here', flush=True); input()"


def holder(lock: Path) -> subprocess.Popen[str]:
    """A process that holds the lock and has said so."""
    command = [sys.executable, "-c", HOLD, str(lock), sys.executable, "-c", SPEAK_AND_WAIT]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout
    assert process.stdout.readline() == "here\n"
    return process


def is_held(lock: Path) -> bool:
    with lock.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def end(process: subprocess.Popen[str], how: str) -> None:
    if how == "by itself":
        process.communicate("\n")
    else:
        process.send_signal(signal.SIGKILL)
        process.communicate()


def test_training_goes_on_where_nobody_measures(tmp_path: Path) -> None:
    with Rest(tmp_path / "made" / "lock") as rest:
        rest()
        rest()


@pytest.mark.parametrize("how", ["by itself", "by kill -9"])
def test_training_rests_until_the_last_that_measures_has_ended(tmp_path: Path, how: str) -> None:
    lock = tmp_path / "lock"
    first, second = holder(lock), holder(lock)
    with Rest(lock) as rest, ThreadPoolExecutor(1) as pool:
        resting = pool.submit(rest)
        end(first, how)
        assert is_held(lock)
        assert not resting.done()
        end(second, how)
        resting.result()
    assert not is_held(lock)
    assert lock.exists()
