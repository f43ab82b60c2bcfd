"""Whether a server still takes what is sent to it: the system takes much in its stead, and libav does not tell."""

from __future__ import annotations

import os
import socket
import struct
import time
from collections.abc import Callable
from contextlib import closing, suppress
from typing import NamedTuple

from streamderain.errors import SinkError

LOOK_SECONDS = 1.0

_INFO_BYTES, _UNACKED_AT, _ACKED_AT = 192, 24, 120
"""Where struct tcp_info of Linux (include/uapi/linux/tcp.h) has tcpi_unacked, and tcpi_bytes_acked, ..."""

_NOT_SENT_AT = 144
"""... and tcpi_notsent_bytes."""


class Connection(NamedTuple):
    """One of this process's TCP connections: its file, and what the system calls it."""

    file: int
    inode: str


class Pulse:
    """Watches this process's TCP connections to `port` that were not there `before`. On a system without /proc it knows
    of none.
    """

    def __init__(
        self,
        port: int,
        frozen_after: float,
        before: frozenset[Connection] = frozenset(),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._port, self._frozen_after, self._clock = port, frozen_after, clock
        # What each had acknowledged, and since when it has not gone on.
        self._acked = {each: (-1, clock()) for each in connections(port) - before}
        self._looked_at = clock()

    def check(self) -> None:
        """Raise SinkError if something waits, and none of it was taken for `frozen_after` seconds; looks once a second
        at most.
        """
        now = self._clock()
        if now - self._looked_at < LOOK_SECONDS:
            return
        self._looked_at = now
        for each in list(self._acked):
            self._look(each, now)
        longest = min((now - since for _, since in self._acked.values()), default=0.0)
        if longest > self._frozen_after:
            raise SinkError(f"it has taken nothing for {longest:.0f} s")

    def _look(self, connection: Connection, now: float) -> None:
        progress = _progress(connection, self._port)
        if progress is None:
            del self._acked[connection]
            return
        acked, waiting = progress
        if not waiting or acked != self._acked[connection][0]:
            self._acked[connection] = acked, now


def connections(port: int) -> frozenset[Connection]:
    """The TCP connections of this process to that port of any machine."""
    found = set()
    with suppress(OSError):
        for name in os.listdir("/proc/self/fd"):
            connection = _connection(int(name))
            if connection and _progress(connection, port):
                found.add(connection)
    return frozenset(found)


def _connection(file: int) -> Connection | None:
    try:
        inode = os.readlink(f"/proc/self/fd/{file}")
    except OSError:
        return None
    return Connection(file, inode) if inode.startswith("socket:") else None


def _progress(connection: Connection, port: int) -> tuple[int, int] | None:
    """How many bytes the other end has acknowledged, and whether any wait for that; None where it is gone."""
    if _connection(connection.file) != connection:
        return None
    try:
        # Another file for it, so that nothing here closes libav's.
        with closing(socket.socket(fileno=os.dup(connection.file))) as looked_at:
            peer = looked_at.getpeername()
            if not isinstance(peer, tuple) or peer[1] != port or looked_at.type != socket.SOCK_STREAM:
                return None
            told = looked_at.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _INFO_BYTES)
    except OSError:
        return None
    (unacked,) = struct.unpack_from("I", told, _UNACKED_AT)
    (not_sent,) = struct.unpack_from("I", told, _NOT_SENT_AT)
    (acked,) = struct.unpack_from("Q", told, _ACKED_AT)
    return acked, unacked + not_sent
