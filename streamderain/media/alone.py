"""Whether a file is a video by itself, for files whose names their owner has not seen inside."""

from __future__ import annotations

from pathlib import Path

import av

from streamderain.errors import SourceError
from streamderain.media.address import in_full
from streamderain.media.extras import TOLERANT

_CONTAINERS = ("mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm", "avi", "mpegts", "mpeg", "flv", "live_flv", "asf", "ogg",
               "mxf", "dv", "rm", "nut", "ivf", "wtv", "gif", "apng", "yuv4mpegpipe", "h264", "hevc", "vvc", "obu",
               "av1", "mpegvideo", "m4v", "mjpeg")  # fmt: skip
"""Demuxers, by their names in libav, of formats that hold all their pictures: none that names other files, such as
playlists, lists to be joined and descriptions of sessions.
"""


def check_alone(path: Path) -> None:
    """Raise SourceError unless `path` is a video in a file; nothing but that file is opened."""
    # Looked at by libav before the first line of a playlist is followed.
    options = {"format_whitelist": ",".join(_CONTAINERS)}
    try:
        with av.open(in_full(path), options=options, metadata_errors=TOLERANT):
            pass
    except av.FFmpegError as error:
        why = error.strerror if not isinstance(error, av.error.ArgumentError) else "no format of videos"
        raise SourceError(f"{path} cannot be opened as a video: {why}; expected a file such as .mp4 or .mkv") from error
