"""The key `p` at a terminal: a run pauses and goes on."""

from __future__ import annotations

import os
import select
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

try:
    import termios
    import tty
except ImportError:  # Windows
    termios = None  # type: ignore[assignment]

PAUSE = b"p"

_LOOK_SECONDS = 0.2
"""Between two looks at whether the terminal is still there, while nothing else is to be done."""


@contextmanager
def pausing(quiet: bool) -> Iterator[Callable[[], None]]:
    """What is to be called behind each frame: it returns at once, or, where `p` was pressed, once it is pressed again;
    the chain of stations waits meanwhile. A pause is told on stderr but where it is to be `quiet`. Ctrl-C ends a pause
    as it ends a run.

    Keys are asked for only where standard input is a terminal, and this program in front there. The terminal is as it
    was before, whatever ends the block, and while the program is stopped (Ctrl-Z).
    """
    if termios is None or not _is_in_front():
        yield lambda: None
        return
    with _single_keys():
        yield lambda: _pause(quiet) if _pressed(waits=False) else None


def _is_in_front() -> bool:
    try:
        return os.isatty(_stdin()) and os.tcgetpgrp(_stdin()) == os.getpgrp()
    except (OSError, ValueError, AttributeError):  # no terminal, or no standard input at all
        return False


def _stdin() -> int:
    return sys.stdin.fileno()


@contextmanager
def _single_keys() -> Iterator[None]:
    """Inside, a key comes when it is pressed, and is not shown; signals stay signals."""
    import signal

    before = termios.tcgetattr(_stdin())

    def stop(number: int, frame: Any) -> None:
        # The shell is to find its terminal as it left it.
        _restore(before)
        os.kill(os.getpid(), signal.SIGSTOP)

    def go_on(number: int, frame: Any) -> None:
        if _is_in_front():
            tty.setcbreak(_stdin())

    handlers = {signal.SIGTSTP: stop, signal.SIGCONT: go_on}
    earlier = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        tty.setcbreak(_stdin())
        yield
    finally:
        for number, handler in earlier.items():
            signal.signal(number, handler)
        _restore(before)


def _restore(before: list[Any]) -> None:
    # From the background it would stop the program, and the terminal belongs to another by then.
    if _is_in_front():
        with suppress(termios.error):
            termios.tcsetattr(_stdin(), termios.TCSADRAIN, before)


def _pressed(waits: bool) -> bool:
    """Whether `p` was pressed, or once it is; other keys are nothing. A terminal that is gone holds up nobody."""
    while True:
        if not _is_in_front():
            if not waits or not os.isatty(_stdin()):
                return waits
            time.sleep(_LOOK_SECONDS)
        elif select.select([_stdin()], [], [], _LOOK_SECONDS if waits else 0)[0]:
            key = os.read(_stdin(), 1)
            if key.lower() == PAUSE or not key:
                return waits or bool(key)
        elif not waits:
            return False


def _pause(quiet: bool) -> None:
    if not quiet:
        print("streamderain: paused; p goes on", file=sys.stderr, flush=True)
    _pressed(waits=True)
