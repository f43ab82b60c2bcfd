"""Files behind URLs: a real S3 server on loopback, which is read by a copy in the cache and written to when whole."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from streamderain.batch.spread import places, work
from streamderain.batch.spread.inputs import Item, items_of
from streamderain.batch.spread.places import Place, local
from streamderain.errors import SinkError, SourceError
from streamderain.media.partial import whole_frames
from tests.batch.spread.here import Here, Looking, spread

SECRET = "wJalrXUtnFEMI"


SERVER = """
import sys
from moto.server import ThreadedMotoServer

server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
server.start()
print(*server.get_host_and_port(), sep=":", flush=True)
sys.stdin.read()
server.stop()
"""


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """A process of its own, which ends with its standard input."""
    pytest.importorskip("moto.server", reason="moto is not installed: pip install 'moto[s3,server]'")
    pytest.importorskip("s3fs", reason="s3fs is not installed: pip install 'streamderain[ray]'")
    piped = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    with subprocess.Popen([sys.executable, "-c", SERVER], text=True, **piped) as process:
        assert process.stdout
        yield f"http://{process.stdout.readline().strip()}"
        process.communicate()


@pytest.fixture
def bucket(server: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[str]:
    """s3://rain, empty."""
    import s3fs

    monkeypatch.setenv("AWS_ENDPOINT_URL", server)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIARAIN")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("STREAMDERAIN_CACHE", str(tmp_path / "cache"))
    s3fs.S3FileSystem.clear_instance_cache()
    system = s3fs.S3FileSystem()
    system.mkdir("rain")
    yield "s3://rain"
    system.rm("rain", recursive=True)
    s3fs.S3FileSystem.clear_instance_cache()


def put(path: Path, url: str) -> None:
    import s3fs

    s3fs.S3FileSystem().put_file(str(path), url)


def test_an_archive_in_a_bucket_goes_into_a_bucket(
    bucket: str, clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(work, "_network", lambda settings: Looking())
    for name in ("day/a.mp4", "day/sub/b.mp4", "day/notes.txt"):
        put(clip, f"{bucket}/{name}")
    # Every frame may begin a part, as there is one key picture alone.
    done = spread(tmp_path, Here(), f"{bucket}/out", inputs=(f"{bucket}/day",))
    assert [(each.item.name, each.result, each.frames) for each in done] == [
        ("a.mp4", "derained", 12),
        ("sub/b.mp4", "derained", 12),
    ]
    with local(f"{bucket}/out/sub/b.mp4") as path:
        assert whole_frames(path)[0] == 12
    import s3fs

    s3fs.S3FileSystem().invalidate_cache()
    assert sorted(s3fs.S3FileSystem().find("rain/out")) == ["rain/out/a.mp4", "rain/out/sub/b.mp4"]
    again = spread(tmp_path, Here(), f"{bucket}/out", inputs=(f"{bucket}/day",))
    assert [each.result for each in again] == ["done before"] * 2
    assert list((tmp_path / "cache" / "batch").glob("unfinished-*")) == []


def test_globs_single_files_and_manifests_of_a_bucket(bucket: str, clip: Path, tmp_path: Path) -> None:
    for name in ("day/a.mp4", "day/sub/b.mp4"):
        put(clip, f"{bucket}/{name}")
    (tmp_path / "all.csv").write_text(f"input,output\n{bucket}/day/a.mp4,x/y.mkv\n")
    put(tmp_path / "all.csv", f"{bucket}/all.csv")
    assert items_of([f"{bucket}/day/*.mp4"], "out") == [Item(f"{bucket}/day/a.mp4", "a.mp4")]
    assert items_of([f"{bucket}/day/sub/b.mp4"], "out") == [Item(f"{bucket}/day/sub/b.mp4", "b.mp4")]
    assert items_of([f"{bucket}/all.csv"], "out") == [Item(f"{bucket}/day/a.mp4", "x/y.mkv")]
    with pytest.raises(SourceError, match="holds no video or picture"):
        items_of([f"{bucket}/none"], "out")


def test_a_file_is_fetched_once_and_again_when_it_has_changed(bucket: str, clip: Path, tmp_path: Path) -> None:
    put(clip, f"{bucket}/a.mp4")
    with local(f"{bucket}/a.mp4") as first, local(f"{bucket}/a.mp4") as second:
        assert first == second
        assert first.read_bytes() == clip.read_bytes()
        was = first.stat().st_mtime_ns
    (tmp_path / "other").write_bytes(b"rain")
    put(tmp_path / "other", f"{bucket}/a.mp4")
    with local(f"{bucket}/a.mp4") as third:
        assert third.read_bytes() == b"rain"
    assert first.stat().st_mtime_ns == was


def test_copies_that_nobody_uses_make_room(
    bucket: str, clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in "abc":
        put(clip, f"{bucket}/{name}.mp4")
    with local(f"{bucket}/a.mp4") as used:
        with local(f"{bucket}/b.mp4") as unused:
            pass
        full = shutil.disk_usage(tmp_path)._replace(free=0)
        monkeypatch.setattr(places.shutil, "disk_usage", lambda path: full)
        with local(f"{bucket}/c.mp4") as fetched:
            assert (used.exists(), unused.exists(), fetched.exists()) == (True, False, True)


def test_what_a_server_says_is_one_line_without_secrets(bucket: str, tmp_path: Path) -> None:
    with pytest.raises(SourceError) as none, local(f"{bucket}/none.mp4"):
        pass
    with pytest.raises(SinkError) as denied, Place("s3://elsewhere/out").writing("a.mp4") as path:
        path.write_text("rain")
    with pytest.raises(SourceError) as unknown:
        items_of([f"gopher://user:{SECRET}@host/rain?key={SECRET}"], "out")
    for error in (none, denied, unknown):
        assert "\n" not in str(error.value)
        assert SECRET not in str(error.value)
    assert str(none.value) == "s3://rain/none.mp4 cannot be read: it does not exist"
    assert "Protocol not known: gopher" in str(unknown.value)


def test_what_killed_processes_left_is_swept_and_what_is_written_is_not(tmp_path: Path) -> None:
    place = Place(str(tmp_path))
    left = tmp_path / ".streamderain" / "unfinished-1"
    left.mkdir(parents=True)
    (left / "a.mp4").touch()
    with place.writing("sub/b.mp4") as path:
        path.write_text("rain")
        place.sweep()
        assert not left.exists()
    assert (tmp_path / "sub" / "b.mp4").read_text() == "rain"
    place.sweep()
    assert os.listdir(tmp_path) == ["sub"]
