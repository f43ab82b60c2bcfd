"""The page for files, asked over HTTP."""

from __future__ import annotations

import asyncio
import io
import re
import socket
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp
import av
import cv2
import numpy as np
import pytest

from streamderain.config import DerainConfig
from streamderain.errors import ConfigError, SinkError, StreamderainError
from streamderain.media.synthetic import write_test_video
from streamderain.page import work
from streamderain.page.run import serve_files
from streamderain.preview.server import PreviewServer
from streamderain.run import derain
from tests.page.conftest import CONFIG, Darker, Running
from tests.waiting import wait_until


def frames(source: Path | bytes) -> list[np.ndarray[Any, Any]]:
    with av.open(io.BytesIO(source) if isinstance(source, bytes) else source) as container:
        return [frame.to_ndarray() for frame in container.decode(video=0)]


def added(page: Running, clip: Path, name: str = "a.mp4") -> int:
    status, told = page.send(name, clip.read_bytes())
    assert status == 201
    return int(told["id"])


def test_a_clip_is_looked_at_and_shown_derained(page: Running, clip: Path) -> None:
    number = added(page, clip, "rain/in spring.mp4")
    told = page.until(number, lambda told: told["is_shown"])
    assert (told["name"], told["size"], told["fps"], told["state"]) == ("in spring.mp4", "48x32", 25.0, "ready")
    assert told["seconds"] == pytest.approx(0.48, abs=0.05)
    assert (told["shown"], told["unshown"], told["said"]) == ([0, 1, 2, 3, 4], "", "")
    assert told["takes"] > 0
    status, data = page.ask(f"clips/{number}/2.jpg")
    picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    assert (status, picture.shape) == (200, (32, 96, 3))
    assert float(picture[:, :48].mean()) - float(picture[:, 48:].mean()) == pytest.approx(25.5, abs=3)
    assert cv2.imdecode(np.frombuffer(page.ask(f"clips/{number}/thumb.jpg")[1], np.uint8), 1).shape == (32, 48, 3)
    assert page.ask(f"clips/{number}/rainy") == (200, clip.read_bytes())
    assert page.ask(f"clips/{number}/derained")[0] == 404
    assert page.ask(f"clips/{number}/5.jpg")[0] == 404


def sound() -> bytes:
    data = io.BytesIO()
    with av.open(data, "w", format="wav") as file:
        stream = file.add_stream("pcm_s16le", rate=8000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), format="s16", layout="mono")
        frame.sample_rate = 8000
        file.mux(stream.encode(frame))
    return data.getvalue()


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("a.mp4", b"rain" * 100, r"a\.mp4 cannot be opened as a video: Invalid data"),
        ("a.mp4", b"", r"a\.mp4 is empty; expected a video"),
        ("a.mkv", sound(), r"a\.mkv holds no video, only audio"),
        ("a.png", b"\x89PNG", r"a\.png is a picture; the page takes videos"),
        ("<b>.mp4", b"rain" * 100, r"_b_\.mp4 cannot be opened"),
    ],
)
def test_what_is_no_video_is_said_in_one_line(page: Running, name: str, data: bytes, said: str) -> None:
    status, told = page.send(name, data)
    assert status == 400
    assert re.match(said, told["error"])
    assert "\n" not in told["error"]
    assert str(page.folder) not in told["error"]
    assert page.ask("api/clips")[1]["clips"] == []
    (uploads,) = page.folder.glob(".streamderain-*")
    assert not list(uploads.iterdir())


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("film.m3u8", "#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXTINF:4,\n{path}\n#EXT-X-ENDLIST\n", "names"),
        ("film.mp4", "ffconcat version 1.0\nfile private.ts\n", "cannot be opened as a video"),
    ],
    ids=["hls", "concat"],
)
def test_a_list_has_no_other_file_read(
    page: Running, clip: Path, tmp_path: Path, name: str, text: str, said: str
) -> None:
    other = tmp_path / "private.ts"
    with av.open(other, "w") as file, av.open(clip) as source:
        stream = file.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                file.mux(packet)
    data = text.format(path=other)
    (tmp_path / name).write_text(data)
    assert frames(tmp_path / name), "libav by itself follows it"
    status, told = page.send(name, data.encode())
    assert (status, page.ask("api/clips")[1]["clips"]) == (400, [])
    assert told["error"].startswith(f"{name} {said}")


def test_what_comes_out_is_what_derain_writes(page: Running, clip: Path, tmp_path: Path) -> None:
    number = added(page, clip)
    assert page.ask(f"api/clips/{number}/strength", "POST", json={"strength": 0.5})[0] == 200
    assert page.ask(f"api/clips/{number}/derain", "POST")[0] == 202
    told = page.until(number, lambda told: told["state"] == "done")

    derain(clip, tmp_path / "own.mp4", replace(CONFIG, strength=0.5), network=Darker())
    whole = (page.folder / "a.mp4").read_bytes()
    assert np.array_equal(frames(whole), frames(tmp_path / "own.mp4"))
    assert not np.array_equal(frames(whole), frames(clip))
    assert told["result"] == {
        "name": "a.mp4", "path": str(page.folder / "a.mp4"), "bytes": len(whole), "strength": 0.5, "lost": [],
    }  # fmt: skip
    assert page.ask(f"clips/{number}/derained") == (200, whole)
    assert page.ask(f"clips/{number}/derained", headers={"Range": "bytes=4-11"}) == (206, whole[4:12])


def test_a_result_is_saved_under_its_name(page: Running, clip: Path) -> None:
    number = added(page, clip, "Fluß 1.mp4")
    page.ask(f"api/clips/{number}/derain", "POST")
    page.until(number, lambda told: told["state"] == "done")

    async def headers() -> Any:
        address = f"{page.url}clips/{number}/derained?save=1"
        async with aiohttp.ClientSession() as session, session.get(address) as reply:
            return reply.headers

    told = asyncio.run(headers())
    assert told["Content-Disposition"] == "attachment; filename*=UTF-8''Flu%C3%9F%201.mp4"
    assert told["Content-Type"] == "video/mp4"
    (page.folder / "Fluß 1.mp4").unlink()
    assert page.ask(f"clips/{number}/derained")[0] == 404
    assert page.clip(number)["result"] is None


def test_nothing_that_is_there_is_replaced(page: Running, clip: Path) -> None:
    (page.folder / "a.mp4").write_text("precious")
    (page.folder / "a-2.partial.mp4").write_text("precious")
    number, other = added(page, clip), added(page, clip)
    for each in (number, other, number):
        page.until(each, lambda told: told["state"] in ("ready", "done"))
        assert page.ask(f"api/clips/{each}/derain", "POST")[0] == 202
    for each in (number, other):
        page.until(each, lambda told: told["state"] == "done")
    assert page.files() == ["a-2.partial.mp4", "a-3.mp4", "a-4.mp4", "a-5.mp4", "a.mp4"]
    assert (page.folder / "a.mp4").read_text() == (page.folder / "a-2.partial.mp4").read_text() == "precious"


def test_a_strength_is_the_same_for_all_who_look(page: Running, clip: Path) -> None:
    number = added(page, clip)
    assert page.clip(number)["strength"] == 1.0
    page.ask(f"api/clips/{number}/strength", "POST", json={"strength": 0.25})
    assert page.clip(number)["strength"] == 0.25
    for bad in ({"strength": 2}, {"strength": True}, {"blend": 1}, [], {"strength": "1"}):
        status, told = page.ask(f"api/clips/{number}/strength", "POST", json=bad)
        assert (status, set(told)) == (400, {"error"})
    assert page.clip(number)["strength"] == 0.25


def test_one_runs_one_waits_and_both_are_stopped(page: Running, network: Darker, clip: Path) -> None:
    first, second = added(page, clip, "a.mp4"), added(page, clip, "b.mp4")
    for each in (first, second):
        page.until(each, lambda told: told["is_shown"])
    network.gate.clear()
    for each in (first, second):
        page.ask(f"api/clips/{each}/derain", "POST")
    page.until(first, lambda told: told["state"] == "running")
    everything = page.ask("api/clips")[1]
    assert (everything["line"], everything["busy"]) == ([second], True)
    status, told = page.ask(f"api/clips/{first}/derain", "POST")
    assert (status, told["error"]) == (400, "a.mp4 is in line already; stop it first")
    assert page.ask(f"api/clips/{second}/stop", "POST")[1]["state"] == "ready"
    assert page.ask(f"api/clips/{first}/stop", "POST")[1]["state"] == "stopping"
    network.gate.set()
    told = page.until(first, lambda told: told["state"] == "stopped")
    assert told["said"].startswith("stopped")
    assert page.ask("api/clips")[1]["busy"] is False
    assert page.ask(f"api/clips/{first}", "DELETE")[0] == 204
    assert [each["name"] for each in page.ask("api/clips")[1]["clips"]] == ["b.mp4"]
    assert page.ask(f"api/clips/{first}/derain", "POST")[0] == 404
    assert page.ask(f"clips/{first}/thumb.jpg")[0] == 404


def test_progress_is_told_and_what_is_stopped_keeps_its_frames(page: Running, network: Darker, tmp_path: Path) -> None:
    write_test_video(tmp_path / "long.mp4", 32, 48, 60)
    number = added(page, tmp_path / "long.mp4", "long.mkv")
    page.until(number, lambda told: told["is_shown"])
    seen: list[Any] = []
    gate, network.gate = network.gate, Stepping(8)  # type: ignore[assignment]
    page.ask(f"api/clips/{number}/derain", "POST")
    page.until(number, lambda told: told["progress"] and seen.append(told["progress"]) is None)
    assert 0 < seen[0]["frames"] < 60
    assert seen[0]["expected"] == 60
    page.ask(f"api/clips/{number}/stop", "POST")
    network.gate.open()  # type: ignore[attr-defined]
    told = page.until(number, lambda told: told["state"] == "stopped")
    network.gate = gate
    assert re.match(r"stopped; the first \d+ frames are kept in .*long\.partial\.mkv", told["said"])
    assert page.files() == ["long.partial.mkv"]
    page.ask(f"api/clips/{number}/derain", "POST")
    page.until(number, lambda told: told["state"] == "done")
    assert page.files() == ["long-2.mkv", "long.partial.mkv"]


class Stepping:
    """A gate that lets so many through, and all when it is opened."""

    def __init__(self, most: int) -> None:
        self._left = threading.Semaphore(most)

    def wait(self, seconds: float) -> bool:
        return self._left.acquire(timeout=seconds)

    def open(self) -> None:
        self._left.release(10_000)


def test_a_clip_that_is_removed_while_it_runs_leaves_the_line(page: Running, network: Darker, clip: Path) -> None:
    first, second = added(page, clip), added(page, clip, "b.mp4")
    page.until(first, lambda told: told["is_shown"])
    network.gate.clear()
    for each in (first, second):
        page.ask(f"api/clips/{each}/derain", "POST")
    assert page.ask(f"api/clips/{first}", "DELETE")[0] == 204
    network.gate.set()
    page.until(second, lambda told: told["state"] == "done")
    assert [name for name in page.files() if "partial" not in name] == ["b.mp4"]


def test_what_fails_says_why_and_the_next_is_taken(page: Running, clip: Path, tmp_path: Path) -> None:
    (tmp_path / "cut.mp4").write_bytes(clip.read_bytes())
    broken = added(page, tmp_path / "cut.mp4", "broken.mp4")
    page.until(broken, lambda told: told["is_shown"])
    (uploads,) = page.folder.glob(".streamderain-*")
    (uploads / str(broken) / "broken.mp4").write_text("gone bad")
    whole = added(page, clip)
    for each in (broken, whole):
        page.ask(f"api/clips/{each}/derain", "POST")
    page.until(whole, lambda told: told["state"] == "done")
    told = page.clip(broken)
    assert (told["state"], told["result"]) == ("failed", None)
    assert told["said"].startswith("broken.mp4 cannot be opened as a video")


def test_what_an_output_does_not_hold_is_told_with_it(page: Running, clip: Path, tmp_path: Path) -> None:
    with av.open(tmp_path / "a.gif", "w") as file, av.open(clip) as source:
        stream = file.add_stream("gif", rate=25)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = 48, 32, "rgb8"
        for frame in source.decode(video=0):
            file.mux(stream.encode(frame.reformat(format="rgb8")))
        file.mux(stream.encode(None))
    number = added(page, tmp_path / "a.gif", "a.gif")
    page.ask(f"api/clips/{number}/derain", "POST")
    told = page.until(number, lambda told: told["state"] in ("done", "failed"))
    assert told["state"] == "done", told
    assert "256 colours" in " ".join(told["result"]["lost"])


def test_no_other_site_and_no_other_name_gets_in(page: Running, clip: Path) -> None:
    port = page.url.rsplit(":", 1)[1].strip("/")
    for headers in (
        {"Host": f"evil.example:{port}"}, {"Origin": "http://evil.example"}, {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site", "Origin": f"http://localhost:{port}"},
    ):  # fmt: skip
        assert page.ask("api/clips?name=a.mp4", "POST", headers, data=clip.read_bytes())[0] == 403
        assert page.ask("api/quit", "POST", headers, json={"even_if_busy": True})[0] == 403
    assert page.ask("api/clips")[1]["clips"] == []
    for path in (
        "clips/1/rainy",
        "clips/%2e%2e/rainy",
        "clips/1/..%2freport.jpg",
        "clips/-1/derained",
    ):
        assert page.ask(path)[0] == 404, path


def test_there_are_only_so_many(page: Running, clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(work, "MOST_CLIPS", 1)
    added(page, clip)
    assert page.send("b.mp4", clip.read_bytes()) == (
        400, {"error": "1 clips are on the page, which is all that it takes; remove some first"}
    )  # fmt: skip


def test_all_that_the_page_names_is_there(page: Running) -> None:
    seen, left = set(), {""}
    while left:
        path = left.pop()
        seen.add(path)
        status, text = page.ask(path)
        assert status == 200, path
        named = re.findall(rb'(?:href|src|from) ?=?"/([a-z.]+\.(?:js|css|svg))"|from "/([a-z]+\.js)"', text)
        left |= {(one or other).decode() for one, other in named} - seen
        assert not re.search(rb"(?:src|href|from|import|url\()[=( ]*[\"']?https?://", text)
    assert {"page.css", "files.css", "files.js", "films.js", "looks.js", "clips.js", "stage.js", "words.js"} <= seen


def test_quitting_asks_while_work_runs_and_leaves_nothing(page: Running, network: Darker, clip: Path) -> None:
    number = added(page, clip)
    page.until(number, lambda told: told["is_shown"])
    network.gate.clear()
    page.ask(f"api/clips/{number}/derain", "POST")
    page.until(number, lambda told: told["state"] == "running")
    for body in ({}, [], {"even_if_busy": "no"}):
        assert page.ask("api/quit", "POST", json=body)[0] == 409
    assert page.ask("api/quit", "POST", json={"even_if_busy": True}) == (200, {"ending": True})
    # The page still says how it stands until the frame that is being made is there.
    assert page.ask("api/clips")[1]["ending"] is True
    page.until(number, lambda told: told["state"] == "stopping")
    assert page.ask(f"api/clips/{number}/derain", "POST")[0] == 409
    network.gate.set()
    wait_until(lambda: page.has_ended)
    assert not page.folder.exists() or page.files() == ["a.partial.mp4"]
    assert not page.folder.exists() or not list(page.folder.glob(".streamderain-*"))
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.1", int(page.url.rsplit(":", 1)[1].strip("/"))), 5)


def test_a_folder_that_was_made_for_nothing_goes(page: Running) -> None:
    assert page.folder.is_dir()
    page.end()
    assert not page.folder.exists()


@pytest.mark.parametrize(
    ("config", "kind", "said"),
    [
        ({"compare": Path("seen.mp4")}, ConfigError, "compare is set; leave it out of a page for files"),
        ({"start": "1"}, ConfigError, "start is set"),
        ({"overwrite": True}, ConfigError, "overwrite is set"),
    ],
)
def test_settings_that_have_no_place_here(
    tmp_path: Path, config: dict[str, Any], kind: type[StreamderainError], said: str
) -> None:
    with pytest.raises(kind, match=said):
        serve_files(DerainConfig(**config), tmp_path / "out", "0", network=Darker())
    assert not (tmp_path / "out").exists()


def test_where_it_cannot_be(tmp_path: Path) -> None:
    with PreviewServer(port=0) as other:
        port = other.url.rsplit(":", 1)[1].strip("/")
        with pytest.raises(SinkError, match=f"cannot listen on 127.0.0.1:{port}"):
            serve_files(CONFIG, tmp_path / "out", port, network=Darker())
    assert not (tmp_path / "out").exists()
    with pytest.raises(ConfigError, match="set a token"):
        serve_files(CONFIG, tmp_path / "out", "0.0.0.0:0", network=Darker())
    (tmp_path / "file").write_text("")
    with pytest.raises(SinkError, match=r"file cannot be written: .*; name another --folder"):
        serve_files(CONFIG, tmp_path / "file", "0", network=Darker())


def test_an_upload_that_comes_at_the_end_is_not_taken(page: Running, network: Darker, clip: Path) -> None:
    number = added(page, clip)
    network.gate.clear()
    page.ask(f"api/clips/{number}/derain", "POST")
    assert page.ask("api/quit", "POST", json={"even_if_busy": True})[0] == 200
    assert page.send("late.mp4", clip.read_bytes()) == (409, {"error": "the page is ending; start it again"})
    assert [each["id"] for each in page.ask("api/clips")[1]["clips"]] == [number]
    network.gate.set()
    wait_until(lambda: page.has_ended)
