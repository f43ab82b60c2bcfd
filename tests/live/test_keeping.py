"""Which recordings go, and which stay whatever happens."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import pytest

from streamderain.config import LiveConfig
from streamderain.errors import ConfigError
from streamderain.live.keeping import LOOK_SECONDS, Keeper, recordings
from streamderain.live.run import LiveRun
from streamderain.quantities import kept
from tests.live.networks import Darker
from tests.live.running import running
from tests.waiting import wait_until

NOW = 2_000_000_000.0


def piece(folder: Path, name: str, age: float = 0.0, size: int = 1000) -> Path:
    path = folder / name
    path.write_bytes(bytes(size))
    os.utime(path, (NOW - age, NOW - age))
    return path


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def keeper(folder: Path, *keep: str, seconds: list[float] | None = None) -> Keeper:
    ticks = seconds or [0.0]
    return Keeper(str(folder / "rain.mkv"), keep, lambda: NOW, lambda: ticks[-1])


def dated(day: int) -> str:
    return f"rain-202611{day:02}-120000.mkv"


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ((), (None, None)),
        (("7d",), (7 * 86400, None)),
        (("200GB",), (None, 200 * 10**9)),
        (("1.5h", "500MB"), (5400, 500 * 10**6)),
        (("2TB", "3w"), (3 * 604800, 2 * 10**12)),
    ],
)
def test_ages_and_sizes(words: tuple[str, ...], found: tuple[float | None, int | None]) -> None:
    assert kept(words) == found


@pytest.mark.parametrize("words", [("7",), ("7 days",), ("0d",), ("7d", "8d"), ("-7d",), ("1GiB",), ("10m",), ("",)])
def test_what_is_neither_is_refused(words: tuple[str, ...]) -> None:
    with pytest.raises(ConfigError, match="expected one length of time or one size or both: 7d, 200GB"):
        LiveConfig(segment="10m", keep=words)


def test_the_old_go_by_age(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "streamderain")
    for day in range(1, 10):
        piece(tmp_path, dated(day), age=(10 - day) * 86400)
    keeper(tmp_path, "3.5d").tidy(None)
    assert names(tmp_path) == [dated(7), dated(8), dated(9)]
    assert "6 old recordings removed" in caplog.text


def test_the_oldest_go_by_size_and_the_one_that_is_written_counts_and_stays(tmp_path: Path) -> None:
    for day in range(1, 10):
        piece(tmp_path, dated(day), age=(10 - day) * 86400, size=300_000)
    written = piece(tmp_path, dated(10), size=450_000)
    keeper(tmp_path, "1MB").tidy(written)
    assert names(tmp_path) == [dated(9), dated(10)]
    written.write_bytes(bytes(5_000_000))
    keeper(tmp_path, "1MB").tidy(written)
    assert names(tmp_path) == [dated(10)]


def test_nothing_else_is_touched(tmp_path: Path) -> None:
    others = [
        "rain.mkv", "rain-2.mkv", "rain-old.mkv", "rain-20261101-120000.mp4", "rain-20261101-120000.mkv.part",
        "xrain-20261101-120000.mkv", "rainy-20261101-120000.mkv", "rain-20261101.mkv", "rain-20261101-120000-a.mkv",
    ]  # fmt: skip
    for name in others:
        piece(tmp_path, name, age=1e8)
    elsewhere = piece(tmp_path, "precious", age=1e8)
    (tmp_path / dated(2)).symlink_to(elsewhere)
    (tmp_path / dated(3)).mkdir()
    piece(tmp_path, dated(1), age=1e8)
    piece(tmp_path, "rain-20261101-120000-2.mkv", age=1e8)
    keeper(tmp_path, "1h", "1MB").tidy(None)
    assert names(tmp_path) == sorted([*others, "precious", dated(2), dated(3)])


def test_it_looks_once_a_minute_and_bears_a_folder_that_is_gone(tmp_path: Path) -> None:
    ticks = [0.0]
    keeping = keeper(tmp_path, "1h", seconds=ticks)
    keeping.tidy(None)
    piece(tmp_path, dated(1), age=1e8)
    keeping.tidy(None)
    assert names(tmp_path) == [dated(1)]
    ticks.append(LOOK_SECONDS)
    keeping.tidy(None)
    assert names(tmp_path) == []
    tmp_path.rmdir()
    ticks.append(2 * LOOK_SECONDS)
    keeping.tidy(None)


def test_a_run_keeps_what_it_was_told_and_lists_it(tmp_path: Path) -> None:
    piece(tmp_path, dated(1), age=1e9)
    recent = piece(tmp_path, dated(2))
    os.utime(recent)
    config = LiveConfig(preset="ultrafast", blend=0.0, segment="10m", keep=("1d",))
    output = str(tmp_path / "rain.mkv")
    with running(LiveRun("test:64x48@10", [output, "udp://127.0.0.1:1"], config, Darker())) as run:
        wait_until(lambda: run.numbers().outputs[0].written > 3)
        wait_until(lambda: dated(1) not in names(tmp_path))
        found = recordings(run.outputs)
    assert set(found) == {f"1/{name}" for name in names(tmp_path)}
    assert len(found) == 2
    assert found[f"1/{dated(2)}"] == recent


def test_recordings_of_all_kinds_are_listed_and_nothing_else(tmp_path: Path) -> None:
    ours = ["rain.mkv", "rain-2.mkv", "rain-20261101-120000.mkv", "rain-20261101-120000-2.mkv"]
    for name in [*ours, "rain-x.mkv", "secret", "rain.mp4"]:
        piece(tmp_path, name)
    (tmp_path / "rain-3.mkv").symlink_to(tmp_path / "secret")
    found = recordings(["rtsp://a/b", str(tmp_path / "rain.mkv"), f"{tmp_path}/hls/"])
    assert set(found) == {f"2/{name}" for name in ours}
