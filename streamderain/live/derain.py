"""One live stream until it ends or Ctrl-C, with a page of its own where one is wanted."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from streamderain.config import LiveConfig, host_and_port
from streamderain.engine.engine import load_network
from streamderain.frames import Network
from streamderain.live.numbers import LiveNumbers
from streamderain.live.page import Watch, check_extra, shown_on
from streamderain.live.run import LiveRun
from streamderain.media.shown import rgb_frame

logger = logging.getLogger(__name__)


def derain_live(
    source: str,
    outputs: Sequence[str],
    config: LiveConfig,
    report: Callable[[LiveNumbers], None] = lambda numbers: None,
    network: Network | None = None,
) -> LiveNumbers:
    """Derain a live source into `outputs`; returns the final numbers, and calls `report` a few times a second.

    Raises what LiveRun and its run raise, what loading the network does, and ConfigError and SinkError for a page that
    cannot be.
    """
    with _page(config) as show_on_page:
        live = LiveRun(source, outputs, config, network or load_network(config))
        show_on_page(live)
        try:
            return live.run(report)
        except KeyboardInterrupt:
            return live.numbers()


@contextmanager
def _page(config: LiveConfig) -> Iterator[Callable[[LiveRun], None]]:
    """What puts a run on the page, which is there inside, or does nothing."""
    if config.preview is None:
        yield lambda live: None
        return
    check_extra()
    from streamderain.preview.server import PreviewServer

    host, port = host_and_port(config.preview)
    with PreviewServer(host, port, config.token, rgb_frame) as page:
        logger.info("live page at %s", page.url)

        def show(live: LiveRun) -> None:
            live.show = shown_on(page.add(live.name, Watch(lambda: live)))

        yield show
