"""How well streams that keep one network busy are batched together, and what a slow stream costs a quick one beside it.

The network takes 20 ms for a call, whatever the number of windows, as one on a GPU about does; a stream asks again 4 ms
after its answer. Left to themselves they take turns, one half in the network while the other waits for it, and n
streams get n/2/0.020 frames a second together.

Prediction: where those that wait when the network becomes free wait for those that were in it, 4 ms more, all go
together: n streams get n/0.024 frames a second, 83 for two, 167 for four, 333 for eight. A stream that asks each 200 ms
is waited for only when it is due, so it takes a quick one at most two waits of 10 ms in 200: 5 to 10 per cent.

Outcome: 78, 153 and 294, where turns gave 48, 95 and 189, and 1 per cent, where waiting for whoever had asked within a
second took 28.

Writes sharing.json.
"""

from __future__ import annotations

import argparse
import threading
import time
from typing import Any

import torch
from parts import Stub, load, save

from streamderain.engine.shared import SharedNetwork

NETWORK_SECONDS, OWN_SECONDS, SELDOM_SECONDS = 0.02, 0.004, 0.2
MOST = 8


def rates(own: list[float], seconds: float) -> tuple[list[float], float]:
    """Frames per second of streams that take these seconds for themselves between two requests, and windows a call."""
    shared = SharedNetwork(Stub(NETWORK_SECONDS), MOST)
    counts = [0] * len(own)
    end = time.monotonic() + seconds

    def stream(number: int) -> None:
        # They begin apart, as cameras do.
        time.sleep(0.007 * number)
        while time.monotonic() < end:
            shared.restore(torch.zeros(1, 1, 3, 8, 8))
            counts[number] += 1
            time.sleep(own[number])

    threads = [threading.Thread(target=stream, args=(number,)) for number in range(len(own))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    shared.close()
    return [count / seconds for count in counts], shared.windows / shared.batches


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=10.0)
    seconds = parser.parse_args().seconds
    began = load()
    cases: list[dict[str, Any]] = []
    for streams in (2, 4, 8):
        fps, together = rates([OWN_SECONDS] * streams, seconds)
        cases.append({
            "streams": streams, "fps": sum(fps), "least_fps": min(fps), "windows_per_call": together,
            "fps_in_turns": streams / 2 / NETWORK_SECONDS,
        })  # fmt: skip
    (alone,), _ = rates([OWN_SECONDS], seconds)
    (quick, seldom), _ = rates([OWN_SECONDS, SELDOM_SECONDS], seconds)
    beside = {"quick_fps": quick, "seldom_fps": seldom, "quick_fps_alone": alone}
    about = {"network_ms": 1000 * NETWORK_SECONDS, "own_ms": 1000 * OWN_SECONDS, "load_at_begin": began}
    save("sharing", {**about, "cases": cases, "beside_a_seldom_one": beside})


if __name__ == "__main__":
    main()
