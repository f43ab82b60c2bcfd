"""The fleet's numbers for Prometheus."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from streamderain import __version__
from streamderain.engine.shared import SharedNetwork
from streamderain.frames import Effort
from streamderain.live.numbers import LiveNumbers, OutputNumbers
from streamderain.serve.fleet import Fleet
from streamderain.serve.served import Served

Rows = Iterable[tuple[tuple[str, ...], float]]
"""Values of labels, and the value."""


@dataclass(frozen=True)
class _Kind:
    """A metric of each stream: name and help, further labels, and what it is for one of them."""

    name: str
    help: str
    rows: Callable[[Served, LiveNumbers], Rows]
    labels: tuple[str, ...] = ()
    family: type[CounterMetricFamily] | type[GaugeMetricFamily] = CounterMetricFamily


def _one(value: float) -> Rows:
    return [((), value)]


def _outputs(value: Callable[[OutputNumbers], float]) -> Callable[[Served, LiveNumbers], Rows]:
    # Two names may look the same once their passwords are gone; the number tells them apart.
    return lambda stream, now: [
        ((output.name, str(number)), value(output)) for number, output in enumerate(now.outputs, 1)
    ]


def _state(now: LiveNumbers) -> str:
    """Without what changes with each attempt, which would make a new series each time."""
    return "connected" if now.connected else now.reason.split(",")[0] if now.reason else "waiting"


_OUTPUT = ("output", "number")

_KINDS = (
    _Kind("frames_received", "Frames that came from the source.", lambda stream, now: _one(now.received)),
    _Kind("frames_published", "Frames that went to the outputs.", lambda stream, now: _one(now.published)),
    _Kind("frames_dropped", "Frames left out, by reason.",
          lambda stream, now: [((reason,), count) for reason, count in sorted(now.dropped.items())], ("reason",)),
    _Kind("frames_filled", "Times that the last frame was shown again while the source was away.",
          lambda stream, now: _one(now.filled)),
    _Kind("frames_in_flight", "Frames between gate and outputs.",
          lambda stream, now: _one(now.in_flight), family=GaugeMetricFamily),
    _Kind("fps_in", "Frames a second from the source.", lambda stream, now: _one(now.fps_in), family=GaugeMetricFamily),
    _Kind("fps_out", "Frames a second to the outputs.",
          lambda stream, now: _one(now.fps_out), family=GaugeMetricFamily),
    _Kind("held_fps", "Frames a second that are held as the machine is too slow for more; absent where it is not.",
          lambda stream, now: _one(now.held_fps) if now.held_fps else [], family=GaugeMetricFamily),
    _Kind("rain_level", "The share of the light that is taken away, smoothed, 0 to 1; absent before it is known.",
          lambda stream, now: _one(now.rain_level) if now.rain_level is not None else [], family=GaugeMetricFamily),
    _Kind("raining", "1 while it rains; absent before it is known.",
          lambda stream, now: _one(now.raining) if now.raining is not None else [], family=GaugeMetricFamily),
    _Kind("dry", "1 while frames are left as they are, as it does not rain.",
          lambda stream, now: _one(now.dry), family=GaugeMetricFamily),
    _Kind("effort", "1 with what the network does for a frame: full, half (at half the size), or none.",
          lambda stream, now: [((each.value,), now.effort == each.value) for each in Effort], ("effort",),
          GaugeMetricFamily),
    _Kind("frames_by_effort", "Frames that went out, by what the network did for them: full, half, none.",
          lambda stream, now: [((effort,), count) for effort, count in now.efforts.items()], ("effort",)),
    _Kind("source_connected", "1 while pictures come from the source.",
          lambda stream, now: _one(now.connected), family=GaugeMetricFamily),
    _Kind("source_state", "1 with what became of the source: connected, lost, frozen, refused, or waiting.",
          lambda stream, now: [((_state(now),), 1)], ("state",), GaugeMetricFamily),
    _Kind("last_frame_age_seconds", "How long ago the newest frame arrived that went out; absent before one did.",
          lambda stream, now: _one(now.age) if now.age is not None else [], family=GaugeMetricFamily),
    _Kind("source_events", "What happened to the source, by kind.",
          lambda stream, now: [((kind,), count) for kind, count in sorted(now.events.items())], ("kind",)),
    _Kind("reconnects", "Connections to the source after the first.", lambda stream, now: _one(now.reconnects)),
    _Kind("restarts", "Runs that followed a crash.", lambda stream, now: _one(stream.restarts)),
    _Kind("output_connected", "1 while the output takes packets.",
          _outputs(lambda output: output.connected), _OUTPUT, GaugeMetricFamily),
    _Kind("output_state", "1 with the output's state: open, away, gave up, or waiting for the first frame.",
          lambda stream, now: [((each.name, str(number), each.state), 1) for number, each in enumerate(now.outputs, 1)],
          (*_OUTPUT, "state"), GaugeMetricFamily),
    _Kind("output_packets_queued", "Packets that wait for the output.",
          _outputs(lambda output: output.queued), _OUTPUT, GaugeMetricFamily),
    _Kind("output_packets_written", "Packets that the output took.", _outputs(lambda output: output.written), _OUTPUT),
    _Kind("output_packets_dropped", "Packets that the output lost.", _outputs(lambda output: output.dropped), _OUTPUT),
    _Kind("output_reopened", "Openings of the output after the first.",
          _outputs(lambda output: output.reopened), _OUTPUT),
)  # fmt: skip


class FleetCollector(Collector):
    """Reads the fleet anew for each scrape; `fleet` returns None until the network is loaded."""

    def __init__(self, fleet: Callable[[], Fleet | None]) -> None:
        self._fleet = fleet

    def collect(self) -> Iterator[Metric]:
        """All families."""
        version = GaugeMetricFamily("streamderain_build_info", "The version, as a label.", labels=("version",))
        version.add_metric((__version__,), 1)
        yield version
        fleet = self._fleet()
        streams = [(stream, stream.numbers()) for stream in fleet or ()]
        for kind in _KINDS:
            family = kind.family(f"streamderain_{kind.name}", kind.help, labels=("stream", *kind.labels))
            for stream, now in streams:
                for labels, value in kind.rows(stream, now):
                    family.add_metric((stream.name, *labels), float(value))
            yield family
        yield _latencies(stream for stream, _ in streams)
        if fleet is not None:
            yield from _network(fleet.network)


def _latencies(streams: Iterable[Served]) -> Metric:
    family = HistogramMetricFamily(
        "streamderain_latency_seconds", "From a packet's arrival to the end of its frame's writing.", labels=("stream",)
    )
    for stream in streams:
        histogram = stream.run.latency.histogram()
        buckets = [("+Inf" if math.isinf(most) else str(most), count) for most, count in histogram.buckets]
        family.add_metric((stream.name,), buckets, histogram.sum)
    return family


def _network(shared: SharedNetwork) -> Iterator[Metric]:
    yield CounterMetricFamily("streamderain_network_batches", "Batches through the network.", shared.batches)
    yield CounterMetricFamily("streamderain_network_frames", "Frames through the network.", shared.windows)
    yield GaugeMetricFamily("streamderain_network_queued", "Requests that wait for the network.", shared.queued)
    if shared.device.type == "cuda":
        memory = GaugeMetricFamily("streamderain_device_memory_bytes", "Memory on the device.", labels=("kind",))
        memory.add_metric(("allocated",), torch.cuda.memory_allocated(shared.device))
        memory.add_metric(("reserved",), torch.cuda.memory_reserved(shared.device))
        yield memory


def registry(fleet: Callable[[], Fleet | None]) -> CollectorRegistry:
    """The fleet's numbers and the process's own: memory, processor time, open files."""
    made = CollectorRegistry(auto_describe=False)
    made.register(FleetCollector(fleet))
    ProcessCollector(registry=made)
    return made


def exposition(metrics: CollectorRegistry, accept: str) -> tuple[bytes, str]:
    """What a scrape is answered, and its content type, by the request's Accept header."""
    encode: Any
    encode, kind = choose_encoder(accept)
    return encode(metrics), kind
