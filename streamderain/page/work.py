"""What is done with clips: looked at, shown derained, derained. Two workers share one network."""

from __future__ import annotations

import itertools
import logging
import shutil
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

from torch import Tensor

from streamderain.batch.jobs import Job, job_of
from streamderain.batch.many import derain_many
from streamderain.batch.sample import Pace
from streamderain.carry import Progress
from streamderain.config import DerainConfig
from streamderain.engine.engine import batch_size
from streamderain.engine.shared import SharedNetwork
from streamderain.errors import ConfigError, SourceError, Stopped, StreamderainError
from streamderain.frames import Network
from streamderain.live.page import picture
from streamderain.media.decoder import decode
from streamderain.media.images import PICTURE_ENDINGS
from streamderain.media.partial import partial_of
from streamderain.media.source import open_source
from streamderain.page.clip import Clip
from streamderain.page.samples import moments, sample
from streamderain.preview.jpeg import alone, beside, jpeg

logger = logging.getLogger(__name__)

THUMB_COLUMNS = 320
MOST_CLIPS = 200


class Work:
    """The clips of a page. Each has a folder of its own in `uploads`; what is derained goes into `folder`.

    All but `look` belongs to one thread. One worker shows clips derained while the other derains, so that a clip which
    is dropped while a long one runs is seen at once; they take turns at one `network`, which `load` gives meanwhile.
    """

    def __init__(self, load: Callable[[], Network], config: DerainConfig, uploads: Path, folder: Path) -> None:
        self.clips: dict[int, Clip] = {}
        self.uploads, self.folder, self.config = uploads, folder, config
        self._showing = ThreadPoolExecutor(1, "streamderain-samples")
        self.network = self._showing.submit(self._shared, load)
        self._deraining = ThreadPoolExecutor(1, "streamderain-derain")
        self._queued: dict[int, Future[None]] = {}
        self._numbers = itertools.count(1)

    @property
    def is_busy(self) -> bool:
        """Whether a clip is derained, or waits for it."""
        return any(clip.state in ("waiting", "running") for clip in self.clips.values())

    def place(self) -> Path:
        """A new folder for a clip. Raises ConfigError where there are too many already."""
        if len(self.clips) >= MOST_CLIPS:
            raise ConfigError(f"{MOST_CLIPS} clips are on the page, which is all that it takes; remove some first")
        folder = self.uploads / str(next(self._numbers))
        folder.mkdir()
        return folder

    def look(self, path: Path) -> Clip:
        """What a file is that has come into a folder of its own. Raises SourceError for one that is no video."""
        try:
            if path.suffix.lower() in PICTURE_ENDINGS:
                raise SourceError(f"{path} is a picture; the page takes videos: `streamderain photo.jpg dry.jpg`")
            with open_source(path, self.config.hwaccel, self.config.deinterlace) as opened:
                clip = Clip(int(path.parent.name), path, opened.info, self.config.strength)
                _draw(clip, picture(next(decode(opened))))
            return clip
        except StreamderainError as error:
            raise SourceError(_by_name(str(error), path)) from None

    def add(self, clip: Clip) -> None:
        """Put a clip on the page, and show it derained."""
        self.clips[clip.number] = clip
        self._showing.submit(self._show, clip)

    def derain(self, clip: Clip) -> None:
        """Put a clip in line, at the strength that it has now. Raises ConfigError for one that is in line already."""
        if clip.state in ("waiting", "running"):
            raise ConfigError(f"{clip.path.name} is in line already; stop it first")
        clip.output, clip.said, clip.progress, clip.is_unwanted = self._output(clip), "", None, False
        clip.state, clip.made_at = "waiting", clip.strength
        self._queued[clip.number] = self._deraining.submit(self._derain, clip, clip.strength)

    def stop(self, clip: Clip) -> None:
        """Take a clip out of the line, or stop deraining it after the frame that is being made. One that is in neither
        is no error.
        """
        clip.is_unwanted = True
        if clip.state == "waiting" and self._queued[clip.number].cancel():
            clip.state, clip.output = "ready", None

    def remove(self, clip: Clip) -> None:
        """Stop it, and delete it; what was derained stays in the folder."""
        self.stop(clip)
        clip.is_gone = True
        del self.clips[clip.number]
        shutil.rmtree(clip.folder, ignore_errors=True)

    def line(self) -> list[int]:
        """The numbers of the clips that wait, the next one first."""
        return [number for number, future in self._queued.items() if number in self.clips and not future.done()
                and self.clips[number].state == "waiting"]  # fmt: skip

    def close(self) -> None:
        """Stop all, after the frames that are being made. Twice is no error."""
        for clip in self.clips.values():
            self.stop(clip)
            clip.is_gone = True
        for worker in (self._deraining, self._showing):
            worker.shutdown(wait=True, cancel_futures=True)
        if self.network.done() and not self.network.cancelled() and not self.network.exception():
            self.network.result().close()

    def _shared(self, load: Callable[[], Network]) -> SharedNetwork:
        network = load()
        on_cpu = network.device.type == "cpu"
        return SharedNetwork(network, batch_size(self.config, network.device), aside=on_cpu)

    def _output(self, clip: Clip) -> Path:
        """The path that a clip is derained into: a name that no file has, nor another clip in line will have."""
        wanted = job_of(clip.path, clip.folder, self.folder).output
        others = (wanted.with_stem(f"{wanted.stem}-{number}") for number in itertools.count(2))
        taken = {each.output for each in self.clips.values() if each.state in ("waiting", "running")}
        for path in itertools.chain([wanted], others):
            if path not in taken and not path.exists() and not partial_of(path).exists():
                return path
        raise AssertionError

    def _show(self, clip: Clip) -> None:
        """Show one more of its moments, the rainiest first; and then, after those that wait, the next."""
        try:
            if not clip.moments:
                clip.moments, first = moments(clip.path, clip.info.duration_seconds)
                clip.unseen = sorted(range(len(clip.moments)), key=lambda each: (each != first, each))
            self._show_moment(clip, clip.unseen.pop(0))
            goes_on = bool(clip.unseen)
        except Stopped:
            goes_on = False
        except (StreamderainError, OSError) as error:
            clip.unshown, goes_on = _by_name(str(error), clip.path), False
        except Exception:
            logger.exception("%s cannot be shown derained", clip.path.name)
            clip.unshown, goes_on = "it cannot be shown derained; the log says why", False
        if goes_on:
            with suppress(RuntimeError):  # the end has come
                self._showing.submit(self._show, clip)
        clip.is_shown = not goes_on

    def _show_moment(self, clip: Clip, number: int) -> None:
        # In full, as the page mixes it with the rainy one to any strength.
        config = replace(self.config, strength=1.0)
        try:
            made = sample(clip.path, clip.moments[number], self.network.result(), config, partial(_check, clip))
        except SourceError as error:  # it may be that the end is earlier than the header says
            clip.unshown = _by_name(str(error), clip.path)
            return
        rainy, clean = picture(made.pair.rainy), picture(made.pair.clean)
        clip.sample(number).write_bytes(jpeg(beside(rainy, clean)))
        if not clip.shown:
            # The first picture of a clip is often black; and with the first frame the network makes itself ready.
            _draw(clip, rainy)
        else:
            clip.pace = min(clip.pace or made.seconds_per_frame, made.seconds_per_frame)
        clip.shown.add(number)

    def _derain(self, clip: Clip, strength: float) -> None:
        clip.state, clip.running = "running", Pace(partial(_keep, clip))
        config = replace(self.config, strength=strength, report=clip.report)
        assert clip.output
        job = Job(clip.path, clip.output)
        outcome = next(derain_many([job], config, lambda job, now: _report(clip, now), self.network.result()))
        clip.said = _by_name(outcome.said, clip.path)
        clip.state = {"derained": "done", "stopped": "stopped"}.get(outcome.result, "failed")  # type: ignore[assignment]


def _draw(clip: Clip, rainy: Tensor) -> None:
    """Make `rainy`, (3, H, W) uint8 in RGB, its small picture."""
    clip.thumb.write_bytes(jpeg(alone(rainy, THUMB_COLUMNS)))


def _by_name(text: str, path: Path) -> str:
    """What was said of an upload, without where it lies."""
    return text.replace(str(path), path.name)


def _report(clip: Clip, now: Progress) -> None:
    if clip.is_unwanted:
        raise Stopped("stopped")
    assert clip.running
    clip.running.report(now)


def _keep(clip: Clip, now: Progress) -> None:
    clip.progress = now


def _check(clip: Clip) -> None:
    if clip.is_gone:
        raise Stopped("the clip was removed")
