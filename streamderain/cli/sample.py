"""`streamderain derain --try`: a few seconds, and what the whole will take."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

from streamderain.batch.warned import warnings_in_log
from streamderain.cli.progress import Shown, progress_bar
from streamderain.config import DerainConfig
from streamderain.errors import ConfigError

_MINUTE, _HOUR, _MB = 60, 3600, 1e6


def try_out(source: str, output: str, lasts: float, config: DerainConfig, shown: Shown) -> None:
    """Derain a few seconds of a file, and print what the whole will take."""
    from streamderain.batch.sample import sample_of
    from streamderain.media.images import PICTURE_ENDINGS

    if "://" in output or Path(source).suffix.lower() in PICTURE_ENDINGS:
        raise ConfigError("--try is for a video that goes into a file; leave it out")
    with warnings_in_log(kept=shown.as_json) as warnings, progress_bar(shown.has_bar) as report:
        done = sample_of(Path(source), Path(output), lasts, config, report)
    if shown.as_json:
        print(json.dumps({**asdict(done), "output": str(done.output), "warnings": warnings}))
    elif not shown.quiet:
        strengths = f"strength {config.strength / 2:g}, strength {config.strength:g}"
        print(f"{done.output}: {done.frames} frames from {done.start:.1f} s on; rainy, {strengths}")
        if done.seconds is not None and done.bytes is not None:
            print(f"the whole will take about {_time(done.seconds)} and {done.bytes / _MB:.3g} MB")


def _time(seconds: float) -> str:
    if seconds < 2 * _MINUTE:
        return f"{seconds:.0f} s"
    return f"{seconds / _MINUTE:.0f} min" if seconds < 2 * _HOUR else f"{seconds / _HOUR:.1f} h"
