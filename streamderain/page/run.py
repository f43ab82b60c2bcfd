"""The page for files, from its start to its end."""

from __future__ import annotations

import logging
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from streamderain.config import DerainConfig
from streamderain.engine.engine import load_network
from streamderain.errors import writing
from streamderain.frames import Network
from streamderain.live.page import check_extra
from streamderain.page.work import Work
from streamderain.quantities import host_and_port

if TYPE_CHECKING:
    from streamderain.page.api import Api

logger = logging.getLogger(__name__)


LOOK_SECONDS = 0.2
"""Between two looks whether the end is wanted."""


def serve_files(
    config: DerainConfig,
    folder: Path,
    address: str,
    token: str | None = None,
    opened: Callable[[str], None] = lambda url: None,
    network: Network | None = None,
) -> None:
    """Serve the page at `address`, a port or host:port, until its Quit button or Ctrl-C; then what runs is stopped as
    `derain` is. Clips are derained by `config` into `folder`, which is made where it is missing, and where uploads lie
    meanwhile. `opened` is called with the page's URL once it is there.

    Raises ConfigError, SinkError where it cannot listen or write, and what loading a network raises.
    """
    host, port = host_and_port(address)
    config.refuse(
        ("compare", "report", "start", "end", "via_ffmpeg", "overwrite"),
        "{name} is set; leave it out of a page for files",
    )
    check_extra()
    from streamderain.page.api import UPLOADS, Api
    from streamderain.preview.refusals import one_line
    from streamderain.preview.server import PreviewServer

    with _uploads(folder.absolute()) as uploads:
        work = Work(lambda: network or load_network(config), config, uploads, folder.absolute())
        try:
            api = Api(work)
            with PreviewServer(host, port, token, None, api.routes(), [one_line], streamed=[UPLOADS]) as server:
                try:
                    opened(server.url)
                    _wait(api, work)
                finally:
                    # The page says so meanwhile, and takes nothing more.
                    api.is_ending = True
                    _close(work)
        finally:
            work.close()


def _close(work: Work) -> None:
    if work.is_busy or not work.network.done():
        logger.warning("stopping after what is being made; Ctrl-C again ends at once")
    work.close()


def _wait(api: Api, work: Work) -> None:
    """Return once the page is to end; raises what loading the network did."""
    with suppress(KeyboardInterrupt):
        while not api.is_ending:
            if work.network.done():
                work.network.result()
            time.sleep(LOOK_SECONDS)


@contextmanager
def _uploads(folder: Path) -> Iterator[Path]:
    """A place for uploads in `folder`, which goes at the end; and so does a `folder` that was made for nothing."""
    is_new = not folder.exists()
    with writing(folder, "; name another --folder"):
        folder.mkdir(parents=True, exist_ok=True)
        place = tempfile.TemporaryDirectory(prefix=".streamderain-", dir=folder, ignore_cleanup_errors=True)
    try:
        with place as name:
            yield Path(name)
    finally:
        if is_new:
            with suppress(OSError):  # there is something in it
                folder.rmdir()
