"""`streamderain derain`, which may be left out: a video, many files or a live stream, source to outputs."""

from __future__ import annotations

import json
import logging
from dataclasses import asdict
from typing import Annotated

import typer

from streamderain.cli.loading import loading
from streamderain.cli.many import derain_listed, derain_many_files, derain_watched
from streamderain.cli.options import configured
from streamderain.cli.progress import Shown, at_work, live_line
from streamderain.cli.sample import try_out
from streamderain.config import LiveConfig
from streamderain.errors import ConfigError


@configured(LiveConfig, with_saved=True)
def derain(
    source: Annotated[
        str,
        typer.Argument(
            metavar="INPUT",
            help="a video file; files, folders or globs, in front of a folder to write to; or live: a URL, a camera's "
            "number, screen, whip, test",
        ),
    ],
    outputs: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="OUTPUT",
            help="the file to write, or a folder for many; of a live source any of files, HLS folders/, and URLs",
        ),
    ] = None,
    *,
    list_file: Annotated[
        str | None, typer.Option("--list", help="derain the files that this one names, one a line; - for stdin")
    ] = None,
    lasts: Annotated[
        float | None,
        typer.Option(
            "--try",
            metavar="SECONDS",
            help="Derain a few seconds where it rains most, rainy beside two strengths, and say what the whole takes.",
        ),
    ] = None,
    watch: Annotated[
        bool, typer.Option("--watch", help="Derain what comes into the folder INPUT, until Ctrl-C.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but errors.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print a summary as JSON, nothing else.")] = False,
    config: LiveConfig,
) -> None:
    """Derain INPUT into OUTPUT; the word `derain` may be left out."""
    with loading():
        from streamderain.batch.jobs import are_many
        from streamderain.media.address import parse

    is_live = parse(source).is_live or config.realtime
    named, shown = outputs or [], Shown(quiet, as_json)
    # What a file's log says goes into its summary.
    if (quiet and not as_json) or (as_json and is_live):
        logging.getLogger("streamderain").setLevel(logging.ERROR)
    if lasts is not None and (list_file is not None or watch or (named and are_many([source, *named]))):
        raise ConfigError("--try is for one file; name one, and a file to write to")
    if list_file is not None or watch:
        _derain_many([source, *named], list_file, watch, config, shown)
        return
    if not named and config.preview is None:
        raise ConfigError("no output is named; name one, such as out.mp4")
    if is_live:
        if lasts is not None:
            raise ConfigError("--try is for a file; a live stream has no rainiest part")
        _derain_live(source, named, config, shown)
        return
    if named and are_many([source, *named]):
        _derain_many([source, *named], None, False, config, shown)
        return
    if len(named) > 1:
        raise ConfigError(f"{len(named)} outputs are named; a file goes into one, unless --realtime makes it live")
    _check_not_live(config)
    if lasts is not None:
        try_out(source, named[0], lasts, config, shown)
    else:
        _derain_file(source, named[0], config, shown)


def _check_not_live(config: LiveConfig) -> None:
    config.refuse(
        ("preview", "segment", "keep", "on_demand"), "{option} is for live streams; --realtime makes a file one"
    )


def _derain_many(names: list[str], list_file: str | None, watch: bool, config: LiveConfig, shown: Shown) -> None:
    _check_not_live(config)
    if list_file is not None and watch:
        raise ConfigError("--list and --watch are both set; a list does not fill up: leave out one of them")
    if list_file is not None:
        derain_listed(names, list_file, config, shown)
    elif watch:
        derain_watched(names, config, shown)
    else:
        derain_many_files(names, config, shown)


def _derain_file(source: str, output: str, config: LiveConfig, shown: Shown) -> None:
    with loading():
        from streamderain.media.url import public
        from streamderain.run import derain as derain_video

    with at_work(shown) as (report, warnings):
        done = derain_video(source, output, config, report)
    if shown.as_json:
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
    elif shown.talks:
        pace = f"{done.frames} frames in {done.seconds:.1f} s, {done.frames_per_second:.2f} fps"
        print(f"{public(output)}: {pace}, slowest station: {done.slowest.name}, delay: {done.delay_frames} frames")


def _derain_live(source: str, outputs: list[str], config: LiveConfig, shown: Shown) -> None:
    config.refuse(("start", "end"), "{option} is for one file; a live stream has no beginning")
    config.refuse(("resume",), "{option} is for files; a live stream cannot be read again")
    with loading():
        from streamderain.live.derain import derain_live

    if shown.talks:
        # What befalls a stream over days is what its operator wants to read.
        logging.getLogger("streamderain").setLevel(logging.INFO)
    with live_line(shown.has_bar) as report:
        done = derain_live(source, outputs, config, report)
    if shown.as_json:
        print(json.dumps(asdict(done)))
    elif shown.talks:
        print(done.line())
