"""Folders: where the system keeps such things, where the user says, and nowhere without a home."""

from __future__ import annotations

import logging
import os
import pwd
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from streamderain import folders
from streamderain.config import saved_settings
from streamderain.folders import NOWHERE, cache_folder, kept_in, settings_file, weights_folder
from streamderain.networks import weights

PLACES: list[tuple[Callable[[], Path], str, str, str, str]] = [
    (cache_folder, "STREAMDERAIN_CACHE", "XDG_CACHE_HOME", ".cache", "streamderain"),
    (weights_folder, "STREAMDERAIN_WEIGHTS", "XDG_DATA_HOME", ".local/share", "streamderain/weights"),
    (settings_file, "STREAMDERAIN_SETTINGS", "XDG_CONFIG_HOME", ".config", "streamderain/settings.yaml"),
]
on_linux = pytest.mark.skipif(sys.platform != "linux", reason="other systems keep such things elsewhere")


@pytest.fixture(autouse=True)
def told_anew() -> None:
    folders._tell.cache_clear()


@on_linux
@pytest.mark.parametrize(("find", "ours", "xdg", "below_home", "name"), PLACES)
def test_what_is_named_comes_first_then_the_systems_folder_then_home(
    find: Callable[[], Path], ours: str, xdg: str, below_home: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(ours, "/here")
    monkeypatch.setenv(xdg, "/there")
    monkeypatch.setenv("HOME", "/home/somebody")
    assert find() == Path("/here")
    monkeypatch.setenv(ours, "")
    assert find() == Path("/there", name)
    monkeypatch.setenv(xdg, "")
    assert find() == Path("/home/somebody", below_home, name)


def unlisted(number: int) -> None:
    raise KeyError(number)


@pytest.fixture
def homeless(monkeypatch: pytest.MonkeyPatch) -> None:
    """A user of a container that knows neither a home nor a name for it."""
    for name in ("HOME", *(variable for _, ours, xdg, _, _ in PLACES for variable in (ours, xdg))):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(pwd, "getpwuid", unlisted)


@on_linux
@pytest.mark.usefixtures("homeless")
def test_without_a_home_nothing_is_found_and_nothing_kept(caplog: pytest.LogCaptureFixture) -> None:
    for find, *_ in PLACES:
        assert NOWHERE in find().parents
    assert saved_settings(settings_file()) == {}
    assert set(weights.installed()) == {"fast", "best", "picture"}
    assert kept_in("openvino") is None
    assert kept_in("tensorrt") is None
    assert caplog.text.count("so the next start takes as long") == 1


def test_what_is_kept_has_a_folder_from_then_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("STREAMDERAIN_CACHE", str(tmp_path / "new"))
    assert kept_in("some/part") == tmp_path / "new" / "some" / "part"
    assert (tmp_path / "new" / "some" / "part").is_dir()
    assert not caplog.records


def test_a_file_in_the_caches_place_costs_the_cache_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("STREAMDERAIN_CACHE", str(tmp_path / "file"))
    assert kept_in("openvino") is None
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert f"{tmp_path / 'file'} (Not a directory)" in record.getMessage()


LOCKED = """
import os
from streamderain import folders
from streamderain.config import saved_settings
from streamderain.networks import weights
os.setgroups([]); os.setgid(65534); os.setuid(65534)
assert saved_settings(folders.settings_file()) == {}
assert set(weights.installed()) <= {"fast", "best", "picture"}
assert folders.kept_in("openvino") is None
"""


@on_linux
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody whose home is locked")
def test_a_home_that_may_not_be_looked_into_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir(mode=0o700)
    known = {name: value for name, value in os.environ.items() if not name.startswith(("STREAMDERAIN_", "XDG_"))}
    run = subprocess.run(
        [sys.executable, "-c", LOCKED], env={**known, "HOME": str(tmp_path / "home")}, capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr
    assert run.stderr.count("nothing can be kept") == 1
