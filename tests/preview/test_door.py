"""Connections that ask for nothing: bounded, closed, and counted in the log."""

from __future__ import annotations

import asyncio
import errno
import logging
import resource
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from streamderain.preview.door import ASK_SECONDS, Door, most_connections
from streamderain.preview.seldom import PERIOD_SECONDS, Seldom

HOSTILE = (
    b"", b"GET / HTTP/1.1\r\nHost: x\r\n", b"\x16\x03\x01\x02\x00\x01\x00", b"garbage\r\n\r\n" * 40,
    b"POST /offer HTTP/1.1\r\nHost: localhost\r\nContent-Length: 60000\r\n\r\n{",
    b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", b"GET /" + b"x" * 9000 + b" HTTP/1.1\r\n\r\n",
)  # fmt: skip
"""What each of them sends; none of them goes on."""

REQUEST = b"GET /api/streams HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer secret\r\nConnection: close\r\n\r\n"


@contextmanager
def page() -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, str(Path(__file__).with_name("hostile.py"))]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, text=True, **pipes) as process:  # type: ignore[call-overload]
        try:
            yield process
        finally:
            process.kill()


def connected(url: str) -> socket.socket:
    address = urlsplit(url)
    assert address.hostname
    return socket.create_connection((address.hostname, address.port or 0), timeout=60)


def answer(url: str) -> bytes:
    with connected(url) as client:
        client.sendall(REQUEST)
        received = b""
        while more := client.recv(1 << 16):
            received += more
        return received


def test_a_thousand_hostile_connections_cost_nobody_anything() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < 1500:
        pytest.skip(f"this system lets a process open {hard} files; 1500 are needed")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 1500), hard))
    try:
        with page() as process, ExitStack() as held:
            assert process.stdout
            assert process.stdin
            assert process.stderr
            url = process.stdout.readline().strip()
            for number in range(1000):
                client = held.enter_context(connected(url))
                client.sendall(HOSTILE[number % len(HOSTILE)])
                if number % 100 == 99:
                    assert answer(url).startswith(b"HTTP/1.1 200 OK")
            print("files?", file=process.stdin, flush=True)
            # Of 256: what cameras, recordings and the program itself need.
            assert int(process.stdout.readline()) > 120
            process.stdin.close()
            assert process.wait(300) == 0
            said = process.stderr.read().splitlines()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert len(said) < 100
    assert any("64 connections are open; those that ask for nothing are closed" in line for line in said)


class Watched(asyncio.Protocol):
    """The server's end of a connection."""

    def __init__(self) -> None:
        self.lost = asyncio.get_running_loop().create_future()

    def connection_lost(self, error: Exception | None) -> None:
        self.lost.set_result(error)


def with_door(script: Callable[..., object], most: int = 3) -> None:
    """Run `script`, told the door, a clock to set, how to come in, and the protocols that were made."""

    async def run() -> None:
        now, made = [0.0], []

        def serve() -> Watched:
            made.append(Watched())
            return made[-1]

        door = Door(None, most, lambda: now[0])
        port = door.open("127.0.0.1", 0, serve)
        writers = []

        async def come() -> None:
            writers.append((await asyncio.open_connection("127.0.0.1", port))[1])
            expected = len(writers)
            while len(made) < expected:
                await asyncio.sleep(0)

        try:
            await asyncio.wait_for(script(door, now, come, made), 60)  # type: ignore[arg-type]
        finally:
            door.close()
            for writer in writers:
                writer.close()
            for each in made:
                await asyncio.wait_for(each.lost, 60)

    asyncio.run(run())


def test_who_asks_for_nothing_for_too_long_is_closed() -> None:
    async def script(door, now, come, made) -> None:  # type: ignore[no-untyped-def]
        await come()
        now[0] = ASK_SECONDS - 1
        await come()
        now[0] = ASK_SECONDS + 1
        door.sweep()
        await made[0].lost
        assert door.connections == 1
        assert not made[1].lost.done()

    with_door(script)


def test_of_too_many_the_one_makes_room_that_has_been_idle_for_longest() -> None:
    async def script(door, now, come, made) -> None:  # type: ignore[no-untyped-def]
        for number in range(3):
            now[0] = float(number)
            await come()
        # The first is busy.
        door._idle[next(iter(door._idle))] = None
        await come()
        await made[1].lost
        assert not made[0].lost.done()
        assert not made[2].lost.done()
        while door.connections < 3:
            await asyncio.sleep(0)

    with_door(script)


def test_when_all_are_busy_the_next_one_waits() -> None:
    async def script(door, now, come, made) -> None:  # type: ignore[no-untyped-def]
        await come()
        first = next(iter(door._idle))
        door._idle[first] = None
        tried, room = asyncio.Event(), door.make_room
        door.make_room = lambda: (tried.set(), room())[1]
        coming = asyncio.ensure_future(come())
        await tried.wait()
        assert len(made) == 1
        door._idle[first] = 0.0
        await coming
        await made[0].lost

    with_door(script, most=1)


def test_a_system_that_can_take_none_is_asked_again(caplog: pytest.LogCaptureFixture) -> None:
    async def run() -> None:
        loop, pauses, ended = asyncio.get_running_loop(), [], asyncio.Event()

        async def refuses(listening: socket.socket) -> object:
            raise OSError(errno.EMFILE, "Too many open files")

        async def passes(seconds: float) -> None:
            # The look for idle ones is another matter.
            if asyncio.current_task() is looks:
                await ended.wait()
            pauses.append(seconds)
            if len(pauses) == 200:
                ended.set()
            await asyncio.sleep(0)

        loop.sock_accept = refuses  # type: ignore[method-assign,assignment]
        door = Door(None, 3, sleep=passes)
        door.open("127.0.0.1", 0, asyncio.Protocol)
        looks = door._tasks[-1]
        await asyncio.wait_for(ended.wait(), 60)
        door.close()
        assert pauses[:6] == [0.1, 0.2, 0.4, 0.8, 1.0, 1.0]

    with caplog.at_level(logging.WARNING):
        asyncio.run(run())
    assert len([each for each in caplog.records if "no connection can be taken" in each.getMessage()]) <= 1


def test_a_quarter_of_what_may_be_opened_is_for_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    for soft, most in ((256, 64), (1 << 20, 256), (resource.RLIM_INFINITY, 256), (2, 1)):
        monkeypatch.setattr(resource, "getrlimit", lambda kind, soft=soft: (soft, soft))
        assert most_connections() == most


def test_lines_that_repeat_are_counted() -> None:
    now, let_through = [0.0], []
    filters = Seldom(lambda: now[0])
    for at in (0, 1, 2, PERIOD_SECONDS - 1, PERIOD_SECONDS + 1, PERIOD_SECONDS + 2):
        now[0] = at
        for text in ("%s is 100%% full", "another"):
            record = logging.LogRecord("x", logging.WARNING, "", 0, text, ("it",) if "%" in text else (), None)
            if filters.filter(record):
                let_through.append((at, record.getMessage()))
    assert let_through == [
        (0, "it is 100% full"), (0, "another"),
        (PERIOD_SECONDS + 1, "it is 100% full (and 3 times more before)"),
        (PERIOD_SECONDS + 1, "another (and 3 times more before)"),
    ]  # fmt: skip
