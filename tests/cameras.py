"""RTSP cameras that tests start, kill, freeze and start again; each is a process of its own with gst-rtsp-server."""

from __future__ import annotations

import functools
import os
import signal
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parent / "media" / "rtsp_camera.py"

PYTHON = "/usr/bin/python3"

FAKETIME = Path("/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1")


def moved(clock: Path) -> dict[str, str]:
    """The environment of a camera whose clock is moved by what stands in `clock`, such as +3600s, whenever that is."""
    fake = {"LD_PRELOAD": str(FAKETIME), "FAKETIME_TIMESTAMP_FILE": str(clock), "FAKETIME_NO_CACHE": "1"}
    return {**os.environ, **fake, "DONT_FAKE_MONOTONIC": "1"}


@functools.cache
def missing() -> str | None:
    """Why no camera can be had here, or None."""
    probe = "import gi; gi.require_version('GstRtspServer', '1.0'); from gi.repository import GstRtspServer"
    try:
        found = subprocess.run([PYTHON, "-c", probe], capture_output=True, text=True, check=False)
    except OSError as error:
        return f"{PYTHON} cannot be run: {error.strerror}"
    return None if found.returncode == 0 else "gst-rtsp-server is missing; apt install gir1.2-gst-rtsp-server-1.0"


@dataclass
class Camera:
    """A camera at `url`. The port stays the same for as long as the object lives, whatever the process does."""

    width: int = 64
    height: int = 48
    fps: int = 25
    options: tuple[str, ...] = ()
    port: int = 0
    environment: Mapping[str, str] | None = None
    process: subprocess.Popen[str] | None = field(default=None, repr=False)

    @property
    def url(self) -> str:
        """Where it is watched."""
        return f"rtsp://127.0.0.1:{self.port}/stream"

    def start(self, width: int | None = None, height: int | None = None, fps: int | None = None) -> None:
        """Start the process, with another size or rate if given; returns once it listens."""
        assert self.process is None, "it runs already"
        self.width, self.height, self.fps = width or self.width, height or self.height, fps or self.fps
        numbers = [str(number) for number in (self.port, self.width, self.height, self.fps)]
        command = [PYTHON, str(SCRIPT), *numbers, *self.options]
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=self.environment
        )
        assert self.process.stdout
        said = self.process.stdout.readline().split()
        assert said[:1] == ["ready"], f"the camera did not start on port {self.port}"
        self.port = int(said[1])

    def kill(self) -> None:
        """kill -9: gone without a word, as by a power cut; a frozen or a dead one too."""
        if self.process:
            self.process.kill()
            self.process.wait()
            assert self.process.stdout
            self.process.stdout.close()
            self.process = None

    def freeze(self) -> None:
        """kill -STOP: connections stay open and nothing comes."""
        assert self.process
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """kill -CONT."""
        assert self.process
        self.process.send_signal(signal.SIGCONT)


class Cameras:
    """All cameras of a test."""

    def __init__(self) -> None:
        self._made: list[Camera] = []

    def __call__(
        self, width: int = 64, height: int = 48, fps: int = 25, *options: str,
        environment: Mapping[str, str] | None = None,
    ) -> Camera:  # fmt: skip
        """Start a camera; options are those of rtsp_camera.py, such as --audio and --udp-only."""
        camera = Camera(width, height, fps, options, environment=environment)
        self._made.append(camera)
        camera.start()
        return camera

    def kill(self) -> None:
        """End them all."""
        for camera in self._made:
            camera.kill()


@pytest.fixture(name="cameras")
def rtsp_cameras() -> Iterator[Cameras]:
    """Makes cameras that are gone after the test; skips where gst-rtsp-server is missing. Import it to use it."""
    if reason := missing():
        pytest.skip(reason)
    made = Cameras()
    yield made
    made.kill()
