"""A moving test picture as a real encoded file, for measuring without anybody's footage."""

from __future__ import annotations

from pathlib import Path

import av


def write_test_video(path: Path, height: int, width: int, frames: int, rate: int = 25) -> None:
    """Encode `frames` frames of libav's test pattern, `height` by `width` even pixels, to `path` (H.264)."""
    pattern = f"testsrc2=size={width}x{height}:rate={rate}"
    with av.open(pattern, format="lavfi") as source, av.open(path, "w") as file:
        stream = file.add_stream("libx264", rate=rate, options={"preset": "ultrafast"})
        assert isinstance(stream, av.VideoStream)
        stream.height, stream.width, stream.pix_fmt = height, width, "yuv420p"
        for number, frame in enumerate(source.decode(video=0)):
            if number == frames:
                break
            file.mux(stream.encode(frame.reformat(format="yuv420p")))
        file.mux(stream.encode(None))
