"""One live stream until it ends or Ctrl-C, with a page of its own where one is wanted."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from streamderain.config import LiveConfig
from streamderain.engine.engine import load_network
from streamderain.errors import ConfigError, SinkError, Stopped
from streamderain.frames import Network
from streamderain.live.numbers import LiveNumbers
from streamderain.live.page import Watch, check_extra, shown_on
from streamderain.live.run import LiveRun
from streamderain.media.address import parse
from streamderain.media.pixels import rgb_frame
from streamderain.quantities import host_and_port

logger = logging.getLogger(__name__)


def derain_live(
    source: str,
    outputs: Sequence[str],
    config: LiveConfig,
    report: Callable[[LiveNumbers], None] = lambda numbers: None,
    network: Network | None = None,
) -> LiveNumbers:
    """Derain a live source into `outputs`; returns the final numbers, and calls `report` a few times a second.

    A run of which nothing came out is a SinkError, or Stopped where it was ended before anything could. Raises what
    LiveRun and its run raise, what loading the network does, and ConfigError and SinkError for a page that cannot be.
    """
    if parse(source).kind == "whip" and config.preview is None:
        raise ConfigError("who publishes by WHIP needs a page to come to; --preview 8090 opens one")
    with _page(config) as show_on_page:
        live = LiveRun(source, outputs, config, network or load_network(config))
        show_on_page(live)
        try:
            done = live.run(report)
        except KeyboardInterrupt:
            done = live.numbers()
            if not done.published:
                raise Stopped("stopped before the first frame") from None
        return _gave_something(done)


def _gave_something(done: LiveNumbers) -> LiveNumbers:
    """The numbers of a run, which has failed if nothing came of it."""
    if not done.published:
        lost = ", ".join(f"{count} {reason}" for reason, count in sorted(done.dropped.items()) if count) or "none"
        raise SinkError(
            f"no frame of {done.name} came out; {done.received} came in, dropped: {lost}; a larger --max-latency or a "
            "quicker network (`streamderain profile`) may help"
        )
    if done.outputs and not any(output.written for output in done.outputs):
        raise SinkError(f"nothing was written to {', '.join(output.name for output in done.outputs)}; the log says why")
    return done


@contextmanager
def _page(config: LiveConfig) -> Iterator[Callable[[LiveRun], None]]:
    """What puts a run on the page, which is there inside, or does nothing."""
    if config.preview is None:
        yield lambda live: None
        return
    check_extra()
    from streamderain.preview.certificate import Certificate
    from streamderain.preview.server import PreviewServer

    host, port = host_and_port(config.preview)
    certificate = Certificate(config.tls_cert, config.tls_key) if config.tls_cert else None
    with PreviewServer(
        host, port, config.token, rgb_frame, view_token=config.view_token, certificate=certificate
    ) as page:
        logger.info("live page at %s", page.url)

        def show(live: LiveRun) -> None:
            preview = page.add(live.name, Watch(lambda: live))
            live.show, live.watched = shown_on(preview), lambda: preview.watched

        yield show
