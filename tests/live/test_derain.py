"""One live stream with its page."""

from __future__ import annotations

import json
import time
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from torch import Tensor

from streamderain.config import LiveConfig
from streamderain.errors import ConfigError, SinkError
from streamderain.frames import Frame
from streamderain.live import derain
from streamderain.live.derain import derain_live
from streamderain.live.numbers import LiveNumbers
from streamderain.stream.gate import Gate

from .networks import Darker


def test_the_page_shows_the_run_and_turns_its_dials(
    clip: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", logger="streamderain")
    answers: list[Any] = []

    def look(numbers: LiveNumbers) -> None:
        url = next(record.args[0] for record in caplog.records if record.msg == "live page at %s" and record.args)
        name = urllib.parse.quote(str(clip), safe="")
        stream = f"{url}api/streams/{name}"
        turned = urllib.request.Request(f"{stream}/settings", b'{"strength": 0.25}', method="POST")
        for request in (f"{url}", stream, turned):
            with urllib.request.urlopen(request) as reply:
                answers.append(reply.read())
        with urllib.request.urlopen(f"{url}streams/{name}.mjpg") as pictures:
            answers.append(pictures.readline())

    config = LiveConfig(realtime=True, preview="0")
    derain_live(str(clip), [str(tmp_path / "out.mkv")], config, look, Darker())
    assert b"<title>streamderain</title>" in answers[0]
    assert json.loads(answers[1])["numbers"]["size"] == "48x32"
    assert json.loads(answers[2]) == {"strength": 0.25, "blend": 0.0}
    assert answers[3].startswith(b"--")


def test_a_network_that_takes_its_time_to_get_ready_costs_no_frame_of_a_file(clip: Path, tmp_path: Path) -> None:
    class Cold(Darker):
        def restore(self, windows: Tensor) -> Tensor:
            if not self.calls:
                # Longer than the whole file.
                time.sleep(1.5)
            return super().restore(windows)

    network = Cold()
    done = derain_live(str(clip), [str(tmp_path / "out.mkv")], LiveConfig(realtime=True), network=network)
    assert done.received == 12
    # A machine that is busy elsewhere may lose some all the same; without the wait it was all but one.
    assert done.published >= 6
    # Once more for each of the two sizes, to get ready, and not twice.
    assert network.calls == done.published + 2


def test_a_run_whose_outputs_got_nothing_has_failed(clip: Path) -> None:
    with pytest.raises(SinkError, match=r"nothing was written to rtsp://\*\*\*@127.0.0.1:9/x; the log says why"):
        derain_live(str(clip), ["rtsp://me:secret@127.0.0.1:9/x"], LiveConfig(realtime=True), network=Darker())


def test_a_run_of_which_no_frame_came_out_has_failed(clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As when a machine is so busy that each frame is overtaken."""

    class Shut(Gate):
        def _lets_in(self, frame: Frame) -> bool:
            with self._changed:
                self._lose("overtaken", 1)
            return False

    monkeypatch.setattr("streamderain.live.run.Gate", Shut)
    with pytest.raises(SinkError, match=r"no frame of .* came out; 12 came in, dropped: 12 overtaken; a larger"):
        derain_live(str(clip), [], LiveConfig(realtime=True), network=Darker())


def test_a_page_by_https_needs_its_files(clip: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="a key needs its certificate"):
        LiveConfig(preview="0", tls_key=tmp_path / "key.pem")
    config = LiveConfig(preview="0", tls_cert=tmp_path / "cert.pem", realtime=True)
    with pytest.raises(ConfigError, match="the certificate cannot be read"):
        derain_live(str(clip), [], config, network=Darker())


def test_a_page_that_others_reach_needs_a_token(clip: Path) -> None:
    config = LiveConfig(realtime=True, preview="0.0.0.0:0")
    with pytest.raises(ConfigError, match="set a token"):
        derain_live(str(clip), [], config, network=Darker())


def test_a_port_that_is_taken_is_told_before_the_network_is_loaded(clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import socket

    monkeypatch.setattr(derain, "load_network", lambda config: pytest.fail("it was loaded"))
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        config = LiveConfig(realtime=True, preview=str(taken.getsockname()[1]))
        with pytest.raises(SinkError, match="cannot listen"):
            derain_live(str(clip), [], config)


def test_what_is_not_installed_is_named(clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streamderain.live.page.importlib.util.find_spec", lambda library: None)
    with pytest.raises(ConfigError, match=r"needs aiohttp; pip install 'streamderain\[live\]'"):
        derain_live(str(clip), [], LiveConfig(realtime=True, preview="0"), network=Darker())


def test_who_publishes_needs_a_page_to_come_to() -> None:
    with pytest.raises(ConfigError, match="--preview 8090 opens one"):
        derain_live("whip", [], LiveConfig(), network=Darker())
