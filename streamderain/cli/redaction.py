"""No password leaves the program: not in its log, not in a traceback, not in the list of processes."""

from __future__ import annotations

import logging
import re
import sys

from streamderain.media.url import public, redacted


class _Redacting(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return redacted(super().format(record))


def log_to_stderr(line: str) -> None:
    """Write the log of all libraries to stderr, each line in this format of logging's, tracebacks included."""
    handler = logging.StreamHandler()
    handler.setFormatter(_Redacting(line))
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)


def _public(word: str, before: str) -> str:
    """A word of the command line as others may see it; a token is none of their business either."""
    if before in ("--token", "--view-token"):
        return "***"
    token = re.match(r"(--(?:view-)?token|(?:--set=)?(?:view_)?token)=", word)
    return f"{token[0]}***" if token else redacted(public(word))


def redact_title() -> None:
    """Show others on this machine the command line without the passwords that stand in it."""
    given = [sys.executable, *sys.orig_argv[1:]]
    shown = [_public(word, before) for before, word in zip(["", *given], given, strict=False)]
    if shown != given:
        from setproctitle import setproctitle

        setproctitle(" ".join(shown))
