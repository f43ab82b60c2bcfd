"""What the figures mean for a live stream, in words."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from streamderain.errors import writing
from streamderain.profiling.bench import FIDELITY_SIZE
from streamderain.profiling.rows import Measured, Profile, Row, Size, plain, plain_psnr
from streamderain.profiling.settings import best_settings

RATES = (25, 30, 50, 60)
"""Frames per second of live streams."""

WORTH_SAYING = 1.05
"""Gain in speed from which a change is proposed."""

LEAST_HEIGHT = 120
"""Pixels; smaller videos are not worth proposing."""


def verdict(row: Row, profile: Profile, rate: float = 25) -> str:
    """Whether `row` holds a live stream of `rate` frames per second; where not, what would help."""
    subject = f"{row.size} at {rate:g} fps live"
    if not isinstance(row, Measured):
        return f"{subject}: {row}"
    if row.fps >= rate:
        return f"{subject}: yes, with {(row.fps / rate - 1) * 100:.0f}% to spare"
    slow = f"{rate / row.fps:.1f} times too slow" if row.fps < rate / 1.1 else f"just not, with {row.fps:.1f} fps"
    return f"{subject}: no, {slow}; {'; '.join(_advice(row, profile, rate))}"


def highest_rate(row: Measured) -> int | None:
    """The highest of RATES that `row` holds; None where it holds none."""
    return max((rate for rate in RATES if row.fps >= rate), default=None)


def summary(profile: Profile, rate: float = 25) -> str:
    """The largest resolution that this machine derains live, in a sentence."""
    rows = profile.measured
    if not rows:
        return "Nothing could be measured; what was made ready is kept, so that the next try goes further."
    several = len(profile.setups) > 1
    if holds := [row for row in rows if row.fps >= rate]:
        row = max(holds, key=lambda row: (row.size.pixels, row.fps))
        what = f"{row.size} with {row.setup}" if several else str(row.size)
        return f"This machine derains up to {what} live at {rate:g} fps, with {row.fps:.1f} fps."
    row = max(rows, key=lambda row: row.fps)
    what = f"{row.size} with {row.setup}" if several else str(row.size)
    return f"No measured resolution is derained live at {rate:g} fps; the most is {row.fps:.1f} fps, at {what}."


def write_json(path: Path, profile: Profile) -> None:
    """Write all that is known of `profile` to `path`. Raises SinkError."""
    rows = []
    for row in profile.rows:
        verdicts = {str(rate): verdict(row, profile, rate) for rate in RATES}
        rows.append(plain(row) | {"psnr_db": plain_psnr(profile.psnr.get(row.setup)), "verdicts": verdicts})
    found = {
        "machine": profile.machine,
        "summary": summary(profile),
        "best": best_settings(profile),
        "psnr": f"against the same network in plain torch and float32, at {FIDELITY_SIZE}, once for each network",
        "rows": rows,
    }
    with writing(path):
        path.write_text(json.dumps(found, indent=2) + "\n")


def _advice(row: Measured, profile: Profile, rate: float) -> Iterator[str]:
    """What helps, the most telling first."""
    if others := [each for each in profile.measured if each.size == row.size and each.fps > row.fps * WORTH_SAYING]:
        quickest = max(others, key=lambda each: each.fps)
        yield f"{quickest.setup.differing(row.setup)} {_makes(quickest.fps, rate)}"
    yield from _of_stations(row, rate)
    yield _smaller([each for each in profile.measured if each.setup == row.setup], rate)


def _of_stations(row: Measured, rate: float) -> Iterator[str]:
    # Seconds a frame; these three work on a batch at a time.
    spent = {name: latency.p50 / 1000 for name, latency in row.latency.items()}
    spent |= {name: spent[name] / row.setup.batch for name in ("upload", "convert", "network")}
    slowest = max(spent, key=lambda name: spent[name])
    if slowest == "encode":
        yield "the encoder sets the pace: try --preset veryfast, or --hwaccel"
    if slowest == "decode":
        yield "decoding sets the pace: try --hwaccel"
    # Where stations share a processor, each one's time counts; on a GPU the network's alone does.
    if row.blend > 0 and (row.peak_gpu_mib is None or slowest == "blend"):
        without = 1 / max(1 / row.fps - spent["blend"], 1 / row.network_fps)
        if without > row.fps * WORTH_SAYING:
            yield f"--blend 0 {_makes(without, rate, 'at most ')}"
    if slowest == "network" and row.setup.model == "best":
        yield "--model fast is quicker"


def _smaller(rows: Sequence[Measured], rate: float) -> str:
    """The largest size of this setup, measured or else guessed by pixels, that is derained live."""
    if live := [each for each in rows if each.fps >= rate]:
        return f"{max(live, key=lambda each: each.size.pixels).size} is derained live"
    nearest = min(rows, key=lambda each: each.size.pixels)
    shrunk = (nearest.fps / rate) ** 0.5
    guess = Size(round(nearest.size.height * shrunk / 2) * 2, round(nearest.size.width * shrunk / 2) * 2)
    if guess.height < LEAST_HEIGHT:
        return "live needs a faster machine, such as one with a GPU"
    return f"about {guess} would be derained live"


def _makes(fps: float, rate: float, most: str = "") -> str:
    return f"{'holds it with' if fps >= rate else 'makes'} {most}{fps:.1f} fps"
