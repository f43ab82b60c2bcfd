"""`streamderain serve`: many live streams, one network, one port."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Annotated

import typer

from streamderain.cli.loading import loading
from streamderain.cli.redaction import log_to_stderr


def serve(
    config: Annotated[Path, typer.Argument(metavar="CONFIG.yaml", help="streams, port and settings; see docs/live.md")],
    *,
    check: Annotated[bool, typer.Option("--check", help="Check CONFIG.yaml, print the streams, and end.")] = False,
) -> None:
    """Derain many live streams until SIGTERM; SIGHUP reads CONFIG.yaml again."""
    if check:
        from streamderain.serve.reading import read, summary, try_streams

        checked = read(config)
        try_streams(checked.streams, checked.defaults)
        print("\n".join(summary(checked)))
        return
    with loading():
        from streamderain.serve.server import serve as serve_streams

    log_to_stderr("%(asctime)s %(levelname)s %(message)s")
    logging.getLogger("streamderain").setLevel(logging.INFO)
    serve_streams(config)
