"""Frames of two fields -> whole frames."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterable, Iterator

import av
from av.filter import Graph

from streamderain.frames import VideoInfo


def deinterlaced(pictures: Iterable[av.VideoFrame], info: VideoInfo) -> Generator[av.VideoFrame, None, None]:
    """One whole frame for each picture, at its time, by libav's bwdif; a picture that is whole already stays."""
    graph: Graph | None = None
    # The filter holds one back, and counts time its own way.
    times: deque[tuple[int | None, int]] = deque()
    for picture in pictures:
        graph = graph or _graph(picture, info)
        times.append((picture.pts, picture.duration))
        graph.vpush(picture)
        yield from _ready(graph, times, info)
    if graph is not None:
        graph.vpush(None)
        yield from _ready(graph, times, info)


def _graph(first: av.VideoFrame, info: VideoInfo) -> Graph:
    graph = Graph()
    entry = graph.add_buffer(width=first.width, height=first.height, format=first.format, time_base=info.time_base)
    # Not all writers mark each frame that their header says is interlaced.
    parity = "tff" if info.shows_top_first else "bff"
    which = "interlaced:parity=auto" if first.interlaced_frame else f"all:parity={parity}"
    weave = graph.add("bwdif", f"mode=send_frame:deint={which}")
    graph.link_nodes(entry, weave, graph.add("buffersink")).configure()
    return graph


def _ready(graph: Graph, times: deque[tuple[int | None, int]], info: VideoInfo) -> Iterator[av.VideoFrame]:
    while times:
        try:
            picture = graph.vpull()
        except (av.error.BlockingIOError, av.error.EOFError):
            return
        picture.time_base = info.time_base
        picture.pts, picture.duration = times.popleft()
        yield picture
