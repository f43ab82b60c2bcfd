"""`streamderain derain`, which may be left out: one video, source to sink."""

from __future__ import annotations

import json
import logging
import sys
from typing import Annotated

import typer

from streamderain.cli.options import configured
from streamderain.cli.progress import progress_bar
from streamderain.config import DerainConfig


@configured(DerainConfig, with_saved=True)
def derain(
    source: Annotated[str, typer.Argument(metavar="INPUT", help="a video file")],
    output: Annotated[str, typer.Argument(metavar="OUTPUT", help="the file to write; its ending says the format")],
    *,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but errors.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print a summary as JSON, nothing else.")] = False,
    config: DerainConfig,
) -> None:
    """Derain INPUT into OUTPUT; the word `derain` may be left out."""
    from streamderain.run import derain as derain_video

    if quiet or as_json:
        logging.getLogger("streamderain").setLevel(logging.ERROR)
    with progress_bar(shown=sys.stderr.isatty() and not quiet and not as_json) as report:
        done = derain_video(source, output, config, report)
    if as_json:
        stations = [station.totals() for station in done.stations]
        summary = {
            "output": output,
            "frames": done.frames,
            "seconds": done.seconds,
            "fps": done.frames_per_second,
            "delay_frames": done.delay_frames,
        }
        print(json.dumps({**summary, "stations": stations}))
    elif not quiet:
        pace = f"{done.frames} frames in {done.seconds:.1f} s, {done.frames_per_second:.2f} fps"
        print(f"{output}: {pace}, slowest station: {done.slowest.name}, delay: {done.delay_frames} frames")
