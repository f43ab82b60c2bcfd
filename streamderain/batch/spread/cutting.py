"""Where a file is best cut into parts: at its key pictures, from which on it can be decoded, found by its packets."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from contextlib import suppress
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

from streamderain.errors import TruncatedError
from streamderain.media.source import open_source
from streamderain.parts.making import Span


def spans_at_keys(path: Path, seconds: float) -> tuple[int, list[Span]]:
    """How many frames a video has, by its packets, and spans of it, each about as long as `seconds`; one alone where it
    is not longer, and where its packets do not tell all times.

    Spans begin with a key picture where there is one near enough, and else with any. Hardly anything is decoded. Where
    nobody can go to a place, frames are those that the header tells of, 0 where it does not. Raises SourceError for
    what is no readable video.
    """
    with open_source(path) as source:
        source.drop_passengers()
        # Back to the beginning, as opening has taken some packets.
        if not source.go_to(Fraction(0)):
            return source.info.expected_frames or 0, [Span()]
        packets = []
        # One that ends early is cut as far as it goes; that it does shows again when its parts are joined.
        with suppress(TruncatedError):
            for each in source.skimmed():
                packets += [each] if each.size and not each.is_discard else []
        # A clock that jumps is known only when it has.
        can_be_cut, base = source.clock.is_steady, source.info.time_base
    times = sorted(each.pts for each in packets if each.pts is not None)
    if not can_be_cut or len(times) < len(packets) or any(here == there for here, there in pairwise(times)):
        return len(packets), [Span()]
    keys = sorted(bisect_left(times, each.pts) for each in packets if each.is_keyframe and each.pts is not None)
    cuts = list(_cuts(times, keys, round(seconds / base))) if times else []
    begins = [(0, None, None), *((number, times[number], times[number - 1]) for number in cuts)]
    ends = [*(begin for _, begin, _ in begins[1:]), None]
    return len(times), [Span(first, begin, end, after) for (first, begin, after), end in zip(begins, ends, strict=True)]


def _cuts(times: Sequence[int], keys: Sequence[int], length: int) -> Iterator[int]:
    """The frames at which spans begin, but for the first, each shown about `length` after the one before: the key
    picture that is nearest to that, and none where less than half of it would be left.
    """
    last = 0
    while times[-1] - times[last] > 3 * length / 2:
        wanted = times[last] + length
        near = [key for key in keys if abs(times[key] - wanted) <= length / 2]
        last = min(near, key=lambda key: abs(times[key] - wanted)) if near else bisect_left(times, wanted)
        yield last
