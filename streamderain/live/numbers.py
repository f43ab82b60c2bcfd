"""What a live run counts and measures, as values that pages, metrics and logs show."""

from __future__ import annotations

from dataclasses import astuple, dataclass


@dataclass(frozen=True)
class OutputNumbers:
    """One output: its redacted name, whether it takes packets, how many wait, were written and were lost, and how often
    it was opened again. `state` is "open", "away", "gave up", or "waiting" for the first frame; `reason` is why it is
    not open, as far as that is known.
    """

    name: str
    connected: bool
    queued: int
    written: int
    dropped: int
    reopened: int
    state: str
    reason: str | None


@dataclass(frozen=True)
class LatencyMs:
    """Milliseconds from a packet's arrival to the end of its frame's writing, of the latest frames."""

    p50: float
    p95: float
    p99: float


@dataclass(frozen=True)
class LiveNumbers:
    """A live run so far. `connected` says that pictures come, `away` that they do not though they should, `reason` why
    that is, and `age` how many seconds ago the newest frame arrived that went out. `received` = `published` + the sum
    of `dropped`, by reason, + `in_flight`. `held_fps` is the rate that a machine too slow for more settles at. `filled`
    counts how often the last frame was shown again. `rain_level` is the share of the light that is taken away, 0 to 1,
    smoothed, `raining` whether that is rain, None before it is known, and `dry` says that frames are left as they are.
    `effort` is what the network does for a frame, "full", "half" (at half the size) or "none", as it keeps up or not;
    `efforts` counts the frames that went out by what was done for them, those that were left as they were for being
    dry among "none".
    """

    name: str
    connected: bool
    away: bool
    reason: str | None
    age: float | None
    size: str
    received: int
    published: int
    in_flight: int
    dropped: dict[str, int]
    fps_in: float
    fps_out: float
    latency_ms: LatencyMs | None
    held_fps: float | None
    reconnects: int
    filled: int
    rain_level: float | None
    raining: bool | None
    dry: bool
    effort: str
    efforts: dict[str, int]
    events: dict[str, int]
    outputs: tuple[OutputNumbers, ...]

    def line(self) -> str:
        """All of it that fits into a line."""
        away = f"source away ({self.reason})" if self.reason else "source away"
        state = away if self.away else self.size or "waiting for the source"
        delays = "/".join(f"{each:.0f}" for each in astuple(self.latency_ms)) + " ms" if self.latency_ms else "-"
        lost = ", ".join(f"{count} {reason}" for reason, count in sorted(self.dropped.items()) if count) or "none"
        effort = {"half": ", derained at half size", "none": ", not derained"}.get(self.effort, "")
        held = f", holding {self.held_fps:.1f} fps" if self.held_fps else ""
        return (
            f"{self.name}: {state}, {self.fps_in:.1f} fps in, {self.fps_out:.1f} out{effort}{held}, "
            f"latency p50/p95/p99 {delays}, dropped: {lost}, reconnects: {self.reconnects}"
        )
