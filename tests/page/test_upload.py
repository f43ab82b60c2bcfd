"""What uploads are called, and how they are taken in."""

from __future__ import annotations

import io
import shutil
import socket
from collections import namedtuple
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from streamderain.page import upload
from streamderain.page.upload import LONGEST_NAME, safe_name
from tests.page.conftest import Running
from tests.waiting import wait_until

Usage = namedtuple("Usage", "total used free")


@pytest.mark.parametrize(
    ("asked", "name"),
    [
        ("clip.mp4", "clip.mp4"),
        ("Regen am Fluß, 3. Teil (neu).MOV", "Regen am Fluß, 3. Teil (neu).MOV"),
        ("雨の日.mkv", "雨の日.mkv"),
        ("हिन्दी.mkv", "हिन्दी.mkv"),
        ("../../etc/passwd", "passwd"),
        ("C:\\films\\a.avi", "a.avi"),
        ("/abs/./..", "clip"),
        ("..", "clip"),
        ("", "clip"),
        (".hidden.mp4", "hidden.mp4"),
        ("-rf.mp4", "rf.mp4"),
        ("frame_%04d.png", "frame__04d.png"),
        ("a\0b\nc.mp4", "a_b_c.mp4"),
        ('$(rm -rf ~);`x`"|<>&*?.mp4', "_(rm -rf _)__x_____&__.mp4"),
        ("http://host/a.mp4", "a.mp4"),
        ("concat:a|b.mp4", "concat_a_b.mp4"),
        ("a\u202egpm.mp4", "a_gpm.mp4"),
    ],
)
def test_a_name_is_harmless_and_still_the_users(asked: str, name: str) -> None:
    assert safe_name(asked) == name


@pytest.mark.parametrize("letter", ["x", "ß", "雨"])
def test_a_long_name_is_cut_and_keeps_its_ending(letter: str) -> None:
    name = safe_name(letter * 300 + ".mp4")
    assert LONGEST_NAME - 3 <= len(name.encode()) <= LONGEST_NAME
    assert name.endswith(f"{letter}.mp4")
    assert len(safe_name("a." + "b" * 300).encode()) <= LONGEST_NAME


def test_a_file_larger_than_other_bodies_may_be(page: Running, clip: Path) -> None:
    status, told = page.send("long.mp4", io.BytesIO(clip.read_bytes() + bytes(3_000_000)))
    assert (status, told["name"]) == (201, "long.mp4")
    assert page.ask("api/quit", "POST", data=bytes(100_000))[0] == 413


def test_what_the_disk_has_no_room_for_is_refused(page: Running, clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(0, 0, upload.SPARE_BYTES + 1000))
    status, told = page.send("a.mp4", clip.read_bytes())
    assert (status, told["error"]) == (
        507, "there is room for 0 MB more on this disk; remove clips, or name a --folder on another"
    )  # fmt: skip
    assert uploads(page) == []


@pytest.mark.parametrize("is_over", [False, True], ids=["stalls", "breaks"])
def test_an_upload_that_does_not_come_leaves_nothing(
    page: Running, monkeypatch: pytest.MonkeyPatch, is_over: bool
) -> None:
    if not is_over:
        monkeypatch.setattr(upload, "STALLED_SECONDS", 0.05)
    address = urlsplit(page.url)
    assert address.hostname
    with socket.create_connection((address.hostname, address.port or 0), 60) as connection:
        connection.sendall(
            b"POST /api/clips?name=a.mp4 HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9999\r\n\r\n" + b"rain" * 9
        )
        if is_over:
            wait_until(lambda: uploads(page) == ["1"])
        else:
            assert b" 408 " in connection.recv(100)
    wait_until(lambda: uploads(page) == [])
    assert page.ask("api/clips")[1]["clips"] == []


def uploads(page: Running) -> list[str]:
    """The folders that uploads lie in."""
    (place,) = page.folder.glob(".streamderain-*")
    return sorted(path.name for path in place.iterdir())
