"""Where streamderain keeps what outlives a run: what backends made ready, added weights, the user's own settings.

On Linux these are the folders of the XDG specification, elsewhere those of the system (platformdirs); a variable of the
environment can name others. A user without a home has them NOWHERE: nothing is found there and nothing can be made,
which is a cache that is lost and no error.
"""

from __future__ import annotations

import errno
import functools
import logging
import os
from collections.abc import Callable
from pathlib import Path

import platformdirs

logger = logging.getLogger(__name__)

NOWHERE = Path(os.devnull)


def cache_folder() -> Path:
    """Where backends keep what took them long to make: $STREAMDERAIN_CACHE, else in the user's cache folder."""
    return _place("STREAMDERAIN_CACHE", platformdirs.user_cache_path)


def weights_folder() -> Path:
    """Where added weights live: $STREAMDERAIN_WEIGHTS, else in the user's data folder."""
    return _place("STREAMDERAIN_WEIGHTS", platformdirs.user_data_path, "weights")


def settings_file() -> Path:
    """The user's own settings for `streamderain derain`: $STREAMDERAIN_SETTINGS, else in the user's config folder."""
    return _place("STREAMDERAIN_SETTINGS", platformdirs.user_config_path, "settings.yaml")


def kept_in(part: str) -> Path | None:
    """The folder `part` of the cache, made, for who has something to keep; None where nothing can be, told once."""
    folder = cache_folder() / part
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if os.access(folder, os.W_OK | os.X_OK):
            return folder
        reason = os.strerror(errno.EACCES)
    except OSError as error:
        reason = error.strerror or str(error)
    _tell(cache_folder(), reason)
    return None


@functools.cache
def _tell(folder: Path, reason: str) -> None:
    logger.warning(
        "nothing can be kept in %s (%s), so the next start takes as long; STREAMDERAIN_CACHE can name another folder",
        folder,
        reason,
    )


def _place(variable: str, users: Callable[..., Path], *within: str) -> Path:
    if named := os.environ.get(variable):
        return Path(named)
    try:
        folder = users("streamderain", appauthor=False)
    except RuntimeError:
        folder = NOWHERE / "streamderain"
    # Of a user without a home, platformdirs of some versions leaves the `~`.
    return (folder if folder.is_absolute() else NOWHERE / "streamderain").joinpath(*within)
