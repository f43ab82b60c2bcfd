"""One clip that was dropped on the page: what it is, what it looks like derained, and what becomes of it."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

from streamderain.batch.sample import Pace
from streamderain.carry import Progress
from streamderain.frames import VideoInfo

State = Literal["ready", "waiting", "running", "done", "failed", "stopped"]


@dataclass(eq=False)
class Clip:
    """A clip in a `folder` of its own, where pictures of it are kept too.

    The page's loop says what is wanted: `strength`, `is_unwanted` of a run, `is_gone`. The workers say what is:
    `moments` are the seconds of frames to look at, `unseen` the numbers of those that are still to come, `shown` of
    those that are there, `is_shown` that no more will come, `unshown` why one did not, and `pace` the seconds that a
    frame took. `output` is where it goes once that was asked for, at the strength `made_at`, and `said` why it did not
    get there.
    """

    number: int
    path: Path
    info: VideoInfo
    strength: float
    state: State = "ready"
    said: str = ""
    moments: list[Fraction] = field(default_factory=list)
    unseen: list[int] = field(default_factory=list)
    shown: set[int] = field(default_factory=set)
    is_shown: bool = False
    unshown: str = ""
    pace: float | None = None
    output: Path | None = None
    made_at: float | None = None
    progress: Progress | None = None
    running: Pace | None = None
    is_unwanted: bool = False
    is_gone: bool = False

    @property
    def folder(self) -> Path:
        """Its own, which goes with it."""
        return self.path.parent

    @property
    def thumb(self) -> Path:
        """A small picture of it."""
        return self.folder / "thumb.jpg"

    @property
    def report(self) -> Path:
        """What was checked and lost when it was derained."""
        return self.folder / "report.json"

    @property
    def made(self) -> Path | None:
        """What it became, whole even where something is wrong with it; None as long as there is nothing."""
        return self.output if self.state in ("done", "failed") else None

    def sample(self, number: int) -> Path:
        """The picture of one of its `moments`, rainy beside derained."""
        return self.folder / f"sample-{number}.jpg"

    def told(self) -> dict[str, Any]:
        """All that the page shows, as JSON can carry it."""
        return {**self._nature(), **self._looks(), **self._fate()}

    def _nature(self) -> dict[str, Any]:
        height, width = self.info.height, self.info.width
        if self.info.rotation % 180:
            height, width = width, height
        rate = self.info.frame_rate
        return {
            "id": self.number, "name": self.path.name, "size": f"{width}x{height}",
            "fps": float(rate) if rate else None, "seconds": self.info.duration_seconds,
        }  # fmt: skip

    def _looks(self) -> dict[str, Any]:
        return {
            "strength": self.strength, "moments": [float(each) for each in self.moments], "shown": sorted(self.shown),
            "is_shown": self.is_shown, "unshown": self.unshown,
        }  # fmt: skip

    def _fate(self) -> dict[str, Any]:
        return {
            "state": "stopping" if self.state == "running" and self.is_unwanted else self.state, "said": self.said,
            "takes": self._takes(), "progress": self._pace(), "result": self._result(),
        }  # fmt: skip

    def _takes(self) -> float | None:
        """Seconds that all of it will take, about."""
        frames = self.info.expected_frames
        return self.pace * frames if self.pace and frames else None

    def _pace(self) -> dict[str, Any] | None:
        now = self.progress
        if self.state != "running" or now is None or self.running is None:
            return None
        a_frame = self.running.seconds_per_frame
        left = max(0, now.expected - now.frames) * a_frame if now.expected else None
        return {"frames": now.frames, "expected": now.expected, "fps": 1 / a_frame if a_frame else None, "left": left}

    def _result(self) -> dict[str, Any] | None:
        if (path := self.made) is None:
            return None
        try:
            size = path.stat().st_size
        except OSError:  # it was moved away
            return None
        return {"name": path.name, "path": str(path), "bytes": size, "strength": self.made_at, "lost": self._lost()}

    def _lost(self) -> list[str]:
        try:
            return list(json.loads(self.report.read_text())["lost"])
        except (OSError, ValueError, KeyError):
            return []
