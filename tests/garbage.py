"""Servers that answer an RTSP client with rubbish, each connection the same."""

from __future__ import annotations

import random
import socketserver
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

Reply = Callable[["socketserver.BaseRequestHandler"], None]


def rubbish(server: socketserver.BaseRequestHandler) -> None:
    server.request.recv(999)
    server.request.sendall(random.Random(0).randbytes(9999))


def endless(server: socketserver.BaseRequestHandler) -> None:
    server.request.recv(999)
    server.request.sendall(b"RTSP/1.0 200 OK\r\nCSeq: 1\r\n")
    while True:
        server.request.sendall(b"X-Header: rain\r\n" * 99)


def silent(server: socketserver.BaseRequestHandler) -> None:
    while server.request.recv(999):
        pass


def answer(server: socketserver.BaseRequestHandler, status: str, body: str) -> None:
    number = 0
    while server.request.recv(999):
        number += 1
        head = f"RTSP/1.0 {status}\r\nCSeq: {number}\r\nContent-Type: application/sdp\r\nContent-Length: {len(body)}"
        server.request.sendall(f"{head}\r\n\r\n{body}".encode())


def wrong_sdp(server: socketserver.BaseRequestHandler) -> None:
    answer(server, "200 OK", "v=0\r\nm=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/0\r\na=control:\x01\r\nm=\r\na=fmtp:\r\n")


def no_media(server: socketserver.BaseRequestHandler) -> None:
    answer(server, "200 OK", "v=0\r\ns=nothing\r\n")


def unauthorised(server: socketserver.BaseRequestHandler) -> None:
    answer(server, "401 Unauthorized", "")


def requests(server: socketserver.BaseRequestHandler) -> Iterator[str]:
    """The number of each request, which may bring a body."""
    stream = server.request.makefile("rb")
    while stream.peek(1):
        head = [line.decode().strip() for line in iter(stream.readline, b"\r\n")]
        fields = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:])}
        stream.read(int(fields.get("content-length", 0)))
        yield fields["cseq"]


def denied(server: socketserver.BaseRequestHandler) -> None:
    """As a server that is published to, and knows the publisher not."""
    for number in requests(server):
        server.request.sendall(f"RTSP/1.0 401 Unauthorized\r\nCSeq: {number}\r\n\r\n".encode())


def banned(server: socketserver.BaseRequestHandler) -> None:
    """The same with the other word."""
    for number in requests(server):
        server.request.sendall(f"RTSP/1.0 403 Forbidden\r\nCSeq: {number}\r\n\r\n".encode())


def forbidden(server: socketserver.BaseRequestHandler) -> None:
    answer(server, "403 Forbidden", "")


@contextmanager
def process_of(reply: Reply) -> Iterator[int]:
    """server_of in a process of its own, for whoever talks to it without letting other threads run."""
    code = (
        f"import time\nfrom tests.garbage import *\nwith server_of({reply.__name__}) as port:\n"
        "    print(port, flush=True)\n    time.sleep(100)"
    )
    process = subprocess.Popen([sys.executable, "-c", code], cwd=Path(__file__).parents[1], stdout=subprocess.PIPE)
    assert process.stdout
    try:
        yield int(process.stdout.readline())
    finally:
        process.kill()
        process.communicate()


@contextmanager
def server_of(reply: Reply) -> Iterator[int]:
    """A server on a free port that answers each connection with `reply`."""

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            try:
                reply(self)
            except OSError:
                return

    class Server(socketserver.ThreadingTCPServer):
        allow_reuse_address, daemon_threads = True, True

    with Server(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()
