"""The settings that a profile found best, for `streamderain derain`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from streamderain.config import saved_settings
from streamderain.errors import writing
from streamderain.profiling.rows import Measured, Profile, Size

LIVE_SIZE, LIVE_RATE = Size(720, 1280), 25
"""The size and rate at which several models are weighed against each other: what a live stream commonly is."""

LEAST_PSNR = 40.0
"""dB against the network in float32; a quicker setup that differs more is no better one."""


def best_settings(profile: Profile) -> dict[str, Any]:
    """Keys of DerainConfig for the quickest setup; nothing where nothing was measured.

    Speeds are compared at the largest size that most setups were measured at. Of several models, which are given
    in order of quality, the first that derains LIVE_SIZE live, or else the quickest, is named as well.
    """
    candidates = [row for row in profile.measured if (profile.psnr.get(row.setup) or LEAST_PSNR) >= LEAST_PSNR]
    if not candidates:
        return {}
    models = list(dict.fromkeys(row.setup.model for row in profile.measured))
    good = next((model for model in models if _is_live(model, candidates)), None)
    row = _quickest([row for row in candidates if good is None or row.setup.model == good])
    found: dict[str, Any] = {"device": profile.device, "backend": row.setup.backend, "precision": row.setup.precision}
    found |= {"batch": row.setup.batch}
    return {"model": row.setup.model, **found} if len(models) > 1 else found


def save_settings(path: Path, settings: dict[str, Any]) -> None:
    """Write `settings` to `path`, which `streamderain derain` reads; others that stand there are kept.

    Raises ConfigError where what stands there is damaged, and SinkError.
    """
    whole = saved_settings(path) | settings
    head = "# Found best on this machine by `streamderain profile --save`; `streamderain derain` starts from them.\n"
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(head + yaml.safe_dump(whole, sort_keys=False))


def _is_live(model: str, rows: Sequence[Measured]) -> bool:
    return any(
        row.setup.model == model and row.size.pixels >= LIVE_SIZE.pixels and row.fps >= LIVE_RATE for row in rows
    )


def _quickest(rows: Sequence[Measured]) -> Measured:
    """The row of the quickest setup at the largest size that most setups have in common."""
    sizes = [row.size for row in rows]
    common = max(sizes, key=lambda size: (sizes.count(size), size.pixels))
    return max((row for row in rows if row.size == common), key=lambda row: row.fps)
