"""Eight cameras through one network, as `streamderain serve` runs them: what does it cost seven if the eighth dies?

Each camera sends 160x96 at 5 frames a second, so little that two cores carry eight cameras, eight decoders and eight
encoders; the network takes 5 ms for a batch and no core, 40 frames a second come, and a batch waits up to 10 ms for
the other streams. Blending is off. Calm and dying phases take turns. In a dying one the eighth camera is killed,
started again, has time for some frames, and is killed again. In a calm one a ninth camera, which nobody watches, is
started and killed in the same rhythm: on a machine of two cores the start of a process is felt by everybody, and that
is no fault of ours.

The seven can only be touched through what all share: the network, which waits for a stream that has died when it would
have been due, at most 10 ms, once; the interpreter, which a reconnect takes for some milliseconds; and the two cores.
Prediction: no frame of the seven is dropped in either kind of phase, and their p95 of about 60 ms moves by less than
5 %, up or down, as in a dying phase there is also one stream less to work for.

Latencies are from the arrival of a packet to the end of its writing. Each pair of phases, one after the other, gives
a ratio; what is reported is the median of the ratios with their quartiles, and the ratio of what was pooled. A phase
in which drops happen counts them by reason. Writes cameras.json.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from parts import Latencies, Stub, camera, load, milliseconds, save, unaccounted, wait_for

from streamderain.config import LiveConfig
from streamderain.engine.shared import SharedNetwork
from streamderain.live.numbers import LiveNumbers
from streamderain.serve.config import StreamConfig
from streamderain.serve.fleet import Fleet
from tests.cameras import Camera

COUNT = 8
WIDTH, HEIGHT, FPS = 160, 96, 5
NETWORK_SECONDS = 0.005
ALIVE_SECONDS, DEAD_SECONDS = 2.0, 1.0
SETTLE_SECONDS = 2.0
"""Between phases, not counted."""


@contextmanager
def fleet(sources: list[Camera], folder: Path) -> Iterator[Fleet]:
    """Streams 0, 1 and so on, each recorded."""
    shared = SharedNetwork(Stub(NETWORK_SECONDS), most=COUNT)
    streams = Fleet(shared, LiveConfig(frozen_after=1.0, blend=0.0))
    try:
        for number, source in enumerate(sources):
            streams.put(str(number), StreamConfig(source.url, (str(folder / f"{number}.mkv"),)))
        yield streams
    finally:
        streams.close(10)
        shared.close()


def numbers_of(streams: Fleet) -> dict[str, LiveNumbers]:
    """How each stream stands, by name."""
    return {stream.name: stream.numbers() for stream in streams}


def die_for(victim: Camera, seconds: float) -> int:
    """Kill and start that camera again and again; how often. It lives afterwards."""
    end, deaths = time.monotonic() + seconds, 0
    while (now := time.monotonic()) < end:
        victim.kill()
        deaths += 1
        time.sleep(min(DEAD_SECONDS, end - now))
        victim.start()
        time.sleep(max(0.0, min(ALIVE_SECONDS, end - time.monotonic())))
    return deaths


def lost(before: LiveNumbers, after: LiveNumbers) -> Counter[str]:
    """What was dropped meanwhile, by reason."""
    return Counter(after.dropped) - Counter(before.dropped)


def phase(streams: Fleet, latencies: list[Latencies], victim: Camera, seconds: float) -> dict[str, Any]:
    """What the seven did while `victim` died all the time."""
    time.sleep(SETTLE_SECONDS)
    before, begin = numbers_of(streams), time.monotonic()
    deaths = die_for(victim, seconds)
    after, end = numbers_of(streams), time.monotonic()
    names = list(before)[: COUNT - 1]
    return {
        "deaths": deaths,
        "latencies": [each for one in latencies for each in one.between(begin, end)],
        "received": sum(after[name].received - before[name].received for name in names),
        "dropped": dict(sum((lost(before[name], after[name]) for name in names), Counter[str]())),
        "reconnects_of_the_eighth": after[str(COUNT - 1)].reconnects - before[str(COUNT - 1)].reconnects,
        "load": load()[0],
    }


def summary(phases: list[dict[str, Any]]) -> dict[str, Any]:
    """All phases of a kind together."""
    return {
        "latency_ms": milliseconds([each for one in phases for each in one["latencies"]]),
        "p95_ms": [milliseconds(one["latencies"])["p95"] for one in phases],
        **{what: sum(one[what] for one in phases) for what in ("deaths", "received", "reconnects_of_the_eighth")},
        "dropped": dict(sum((Counter(one["dropped"]) for one in phases), Counter[str]())),
        "load": [one["load"] for one in phases],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=20.0, help="of each phase")
    parser.add_argument("--rounds", type=int, default=8, help="a calm and a dying phase each")
    arguments = parser.parse_args()
    began = load()
    calm, dying = [], []
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        sources = [stack.enter_context(camera(WIDTH, HEIGHT, FPS)) for _ in range(COUNT + 1)]
        streams = stack.enter_context(fleet(sources[:COUNT], folder))
        latencies = [Latencies(streams[str(number)].run) for number in range(COUNT - 1)]
        wait_for(lambda: all(numbers.published >= 2 * FPS for numbers in numbers_of(streams).values()))
        for number in range(arguments.rounds):
            # What comes second in one round comes first in the next.
            pair = [(calm, sources[COUNT]), (dying, sources[COUNT - 1])]
            for found, victim in pair if number % 2 else pair[::-1]:
                found.append(phase(streams, latencies, victim, arguments.seconds))
        while_running = numbers_of(streams)
        ended = list(streams)
    final = [stream.numbers() for stream in ended]
    kinds = {"calm": summary(calm), "dying": summary(dying)}
    ratios = np.divide(kinds["dying"]["p95_ms"], kinds["calm"]["p95_ms"])
    pooled = kinds["dying"]["latency_ms"]["p95"] / kinds["calm"]["latency_ms"]["p95"]
    save(
        "cameras",
        {
            "cameras": COUNT,
            "size": f"{WIDTH}x{HEIGHT}",
            "fps": FPS,
            "network_ms": 1000 * NETWORK_SECONDS,
            "seconds_of_a_phase": arguments.seconds,
            "rounds": arguments.rounds,
            **kinds,
            "p95_ratio": {
                "median": float(np.median(ratios)),
                "quartiles": np.percentile(ratios, (25, 75)).tolist(),
                "pooled": pooled,
            },
            "dropped_more": sum(kinds["dying"]["dropped"].values()) - sum(kinds["calm"]["dropped"].values()),
            "unaccounted": [unaccounted(numbers) for numbers in final],
            "reconnects_of_the_seven": sum(while_running[str(number)].reconnects for number in range(COUNT - 1)),
            "load_at_begin": began,
        },
    )


if __name__ == "__main__":
    main()
