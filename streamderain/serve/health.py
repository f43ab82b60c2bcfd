"""Whether the process works, and whether it is ready; what /healthz and /readyz say."""

from __future__ import annotations

from typing import Any

from streamderain.serve.fleet import Fleet


def health(fleet: Fleet | None) -> dict[str, Any]:
    """{"healthy": bool, "dead": names, "stuck": names}: a thread that died, and a connected source of which nothing is
    published for 30 seconds, or twice `frozen_after` where that is longer. A camera that is away is no fault of ours.
    """
    streams = list(fleet or ())
    dead = [stream.name for stream in streams if stream.state == "dead"]
    stuck = [stream.name for stream in streams if stream.is_stuck]
    return {"healthy": not dead and not stuck, "dead": dead, "stuck": stuck}


def readiness(fleet: Fleet | None) -> dict[str, Any]:
    """{"ready": bool, "network": bool, "not_started": {name: why}, "not_connected": names}: ready when the network is
    loaded and every stream was started; those whose source is away are told and wanting for nothing else.
    """
    if fleet is None:
        return {"ready": False, "network": False, "not_started": {}, "not_connected": []}
    crashed = {stream.name: stream.failure for stream in fleet if stream.state == "restarting"}
    not_started = {**fleet.failed, **{name: why or "" for name, why in crashed.items()}}
    waiting = [stream.name for stream in fleet if stream.state in ("waiting", "ended")]
    return {"ready": not not_started, "network": True, "not_started": not_started, "not_connected": waiting}
