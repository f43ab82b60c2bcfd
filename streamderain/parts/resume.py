"""A run that goes on where an earlier one was ended, whatever ended it.

The film is made in parts of the same number of frames each, every one of them derained and encoded by itself (`feed`),
so that a run that was ended and goes on makes what one without a break would have made.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import torch

from streamderain import __version__
from streamderain.carry import Progress
from streamderain.config import DerainConfig
from streamderain.engine.engine import Engine, batch_size
from streamderain.errors import SourceError, Stopped, StreamderainError
from streamderain.frames import Network, VideoInfo
from streamderain.media.partial import Partial
from streamderain.media.sink import check_output
from streamderain.media.source import open_source
from streamderain.networks.restorer import Restorer
from streamderain.parts.feed import Feed, Stretch
from streamderain.parts.journal import Journal, known_again_by
from streamderain.parts.making import Film, derained
from streamderain.stream.stats import StationStats

PART_FRAMES = 250
"""Frames in a part. What is before and behind a part is derained twice: of four and eight frames 5% more work. All
that is lost with a crash is what was made of one part.
"""

SHOWING = ("neighbours", "blend", "strength", "encoder", "crf", "preset", "encoder_option", "hwaccel", "deinterlace")
"""Settings that change what comes out, and must be the same when a run goes on."""

BY_THE_NETWORK = ("model", "device", "backend", "precision", "memory", "batch")
"""Settings that change it through the network, of which the fingerprint, batch and tiles are compared instead."""

SILENT = ("overwrite", "verify", "report", "resume")
"""Settings that change nothing in what comes out."""

REFUSED = ("start", "end", "compare", "via_ffmpeg", "only_in_rain")
"""Settings that do not go with parts."""

Report = Callable[[Progress], None]


def derained_in_parts(
    source: str | Path,
    output: Path,
    config: DerainConfig,
    report: Report,
    ready: Callable[[VideoInfo], Network],
) -> tuple[Progress, Film | None]:
    """Derain `source` into `output`, going on with what an earlier run left; `ready` gives the network.

    Returns the final progress, and the film, None where an earlier run had made it whole. Raises StreamderainError;
    then what is whole waits for the next run.
    """
    _check(source, config)
    journal = Journal(output)
    if not journal.exists and output.exists():
        journal.leave()
    if not config.overwrite and journal.is_joined:
        frames = sum(part.frames for part in journal.parts)
        Partial(output, overwrite=True, again=True).discard()
        journal.remove()
        return Progress(frames, frames, 0.0, [StationStats("join")], before=frames), None
    # What a killed run has written of the output is nothing without its folder, which is there before and behind it.
    check_output(output, Path(source), config.overwrite, journal.folder.exists())
    journal.claim()
    try:
        with Film(source, output, config, again=True) as film:
            run = _Run(Path(source), film, config, report, journal)
            run.derain(ready)
            run.join()
            return run.progress, film
    except (StreamderainError, KeyboardInterrupt) as error:
        ended = error if isinstance(error, StreamderainError) else Stopped("stopped")
        frames = sum(part.frames for part in journal.parts)
        if frames and ended.kept is None:
            ended.kept = f"{frames} frames are kept, and --resume goes on behind them"
        elif ended.kept:
            # Nothing is to be gone on with.
            journal.remove()
        raise ended from error
    finally:
        journal.leave()


def _check(source: str | Path, config: DerainConfig) -> None:
    config.refuse(REFUSED, "resume and {name} are both set; parts have none: leave one out")
    if not Path(source).is_file() or Path(source).suffix.lower() == ".webp":
        raise SourceError(f"{source} is no video file, and only those can be gone on with; leave --resume out")


class _Run:
    def __init__(self, source: Path, film: Film, config: DerainConfig, report: Report, journal: Journal) -> None:
        self._source, self._film, self._config, self._report = source, film, config, report
        self._journal, self._before = journal, 0
        self.progress = Progress(0, None, 0.0, [StationStats("join")])

    def derain(self, ready: Callable[[VideoInfo], Network]) -> None:
        """Make all parts that are not there."""
        config, journal = self._config, self._journal
        with open_source(self._source, config.hwaccel, config.deinterlace) as opened:
            network = ready(opened.info)
            settings = _settings(self._source, config, network, self._film.kind, opened.info)
            journal.begin(settings, config.overwrite)
            self._before = self._done
            self.progress = replace(self.progress, frames=self._done, before=self._done)
            if journal.is_over:
                return
            opened.drop_passengers()
            engine = Engine(network, config, within=None)
            last = journal.parts[-1] if journal.parts else None
            place = (last.end, last.last) if last else ()
            feed = Feed(opened, engine.lead, *place)
            while feed.upcoming():
                path = journal.folder / f"{self._done:09d}.part"
                stretch = Stretch(feed, most=PART_FRAMES)
                part = derained(feed, stretch, engine, path, config, self._film.kind, self._done, self._after())
                journal.add(part)
        journal.end(str(feed.error) if feed.error else None)

    @property
    def _done(self) -> int:
        return sum(part.frames for part in self._journal.parts)

    def _after(self) -> Report:
        """What reports a part's progress as that of the film."""
        done, spent, before = self._done, self.progress.seconds, self._before

        def report(progress: Progress) -> None:
            self.progress = replace(
                progress, frames=done + progress.frames, seconds=spent + progress.seconds, before=before
            )
            self._report(self.progress)

        return report

    def join(self) -> None:
        """Make the output of the parts, which go then."""
        self._film.join(self._journal.parts, SourceError(self._journal.error) if self._journal.error else None)
        self._journal.remove()


def _settings(source: Path, config: DerainConfig, network: Network, kind: str, info: VideoInfo) -> dict[str, str]:
    """All by which it is decided what comes out."""
    asked = {name: str(getattr(config, name)) for name in SHOWING}
    batch = batch_size(config, network.device)
    weights, tile = type(network).__qualname__, info.height * info.width
    if isinstance(network, Restorer):
        weights, tile = network.fingerprint, network.plan(batch, info.height, info.width).tile
    versions = f"streamderain {__version__}, torch {torch.__version__}, PyAV {version('av')}"
    return {**asked, "batch": str(batch), "the input": known_again_by(source), "the network": weights,
            "the format": kind, "the frames of a part": str(PART_FRAMES), "the pixels of a tile": str(tile),
            "the program": versions}  # fmt: skip
