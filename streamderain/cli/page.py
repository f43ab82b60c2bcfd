"""`streamderain page`: the page for files, in a browser."""

from __future__ import annotations

import logging
import os
import sys
import webbrowser
from pathlib import Path
from typing import Annotated
from urllib.parse import quote

import typer

from streamderain.cli.loading import loading
from streamderain.cli.options import configured
from streamderain.config import DerainConfig


@configured(
    DerainConfig, "model", "device", "backend", "precision", "memory", "batch", "neighbours", "blend", "strength",
    "only_in_rain", "encoder", "crf", "deinterlace", "preset", "encoder_option", "hwaccel", "verify", with_saved=True,
)  # fmt: skip
def page(
    *,
    port: Annotated[str, typer.Option("--port", help="where the page is: a port, 0 for any free one, or host:port")] = (
        "8091"
    ),
    token: Annotated[
        str | None, typer.Option("--token", help="what a user of the page must know; needed beyond 127.0.0.1")
    ] = None,
    folder: Annotated[
        Path, typer.Option("--folder", help="where derained clips go, and uploads while the page is there")
    ] = Path("derained"),
    no_open: Annotated[bool, typer.Option("--no-open", help="Open no browser.")] = False,
    config: DerainConfig,
) -> None:
    """Derain clips that are dropped on a page in the browser, until its Quit button or Ctrl-C."""
    with loading():
        from streamderain.page.run import serve_files
        from streamderain.preview.seldom import Seldom

    for handler in logging.getLogger().handlers:
        # Each look at a clip would tell the same of it.
        handler.addFilter(Seldom())

    def opened(url: str) -> None:
        print(f"{url}: drop clips there; what is derained goes into {folder.absolute()}. Ctrl-C ends it.", flush=True)
        if not no_open and _has_screen():
            webbrowser.open(url + (f"?token={quote(token, safe='')}" if token else ""))

    serve_files(config, folder, port, token, opened)


def _has_screen() -> bool:
    """Whether a browser would have a window; one in the terminal would take that."""
    return sys.platform in ("darwin", "win32") or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
