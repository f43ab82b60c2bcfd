"""A server that is frozen is noticed though the system takes much in its stead."""

from __future__ import annotations

import socket
import sys
from collections.abc import Iterator

import pytest

from streamderain.errors import SinkError
from streamderain.media.pulse import Connection, Pulse, connections
from tests.clock import Clock

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells what was acknowledged")


class Ends:
    """Both ends of a connection; `fill` sends until the system takes no more, `drain` reads all of it."""

    def __init__(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as server:
            self.port = server.getsockname()[1]
            self.here = socket.create_connection(server.getsockname())
            self.there, _ = server.accept()
        self.here.setblocking(False)

    def fill(self) -> None:
        try:
            while True:
                self.here.send(bytes(1 << 16))
        except BlockingIOError:
            pass

    def drain(self) -> None:
        self.there.settimeout(1.0)
        try:
            while self.there.recv(1 << 20):
                pass
        except TimeoutError:
            pass

    def close(self) -> None:
        self.here.close()
        self.there.close()


@pytest.fixture
def ends() -> Iterator[Ends]:
    made = Ends()
    yield made
    made.close()


def watch(ends: Ends, before: frozenset[Connection] = frozenset()) -> tuple[Pulse, Clock]:
    clock = Clock()
    return Pulse(ends.port, 5.0, before, clock), clock


def test_a_server_that_takes_nothing_is_noticed(ends: Ends) -> None:
    pulse, clock = watch(ends)
    ends.fill()
    for _ in range(2):
        clock.now += 1.5
        pulse.check()
    clock.now += 10.0
    with pytest.raises(SinkError, match=r"taken nothing for 1\d s"):
        pulse.check()
    ends.drain()
    pulse.check()
    clock.now += 3.0
    pulse.check()


def test_a_server_for_which_there_is_nothing_is_not_frozen(ends: Ends) -> None:
    pulse, clock = watch(ends)
    for _ in range(5):
        clock.now += 10.0
        pulse.check()


def test_what_was_there_before_is_somebody_elses(ends: Ends) -> None:
    (known,) = connections(ends.port)
    assert known.file == ends.here.fileno()
    pulse, clock = watch(ends, frozenset({known}))
    ends.fill()
    clock.now += 60.0
    pulse.check()


def test_a_connection_that_is_closed_is_forgotten_and_nothing_is_left_open(ends: Ends) -> None:
    pulse, clock = watch(ends)
    ends.fill()
    ends.close()
    assert connections(ends.port) == frozenset()
    clock.now += 60.0
    pulse.check()


def test_nothing_is_looked_at_where_there_is_nothing_to_look_with(monkeypatch: pytest.MonkeyPatch, ends: Ends) -> None:
    def missing(path: str) -> list[str]:
        raise FileNotFoundError(path)

    monkeypatch.setattr("os.listdir", missing)
    assert connections(ends.port) == frozenset()
