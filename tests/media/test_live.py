"""Real cameras that vanish, freeze and change, and servers that talk rubbish: frames go on, and no password is told."""

from __future__ import annotations

import logging
import os
import random
import re
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice, pairwise
from pathlib import Path

import av
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from streamderain.errors import ConfigError, SourceError
from streamderain.frames import Frame
from streamderain.media import wall
from streamderain.media.address import parse
from streamderain.media.live import Backoff, LiveSource, SourceEvent
from tests.cameras import FAKETIME, Camera, Cameras, moved
from tests.cameras import rtsp_cameras as rtsp_cameras
from tests.clock import Clock
from tests.garbage import Reply, endless, forbidden, no_media, rubbish, server_of, silent, unauthorised, wrong_sdp
from tests.waiting import wait_until

PATIENCE_SECONDS = 120.0
"""After which a source is closed, so that a test fails rather than hangs."""

QUICK = Backoff(0.05, most=0.05)


class Watched:
    """A source with its frames and events; the password in its URL is "secret"."""

    def __init__(self, name: str, retries: int | None = None, transport: str = "tcp", realtime: bool = False) -> None:
        self.events: list[SourceEvent] = []
        self.source = LiveSource(
            parse(re.sub("^(rtsps?://)", r"\1user:secret@", name)),
            transport=transport, frozen_after=2.0, retries=retries, backoff=QUICK, realtime=realtime,
            report=self.events.append,
        )  # fmt: skip
        self.all = self.source.frames()
        self.seen: list[Frame] = []
        self._alarm = threading.Timer(PATIENCE_SECONDS, self.source.close)
        self._alarm.start()

    def take(self, count: int) -> list[Frame]:
        """The next frames."""
        frames = list(islice(self.all, count))
        assert len(frames) == count, f"only {len(frames)} frames; {self.events}"
        self.seen += frames
        return frames

    def take_until(self, kind: str) -> Frame:
        """The first frame after an event of that kind."""
        known = len(self.events)
        while all(event.kind != kind for event in self.events[known:]):
            frame = self.take(1)[0]
        return frame

    def kinds(self) -> list[str]:
        """The events so far."""
        return [event.kind for event in self.events]

    def end(self) -> None:
        """Let go of everything."""
        self._alarm.cancel()
        self._alarm.join()
        self.source.close()
        self.all.close()  # type: ignore[attr-defined]


Watch = Callable[..., Watched]


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A certificate that its holder has signed, as cameras have, and its key."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "camera")])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now)
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    unencrypted = serialization.NoEncryption()
    path = tmp_path / "camera.pem"
    path.write_bytes(made.public_bytes(pem) + key.private_bytes(pem, serialization.PrivateFormat.PKCS8, unencrypted))
    return path


@pytest.fixture
def watch(caplog: pytest.LogCaptureFixture) -> Iterator[Watch]:
    """Makes watched sources, and checks of each that it told no password and kept to its clock."""
    made: list[Watched] = []

    def make(*arguments: object, **options: object) -> Watched:
        made.append(Watched(*arguments, **options))  # type: ignore[arg-type]
        return made[-1]

    with caplog.at_level(logging.DEBUG):
        yield make
    for watched in made:
        watched.end()
        assert all(after.pts > before.pts for before, after in pairwise(watched.seen))
        assert "secret" not in repr(watched.events)
    assert "secret" not in caplog.text


def offset(frame: Frame) -> float:
    """Seconds by which the clock of the frame differs from that of the wall."""
    assert frame.arrived is not None
    return frame.arrived - frame.seconds


@pytest.mark.parametrize(
    ("transport", "options", "codec"),
    [
        ("tcp", (), "h264"), ("tcp", ("--audio", "--pattern", "snow"), "h264"), ("tcp", ("--codec", "h265"), "hevc"),
        ("tcp", ("--codec", "jpeg"), "mjpeg"), ("udp", ("--udp-only", "--audio"), "h264"),
    ],
)  # fmt: skip
def test_a_camera_is_watched(
    transport: str, options: tuple[str, ...], codec: str, watch: Watch, cameras: Cameras
) -> None:
    watched = watch(cameras(64, 48, 25, *options).url, transport=transport)
    frames = watched.take(30)
    assert (frames[0].layout.height, frames[0].layout.width) == (48, 64)
    assert all(frame.time_base == watched.source.time_base for frame in frames)
    assert [offset(frame) for frame in frames] == pytest.approx([offset(frames[0])] * 30, abs=1.5)
    assert watched.kinds() == ["connected"]
    assert (watched.source.connected, watched.source.is_away) == (True, False)
    info = watched.source.info
    assert info
    assert (info.codec, info.frame_rate) == (codec, 25)
    assert (watched.source.audio_stream is not None) == ("--audio" in options)
    watched.all.close()  # type: ignore[attr-defined]
    assert not watched.source.connected


def test_a_camera_that_allows_no_tcp_is_refused(watch: Watch, cameras: Cameras) -> None:
    watched = watch(cameras(64, 48, 25, "--udp-only").url, retries=0)
    with pytest.raises(SourceError, match="given up after 0 attempts"):
        watched.take(1)
    assert watched.kinds() == ["refused", "gave up"]


@pytest.mark.parametrize("scheme", ["rtsp", "rtsps"])
def test_a_camera_that_asks_for_name_and_password(
    scheme: str, watch: Watch, cameras: Cameras, certificate: Path
) -> None:
    secured = ("--tls", str(certificate)) if scheme == "rtsps" else ()
    camera = cameras(64, 48, 25, "--login", "user:secret", *secured)
    watched = watch(camera.url.replace("rtsp", scheme))
    watched.take(5)
    assert watched.kinds() == ["connected"]


@pytest.mark.parametrize(
    "password", ["p@ss", "p/ss", "p#ss", "p%ss", "p:ss", "p ss", "p@s/s#s%s:s s@", "p%40ss?", "12/3@4", "pä$$+&=!"]
)
def test_a_password_may_have_any_signs(password: str, cameras: Cameras, caplog: pytest.LogCaptureFixture) -> None:
    camera = cameras(64, 48, 25, "--login", f"user:{password.replace('%40', '@')}")
    source = LiveSource(parse(camera.url.replace("://", f"://user:{password}@")), retries=0, backoff=QUICK)
    frames = source.frames()
    assert len(list(islice(frames, 2))) == 2
    frames.close()  # type: ignore[attr-defined]
    assert password not in caplog.text


def test_a_wrong_password_is_told_and_not_printed(watch: Watch, cameras: Cameras) -> None:
    watched = watch(cameras(64, 48, 25, "--login", "user:other").url, retries=0)
    with pytest.raises(SourceError, match="it wants another name and password"):
        watched.take(1)


@pytest.mark.parametrize("reply", [unauthorised, forbidden])
def test_a_wrong_password_is_not_tried_again_for_minutes(
    reply: Reply, watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    with server_of(reply) as port:
        watched = watch(f"rtsp://127.0.0.1:{port}/stream", retries=5)
        waited: list[float] = []
        monkeypatch.setattr(watched.source, "_sleep", waited.append)
        with pytest.raises(SourceError, match="it wants another name and password; given up after 5 attempts"):
            watched.take(1)
    for wait, least in zip(waited, (60, 120, 240, 480, 600), strict=True):
        assert 0.75 * least <= wait <= 1.25 * least
    told = [event.detail for event in watched.events if event.kind == "refused"]
    for wait, detail in zip(waited, told[:-1], strict=True):
        assert f"the next attempt is in {wait:.0f} s, lest the account be locked" in detail
    assert "next attempt" not in told[-1]
    assert watched.source.is_away


def test_a_camera_that_is_killed_and_comes_back(watch: Watch, cameras: Cameras) -> None:
    camera = cameras(64, 48, 25, "--audio")
    watched = watch(camera.url)
    first = watched.take(20)[0]
    camera.kill()
    camera.start()
    after = watched.take_until("connected")
    watched.take(20)
    assert "lost" in watched.kinds()
    assert not watched.source.is_away
    assert offset(after) == pytest.approx(offset(first), abs=1.5)
    sounds = list(watched.source.passengers)
    assert all(sound.time_base == watched.source.time_base for sound in sounds)
    assert all(later.pts > sooner.pts for sooner, later in pairwise(sounds))  # type: ignore[operator]
    assert sounds[0].pts < after.pts < sounds[-1].pts  # type: ignore[operator]


@pytest.mark.slow
@pytest.mark.parametrize("jump", ["+3600s", "-3600s"])
def test_a_camera_whose_clock_jumps_by_an_hour_is_seen_and_heard_on(
    jump: str, watch: Watch, cameras: Cameras, tmp_path: Path
) -> None:
    if not FAKETIME.is_file():
        pytest.skip("faketime is missing; apt install faketime")
    (tmp_path / "clock").write_text("+0\n")
    watched = watch(cameras(64, 48, 25, "--audio", environment=moved(tmp_path / "clock")).url)
    watched.take(50)
    before = watched.source._clock.jumps
    (tmp_path / "clock").write_text(f"{jump}\n")
    # libav hears of it by a report that comes each five seconds.
    while watched.source._clock.jumps == before:
        watched.take(1)
    at = watched.seen[-1].pts
    watched.take(150)
    later = [packet.pts for packet in watched.source.passengers if packet.pts is not None and packet.pts > at]
    assert len(later) > 50
    assert all(later > sooner for sooner, later in pairwise(later))
    assert later[-1] == pytest.approx(watched.seen[-1].pts, abs=90000)
    assert watched.kinds() == ["connected"]


def test_sound_can_be_written_when_its_camera_is_gone(watch: Watch, cameras: Cameras, tmp_path: Path) -> None:
    watched = watch(cameras(64, 48, 25, "--audio").url)
    watched.take(60)
    watched.end()
    template, packets = watched.source.audio_stream, watched.source.passengers
    assert template is not None
    with av.open(tmp_path / "sound.mkv", "w") as file:
        track = file.add_stream_from_template(template)
        for packet in packets:
            packet.stream = track
            file.mux(packet)
    with av.open(tmp_path / "sound.mkv") as file:
        assert sum(frame.samples for frame in file.decode(audio=0)) >= 20 * 1024


@pytest.mark.parametrize("is_thawed", [True, False])
def test_a_camera_that_freezes(is_thawed: bool, watch: Watch, cameras: Cameras) -> None:
    camera = cameras()
    watched = watch(camera.url)
    watched.take(5)
    camera.freeze()

    def heal() -> None:
        if is_thawed:
            camera.thaw()
        else:
            camera.kill()
            camera.start()

    def once_it_is_seen() -> None:
        wait_until(lambda: "frozen" in watched.kinds())
        heal()

    helper = threading.Thread(target=once_it_is_seen)
    helper.start()
    try:
        watched.take_until("connected")
    finally:
        helper.join()
    watched.take(5)
    assert watched.kinds()[:2] == ["connected", "frozen"]


def test_a_camera_that_comes_back_with_another_size_and_rate(watch: Watch, cameras: Cameras) -> None:
    camera = cameras(64, 48)
    watched = watch(camera.url)
    assert {frame.layout.width for frame in watched.take(5)} == {64}
    camera.kill()
    camera.start(width=96, fps=10)
    frame = watched.take_until("changed")
    assert (frame.layout.width, frame.data.shape) == (96, (96 * 48 * 3 // 2,))
    assert watched.events[-1].detail == "from h264 64x48 at 25 fps to h264 96x48 at 10 fps"
    assert watched.source.info
    assert watched.source.info.width == 96


def test_nothing_piles_up_over_many_reconnects(watch: Watch) -> None:
    watched = watch("test:32x32@100")
    opened: list[int] = []
    for _ in range(50):
        watched.all = watched.source.frames()
        watched.take(1)
        watched.all.close()  # type: ignore[attr-defined]
        opened.append(len(os.listdir("/proc/self/fd")))
        watched.seen.clear()
    assert opened[-1] == opened[5]


@pytest.mark.parametrize("reply", [rubbish, endless, silent, wrong_sdp, no_media, unauthorised])
def test_a_server_that_talks_rubbish_is_asked_again(
    reply: Reply, watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streamderain.media.live.DENIED", QUICK)
    with server_of(reply) as port:
        watched = watch(f"rtsp://127.0.0.1:{port}/stream", retries=1)
        with pytest.raises(SourceError, match="given up after 1 attempts") as raised:
            watched.take(1)
    assert set(watched.kinds()[:-1]) == {"refused"}
    assert watched.source.counts == {"refused": 2, "gave up": 1}
    error: BaseException | None = raised.value
    while error:
        assert "secret" not in f"{error}{error.args}"
        error = error.__cause__ or error.__context__


def test_a_real_camera_after_rubbish(watch: Watch, cameras: Cameras) -> None:
    with server_of(rubbish) as port:
        watched = watch(f"rtsp://127.0.0.1:{port}/stream")
        spoilt = threading.Event()
        watched.source.report = lambda event: (watched.events.append(event), spoilt.set())[0]
        reader = threading.Thread(target=lambda: watched.take(5))
        reader.start()
        assert spoilt.wait(10)
    try:
        camera = Camera(port=port)
        camera.start()
        reader.join(PATIENCE_SECONDS)
    finally:
        camera.kill()
    assert len(watched.seen) == 5
    assert watched.kinds()[0] == "refused"


@pytest.mark.parametrize("reply", [silent, endless])
def test_close_ends_the_wait_for_a_server(reply: Reply, watch: Watch) -> None:
    with server_of(reply) as port:
        watched = watch(f"rtsp://127.0.0.1:{port}/stream")
        closing = threading.Timer(0.3, watched.source.close)
        closing.start()
        assert list(watched.all) == []
        closing.join()


def test_close_ends_a_long_backoff() -> None:
    source = LiveSource(parse("rtsp://127.0.0.1:9/a"), backoff=Backoff(first=600, most=600))
    seen: list[Frame] = []
    reader = threading.Thread(target=lambda: seen.extend(source.frames()), name="streamderain-test", daemon=True)
    reader.start()
    closing = threading.Timer(0.3, source.close)
    closing.start()
    # Ten minutes are longer than anybody waits.
    reader.join(PATIENCE_SECONDS)
    assert not reader.is_alive()
    assert seen == []
    closing.join()


def test_close_ends_a_source_that_gives_frames(watch: Watch) -> None:
    watched = watch("test:32x32@25")
    watched.take(2)
    watched.source.close()
    assert list(watched.all) == []


def test_attempts_are_counted_anew_after_a_picture(watch: Watch, cameras: Cameras) -> None:
    camera = cameras()
    watched = watch(camera.url, retries=1)
    watched.take(2)
    camera.kill()
    with pytest.raises(SourceError, match=r"Connection refused; given up after 1 attempts"):
        watched.take(999)
    assert [kind for kind in watched.kinds() if kind != "lost"] == ["connected", "refused", "gave up"]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("/missing/clip.mp4", "cannot be opened: No such file or directory"),
        ("/dev/video-none", "cannot be opened: No such file or directory"),
        ("/dev/null", "cannot be opened: Invalid data"),
    ],
)
def test_what_can_never_be_opened_is_an_error_at_once(name: str, message: str, watch: Watch) -> None:
    watched = watch(name, realtime=True)
    with pytest.raises(SourceError, match=message):
        watched.take(1)


class Virtual(Clock):
    """In the place of the module `time`: who sleeps makes it later."""

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.passes(seconds)


@pytest.fixture
def virtual(monkeypatch: pytest.MonkeyPatch) -> Virtual:
    """The time of all that reads a source."""
    clock = Virtual()
    for module in ("live", "opening", "connection"):
        monkeypatch.setattr(f"streamderain.media.{module}.time", clock)
    for kind in (wall.Pace, wall.RunClock):
        monkeypatch.setattr(kind.__init__, "__defaults__", (clock, *(kind.__init__.__defaults__ or ())[1:]))
    return clock


def test_a_file_is_read_at_its_own_pace(clip: Path, watch: Watch, virtual: Virtual) -> None:
    watched = watch(str(clip), realtime=True)
    frames = list(watched.all)
    # Packets come in the order of decoding: the last of twelve may not be the last.
    assert virtual.now - 100 == pytest.approx(11 / 25, abs=0.05)
    assert len(frames) == 12
    assert {later.pts - sooner.pts for sooner, later in pairwise(frames)} == {3600}
    assert watched.kinds() == ["connected"]
    assert len(watched.source.passengers) > 10
    assert all(frame.arrived is not None for frame in frames)


def test_the_pace_of_a_file_begins_when_what_follows_is_ready(clip: Path, virtual: Virtual) -> None:
    prepared: list[tuple[Frame, float]] = []

    def prepare(first: Frame) -> None:
        assert not seen
        # Longer than the whole file.
        virtual.passes(60)
        prepared.append((first, virtual.now))

    seen: list[Frame] = []
    for frame in LiveSource(parse(str(clip)), realtime=True, prepare=prepare).frames():
        seen.append(frame)
    assert len(seen) == 12
    ((first, ready),) = prepared
    assert first.data is seen[0].data
    arrived = [frame.arrived or 0 for frame in seen]
    assert arrived[0] >= ready
    # Its decoder holds some frames back, which come together in the end.
    assert arrived[-1] - ready >= 0.2
    assert {later.pts - sooner.pts for sooner, later in pairwise(seen)} == {3600}


def test_a_camera_waits_for_nobody(watch: Watch) -> None:
    prepared: list[Frame] = []
    source = LiveSource(parse("test:32x32@25"), prepare=prepared.append)
    frames = source.frames()
    assert len(list(islice(frames, 3))) == 3
    frames.close()  # type: ignore[attr-defined]
    assert prepared == []


def test_a_file_is_not_live_by_itself(clip: Path) -> None:
    with pytest.raises(ConfigError, match="is a file, not live; --realtime"):
        LiveSource(parse(str(clip)))


def test_a_transport_that_is_none() -> None:
    with pytest.raises(ConfigError, match="transport is pigeon; allowed: tcp, udp"):
        LiveSource(parse("test"), transport="pigeon")


def test_hardware_that_is_not_there_is_said_and_done_without(caplog: pytest.LogCaptureFixture) -> None:
    source = LiveSource(parse("test:32x32"), hwaccel="vdpau")
    frames = source.frames()
    assert next(frames).layout.width == 32
    frames.close()  # type: ignore[attr-defined]
    assert "vdpau decoding is not available here" in caplog.text


def test_damaged_packets_are_counted_and_survived(
    watch: Watch, caplog: pytest.LogCaptureFixture, clip: Path, tmp_path: Path
) -> None:
    whole = bytearray(clip.read_bytes())
    with av.open(clip) as file:
        packets = [packet for packet in file.demux(video=0) if packet.pos is not None and packet.size]
        position, size = packets[5].pos, packets[5].size
    assert position is not None
    whole[position : position + size] = b"\xff" * size
    (tmp_path / "damaged.mp4").write_bytes(whole)
    watched = watch(str(tmp_path / "damaged.mp4"), realtime=True)
    assert len(list(watched.all)) >= 6
    assert watched.source.counts["damaged"] >= 1
    assert "damaged packets are left out" in caplog.text


def test_the_wait_grows_and_differs_from_one_to_the_next() -> None:
    rng = random.Random(0)
    plain = Backoff(0.5, 2, 10, jitter=0)
    assert [plain.delay(attempt, rng) for attempt in (0, 1, 4, 5, 10**6)] == [0.5, 1, 8, 10, 10]
    delays = {Backoff().delay(0, rng) for _ in range(99)}
    assert len(delays) > 50
    assert 0.375 <= min(delays) < 0.45 < 0.55 < max(delays) <= 0.625
