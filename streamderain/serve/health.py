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


def readiness(fleet: Fleet | None, strict: bool = False) -> dict[str, Any]:
    """{"ready": bool, "network": bool, "not_started": {name: why}, "not_connected": {name: why}, "not_open": {name:
    outputs}}: ready when the network is loaded and every stream was started and, if `strict`, every source is there and
    every output open.
    """
    if fleet is None:
        return {"ready": False, "network": False, "not_started": {}, "not_connected": {}, "not_open": {}}
    crashed = {stream.name: stream.failure for stream in fleet if stream.state == "restarting"}
    not_started = {**fleet.failed, **{name: why or "" for name, why in crashed.items()}}
    waiting = [stream for stream in fleet if stream.state in ("waiting", "ended")]
    not_connected = {stream.name: stream.numbers().reason or stream.state for stream in waiting}
    outputs = {stream.name: stream.numbers().outputs for stream in fleet}
    not_open = {name: [each.name for each in all_ if not each.connected] for name, all_ in outputs.items()}
    not_open = {name: names for name, names in not_open.items() if names}
    ready = not not_started and not (strict and (not_connected or not_open))
    told = {"not_started": not_started, "not_connected": not_connected, "not_open": not_open}
    return {"ready": ready, "network": True, **told}
