"""Nothing but what is harmless is told of a URL, and raw signs in passwords reach the camera as they are."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from urllib.parse import unquote

import av
import pytest

from streamderain.media import url
from streamderain.media.address import parse
from streamderain.media.url import for_libav, port_of, public, redacted
from tests.secrets import FORMS, LOGINS, MISSPELT, SECRET


@pytest.mark.parametrize("form", FORMS)
def test_no_form_tells_its_secret(form: str) -> None:
    scheme = form.partition("://")[0]
    told = public(form)
    assert SECRET not in told
    assert told.startswith(f"{scheme}://")
    assert any(host in told for host in ("10.0.0.5", "camera", "media.example.org", "[fe80::1]:554", "://***"))
    assert public(told) == redacted(told) == told
    for text in (
        f"10:00:00 WARNING {form}", f"{form}: lost, the stream ended", f"cannot open '{form}'", f'said "{form}", twice',
        f"a: started, {form} -> {form}, rec.mkv", f"one {form}\nand {form}", f"({form})", repr({"source": form}),
    ):  # fmt: skip
        assert SECRET not in redacted(text)
        assert redacted(redacted(text)) == redacted(text)


@pytest.mark.parametrize("form", MISSPELT)
def test_what_was_meant_for_a_url_tells_nothing_either(form: str) -> None:
    for text in (form, f"{form} does not exist", f"cannot open {form!r}", repr({"source": form}), f"a -> {form}, b"):
        assert SECRET not in public(text)
        assert SECRET not in redacted(text)
        assert redacted(redacted(text)) == redacted(text)


@pytest.mark.parametrize(
    "name",
    [
        "rec@home.mkv", "C:\\me@home.mkv", "C:/a/me@home.mkv", "2026-11-28T14:30:00@yard.mp4", "12:30.mp4", "a b=c.mp4",
        "what?.mp4", "s/12:30:00 cam@yard.mkv", "a & b.mp4", "D:out.mkv", "-", "",
    ],
)  # fmt: skip
def test_names_of_files_are_told(name: str) -> None:
    assert public(name) == redacted(name) == name


def test_what_is_told_grows_with_the_text_alone() -> None:
    # A sign more than once in a word must cost no search of its own each time: these would take hours.
    for word in ("a", "a:", "?a", ":", "@", "a@:", "?a=", "=", "&"):
        redacted(word * 300000)


def test_there_are_many_forms() -> None:
    assert len(set(FORMS)) >= 60


@pytest.mark.parametrize("form", FORMS)
def test_no_traceback_of_libav_tells_it(form: str) -> None:
    with pytest.raises(av.FFmpegError) as raised:
        raise av.error.EOFError(1, "End of file", form)
    assert SECRET in str(raised.value)
    assert SECRET not in redacted("".join(traceback.format_exception(raised.value)) + repr(raised.value))


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("rtsp://user:secret@host/a", "rtsp://***@host/a"),
        ("rtsp://us:se:cr@et@host:554/a", "rtsp://***@host:554/a"),
        ("http://user:p%40ss@host/a?b=c@d", "http://***"),
        ("rtmp://host/live/key", "rtmp://host/live/***"),
        ("rtsp://host:8554/Streaming/Channels/101", "rtsp://host:8554/Streaming/***"),
        ("rtsp://host/user=me_password=x_channel=1", "rtsp://host/***"),
        ("srt://host:1?passphrase=topsecret&mode=caller", "srt://host:1?***"),
        ("https://10.0.0.1/cam@home/index.m3u8", "https://10.0.0.1/***"),
        ("rtsp://host", "rtsp://host"),
        ("rtsp://host/", "rtsp://host/"),
        ("rtsp://host/a/", "rtsp://host/a/"),
        ("rtsp://[::1]:554/a", "rtsp://[::1]:554/a"),
        ("udp://@239.0.0.1:5000", "udp://@239.0.0.1:5000"),
        ("udp://@:5000", "udp://@:5000"),
        ("rtsp://user:secret", "rtsp://***"),
        ("a/b@c.mp4", "a/b@c.mp4"),
        ("file:///a/b c/d.mp4", "file:///a/b c/d.mp4"),
        ("test:64x48@20", "test:64x48@20"),
    ],
)
def test_what_is_told(name: str, told: str) -> None:
    assert public(name) == told


def test_texts_keep_what_is_no_url() -> None:
    text = "rtsp://u:p@a/x cannot be reached; see rec@home.mkv\nand 3 lines @ 5"
    assert redacted(text) == "rtsp://***@home.mkv\nand 3 lines @ 5"
    assert redacted("failed: rtsp://u:p@a and srt://u:p@b.") == "failed: rtsp://***@a and srt://***@b."
    assert redacted("the file: it has no source") == "the file: it has no source"


@pytest.fixture
def in_full() -> Iterator[None]:
    url.show_urls()
    yield
    url._whole = False


@pytest.mark.usefixtures("in_full")
def test_urls_are_told_whole_to_who_asks_for_it() -> None:
    for form in FORMS:
        assert public(form) == form
        assert redacted(f"lost {form}") == f"lost {form}"


@pytest.mark.parametrize("login", LOGINS)
@pytest.mark.parametrize("host", ["10.0.0.5:554", "camera.lan", "localhost", "[::1]"])
def test_name_and_password_reach_libav_as_they_were_meant(login: str, host: str) -> None:
    url = for_libav(f"rtsp://{login}@{host}/stream?x=y")
    sent, at, rest = url.removeprefix("rtsp://").rpartition("@")
    assert (at, rest) == ("@", f"{host}/stream?x=y")
    assert not set("/?# @") & set(sent)
    # libav splits at the first colon once it has decoded.
    assert unquote(sent) == login.replace("%40", "@")
    assert for_libav(url) == url


@pytest.mark.parametrize(
    "url",
    [
        "rtsp://host/mail@home.mp4", "rtsp://u:p@10.0.0.5/mail@home.org/x", "rtsp://u:p@cam.lan/a@b", "udp://@:5000",
        "https://10.0.0.1/cam@home/index.m3u8", "rtsp://host:554/a@b", "https://host/a?mail=me@b.org", "a b.mp4",
        "rtmp://u:p@host/live/key", "rtsp://u:p%40ss@host/x",
    ],
)  # fmt: skip
def test_what_needs_nothing_is_left_alone(url: str) -> None:
    assert for_libav(url) == url


def test_an_address_tells_nothing_and_has_it_all() -> None:
    address = parse("rtsp://admin:s3cr3t@s/s#s%s:s s3cr3t@10.0.0.5/live/s3cr3t")
    assert SECRET not in repr(address)
    assert address.target == "rtsp://admin:s3cr3t%40s%2Fs%23s%25s:s%20s3cr3t@10.0.0.5/live/s3cr3t"


@pytest.mark.parametrize(
    ("url", "port"),
    [
        ("rtsp://server/live", 554), ("rtsp://me:p@ss:word@server:8554/live", 8554), ("rtmp://server/live/key", 1935),
        ("tcp://server:9000?listen=1", 9000), ("tcp://server", None), ("RTSP://[::1]:80/x", 80),
        ("udp://server:5", None), ("srt://server:9000", None), ("out.mkv", None), ("folder/", None), ("rtsp://", 554),
    ],
)  # fmt: skip
def test_the_port_of_an_output(url: str, port: int | None) -> None:
    assert port_of(url) == port
