"""`p` pauses and goes on; the terminal is afterwards as it was. The terminal is a real one, of another's making."""

from __future__ import annotations

import os
import pty
import select
import signal
import subprocess
import sys
import termios
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.waiting import wait_until

PROGRAM = """
import sys
from streamderain.cli.keys import pausing

with pausing(quiet=False) as pause:
    for number, line in enumerate(open(sys.argv[1])):
        print("frame", number, flush=True)
        pause()
print("end", flush=True)
"""
"""A run whose frames come when a pipe says so."""


class Terminal:
    """A program at a terminal of its own; frames come by `frame`."""

    def __init__(self, folder: Path) -> None:
        self.keys, self.own = pty.openpty()
        self.before = termios.tcgetattr(self.own)
        os.mkfifo(folder / "frames")
        self.program = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(folder / "frames")],
            stdin=self.own, stdout=self.own, stderr=self.own, start_new_session=True,
            preexec_fn=lambda: __import__("fcntl").ioctl(0, termios.TIOCSCTTY, 0),
        )  # fmt: skip
        self._frames = (folder / "frames").open("w")
        self.shown = ""

    def frame(self) -> None:
        """Have a frame come."""
        self._frames.write("\n")
        self._frames.flush()

    def wait_for(self, text: str) -> None:
        """Read what the program shows until this is in it."""
        while text not in self.shown:
            assert select.select([self.keys], [], [], 60)[0], self.shown
            self.shown += os.read(self.keys, 1000).decode()

    def is_silent(self) -> bool:
        """Whether no further frame is shown for a while, as a program that was wrongly not paused would; the rest of a
        line may still come.
        """
        known = self.shown.count("frame")
        while select.select([self.keys], [], [], 0.5)[0]:
            self.shown += os.read(self.keys, 1000).decode()
        return self.shown.count("frame") == known

    def close(self) -> None:
        self._frames.close()
        self.program.kill()
        self.program.wait()
        os.close(self.keys)
        os.close(self.own)

    def is_restored(self) -> bool:
        return termios.tcgetattr(self.own) == self.before


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Terminal]:
    made = Terminal(tmp_path)
    yield made
    made.close()


def paused(terminal: Terminal) -> None:
    """Bring the program to its second frame, and pause it there."""
    terminal.frame()
    terminal.wait_for("frame 0")
    assert not terminal.is_restored()
    os.write(terminal.keys, b"xp")
    terminal.frame()
    terminal.wait_for("paused; p goes on")
    terminal.frame()
    assert terminal.is_silent()
    assert "frame 2" not in terminal.shown


def test_p_pauses_and_goes_on(terminal: Terminal) -> None:
    paused(terminal)
    os.write(terminal.keys, b"q")
    assert terminal.is_silent()
    os.write(terminal.keys, b"P")
    terminal.wait_for("frame 2")
    terminal._frames.close()
    terminal.wait_for("end")
    assert terminal.program.wait(300) == 0
    assert terminal.is_restored()
    assert "xp" not in terminal.shown


@pytest.mark.parametrize("ends", [b"\x03", b"\x1a"], ids=["Ctrl-C", "Ctrl-Z"])
def test_the_terminal_is_as_it_was(terminal: Terminal, ends: bytes) -> None:
    paused(terminal)
    os.write(terminal.keys, ends)
    if ends == b"\x03":
        assert terminal.program.wait(300) != 0
        assert terminal.is_restored()
        return
    assert os.WIFSTOPPED(os.waitpid(terminal.program.pid, os.WUNTRACED)[1])
    assert terminal.is_restored()
    terminal.program.send_signal(signal.SIGCONT)
    wait_until(lambda: not terminal.is_restored())
    os.write(terminal.keys, b"p\n")
    terminal.wait_for("frame 2")


def test_who_is_at_no_terminal_is_not_asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from streamderain.cli.keys import pausing

    def never(*given: Any) -> None:
        raise AssertionError("the terminal was touched")

    monkeypatch.setattr(termios, "tcsetattr", never)
    with (tmp_path / "input").open("w+") as file:
        monkeypatch.setattr(sys, "stdin", file)
        file.write("p")
        file.seek(0)
        with pausing(quiet=False) as pause:
            pause()
    monkeypatch.setattr(sys, "stdin", None)
    with pausing(quiet=False) as pause:
        pause()
