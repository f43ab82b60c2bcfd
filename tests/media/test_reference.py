"""A file that names others has none of them opened that lie elsewhere, and no host asked."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import av
import pytest

from streamderain.errors import SourceError
from streamderain.media.decoder import decode
from streamderain.media.glimpses import rainiest
from streamderain.media.source import open_source

PLAYLIST = "#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXTINF:1,\n{}\n#EXT-X-ENDLIST\n"


def transport_stream(path: Path, clip: Path) -> Path:
    path.parent.mkdir(exist_ok=True)
    with av.open(clip) as source, av.open(path, "w", format="mpegts") as target:
        copy = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.size:
                packet.stream = copy
                target.mux(packet)
    return path


def playlist(folder: Path, named: str) -> Path:
    path = folder / "list.m3u8"
    path.write_text(PLAYLIST.format(named))
    return path


def test_a_playlist_may_name_what_is_beside_it(clip: Path, tmp_path: Path) -> None:
    transport_stream(tmp_path / "parts" / "0.ts", clip)
    for named in ("parts/0.ts", f"file://{tmp_path}/parts/0.ts", f"{tmp_path}/parts/../parts/0.ts"):
        with open_source(playlist(tmp_path, named)) as source:
            assert len(list(decode(source))) == 12


@pytest.mark.parametrize("way", ["{0}", "../elsewhere/0.ts", "file://{0}", "file:{0}", "link.ts"])
@pytest.mark.parametrize("line", ["{}", '#EXT-X-MAP:URI="{}"\n#EXTINF:1,\nparts/0.ts', "parts/0.ts\n#EXTINF:1,\n{}"])
def test_a_playlist_opens_nothing_elsewhere(clip: Path, tmp_path: Path, way: str, line: str) -> None:
    other = transport_stream(tmp_path / "elsewhere" / "0.ts", clip)
    folder = tmp_path / "here"
    folder.mkdir()
    transport_stream(folder / "parts" / "0.ts", clip)
    (folder / "link.ts").symlink_to(other)
    named = playlist(folder, line.format(way.format(other)))
    with (
        pytest.raises(SourceError, match=r"list.m3u8 names .*, which is not in its folder"),
        open_source(named) as source,
    ):
        list(decode(source))
    with pytest.raises(SourceError, match="not in its folder"):
        rainiest(named, 1.0)


def test_what_a_playlist_names_and_is_not_there_is_told(tmp_path: Path) -> None:
    with (
        pytest.raises(SourceError, match=r"list\.m3u8 names 0\.ts, which cannot be read: No such file"),
        open_source(playlist(tmp_path, "0.ts")),
    ):
        pass


def test_a_list_of_files_opens_nothing_elsewhere(clip: Path, tmp_path: Path) -> None:
    other = transport_stream(tmp_path / "0.ts", clip)
    (tmp_path / "here").mkdir()
    for named in (other, "../0.ts"):
        (tmp_path / "here" / "list.txt").write_text(f"ffconcat version 1.0\nfile {named}\n")
        with pytest.raises(SourceError, match="Operation not permitted"), open_source(tmp_path / "here" / "list.txt"):
            pass


def grown(box: bytes, path: list[bytes], change: Any) -> bytes:
    """The boxes with what is at the end of `path` changed, and all sizes on the way."""
    found, at = b"", 0
    while at + 8 <= len(box):
        size, name = struct.unpack_from(">I4s", box, at)
        inner = box[at + 8 : at + size]
        if path and name == path[0]:
            inner = grown(inner, path[1:], change) if path[1:] else change(inner)
        found += struct.pack(">I4s", len(inner) + 8, name) + inner
        at += size
    return found


def alias(other: Path) -> bytes:
    """A QuickTime alias to a file, as libav reads it (mov_read_dref)."""
    text = str(other).encode()
    record = bytes(10) + b"\x01d" + bytes(26) + bytes(12) + b"\x04" + b"0.ts".ljust(63, b"\0") + bytes(16)
    record += struct.pack(">hh", 1, 1) + bytes(16) + struct.pack(">hh", 2, len(text)) + text + bytes(len(text) % 2)
    record += struct.pack(">hh", -1, 0)
    return struct.pack(">II", 0, 1) + struct.pack(">I4sI", len(record) + 12, b"alis", 0) + record


def test_a_film_opens_no_other_that_holds_its_samples(clip: Path, tmp_path: Path) -> None:
    other = tmp_path / "0.mov"
    other.write_bytes(clip.read_bytes().replace(b"mdat", b"free"))
    whole = grown(clip.read_bytes(), [b"moov", b"trak", b"mdia", b"minf", b"dinf", b"dref"], lambda _: alias(other))
    # Its own samples are gone; those of the other would do.
    at = whole.index(b"mdat") + 4
    (tmp_path / "in.mov").write_bytes(
        whole[:at] + bytes(whole.index(b"moov") - 4 - at) + whole[whole.index(b"moov") - 4 :]
    )
    with pytest.raises(SourceError), open_source(tmp_path / "in.mov") as source:
        list(decode(source))
    with av.open(tmp_path / "in.mov", options={"enable_drefs": "1"}) as follows:
        assert len(list(follows.decode(video=0))) == 12
