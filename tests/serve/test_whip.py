"""Real publishers of WHIP, GStreamer and a browser, as sources of streams."""

from __future__ import annotations

import functools
import subprocess
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import av
import pytest

from streamderain.serve.config import StreamConfig
from streamderain.serve.server import Server
from tests.cameras import PYTHON
from tests.serve.asking import TOKEN, ask, published, serving
from tests.waiting import wait_until

if TYPE_CHECKING:
    from playwright.sync_api import Browser

PUBLISHER = Path(__file__).parents[1] / "media" / "whip_publisher.py"
ENOUGH = 20

PUBLISH = """async ([place, token]) => {
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [96, 64];
  const context = canvas.getContext("2d");
  let number = 0;
  setInterval(() => { context.fillStyle = `hsl(${number++} 90% 50%)`; context.fillRect(0, 0, 96, 64); }, 50);
  window.peer = new RTCPeerConnection();
  for (const track of canvas.captureStream(20).getTracks()) peer.addTrack(track);
  await peer.setLocalDescription(await peer.createOffer());
  await new Promise((done) => {
    const look = () => peer.iceGatheringState === "complete" && done();
    peer.onicegatheringstatechange = look;
    look();
  });
  const headers = {"Content-Type": "application/sdp", Authorization: `Bearer ${token}`};
  const reply = await fetch(place, {method: "POST", headers, body: peer.localDescription.sdp});
  await peer.setRemoteDescription({type: "answer", sdp: await reply.text()});
  return reply.status;
}"""


@functools.cache
def missing() -> str | None:
    """Why GStreamer cannot publish here, or None."""
    probe = "import gi; gi.require_version('GstWebRTC', '1.0'); gi.require_version('Gst', '1.0');"
    probe += "from gi.repository import Gst, GstWebRTC; Gst.init(None);"
    probe += "assert all(map(Gst.ElementFactory.find, ('webrtcbin', 'nicesrc', 'dtlsdec', 'x264enc', 'opusenc')))"
    try:
        found = subprocess.run([PYTHON, "-c", probe], capture_output=True, text=True, check=False)
    except OSError as error:
        return f"{PYTHON} cannot be run: {error.strerror}"
    return (
        "webrtcbin is missing; apt install gstreamer1.0-nice gir1.2-gst-plugins-bad-1.0" if found.returncode else None
    )


@contextmanager
def publishing(server: Server, codec: str) -> Iterator[None]:
    """GStreamer sends pictures and a tone, until kill -9."""
    url = f"{server.url}streams/cam/whip"
    process = subprocess.Popen(
        [PYTHON, str(PUBLISHER), url, TOKEN, codec], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        yield
    finally:
        process.kill()
        process.wait()


def come(server: Server) -> None:
    """Wait until frames of whoever publishes now have gone out."""
    begun = published(server, "cam")
    wait_until(lambda: published(server, "cam") >= begun + ENOUGH, seconds=60)


def test_gstreamer_is_a_camera_with_sound_that_comes_back(tmp_path: Path) -> None:
    if reason := missing():
        pytest.skip(reason)
    recording = tmp_path / "cam.mkv"
    with serving(cam=StreamConfig("whip", (str(recording),))) as server:
        for codec in ("VP8", "H264"):
            with publishing(server, codec):
                come(server)
        assert ask(server.url, "/api/streams/cam").body["numbers"]["reconnects"] == 1
    with av.open(recording) as container:
        (sound,) = container.streams.audio
        assert (sound.codec_context.name, sound.rate) == ("opus", 48000)
        counts = Counter(packet.stream.type for packet in container.demux() if packet.size)
    assert counts["video"] >= 2 * ENOUGH
    assert counts["audio"] >= ENOUGH


def test_a_browser_is_a_camera(browser: Browser) -> None:
    with serving(cam=StreamConfig("whip")) as server:
        page = browser.new_page()
        try:
            page.goto(f"{server.url}?token={TOKEN}")
            assert page.evaluate(PUBLISH, [f"{server.url}streams/cam/whip", TOKEN]) == 201
            come(server)
            assert ask(server.url, "/api/streams/cam").body["numbers"]["size"] == "96x64"
            page.close()
            wait_until(lambda: not ask(server.url, "/api/streams/cam").body["numbers"]["connected"], seconds=60)
        finally:
            page.close()


def test_a_stream_that_ends_ends_who_publishes_to_it_and_one_that_is_fetched_takes_none() -> None:
    with serving(cam=StreamConfig("whip"), other=StreamConfig("test:64x48@20")) as server:
        told = ask(server.url, "/streams/other/whip", "POST", b"v=0")
        assert told.status == 415
        assert server.fleet
        intake = server.fleet["cam"].run.intake
        assert intake
        publication = intake.begin(False)
        assert ask(server.url, "/api/streams/cam", "DELETE").status == 204
        assert not publication.is_wanted
