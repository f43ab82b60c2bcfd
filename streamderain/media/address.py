"""What the name of a source means: a file, a stream, a camera, the screen, a test picture, or who publishes to us;
nothing is opened here.
"""

from __future__ import annotations

import os
import re
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from streamderain.errors import ConfigError, SourceError, nearest
from streamderain.media.url import for_libav, public

Kind = Literal["file", "stream", "camera", "screen", "test", "whip"]

OPENCV = "opencv"
"""The `format` of cameras that libav has no driver for."""

_SCHEME = re.compile(r"([a-z][a-z0-9+.-]*)://", re.IGNORECASE)
_STREAMS = ("rtsp", "rtsps", "rtmp", "rtmps", "http", "https", "udp", "tcp", "srt")
_NEARLY = re.compile(rf"\W*({'|'.join(_STREAMS)})\s*[:;]", re.IGNORECASE)
"""How what was meant for a URL begins."""

_FILE_ENDINGS = (".mp4", ".m4v", ".mkv", ".mov", ".webm", ".avi", ".mpg", ".mpeg", ".wmv")

_TEST = re.compile(r"test(?::(\d{2,4})x(\d{2,4})(?:@(\d{1,3}))?)?")
_PLAIN = (640, 360, 25)


@dataclass(frozen=True)
class Address:
    """Where pictures come from: `name` as the user gave it, `target` and `format` as libav wants them.

    `format` is None where libav finds out by itself, OPENCV where it can't. A source that `is_live` gives pictures when
    they happen, and its end means that it is away. `shown` is the name for messages; only it is in the repr.
    """

    name: str = field(repr=False)
    kind: Kind
    target: str = field(repr=False)
    format: str | None
    is_live: bool
    shown: str


def in_full(path: Path) -> str:
    """A file's name as libav takes it; the colon in 12:30.mp4 it would read as the end of a protocol."""
    return str(path.absolute())


def parse(name: str) -> Address:
    """What `name` means. A file of that name comes before all else.

    Raises SourceError for a URL that this libav can't read or that is misspelt, and ConfigError for a test picture that
    can't be.
    """
    # Not Path's, which raises for names that are too long.
    if os.path.isfile(name):
        return _file(name, name)
    if scheme := _SCHEME.match(name):
        return _url(name, scheme[1].lower())
    if re.fullmatch(r"\d+", name) or name.startswith("/dev/video"):
        return _camera(name)
    if name == "screen":
        return _screen(name)
    if name == "whip":
        return Address(name, "whip", name, None, True, name)
    if name == "test" or name.startswith("test:"):
        return _test(name)
    if nearly := _NEARLY.match(name):
        raise SourceError(f"{public(name)} is neither a file nor a URL; expected {nearly[1].lower()}://host/path")
    return _file(name, name)


def open_options(address: Address, transport: str = "tcp", quick: bool = True) -> dict[str, str]:
    """Options for av.open; with `quick`, pictures come as soon as they can, at the risk of not finding out what they
    are. `transport` is how RTSP travels, tcp or udp.
    """
    options: dict[str, str] = {}
    scheme = urlsplit(address.target).scheme if address.kind == "stream" else ""
    if address.kind in ("camera", "screen") and address.format in ("avfoundation", "x11grab", "gdigrab"):
        options["framerate"] = "30" if address.kind == "camera" else "25"
    if scheme in ("rtsp", "rtsps"):
        options["rtsp_transport"] = transport
        if transport == "udp":
            # How long a lost packet is waited for.
            options["max_delay"] = "200000"
    if scheme == "udp":
        options |= {"overrun_nonfatal": "1", "fifo_size": "50000"}
    # Not with fflags=nobuffer: it throws away what was read to find out, and with it the first key frame.
    if quick and scheme in ("rtsp", "rtsps"):
        # The session description has said it all.
        options |= {"probesize": "32", "analyzeduration": "0"}
    elif quick and scheme:
        # Less would find no sampling rate in a transport stream.
        options |= {"probesize": "500000", "analyzeduration": "500000"}
    return options


def _file(name: str, target: str) -> Address:
    if "://" not in target:
        target = in_full(Path(target))
    return Address(name, "file", target, None, False, public(name))


def _url(name: str, scheme: str) -> Address:
    shown = public(name)
    target = for_libav(scheme + name[len(scheme) :])
    if scheme == "file":
        return _file(name, name[len("file://") :])
    if any(ord(letter) < 32 for letter in name):
        raise SourceError(f"{shown!r} holds a line break; a URL has none")
    if scheme not in _STREAMS:
        raise SourceError(
            f"{shown} is of an unknown kind, {scheme}; allowed: {', '.join(_STREAMS)}{nearest(scheme, _STREAMS)}"
        )
    if scheme in ("http", "https") and urlsplit(name).path.lower().endswith(_FILE_ENDINGS):
        return _file(name, target)
    return Address(name, "stream", target, "mpegts" if scheme in ("udp", "srt") else None, True, shown)


def _camera(name: str) -> Address:
    number = name.removeprefix("/dev/video")
    if sys.platform == "darwin":
        return Address(name, "camera", f"{number}:none", "avfoundation", True, name)
    if sys.platform == "win32":
        # DirectShow knows cameras by their names only.
        return Address(name, "camera", number, OPENCV, True, name)
    return Address(name, "camera", f"/dev/video{number}", "v4l2", True, name)


def _screen(name: str) -> Address:
    if sys.platform == "darwin":
        return Address(name, "screen", "Capture screen 0:none", "avfoundation", True, name)
    if sys.platform == "win32":
        return Address(name, "screen", "desktop", "gdigrab", True, name)
    return Address(name, "screen", os.environ.get("DISPLAY", ":0"), "x11grab", True, name)


def _test(name: str) -> Address:
    match = _TEST.fullmatch(name)
    given = match.groups() if match else (0, 0, 0)
    width, height, rate = (default if each is None else int(each) for each, default in zip(given, _PLAIN, strict=True))
    if min(width, height) < 16 or not 1 <= rate <= 240:
        raise ConfigError(f"{name} is no test picture; expected test:640x360@25, with 16 pixels or more, 1 to 240 fps")
    return Address(name, "test", f"testsrc2=size={width}x{height}:rate={rate},realtime", "lavfi", True, name)
