"""What arrives at servers, in playlists and in recordings, and what is left of them when something dies."""

from __future__ import annotations

import os
import re
import resource
import shutil
import signal
import socket
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import av
import pytest

from streamderain.errors import DeniedError, SinkError
from streamderain.media.encoder import Encoding
from streamderain.media.outlet import Outlet, is_recording
from tests.garbage import Reply, banned, denied, process_of, silent
from tests.media.receivers import (
    INFO,
    PATIENCE,
    chunks,
    fill,
    free_port,
    opened,
    receiver,
    recorded,
)
from tests.waiting import wait_until

STEADY = Encoding(crf=10, options={"sc_threshold": "0"})
"""Keyframes at 0, 2, 4 s and nowhere else."""

FOREVER = "from tests.media.receivers import record_for_ever; import sys; record_for_ever(*sys.argv[1:])"


def test_an_rtsp_server_gets_picture_and_sound(tmp_path: Path, clip: Path) -> None:
    broadcast, sent = chunks(60, clip, encoding=STEADY)
    url = f"rtsp://127.0.0.1:{free_port()}/out"
    with receiver(tmp_path / "got.mkv", "-rtsp_flags", "listen", "-i", url) as server:
        fill(opened(lambda: Outlet(url, broadcast.streams)), sent)
        assert server.wait(PATIENCE) == 0
    got = recorded(tmp_path / "got.mkv")
    assert got.holds(range(60))
    assert len(got.sound) >= 18
    assert got.times[-1] - got.times[0] == pytest.approx(59 / 25, abs=0.01)
    assert abs(got.sound[0] - got.times[0]) < 0.1


def test_an_rtsp_server_gets_its_packets_by_udp(tmp_path: Path, clip: Path) -> None:
    broadcast, sent = chunks(60, clip, encoding=STEADY)
    url = f"rtsp://127.0.0.1:{free_port()}/out"
    with receiver(tmp_path / "got.mkv", "-rtsp_flags", "listen", "-i", url) as server:
        outlet = opened(lambda: Outlet(url, broadcast.streams, transport="udp"))
        # Over TCP, packets share the one connection that there is.
        assert len(udp_sockets()) >= 4
        for chunk in sent:
            outlet.write(chunk)
            # Else a busy machine's buffers overflow.
            time.sleep(0.01)
        outlet.close()
        assert server.wait(PATIENCE) == 0
    got = recorded(tmp_path / "got.mkv")
    assert len(got.lumas) >= 50
    assert got.times == sorted(got.times)
    assert got.sound


def udp_sockets() -> list[str]:
    """Those of this process."""
    mine = {os.readlink(link) for link in Path("/proc/self/fd").iterdir() if link.is_symlink()}
    rows = [line.split() for line in Path("/proc/net/udp").read_text().splitlines()[1:]]
    return [row[1] for row in rows if f"socket:[{row[9]}]" in mine]


def test_an_rtmp_server_gets_picture_and_sound(tmp_path: Path, clip: Path) -> None:
    broadcast, sent = chunks(60, clip, encoding=STEADY)
    url = f"rtmp://127.0.0.1:{free_port()}/live/out"
    with receiver(tmp_path / "got.mkv", "-listen", "1", "-f", "flv", "-i", url) as server:
        fill(opened(lambda: Outlet(url, broadcast.streams)), sent)
        assert server.wait(PATIENCE) == 0
    got = recorded(tmp_path / "got.mkv")
    assert got.holds(range(60))
    assert len(got.sound) >= 18


def test_a_transport_stream_is_joined_in_the_middle_over_udp(tmp_path: Path, clip: Path) -> None:
    broadcast, sent = chunks(400, clip, encoding=STEADY)
    url = f"udp://127.0.0.1:{free_port(socket.SOCK_DGRAM)}"
    path = tmp_path / "got.ts"
    arguments = ("-probesize", "100000", "-analyzeduration", "200000", "-f", "mpegts", "-i", url, "-frames:v", "60")
    with receiver(path, *arguments) as listener:
        outlet = Outlet(url, broadcast.streams)
        until = time.monotonic() + PATIENCE
        for chunk in sent:
            # Begins too early, and goes on until enough was heard.
            outlet.write(chunk)
            time.sleep(0.01)
            if listener.poll() is not None or time.monotonic() > until:
                break
        outlet.close()
        assert listener.wait(PATIENCE) == 0
    got = recorded(path)
    assert len(got.lumas) >= 50
    assert got.times == sorted(got.times)


def test_srt_goes_through_ffmpeg_and_keeps_its_passphrase(tmp_path: Path, clip: Path) -> None:
    broadcast, sent = chunks(100, clip, encoding=STEADY)
    base = f"srt://127.0.0.1:{free_port(socket.SOCK_DGRAM)}"
    secret = "passphrase=a-long-secret"
    quick = ("-scan_all_pmts", "0", "-fpsprobesize", "0", "-probesize", "5000", "-analyzeduration", "0")
    with receiver(tmp_path / "got.mkv", *quick, "-f", "mpegts", "-i", f"{base}?mode=listener&{secret}") as server:
        outlet = Outlet(f"{base}?{secret}&latency=200000&streamid=#!::m=publish,u=me,p=a-secret", broadcast.streams)
        for chunk in sent:
            outlet.write(chunk)
            time.sleep(0.016)
        processes = subprocess.run(["ps", "-wweo", "args"], capture_output=True, text=True, check=True).stdout
        outlet.close()
        # Its error that there comes no more is no matter.
        server.wait(PATIENCE)
    ours = [line for line in processes.splitlines() if base in line and "pipe:0" in line]
    assert ours
    assert not any("secret" in line for line in ours)
    got = recorded(tmp_path / "got.mkv")
    # The protocol does not wait for what is on its way at the end.
    assert len(got.lumas) >= 50
    assert got.holds(range(len(got.lumas)))
    assert got.sound


def test_srt_without_a_peer_or_a_program_is_a_sink_error(monkeypatch: pytest.MonkeyPatch) -> None:
    broadcast, sent = chunks(10)
    url = f"srt://127.0.0.1:{free_port(socket.SOCK_DGRAM)}?passphrase=a-long-secret&connect_timeout=500"
    if shutil.which("ffmpeg"):
        with pytest.raises(SinkError, match="srt://127") as failure:  # noqa: PT012
            outlet = Outlet(url, broadcast.streams)
            try:
                until = time.monotonic() + PATIENCE
                while time.monotonic() < until:
                    outlet.write(sent[0])
                    time.sleep(0.02)
            finally:
                outlet.close()
        assert "secret" not in str(failure.value)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(SinkError, match="a program called ffmpeg"):
        Outlet(url, broadcast.streams)


def test_a_playlist_can_be_watched_while_it_grows(tmp_path: Path, clip: Path) -> None:
    broadcast, sent = chunks(600, clip, encoding=STEADY)
    folder = tmp_path / "hls"
    outlet = Outlet(f"{folder}/", broadcast.streams)
    for chunk in sent:
        outlet.write(chunk)
    playlist = (folder / "index.m3u8").read_text()
    pieces = re.findall(r"^index-\d+\.ts$", playlist, re.MULTILINE)
    assert len(pieces) == 6
    assert set(re.findall(r"#EXTINF:([\d.]+)", playlist)) == {"2.000000"}
    assert "#EXT-X-ENDLIST" not in playlist
    # As the muxer keeps the one that just left the list, and writes one.
    assert 6 <= len(list(folder.glob("*.ts"))) <= 9
    with av.open(str(folder / "index.m3u8")) as live:
        shown = [float(each.pts * each.time_base) for each, _ in zip(live.decode(video=0), range(100), strict=False)]
    assert len(shown) == 100
    assert shown == sorted(shown)
    outlet.close()
    assert "#EXT-X-ENDLIST" in (folder / "index.m3u8").read_text()


def test_a_playlist_goes_on_after_it_was_opened_again(tmp_path: Path) -> None:
    broadcast, sent = chunks(200, encoding=STEADY)
    path = tmp_path / "new" / "camera.m3u8"
    fill(Outlet(str(path), broadcast.streams), sent)
    fill(Outlet(str(path), broadcast.streams), sent)
    playlist = path.read_text()
    pieces = re.findall(r"^camera-\d+\.ts$", playlist, re.MULTILINE)
    assert len(set(pieces)) == len(pieces) == 6
    assert "#EXT-X-DISCONTINUITY" in playlist
    assert all((path.parent / piece).exists() for piece in pieces)


@pytest.mark.parametrize("ending", ["mkv", "mp4", "mov", "ts"])
def test_a_recording_holds_every_frame_from_time_0(ending: str, tmp_path: Path, clip: Path) -> None:
    broadcast, sent = chunks(60, clip, encoding=STEADY)
    keys = [index for index, chunk in enumerate(sent) if chunk.is_key]
    fill(Outlet(str(tmp_path / f"all.{ending}"), broadcast.streams), sent)
    fill(Outlet(str(tmp_path / f"late.{ending}"), broadcast.streams), sent[5:])
    everything, late = recorded(tmp_path / f"all.{ending}"), recorded(tmp_path / f"late.{ending}")
    assert everything.holds(range(60))
    assert len(everything.sound) >= 18
    # It joined after the first keyframe.
    assert late.holds(range(50, 60))
    assert keys[1] > 5
    begin = 0 if ending != "ts" else pytest.approx(everything.times[0], abs=0.1)
    assert everything.times[0] == begin
    assert late.times[0] == begin
    assert [round(time - late.times[0], 3) for time in late.times] == [number / 25 for number in range(10)]


@pytest.mark.parametrize(
    ("encoder", "ending"),
    [("libx265", "mp4"), ("libx265", "ts"), ("libsvtav1", "mp4"), ("libsvtav1", "mkv"), ("libvpx-vp9", "mkv")],
)
def test_a_recording_may_be_of_another_codec(encoder: str, ending: str, tmp_path: Path) -> None:
    broadcast, sent = chunks(20, encoding=Encoding(encoder, crf=20))
    fill(Outlet(str(tmp_path / f"out.{ending}"), broadcast.streams), sent)
    assert recorded(tmp_path / f"out.{ending}").holds(range(20), slack=8)


@pytest.mark.parametrize("ending", ["mp4", "mkv"])
def test_a_recording_is_turned_as_its_source_was(ending: str, tmp_path: Path) -> None:
    broadcast, sent = chunks(
        2, info=replace(INFO, rotation=90, display_matrix=(0, -65536, 0, 65536, 0, 0, 0, 0, 1 << 30))
    )
    fill(Outlet(str(tmp_path / f"out.{ending}"), broadcast.streams), sent)
    with av.open(tmp_path / f"out.{ending}") as container:
        assert next(container.decode(video=0)).rotation == 90


def test_two_outlets_get_the_same_frames(tmp_path: Path) -> None:
    broadcast, sent = chunks(30)
    outlets = [Outlet(str(tmp_path / name), broadcast.streams) for name in ("a.mkv", "b.mp4")]
    before = [(bytes(chunk.packet), chunk.packet.pts, chunk.packet.time_base) for chunk in sent]
    for chunk in sent:
        for outlet in outlets:
            outlet.write(chunk)
    for outlet in outlets:
        outlet.close()
    assert recorded(tmp_path / "a.mkv").lumas == recorded(tmp_path / "b.mp4").lumas
    assert [(bytes(chunk.packet), chunk.packet.pts, chunk.packet.time_base) for chunk in sent] == before


def test_a_frame_is_written_before_the_next_comes(tmp_path: Path) -> None:
    broadcast, sent = chunks(20)
    outlet = Outlet(str(tmp_path / "out.ts"), broadcast.streams)
    sizes = []
    for chunk in sent:
        outlet.write(chunk)
        sizes.append((tmp_path / "out.ts").stat().st_size)
    outlet.close()
    assert sizes == sorted(set(sizes))


def test_with_sound_a_frame_is_written_before_the_next_but_one_even_when_the_sound_stops(
    tmp_path: Path, clip: Path
) -> None:
    broadcast, sent = chunks(100, clip)
    outlet = Outlet(str(tmp_path / "out.ts"), broadcast.streams)
    for chunk in sent:
        outlet.write(chunk)
    # The sound ended at half a second.
    assert len(recorded(tmp_path / "out.ts").lumas) >= 98
    outlet.close()
    assert recorded(tmp_path / "out.ts").holds(range(100), slack=8)


def test_segments_begin_at_keyframes_and_lose_nothing(tmp_path: Path, clip: Path) -> None:
    broadcast, sent = chunks(260, clip, encoding=STEADY)
    fill(Outlet(str(tmp_path / "cam.mkv"), broadcast.streams, segment_seconds=3), sent)
    pieces = in_order(tmp_path, "cam")
    assert all(re.fullmatch(r"cam-\d{8}-\d{6}(-\d+)?\.mkv", piece.name) for piece in pieces)
    seen = [recorded(piece) for piece in pieces]
    assert [len(piece.lumas) for piece in seen] == [100, 100, 60]
    assert [piece.times[0] for piece in seen] == [0, 0, 0]
    assert [luma for piece in seen for luma in piece.lumas] == recorded_at_once(tmp_path / "whole.mkv", broadcast, sent)
    assert len(seen[0].sound) >= 18


def in_order(folder: Path, stem: str) -> list[Path]:
    return sorted(folder.glob(f"{stem}-*"), key=lambda path: path.stat().st_mtime_ns)


def recorded_at_once(path: Path, broadcast, sent) -> list[int]:  # type: ignore[no-untyped-def]
    fill(Outlet(str(path), broadcast.streams), sent)
    return recorded(path).lumas


def test_segments_survive_that_the_program_is_killed(tmp_path: Path) -> None:
    names = [str(tmp_path / f"{ending}.{ending}") for ending in ("mkv", "mp4", "ts")]
    program = subprocess.Popen([sys.executable, "-c", FOREVER, *names], cwd=Path(__file__).parents[2])
    try:
        wait_until(
            lambda: program.poll() is not None or (len(list(tmp_path.glob("*-*"))) >= 9 and all_grown(tmp_path)),
            2 * PATIENCE,
        )
        assert program.poll() is None
    finally:
        program.send_signal(signal.SIGKILL)
        program.wait()
    for ending in ("mkv", "mp4", "ts"):
        *whole, last = in_order(tmp_path, ending)
        assert len(whole) >= 2
        assert {len(recorded(piece).lumas) for piece in whole} == {150}
        assert len(recorded(last).lumas) >= 50


def all_grown(folder: Path) -> bool:
    """Whether each newest segment holds much of what the others do."""
    sizes = [[piece.stat().st_size for piece in in_order(folder, ending)] for ending in ("mkv", "mp4", "ts")]
    return all(newest > before[-1] / 2 for *before, newest in sizes)


def test_a_long_recording_loses_its_last_fragment_at_most(tmp_path: Path) -> None:
    broadcast, sent = chunks(170, encoding=STEADY)
    for ending in ("mp4", "mkv"):
        outlet = Outlet(str(tmp_path / f"out.{ending}"), broadcast.streams)
        for chunk in sent:
            outlet.write(chunk)
        # What a copy holds is what the disk would, had the power gone.
        shutil.copy(tmp_path / f"out.{ending}", tmp_path / f"cut.{ending}")
        outlet.close()
        cut = recorded(tmp_path / f"cut.{ending}")
        assert len(cut.lumas) >= 150
        assert cut.holds(range(len(cut.lumas)))


def test_recordings_are_pushed_to_the_disk_each_second(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broadcast, sent = chunks(130)
    pushed: list[int] = []
    monkeypatch.setattr("streamderain.media.outlet.os.fsync", pushed.append)
    outlet = Outlet(str(tmp_path / "out.mkv"), broadcast.streams)
    for chunk in sent:
        outlet.write(chunk)
    assert len(pushed) == 5
    outlet.close()


def test_no_file_is_overwritten(tmp_path: Path) -> None:
    broadcast, sent = chunks(3)
    (tmp_path / "out.mkv").write_bytes(b"precious")
    for _ in range(2):
        fill(Outlet(str(tmp_path / "out.mkv"), broadcast.streams), sent)
    assert (tmp_path / "out.mkv").read_bytes() == b"precious"
    assert recorded(tmp_path / "out-2.mkv").lumas == recorded(tmp_path / "out-3.mkv").lumas


@pytest.fixture
def phone_clip(tmp_path: Path) -> Path:
    """Sound as telephones and cheap cameras have it."""
    path = tmp_path / "phone.mov"
    with av.open(path, "w") as file:
        sound = file.add_stream("pcm_mulaw", rate=8000)
        sound.layout = "mono"
        for number in range(10):
            piece = av.AudioFrame(format="s16", layout="mono", samples=320)
            piece.planes[0].update(bytes(640))
            piece.sample_rate, piece.pts = 8000, number * 320
            file.mux(sound.encode(piece))
    return path


@pytest.mark.parametrize(
    ("name", "codec"),
    [("out.mp4", "aac"), ("out.ts", "aac"), ("hls/", "aac"), ("out.mkv", "pcm_mulaw"), ("out.mov", "pcm_mulaw")],
)
def test_sound_that_does_not_fit_is_encoded_anew(
    name: str, codec: str, tmp_path: Path, phone_clip: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    broadcast, sent = chunks(120, phone_clip, encoding=STEADY)
    outlet = Outlet(str(tmp_path / name) + ("/" if name.endswith("/") else ""), broadcast.streams)
    fill(outlet, sent)
    assert outlet.path
    got = recorded(outlet.path)
    assert got.holds(range(120))
    with av.open(outlet.path) as container:
        (sound,) = container.streams.audio
        assert sound.codec_context.name == codec
        heard = [frame for frame in container.decode(sound) if isinstance(frame, av.AudioFrame)]
    seconds = sum(frame.samples / frame.sample_rate for frame in heard)
    # An encoder begins with silence, and keeps the end until there is more.
    assert 0.3 < seconds < 0.45
    assert max(abs(frame.to_ndarray()).max() for frame in heard) < 0.01 * (1 if codec == "aac" else 32768)
    assert caplog.text.count("takes no pcm_mulaw, its sound is encoded to AAC") == (codec == "aac")


def test_sound_that_cannot_be_encoded_anew_is_left_out_with_one_warning(
    tmp_path: Path, phone_clip: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(source: object, encoder: object) -> None:
        raise ValueError("no such decoder")

    monkeypatch.setattr("streamderain.media.outlet.Reencoded", refuse)
    broadcast, sent = chunks(120, phone_clip, encoding=STEADY)
    fill(Outlet(str(tmp_path / "out.mp4"), broadcast.streams, segment_seconds=1), sent)
    pieces = sorted(tmp_path.glob("out-*"))
    assert (len(pieces), [recorded(piece).sound for piece in pieces]) == (3, [[], [], []])
    assert caplog.text.count("without sound") == 1


def test_telephone_sound_goes_over_rtsp_and_rtmp(tmp_path: Path, phone_clip: Path) -> None:
    broadcast, sent = chunks(60, phone_clip)
    rtsp, rtmp = f"rtsp://127.0.0.1:{free_port()}/out", f"rtmp://127.0.0.1:{free_port()}/live/out"
    with receiver(tmp_path / "rtsp.mkv", "-rtsp_flags", "listen", "-i", rtsp) as server:
        fill(opened(lambda: Outlet(rtsp, broadcast.streams)), sent)
        assert server.wait(PATIENCE) == 0
    with receiver(tmp_path / "rtmp.mkv", "-listen", "1", "-f", "flv", "-i", rtmp) as server:
        fill(opened(lambda: Outlet(rtmp, broadcast.streams)), sent)
        assert server.wait(PATIENCE) == 0
    assert recorded(tmp_path / "rtsp.mkv").sound
    seen = recorded(tmp_path / "rtmp.mkv")
    assert len(seen.lumas) == 60
    assert seen.sound


@pytest.mark.parametrize("scheme", ["rtsp", "rtmp"])
def test_no_server_is_a_sink_error_without_the_password(scheme: str) -> None:
    broadcast, _ = chunks(1)
    with pytest.raises(SinkError, match="refused") as failure:
        Outlet(f"{scheme}://user:secret@127.0.0.1:{free_port()}/live/out", broadcast.streams)
    assert "secret" not in str(failure.value)
    assert "***@127.0.0.1" in str(failure.value)


def test_a_server_that_never_answers_is_a_sink_error() -> None:
    broadcast, _ = chunks(1)
    with process_of(silent) as port, pytest.raises(SinkError, match="cannot be opened"):
        Outlet(f"rtsp://127.0.0.1:{port}/out", broadcast.streams)


@pytest.mark.parametrize("reply", [denied, banned])
def test_a_server_that_wants_another_password_is_left_alone_for_a_while(reply: Reply) -> None:
    broadcast, _ = chunks(1)
    with process_of(reply) as port, pytest.raises(DeniedError, match="cannot be opened") as failure:
        Outlet(f"rtsp://user:secret@127.0.0.1:{port}/out", broadcast.streams)
    assert failure.value.again_after >= 60


@pytest.mark.parametrize("ending", ["mkv", "mp4", "mov", "ts"])
@pytest.mark.parametrize("segment", [None, 3.0])
def test_a_full_disk_is_left_without_empty_files(ending: str, segment: float | None, tmp_path: Path) -> None:
    """No file may grow, as on a disk without room; recordings are tried again and again."""
    broadcast, sent = chunks(10)
    name = str(tmp_path / f"out.{ending}")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    for _ in range(3):
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, limits[1]))
        try:
            with pytest.raises(SinkError, match="out"):  # noqa: PT012
                outlet = Outlet(name, broadcast.streams, segment_seconds=segment)
                try:
                    for chunk in sent:
                        outlet.write(chunk)
                finally:
                    outlet.close()
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert list(tmp_path.iterdir()) == []
    fill(Outlet(name, broadcast.streams), sent)
    assert recorded(tmp_path / f"out.{ending}").holds(range(10))


@pytest.mark.parametrize("scheme", ["rtsp", "rtmp"])
def test_a_server_that_dies_is_a_sink_error_and_can_be_closed(scheme: str, tmp_path: Path) -> None:
    broadcast, sent = chunks(60)
    url = f"{scheme}://127.0.0.1:{free_port()}/live/out"
    listens = ("-rtsp_flags", "listen") if scheme == "rtsp" else ("-listen", "1", "-f", "flv")
    with receiver(tmp_path / "got.mkv", *listens, "-i", url) as server:
        outlet = opened(lambda: Outlet(url, broadcast.streams))
        outlet.write(sent[0])
        server.kill()
        server.wait()
        with pytest.raises(SinkError, match="://127"):  # noqa: PT012
            for chunk in sent * 50:
                outlet.write(chunk)
        outlet.close()
        outlet.close()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("out.avi", r"\.mkv, \.mp4"),
        ("out", r"\.mkv, \.mp4"),
        ("rtps://host/x", "did you mean rtsp"),
        ("/nowhere/at/all/out.mkv", "No such file"),
    ],
)
def test_what_cannot_be_is_a_sink_error(name: str, message: str, tmp_path: Path) -> None:
    broadcast, _ = chunks(1)
    with pytest.raises(SinkError, match=message):
        Outlet(name, broadcast.streams)


def test_a_codec_without_a_place_is_a_sink_error(tmp_path: Path) -> None:
    broadcast, _ = chunks(1, encoding=Encoding("libvpx"))
    with pytest.raises(SinkError, match=r"out\.mp4 cannot be opened"):
        Outlet(str(tmp_path / "out.mp4"), broadcast.streams)
    assert list(tmp_path.iterdir()) == []


def test_a_closed_outlet_takes_nothing(tmp_path: Path) -> None:
    broadcast, sent = chunks(2)
    outlet = Outlet(str(tmp_path / "out.mkv"), broadcast.streams)
    outlet.close()
    with pytest.raises(SinkError, match="closed"):
        outlet.write(sent[0])


def test_which_outputs_are_recordings() -> None:
    names = ["rain.mkv", "a/b.mp4", "rtsp://host/x.mp4", "folder/", "live.m3u8", "LIVE.M3U8", "udp://host:1"]
    assert [name for name in names if is_recording(name)] == ["rain.mkv", "a/b.mp4"]
