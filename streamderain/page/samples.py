"""A few frames of a clip as they come out of a run: derained with all their neighbours, without deraining the rest."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from streamderain.config import DerainConfig
from streamderain.engine.engine import Engine
from streamderain.errors import SourceError
from streamderain.frames import Frame, Network, Restored
from streamderain.media.cut import cut
from streamderain.media.decoder import decode
from streamderain.media.glimpses import rainiest
from streamderain.media.source import open_source
from streamderain.stream.pipeline import Pipeline, Station

FRAMES = 5
"""How many of a clip are shown."""


@dataclass(frozen=True)
class Sample:
    """A frame, rainy and derained, and the seconds that each frame took which went through the network for it."""

    pair: Restored
    seconds_per_frame: float


def moments(path: Path, length: float | None) -> tuple[list[Fraction], int]:
    """Where to look, in seconds from the beginning of a video that lasts `length`: evenly, but once where it rains
    most; and which of them that is. Raises SourceError.
    """
    if not length:
        return [Fraction(0)], 0
    step = Fraction(length).limit_denominator(1000) / FRAMES
    most = rainiest(path, 0)
    number = min(FRAMES - 1, int(most / step))
    return [most if each == number else step * (2 * each + 1) / 2 for each in range(FRAMES)], number


def sample(
    path: Path, at: Fraction, network: Network, config: DerainConfig, check: Callable[[], None] = lambda: None
) -> Sample:
    """The frame at `at`, in seconds, as a run by `config` makes it, but where it has neighbours that repeat others.

    `check` is called for each frame that is read; what it raises ends this. Raises SourceError where there is no such
    frame, and what an engine does.
    """
    engine = Engine(network, config)
    fed, began = 0, time.monotonic()

    def enough(frames: Iterable[Frame]) -> Iterator[Frame]:
        nonlocal fed
        beyond = 0
        for frame in frames:
            check()
            fed += 1
            yield frame
            beyond += frame.pts > 0
            if beyond == engine.delay:
                return

    with open_source(path, config.hwaccel, config.deinterlace) as opened:
        shown = cut(opened, at, None, engine.lead, engine.delay).shown
        decoding = Station("decode", lambda source: enough(decode(source)))
        with Pipeline(opened, decoding, *engine.stations(), Station("cut", shown)) as pairs:
            # To the end: what is in the network would be waited for all the same.
            pair, *_ = [*pairs] or [None]
    if pair is None:
        raise SourceError(f"{path} has no frame at {float(at):.2f} s that can be shown")
    return Sample(pair, (time.monotonic() - began) / fed)
