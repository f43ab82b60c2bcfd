"""argv -> config -> one call -> exit code; no other logic.

Rooms that load torch are imported inside the commands, so that --help answers at once.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
from contextlib import suppress
from typing import NoReturn

from streamderain.cli.app import app
from streamderain.errors import Stopped, StreamderainError

INTERRUPTED = 130


def main() -> NoReturn:
    """The program: run it, print an error as one line, and end with its exit code."""
    debug = "--debug" in sys.argv
    arguments = [argument for argument in sys.argv[1:] if argument != "--debug"]
    logging.basicConfig(format="streamderain: %(message)s", level=logging.WARNING)
    # Whoever stops the program wants what is whole kept, by whatever signal.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        app(arguments, prog_name="streamderain")
    except SystemExit as end:
        _end(end.code if isinstance(end.code, int) else 0)
    except StreamderainError as error:
        if debug:
            raise
        _end(INTERRUPTED if isinstance(error, Stopped) else 1, f"streamderain: {error}")
    except Exception as error:
        if debug:
            raise
        line = str(error).splitlines()[0] if str(error) else "no message"
        _end(1, f"streamderain: unexpected {type(error).__name__}: {line}; --debug shows where")
    _end(0)


def _end(code: int, message: str = "") -> NoReturn:
    """Print `message` and end at once, whatever a thread in the middle of a slow frame still does."""
    with suppress(BrokenPipeError):
        sys.stdout.flush()
    if message:
        print(" ".join(message.split()), file=sys.stderr, flush=True)
    os._exit(code)
