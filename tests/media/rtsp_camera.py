"""An RTSP camera to test with: run by the system's python3, which has gst-rtsp-server; prints "ready" and its port."""

from __future__ import annotations

import argparse

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtsp", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import Gio, GLib, Gst, GstRtsp, GstRtspServer  # noqa: E402

ENCODERS = {
    "h264": "x264enc tune=zerolatency speed-preset=ultrafast bitrate=1000 key-int-max={fps} "
    "! rtph264pay config-interval=1",
    "h265": "x265enc tune=zerolatency speed-preset=ultrafast key-int-max={fps} ! rtph265pay config-interval=1",
    "jpeg": "jpegenc ! rtpjpegpay",
}


def arguments() -> argparse.Namespace:
    """What the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("port", help="0 takes a free one")
    parser.add_argument("width", type=int)
    parser.add_argument("height", type=int)
    parser.add_argument("fps", type=int)
    parser.add_argument("--audio", action="store_true")
    parser.add_argument("--codec", choices=ENCODERS, default="h264")
    parser.add_argument("--pattern", default="ball", help="of videotestsrc; smpte has noise, as what cameras see has")
    parser.add_argument("--udp-only", action="store_true")
    parser.add_argument("--login", metavar="NAME:PASSWORD", help="who may watch; by digest, as cameras ask for it")
    parser.add_argument("--tls", metavar="FILE", help="a certificate and its key; the camera is an rtsps:// one then")
    return parser.parse_args()


def pipeline(wanted: argparse.Namespace) -> str:
    """The camera, in the words of gst-launch; a key frame each second."""
    size = f"width={wanted.width},height={wanted.height},framerate={wanted.fps}/1"
    picture = (
        f"videotestsrc is-live=true pattern={wanted.pattern} ! video/x-raw,format=I420,{size} ! "
        f"{ENCODERS[wanted.codec].format(fps=wanted.fps)} name=pay0 pt=96"
    )
    sound = "audiotestsrc is-live=true ! audio/x-raw,rate=48000,channels=2 ! voaacenc ! rtpmp4gpay name=pay1 pt=97"
    return f"( {picture} {sound if wanted.audio else ''} )"


def guard(wanted: argparse.Namespace) -> GstRtspServer.RTSPAuth:
    """Who may watch, and the certificate."""
    auth = GstRtspServer.RTSPAuth()
    token = GstRtspServer.RTSPToken()
    token.set_string("media.factory.role", "viewer")
    if wanted.login:
        auth.set_supported_methods(GstRtsp.RTSPAuthMethod.DIGEST)
        auth.add_digest(*wanted.login.split(":", 1), token)
    else:
        auth.set_default_token(token)
    if wanted.tls:
        auth.set_tls_certificate(Gio.TlsCertificate.new_from_file(wanted.tls))
    return auth


def main() -> None:
    """Serve /stream until killed."""
    wanted = arguments()
    Gst.init(None)
    server = GstRtspServer.RTSPServer()
    server.set_address("127.0.0.1")
    server.set_service(wanted.port)
    factory = GstRtspServer.RTSPMediaFactory()
    # A pipeline for each who watches: two who come to a shared one at the same moment end the server by an assertion.
    factory.set_launch(pipeline(wanted))
    if wanted.udp_only:
        factory.set_protocols(GstRtsp.RTSPLowerTrans.UDP)
    if wanted.login or wanted.tls:
        allowed = "viewer, media.factory.access=(boolean)true, media.factory.construct=(boolean)true"
        factory.add_role_from_structure(Gst.Structure.new_from_string(allowed))
        server.set_auth(guard(wanted))
    server.get_mount_points().add_factory("/stream", factory)
    if not server.attach(None):
        raise SystemExit(f"port {wanted.port} is taken")
    print("ready", server.get_bound_port(), flush=True)
    GLib.MainLoop().run()


if __name__ == "__main__":
    main()
