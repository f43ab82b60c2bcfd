"""What is not whole yet can be played, belongs to one run, and is never lost without a word."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from streamderain.errors import SinkError
from streamderain.media.decoder import decode
from streamderain.media.encoder import Encoding
from streamderain.media.partial import Partial, partial_of, whole_frames
from streamderain.media.pixels import layout_of
from streamderain.media.sink import FileSink, check_output
from streamderain.media.source import open_source
from tests.media.conftest import FFV1
from tests.media.test_sink import sound, words

QUICK = Encoding(crf=None, preset="ultrafast", options={"qp": "0", "tune": "zerolatency"})

KILLED = """
import os, signal, sys
from pathlib import Path
from streamderain.media.decoder import decode
from streamderain.media.pixels import layout_of
from streamderain.media.sink import FileSink
from streamderain.media.source import open_source
from tests.media.test_partial import FFV1, QUICK

source, frames, *outputs = sys.argv[1:]
runs = []
for output in map(Path, outputs):
    opened = open_source(source)
    sink = FileSink(output, opened, layout_of(opened.info), FFV1 if output.suffix == ".nut" else QUICK)
    runs.append((decode(opened), sink))
for number in range(int(frames)):
    for decoded, sink in runs:
        sink.write(next(decoded))
os.kill(os.getpid(), signal.SIGKILL)
"""


def killed(source: Path, frames: int, *outputs: Path) -> None:
    """Runs that are killed behind so many frames."""
    command = [sys.executable, "-c", KILLED, str(source), str(frames), *map(str, outputs)]
    assert subprocess.run(command, timeout=60, check=False).returncode == -9


def test_what_a_killed_run_leaves_can_be_played_and_belongs_to_nobody(studio: Any) -> None:
    source = studio.clip(pts=range(100), passengers=[sound(seconds=4)])
    whole = studio.look(source)
    outputs = [studio.folder / f"out.{ending}" for ending in ("mp4", "mov", "m4v", "mkv", "ts", "nut")]
    killed(source, 90, *outputs)
    for output in outputs:
        with av.open(partial_of(output)) as container:
            frames = list(container.decode(video=0))
            assert container.streams.audio
        # All but what is not yet a second old, and the fragment that this second is in.
        assert 45 <= len(frames) <= 90, output
        assert whole_frames(partial_of(output))[0] == len(frames)
        for frame, planes in zip(frames, whole.planes, strict=False):
            assert (frame.to_ndarray()[:32] == planes[0].numpy()).all()
        Partial(output, overwrite=True).release()
        assert partial_of(output).exists()


@pytest.mark.parametrize("ending", ["avi", "mkv", "ts", "nut"])
def test_a_packet_that_the_end_tears_is_no_frame(studio: Any, ending: str) -> None:
    source = studio.clip(pts=range(24), passengers=[sound(seconds=1)])
    data = studio.through(source, f"whole.{ending}").read_bytes()
    for share in np.linspace(0.4, 0.95, 9):
        partial = Partial(studio.folder / f"out.{ending}")
        partial.begin().write_bytes(data[: int(len(data) * share)])
        kept = partial.keep()
        with av.open(partial.path) as container:
            assert len(list(container.decode(video=0))) == kept > 0
        partial.path.unlink()


def test_subtitles_that_never_come_hold_up_nothing(studio: Any) -> None:
    def silent(container: Any) -> list[av.Packet]:
        words("mov_text")(container)
        return []

    source = studio.clip(pts=range(100), passengers=[silent, sound(seconds=4)])
    killed(source, 95, studio.folder / "out.mp4")
    assert whole_frames(studio.folder / "out.partial.mp4")[0] >= 45


def test_one_of_two_runs_is_refused(studio: Any) -> None:
    source, output = studio.clip(), studio.folder / "out.mp4"
    first = Partial(output)
    with open_source(source) as opened, pytest.raises(SinkError, match=r"out.mp4 is being written by another run"):
        FileSink(output, opened, layout_of(opened.info), QUICK, overwrite=True)
    with pytest.raises(SinkError, match=r"out.mp4 is being written by another run"):
        check_output(output, source, overwrite=True)
    first.release()
    check_output(output, source, overwrite=False)
    assert studio.files() == {"in.mp4"}


def test_the_second_run_meets_what_the_first_has_made(studio: Any) -> None:
    output = studio.folder / "out.mkv"
    partial = Partial(output)
    partial.begin().write_bytes(b"whole")
    partial.publish()
    with pytest.raises(SinkError, match=r"out.mkv exists; --overwrite replaces it"):
        Partial(output)
    assert studio.files() == {"out.mkv"}


def test_what_an_earlier_run_left_is_not_lost_without_a_word(studio: Any, caplog: pytest.LogCaptureFixture) -> None:
    source, output = studio.clip(), studio.folder / "out.mkv"
    partial_of(output).write_bytes(b"hours of work")
    with pytest.raises(SinkError, match=r"out.partial.mkv is what an earlier run left; move it away, or --overwrite"):
        Partial(output)
    with pytest.raises(SinkError, match=r"out.partial.mkv is what an earlier run left"):
        check_output(output, source, overwrite=False)
    assert partial_of(output).read_bytes() == b"hours of work"
    with open_source(source) as opened, caplog.at_level(logging.WARNING):
        FileSink(output, opened, layout_of(opened.info), FFV1, overwrite=True).abandon()
    assert caplog.messages == [f"{partial_of(output)} is replaced, which an earlier run left"]


def test_a_partial_file_is_not_written_over_while_it_is_read(studio: Any) -> None:
    source = studio.clip("out.partial.mp4")
    with pytest.raises(SinkError, match=r"out.partial.mp4 is the input, and out.mp4 would be written there"):
        check_output(studio.folder / "out.mp4", source, overwrite=True)


def test_a_file_that_cannot_get_its_name_is_kept(studio: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    with open_source(studio.clip()) as opened:
        sink = FileSink(studio.folder / "out.mp4", opened, layout_of(opened.info), QUICK)
        for frame in decode(opened):
            sink.write(frame)
        with monkeypatch.context() as patched:
            patched.setattr(os, "replace", refuse)
            with pytest.raises(SinkError, match=r"out.mp4 cannot be written: Operation not permitted"):
                sink.commit()
        assert sink.abandon() == studio.folder / "out.partial.mp4"
    assert (sink.frames, whole_frames(studio.folder / "out.partial.mp4")[0]) == (6, 6)
