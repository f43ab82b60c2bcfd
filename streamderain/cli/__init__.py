"""argv -> config -> one call -> exit code; no other logic.

Rooms that load torch are imported inside the commands, so that --help answers at once.
"""

from __future__ import annotations

import os
import signal
import sys
import traceback
from contextlib import suppress
from typing import NoReturn

from streamderain.cli.app import app
from streamderain.cli.progress import INTERRUPTED
from streamderain.cli.redaction import log_to_stderr, redact_title
from streamderain.errors import Stopped, StreamderainError
from streamderain.machine import cores_here
from streamderain.media.url import redacted, show_urls

FEW_CORES = 2
"""So many are kept busy by the stations of one run; what OpenCV then shares among threads costs a twentieth more, and
what torch's OpenMP threads burn while they wait for the next task up to a sixth.
"""


def main() -> NoReturn:
    """The program: run it, print an error as one line, and end with its exit code."""
    debug = "--debug" in sys.argv
    arguments = [argument for argument in sys.argv[1:] if argument not in ("--debug", "--show-urls")]
    if "--show-urls" in sys.argv:
        show_urls()
    redact_title()
    _share_few_cores()
    log_to_stderr("streamderain: %(message)s")
    _stop_in_order()
    try:
        app(arguments, prog_name="streamderain")
    except SystemExit as end:
        _end(end.code if isinstance(end.code, int) else 0)
    except StreamderainError as error:
        if debug:
            _end(1, traceback.format_exc())
        _end(INTERRUPTED if isinstance(error, Stopped) else 1, _one_line(f"streamderain: {error}"))
    except Exception as error:
        if debug:
            _end(1, traceback.format_exc())
        line = str(error).splitlines()[0] if str(error) else "no message"
        _end(1, _one_line(f"streamderain: unexpected {type(error).__name__}: {line}; --debug shows where"))
    _end(0)


def _share_few_cores() -> None:
    """Where there are few cores, have OpenCV use one thread, and OpenMP's threads sleep while they wait; neither is
    loaded yet. What the user has set stays.
    """
    if cores_here() <= FEW_CORES:
        os.environ.setdefault("OPENCV_FOR_THREADS_NUM", "1")
        os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def _stop_in_order() -> None:
    """Whoever stops the program, or closes its terminal, wants what is whole kept, by whatever signal."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    # Not where nohup, say, has it go on.
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:
        signal.signal(signal.SIGHUP, signal.default_int_handler)


def _end(code: int, message: str = "") -> NoReturn:
    """Say `message` and end at once, whatever a thread in the middle of a slow frame still does."""
    # The terminal may be gone.
    with suppress(OSError):
        sys.stdout.flush()
    with suppress(OSError):
        if message:
            print(redacted(message), file=sys.stderr, flush=True)
    os._exit(code)


def _one_line(message: str) -> str:
    return " ".join(message.split())
