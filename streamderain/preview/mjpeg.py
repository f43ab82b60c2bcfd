"""Motion JPEG over HTTP: a picture after the other for as long as the viewer reads."""

from __future__ import annotations

import asyncio
import socket

from aiohttp import web

from streamderain.preview.sink import Gone, Preview

STALLED_SECONDS = 5.0
"""A viewer that takes nothing for this long is dropped."""

BUFFER_BYTES = 1 << 18
"""What the system may hold for a viewer: a slow one then sees fewer pictures, not older ones."""

BOUNDARY = "picture"


async def stream(
    request: web.Request, preview: Preview, stalled_seconds: float = STALLED_SECONDS
) -> web.StreamResponse:
    """Answer with multipart/x-mixed-replace until the viewer or the stream goes."""
    response = web.StreamResponse(headers={"Content-Type": f"multipart/x-mixed-replace; boundary={BOUNDARY}"})
    transport = request.transport
    if transport is not None and (connection := transport.get_extra_info("socket")) is not None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER_BYTES)
    with preview.viewer():
        try:
            await response.prepare(request)
            await response.write(f"--{BOUNDARY}\r\n".encode())
            number = 0
            while True:
                picture = await preview.after(number)
                number = picture.number
                part = _part(await picture.jpeg())
                await asyncio.wait_for(response.write(part), stalled_seconds)
        except Gone:
            await asyncio.wait_for(response.write_eof(), stalled_seconds)
        except (TimeoutError, ConnectionError):
            if transport is not None:
                transport.abort()
    return response


def _part(data: bytes) -> bytes:
    """One picture; the boundary comes at once after it, as browsers show a part when they have seen its end."""
    head = f"Content-Type: image/jpeg\r\nContent-Length: {len(data)}\r\n\r\n"
    return head.encode() + data + f"\r\n--{BOUNDARY}\r\n".encode()
