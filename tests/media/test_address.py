"""What names mean, and that none of them tells a password."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from streamderain.errors import ConfigError, SourceError
from streamderain.media.address import open_options, parse


@pytest.mark.parametrize(
    ("name", "kind", "target", "format", "is_live"),
    [
        ("rtsp://host/a", "stream", "rtsp://host/a", None, True),
        ("RTSPS://Host/A", "stream", "rtsps://Host/A", None, True),
        ("rtmp://host/app/key", "stream", "rtmp://host/app/key", None, True),
        ("http://host/live.m3u8", "stream", "http://host/live.m3u8", None, True),
        ("https://host/cam.cgi?file=a.mp4", "stream", "https://host/cam.cgi?file=a.mp4", None, True),
        ("https://host/A.MP4?x=1", "file", "https://host/A.MP4?x=1", None, False),
        ("udp://@:5000", "stream", "udp://@:5000", "mpegts", True),
        ("test", "test", "testsrc2=size=640x360:rate=25,realtime", "lavfi", True),
        ("test:320x240", "test", "testsrc2=size=320x240:rate=25,realtime", "lavfi", True),
        ("test:64x48@10", "test", "testsrc2=size=64x48:rate=10,realtime", "lavfi", True),
        ("/a/12:30.mp4", "file", "/a/12:30.mp4", None, False),
        ("file:///a/b.mp4", "file", "/a/b.mp4", None, False),
        ("/dev/null", "file", "/dev/null", None, False),
    ],
)
def test_what_a_name_means(name: str, kind: str, target: str, format: str | None, is_live: bool) -> None:
    address = parse(name)
    assert (address.name, address.kind, address.target) == (name, kind, target)
    assert (address.format, address.is_live) == (format, is_live)


@pytest.mark.parametrize(
    ("platform", "name", "target", "format"),
    [
        ("linux", "0", "/dev/video0", "v4l2"),
        ("linux", "/dev/video2", "/dev/video2", "v4l2"),
        ("linux", "/dev/video-front", "/dev/video-front", "v4l2"),
        ("linux", "screen", ":7", "x11grab"),
        ("darwin", "1", "1:none", "avfoundation"),
        ("darwin", "screen", "Capture screen 0:none", "avfoundation"),
        ("win32", "0", "0", "opencv"),
        ("win32", "screen", "desktop", "gdigrab"),
    ],
)
def test_cameras_and_screens_of_each_platform(
    platform: str, name: str, target: str, format: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.setenv("DISPLAY", ":7")
    address = parse(name)
    assert (address.target, address.format, address.is_live) == (target, format, True)
    assert address.kind == ("screen" if name == "screen" else "camera")


@pytest.mark.parametrize("name", ["0", "test", "screen", "test:64x48", "whip"])
def test_a_file_comes_before_all_else(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert parse(name).kind != "file"
    Path(name).touch()
    address = parse(name)
    assert (address.kind, address.target) == ("file", str(tmp_path / name))


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        ("srt://host:1?passphrase=secret\nfile 'x'", SourceError, "holds a line break"),
        ("rstp://u:secret@host/a", SourceError, "unknown kind, rstp; .* did you mean rtsp"),
        ("concat://u:secret@host/a", SourceError, "unknown kind, concat; allowed: rtsp, "),
        ("rtsp:/u:secret@host/a", SourceError, r"\*\*\*@host/a is neither .* expected rtsp://host/path"),
        (' "https://u:secret@host/a"', SourceError, "expected https://host/path"),
        ("test:640", ConfigError, "expected test:640x360@25"),
        ("test:640x360@0", ConfigError, "expected test:640x360@25"),
        ("test:00x360", ConfigError, "expected test:640x360@25"),
        ("test:640x360@25;x", ConfigError, "expected test:640x360@25"),
    ],
)
def test_names_that_mean_nothing(name: str, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message) as raised:
        parse(name)
    assert "secret" not in str(raised.value)
    assert "\n" not in str(raised.value)


def test_rtsp_travels_as_it_is_told() -> None:
    address = parse("rtsp://host/a")
    assert open_options(address)["rtsp_transport"] == "tcp"
    assert open_options(address, "udp")["rtsp_transport"] == "udp"
    assert "rtsp_transport" not in open_options(parse("http://host/a"))


def test_only_streams_are_opened_quickly() -> None:
    for name in ("rtsp://host/a", "udp://@:5000", "http://host/a.m3u8"):
        assert int(open_options(parse(name))["analyzeduration"]) <= 500_000
        assert "analyzeduration" not in open_options(parse(name), quick=False)
    assert open_options(parse("a.mp4")) == {}


def test_an_address_does_not_tell_its_password() -> None:
    assert "secret" not in repr(parse("rtsp://u:secret@host/a?token=secret"))
