"""`streamderain derain`, which may be left out: one video or live stream, source to outputs."""

from __future__ import annotations

import json
import logging
import sys
from dataclasses import asdict
from typing import Annotated

import typer

from streamderain.cli.options import configured
from streamderain.cli.progress import live_line, progress_bar, warnings_in_log
from streamderain.config import LiveConfig
from streamderain.errors import ConfigError


@configured(LiveConfig, with_saved=True)
def derain(
    source: Annotated[
        str, typer.Argument(metavar="INPUT", help="a video file; or live: a URL, a camera's number, screen, test")
    ],
    outputs: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="OUTPUT", help="the file to write; of a live source any of files, HLS folders/, and URLs"
        ),
    ] = None,
    *,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but errors.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print a summary as JSON, nothing else.")] = False,
    config: LiveConfig,
) -> None:
    """Derain INPUT into OUTPUT; the word `derain` may be left out."""
    from streamderain.media.address import parse

    is_live = parse(source).is_live or config.realtime
    # What a file's log says goes into its summary.
    if (quiet and not as_json) or (as_json and is_live):
        logging.getLogger("streamderain").setLevel(logging.ERROR)
    named = outputs or []
    if not named and config.preview is None:
        raise ConfigError("no output is named; name one, such as out.mp4")
    if is_live:
        _derain_live(source, named, config, quiet, as_json)
        return
    if len(named) > 1:
        raise ConfigError(f"{len(named)} outputs are named; a file goes into one, unless --realtime makes it live")
    for setting in ("preview", "segment", "keep", "on_demand"):
        if getattr(config, setting) not in (None, (), False):
            raise ConfigError(f"--{setting.replace('_', '-')} is for live streams; --realtime makes a file one")
    _derain_file(source, named[0], config, quiet, as_json)


def _derain_file(source: str, output: str, config: LiveConfig, quiet: bool, as_json: bool) -> None:
    from streamderain.media.url import public
    from streamderain.run import derain as derain_video

    with (
        warnings_in_log(kept=as_json) as warnings,
        progress_bar(shown=sys.stderr.isatty() and not quiet and not as_json) as report,
    ):
        done = derain_video(source, output, config, report)
    if as_json:
        stations = [station.totals() for station in done.stations]
        summary = {
            "output": public(output),
            "frames": done.frames,
            "seconds": done.seconds,
            "fps": done.frames_per_second,
            "delay_frames": done.delay_frames,
            "warnings": warnings,
        }
        print(json.dumps({**summary, "stations": stations}))
    elif not quiet:
        pace = f"{done.frames} frames in {done.seconds:.1f} s, {done.frames_per_second:.2f} fps"
        print(f"{public(output)}: {pace}, slowest station: {done.slowest.name}, delay: {done.delay_frames} frames")


def _derain_live(source: str, outputs: list[str], config: LiveConfig, quiet: bool, as_json: bool) -> None:
    from streamderain.live.derain import derain_live

    if not quiet and not as_json:
        # What befalls a stream over days is what its operator wants to read.
        logging.getLogger("streamderain").setLevel(logging.INFO)
    with live_line(shown=sys.stderr.isatty() and not quiet and not as_json) as report:
        done = derain_live(source, outputs, config, report)
    if as_json:
        print(json.dumps(asdict(done)))
    elif not quiet:
        print(done.line())
