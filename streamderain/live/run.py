"""One live stream, source to outputs, until it ends or is told to."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch

from streamderain.config import OVERLOADS, LiveConfig
from streamderain.engine.engine import Dials, Engine
from streamderain.errors import ConfigError
from streamderain.frames import Effort, Frame, Network, Restored, VideoInfo
from streamderain.live.events import NETWORK, SOURCE, Events
from streamderain.live.numbers import LatencyMs, LiveNumbers
from streamderain.live.publisher import Publisher
from streamderain.media.address import parse
from streamderain.media.live import LiveSource, SourceEvent
from streamderain.media.outlet import check_outlet
from streamderain.media.url import public, redacted
from streamderain.stream.gate import Gate
from streamderain.stream.intake import Intake
from streamderain.stream.latency import LatencyMeter
from streamderain.stream.pipeline import Pipeline, Station
from streamderain.stream.rate import Rate

logger = logging.getLogger(__name__)

REPORT_SECONDS = 0.25

_MEANS = {
    Effort.FULL: "frames are derained at full size",
    Effort.HALF: "frames are derained at half the size",
    Effort.NONE: "frames go out as they came, in the rain",
}

LEAVE_SECONDS = 0.5
"""What threads are given to end after the outputs; one that waits for a frozen source ends by itself."""


class LiveRun:
    """A live source through a network to outputs. `run` it in one thread; `stop`, `numbers` and `adjust` it from any.

    `show` is called with each pair of frames that goes out, and `watched` says whether anybody sees it; both may be
    set. Raises ConfigError and SinkError for what cannot work at all; what may heal, such as a server that is away, is
    waited for. `known` is what the source was like in an earlier run, and `events` those of that run. `outputs` is
    where it writes to, secrets and all. At `intake` publishers begin; None where the source is fetched.
    """

    def __init__(
        self,
        source: str,
        outputs: Sequence[str],
        config: LiveConfig,
        network: Network,
        name: str = "",
        show: Callable[[Restored], None] = lambda pair: None,
        known: VideoInfo | None = None,
        events: Events | None = None,
        watched: Callable[[], bool] = lambda: True,
    ) -> None:
        address = parse(source)
        self.name = name or address.shown
        self._config = for_live(config, network.device)
        self.dials = Dials(config.strength, self._config.blending)
        config.check_demand(outputs)
        self._engine = Engine(network, self._config, self.dials)
        self.watched = watched
        if config.on_demand:
            self._engine.rain.watched = lambda: self.watched()
        self.intake = Intake[Any]() if address.kind == "whip" else None
        self._source = LiveSource(
            address, transport=config.transport, frozen_after=config.frozen_after, retries=config.retries,
            hwaccel=config.hwaccel, realtime=config.realtime, prepare=self._prepare,
            report=self._happened, name=name, intake=self.intake,
        )  # fmt: skip
        for number, output in enumerate(outputs):
            if output in outputs[:number]:
                raise ConfigError(f"{public(output)} is named twice; each output needs a name of its own")
            check_outlet(output, may_exist=config.overwrite or config.segment is not None)
        self.show, self.outputs = show, tuple(outputs)
        self.events = events or Events()
        self.latency = LatencyMeter()
        self._gate = Gate(
            config.max_latency,
            in_flight=2 * self._config.batch,
            # A frame that waits for others may be followed by two that repeat it.
            held_back=3 * self._engine.delay,
            prepare=self._prepare,
            report=lambda news: logger.log(
                logging.INFO if news.is_good else logging.WARNING, "%s: %s", self.name, news.line
            ),
            steps=OVERLOADS.index(config.overload),
            ease=self._eased,
        )
        self._publisher = Publisher(
            self._source, outputs, self._config, self.latency, self._sent, name,
            keeps=self._gate.keeps, written=self._gate.written, known=known,
            happened=self.events.add,
        )  # fmt: skip
        self._out = Rate()
        self._efforts: Counter[Effort] = Counter()
        self._known = known
        self._reason: str | None = None
        self._newest: float | None = None
        self._is_over = False

    def run(self, report: Callable[[LiveNumbers], None] = lambda numbers: None) -> LiveNumbers:
        """Run until a file has ended, the attempts to reach the source are used up, or `stop`; `report` is called a
        few times a second. Returns the final numbers.
        """
        pipeline = Pipeline(
            self._source,
            Station("decode", lambda source: source.frames(), ahead=8, drop_oldest=True),
            Station("gate", self._gate.admit),
            *self._engine.stations(),
            Station("publish", self._publisher.publish),
            patience=LEAVE_SECONDS,
        )
        try:
            with pipeline as published:
                reported = 0.0
                for _ in published:
                    if time.monotonic() > reported + REPORT_SECONDS:
                        reported = time.monotonic()
                        report(self.numbers())
        finally:
            self._source.close()
            self._gate.close()
            self._is_over = True
        return self.numbers()

    def stop(self) -> None:
        """End the run from another thread: what is on its way still goes out, as far as it comes within a second."""
        self._source.close()
        self._publisher.stop()

    @property
    def info(self) -> VideoInfo | None:
        """What the source is like, was like, or is known to have been like."""
        return self._source.info or self._known

    @property
    def has_let_go(self) -> bool:
        """Whether it is through with its outputs, even if it has not ended: a source can be waited for longer."""
        return self._is_over or self._publisher.is_over

    def adjust(self, **settings: float) -> None:
        """Turn `strength` or `blend`, 0 to 1, from the next frame on. Raises ConfigError."""
        for name, value in settings.items():
            if name not in self.settings():
                raise ConfigError(f"no setting is called {name} while a stream runs; there are strength and blend")
            if not 0 <= value <= 1:
                raise ConfigError(f"{name} is {value}; allowed: 0 to 1")
        for name, value in settings.items():
            setattr(self.dials, name, value)

    def settings(self) -> dict[str, float]:
        """What `adjust` turns, as it stands."""
        return {"strength": self.dials.strength, "blend": self.dials.blend}

    def numbers(self) -> LiveNumbers:
        """How it stands."""
        info, counts = self._source.info, self._source.counts
        account, quantiles = self._gate.counts(), self.latency.quantiles()
        return LiveNumbers(
            name=self.name,
            connected=self._source.connected,
            away=self._source.is_away,
            reason=self._reason,
            age=time.monotonic() - self._newest if self._newest is not None else None,
            size=f"{info.width}x{info.height}" if info else "",
            received=account.received,
            published=account.released,
            in_flight=account.in_flight,
            dropped=account.dropped,
            fps_in=self._gate.rate_in,
            fps_out=self._out.per_second,
            latency_ms=LatencyMs(*(1000 * each for each in quantiles)) if quantiles else None,
            held_fps=self._gate.held_rate,
            reconnects=max(0, counts["connected"] - 1),
            filled=self._publisher.filled,
            rain_level=self._engine.rain.level,
            raining=self._engine.rain.is_raining,
            dry=self._engine.rain.is_dry,
            effort=self.dials.effort.value,
            efforts={effort.value: self._efforts[effort] for effort in Effort},
            events=dict(counts),
            outputs=self._publisher.outputs,
        )

    def _sent(self, pair: Restored) -> None:
        self._gate.release()
        self._out.count()
        self._efforts[pair.effort] += 1
        self._newest = pair.clean.arrived
        self.show(pair)

    def _prepare(self, frame: Frame) -> None:
        self._engine.prepare(frame, may_halve=self._config.overload != "frames")

    def _eased(self, step: int) -> None:
        """The network is spared so many steps of its work from now on."""
        before, now = self.dials.effort, list(Effort)[step]
        self.dials.effort = now
        is_good = list(Effort).index(before) > step
        line = f"{'has time again' if is_good else 'is too slow'}: {_MEANS[now]}"
        logger.log(logging.INFO if is_good else logging.WARNING, "%s: the network %s", self.name, line)
        self.events.add(f"effort {now.value}", NETWORK, f"the network {line}")

    def _happened(self, event: SourceEvent) -> None:
        if event.kind != "changed":
            self._reason = None if event.kind == "connected" else f"{event.kind}, {event.detail}"
        self.events.add(event.kind, SOURCE, redacted(event.detail))


def for_live(config: LiveConfig, device: torch.device) -> LiveConfig:
    """`config` with what is left open as a live stream on `device` wants it: no waiting, neither for neighbours nor for
    a batch, and on a CPU no blending, which would take it as long as the network.
    """
    config.refuse(("via_ffmpeg",), "{name} is for files; a live stream reaches srt:// outputs without it")
    config.refuse(("compare",), "{name} is for files; --preview shows a live stream beside its source")
    neighbours = "past" if config.neighbours == "auto" else config.neighbours
    blend = 0.0 if config.blend is None and device.type == "cpu" else config.blend
    return replace(config, neighbours=neighbours, batch=config.batch or 1, blend=blend)
