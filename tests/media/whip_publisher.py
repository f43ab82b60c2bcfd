"""Publishes test pictures and a tone by WHIP, with GStreamer's webrtcbin: URL, token and codec, until it is killed.

For the system's python3, which has gi.
"""

import sys
import urllib.request

import gi

for name in ("Gst", "GstWebRTC", "GstSdp"):
    gi.require_version(name, "1.0")
from gi.repository import GLib, Gst, GstSdp, GstWebRTC  # noqa: E402

ENCODERS = {
    "VP8": "vp8enc deadline=1 keyframe-max-dist=25 ! rtpvp8pay",
    "H264": "x264enc tune=zerolatency speed-preset=ultrafast key-int-max=25 ! rtph264pay config-interval=-1",
}


def main(url: str, token: str, codec: str) -> None:
    Gst.init(None)
    pipeline = Gst.parse_launch(
        "webrtcbin name=peer bundle-policy=max-bundle "
        "videotestsrc is-live=true ! video/x-raw,width=96,height=64,framerate=20/1 ! "
        f"{ENCODERS[codec]} ! application/x-rtp,media=video,encoding-name={codec},payload=96 ! peer. "
        "audiotestsrc is-live=true ! audioresample ! audio/x-raw,rate=48000,channels=2 ! "
        "opusenc ! rtpopuspay ! application/x-rtp,media=audio,encoding-name=OPUS,payload=97 ! peer."
    )
    peer = pipeline.get_by_name("peer")

    def offered(promise: Gst.Promise) -> None:
        reply = promise.get_reply()  # which owns what is in it
        peer.emit("set-local-description", reply.get_value("offer"), Gst.Promise.new())

    def gathered(*_: object) -> None:
        if peer.get_property("ice-gathering-state") == GstWebRTC.WebRTCICEGatheringState.COMPLETE:
            offer = peer.get_property("local-description").sdp.as_text().encode()
            headers = {"Content-Type": "application/sdp", "Authorization": f"Bearer {token}"}
            with urllib.request.urlopen(urllib.request.Request(url, offer, headers)) as reply:
                _, sdp = GstSdp.SDPMessage.new_from_text(reply.read().decode())
            answer = GstWebRTC.WebRTCSessionDescription.new(GstWebRTC.WebRTCSDPType.ANSWER, sdp)
            peer.emit("set-remote-description", answer, Gst.Promise.new())

    def begin(_: object) -> None:
        peer.emit("create-offer", None, Gst.Promise.new_with_change_func(offered))

    peer.connect("on-negotiation-needed", begin)
    peer.connect("notify::ice-gathering-state", gathered)
    pipeline.set_state(Gst.State.PLAYING)
    GLib.MainLoop().run()


if __name__ == "__main__":
    main(*sys.argv[1:])
