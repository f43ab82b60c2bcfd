"""What the log warns of, kept for a report in the place of being shown."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from streamderain.media.url import redacted


@contextmanager
def warnings_in_log(of: str = "", kept: bool = True) -> Iterator[list[str]]:
    """The warnings that the logger called `of`, by itself the root, and those below it get inside. They are not shown,
    and what is worse goes to the handlers of that logger alone. None where they are not `kept`; then all is shown.
    """
    found: list[str] = []
    if not kept:
        yield found
        return
    logger = logging.getLogger(of)
    handlers, propagate = logger.handlers, logger.propagate

    def take(record: logging.LogRecord) -> bool:
        if record.levelno == logging.WARNING:
            found.append(redacted(record.getMessage()))
        else:
            for handler in handlers:
                handler.handle(record)
        return False

    taker = logging.Handler(logging.WARNING)
    taker.addFilter(take)
    logger.handlers, logger.propagate = [taker], False
    try:
        yield found
    finally:
        logger.handlers, logger.propagate = handlers, propagate
