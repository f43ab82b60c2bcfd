"""What a picture says of itself, asked in several threads at once."""

from __future__ import annotations

import logging
import threading

import av
import av.logging
import numpy as np
import pytest

from streamderain.media.sidedata import _libav_heard, fields_and_chroma

AT_ONCE = 4


def test_threads_that_ask_at_once_leave_libav_silent(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    picture = av.VideoFrame.from_ndarray(np.zeros((16, 16), np.uint8), "gray")
    picture.pts = 0
    start = threading.Barrier(AT_ONCE)
    found = []

    def ask() -> None:
        start.wait()
        found.extend(fields_and_chroma(picture) for _ in range(40))

    threads = [threading.Thread(target=ask) for _ in range(AT_ONCE)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [(0, "unspecified")] * (AT_ONCE * 40)
    assert av.logging.get_level() is None
    assert logging.getLogger("libav").propagate
    assert [record.name for record in caplog.records] == []


def test_what_libav_says_in_other_threads_meanwhile_is_not_printed(capfd: pytest.CaptureFixture[str]) -> None:
    def fail() -> None:
        with pytest.raises(av.FFmpegError):
            av.open("tcp://host;s3cr3t:1", timeout=5)

    thread = threading.Thread(target=fail)
    with _libav_heard() as said:
        thread.start()
        thread.join()
    assert said == []
    assert "s3cr3t" not in capfd.readouterr().err
    assert logging.getLogger("libav").handlers == []
