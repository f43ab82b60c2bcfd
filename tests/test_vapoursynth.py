"""streamderain as a function of VapourSynth, on its real core; skips where that is missing, as on Python 3.11."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import streamderain
from streamderain.errors import ConfigError
from streamderain.networks import registry

vs = pytest.importorskip("vapoursynth", reason="VapourSynth is not installed; it needs Python 3.12")

SIZE = (48, 64)
FORMATS = ("RGBS", "RGB24", "RGB48", "YUV420P8", "YUV422P10", "YUV444P16", "YUV444PS", "GRAY8")


class Watching(nn.Module):
    """Half of the current frame; the mean of each frame that it was given goes to `note`, in copies too."""

    def __init__(self, past: int, note: Callable[[list[float]], None]) -> None:
        super().__init__()
        self.past, self.note = past, note

    def forward(self, frames: Tensor) -> Tensor:
        window = frames.unflatten(1, (-1, 3))
        for row in window:
            self.note([round(float(each.mean()), 2) for each in row])
        return window[:, self.past] / 2


@pytest.fixture(autouse=True)
def nothing_registered(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(registry, "_registered", {})
    yield
    vs.clear_outputs()


def watching(past: int = 0, future: int = 0) -> list[list[float]]:
    """Registers the network "watching", and is what it sees from now on."""
    seen: list[list[float]] = []
    descriptor = streamderain.Descriptor("watching", past=past, future=future, bytes_per_pixel=100.0)
    streamderain.register(Watching(past, seen.append), descriptor)
    seen.clear()
    return seen


def plain(values: list[float], kind: str = "RGBS", **props: int) -> Any:
    """A gray frame for each value in 0..1."""
    height, width = SIZE
    clips = [vs.core.std.BlankClip(width=width, height=height, format=vs.RGBS, length=1, color=[v] * 3) for v in values]
    clip = vs.core.std.Splice(clips).std.SetFrameProps(**props)
    if kind == "RGBS":
        return clip
    return clip.resize.Bicubic(format=getattr(vs, kind), **({} if kind.startswith("RGB") else {"matrix": 6}))


def means(clip: Any) -> list[float]:
    """Of the first plane of each frame, in RGB, in 0..1."""
    found = []
    for number in range(clip.num_frames):
        with clip.resize.Bicubic(format=vs.RGBS).get_frame(number) as frame:
            found.append(round(float(np.asarray(frame[0]).mean()), 2))
    return found


def derained(clip: Any, **options: Any) -> Any:
    from streamderain.vapoursynth import derain

    return derain(clip, **{"model": "watching", "device": "cpu", "backend": "torch", **options})


@pytest.mark.parametrize("kind", FORMATS)
def test_a_clip_is_derained_in_its_own_format(kind: str) -> None:
    watching()
    clip = plain([0.4, 0.6, 0.8], kind, _SceneNumber=7)
    done = derained(clip)
    assert (done.format.id, done.num_frames, done.fps) == (clip.format.id, 3, clip.fps)
    assert means(done) == pytest.approx([0.2, 0.3, 0.4], abs=0.01)
    for number in range(3):
        with clip.get_frame(number) as before, done.get_frame(number) as after:
            assert dict(after.props) == dict(before.props)


@pytest.mark.parametrize("full", [0, 1])
def test_the_range_stays(full: int) -> None:
    watching()
    clip = plain([0.5]).resize.Bicubic(format=vs.YUV420P8, matrix=1, range=full)
    done = derained(clip, strength=0.0)
    with clip.get_frame(0) as before, done.get_frame(0) as after:
        assert abs(int(np.asarray(before[0])[0, 0]) - int(np.asarray(after[0])[0, 0])) <= 1


@pytest.mark.parametrize(("strength", "left"), [(0.0, 0.8), (0.5, 0.6), (1.0, 0.4)])
def test_strength_scales_what_is_taken_away(strength: float, left: float) -> None:
    watching()
    assert means(derained(plain([0.8]), strength=strength)) == pytest.approx([left], abs=0.01)


def test_it_sees_neighbours_and_the_ends_are_their_own() -> None:
    seen = watching(past=1, future=2)
    means(derained(plain([0.50, 0.51, 0.52, 0.53])))
    assert seen == [
        [0.50, 0.50, 0.51, 0.52],
        [0.50, 0.51, 0.52, 0.53],
        [0.51, 0.52, 0.53, 0.53],
        [0.52, 0.53, 0.53, 0.53],
    ]


@pytest.mark.parametrize("frames", [1, 2])
def test_a_clip_that_is_shorter_than_the_window(frames: int) -> None:
    seen = watching(past=2, future=2)
    assert len(means(derained(plain([0.5] * frames)))) == frames
    assert seen == [[0.5] * 5] * frames


def test_no_frame_of_another_scene_is_seen() -> None:
    """Two drawn scenes, each with its own mean."""
    height, width = SIZE
    torch.manual_seed(0)
    scenes = [torch.rand(1, 1, 6, 8) * 0.3, torch.rand(1, 1, 6, 8) * 0.3 + 0.6]
    pictures = [nn.functional.interpolate(each, SIZE)[0, 0].numpy() for each in scenes]

    def draw(n: int, f: Any) -> Any:
        copy = f.copy()
        for plane in range(3):
            np.copyto(np.asarray(copy[plane]), pictures[n // 3])
        return copy

    blank = vs.core.std.BlankClip(width=width, height=height, format=vs.RGBS, length=6)
    seen = watching(past=2, future=2)
    means(derained(blank.std.ModifyFrame(blank, draw)))
    low, high = (round(float(each.mean()), 2) for each in pictures)
    assert low != high
    assert seen == [[low] * 5] * 3 + [[high] * 5] * 3


def test_the_bundled_network_runs() -> None:
    clip = vs.core.std.BlankClip(width=64, height=48, format=vs.YUV420P8, length=2, color=[120, 128, 128])
    with derained(clip, model="fast").get_frame(1) as frame:
        assert np.abs(np.asarray(frame[0]).astype(int) - 120).max() <= 2


@pytest.mark.parametrize(
    ("change", "message"),
    [({"strength": 2.0}, "strength is 2.0; allowed: 0 to 1"), ({"size": None}, "changes its format or size")],
)
def test_what_cannot_be_is_told(change: dict[str, Any], message: str) -> None:
    watching()
    clip = plain([0.5])
    if "size" in change:
        clip = vs.core.std.Splice([clip, clip.resize.Bicubic(width=32, height=32)], mismatch=True)
        change = {}
    with pytest.raises(ConfigError, match=message):
        derained(clip, **change)
