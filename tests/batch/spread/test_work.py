"""Files that are cut into parts and joined are what one run makes of them; what is done stays done, if it is there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import torch

from streamderain.batch.spread import work
from streamderain.batch.spread.tasks import Report, Task
from streamderain.config import DerainConfig
from streamderain.frames import Frame
from streamderain.media.decoder import decode
from streamderain.media.images import write_image
from streamderain.media.source import open_source
from streamderain.run import derain
from tests.batch.spread.here import CONFIG, Here, Looking, overwriting, spread

Film = Callable[..., Path]


AS_IT_IS = work._network


@pytest.fixture(autouse=True)
def network(monkeypatch: pytest.MonkeyPatch) -> Looking:
    looking = Looking()
    monkeypatch.setattr(work, "_network", lambda settings: looking)
    return looking


@pytest.fixture
def loaded(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[DerainConfig]]:
    """What a worker that loads networks itself was asked for, each of which changes nothing."""
    asked: list[DerainConfig] = []

    def load(config: DerainConfig) -> Looking:
        asked.append(config)
        return Looking()

    monkeypatch.setattr(work, "_network", AS_IT_IS)
    monkeypatch.setattr(work, "load_network", load)
    work._loaded.cache_clear()
    yield asked
    work._loaded.cache_clear()


@pytest.fixture
def film(tmp_path: Path) -> Film:
    """Writes a film of 48x32 with sound, a key picture every five frames; of 24 frames, shown at the times given."""

    def write(name: str = "a.mp4", times: tuple[int, ...] = tuple(range(24)), codec: str = "libx264") -> Path:
        path = tmp_path / "in" / name
        path.parent.mkdir(exist_ok=True)
        noise = np.random.default_rng(1).integers(0, 255, (32, 48, 3), np.uint8)
        with av.open(path, "w") as file:
            video = file.add_stream(codec, rate=25, options={"g": "5", "bf": "2"})
            sound = file.add_stream("aac", rate=48000)
            video.width, video.height, video.pix_fmt = 48, 32, "yuv420p"
            video.codec_context.time_base = Fraction(1, 25)
            for number, time in enumerate(times):
                frame = av.VideoFrame.from_ndarray(np.roll(noise, number, 1) // 2 + number * 4, format="rgb24")
                frame.pts, frame.time_base = time, Fraction(1, 25)
                file.mux(video.encode(frame))
            file.mux(video.encode(None))
            for number in range(44):
                tone = av.AudioFrame.from_ndarray(np.full((2, 1024), number / 99, np.float32), "fltp", "stereo")
                tone.sample_rate, tone.pts = 48000, number * 1024
                file.mux(sound.encode(tone))
            file.mux(sound.encode(None))
        return path

    return write


def frames_of(path: Path) -> list[Frame]:
    with open_source(path) as source:
        return list(decode(source))


def sound_of(path: Path) -> list[tuple[int | None, bytes]]:
    with av.open(path) as file:
        return [(packet.pts, bytes(packet)) for packet in file.demux(audio=0) if packet.size]


def psnr(ours: Frame, theirs: Frame) -> float:
    error = float((ours.data.float() - theirs.data.float()).square().mean())
    return 99.0 if error == 0 else 10 * np.log10(255**2 / error)


UNEVEN = (0, 1, 2, 3, 5, 6, 7, 9, 10, 11, 20, 21, 22, 23, 24, 25, 26, 30, 31, 32, 33, 34, 35, 36)


GAP = (0, 1, 2, 3, *range(600, 620))


@pytest.mark.parametrize(
    ("name", "times"),
    [("a.mp4", tuple(range(24))), ("a.mkv", UNEVEN), ("a.mp4", GAP)],
    ids=["even", "uneven", "gap"],
)
def test_parts_are_the_film(film: Film, tmp_path: Path, name: str, times: tuple[int, ...]) -> None:
    source = film(name, times)
    workers = Here()
    (outcome,) = spread(tmp_path, workers)
    assert (outcome.result, outcome.frames, outcome.said) == ("derained", 24, "")
    assert workers.ran["part"] >= 2
    derain(source, tmp_path / f"whole-{name}", CONFIG, network=Looking())
    ours, theirs = (frames_of(tmp_path / each) for each in (f"out/{name}", f"whole-{name}"))
    assert [frame.seconds for frame in ours] == [frame.seconds for frame in theirs]
    assert len(ours) == 24
    # Without loss, and so all that neighbours and blending have a say in is the same, at the joins too.
    assert min(map(psnr, ours, theirs)) == 99
    assert sound_of(tmp_path / "out" / name) == sound_of(tmp_path / f"whole-{name}")


def test_with_a_lossy_encoder_it_is_no_worse_at_the_joins(film: Film, tmp_path: Path) -> None:
    lossy = work.replace(CONFIG, crf=18)
    source = film()
    spread(tmp_path, Here(), config=lossy)
    derain(source, tmp_path / "whole.mp4", lossy, network=Looking())
    derain(source, tmp_path / "exact.mkv", CONFIG, network=Looking())
    exact = frames_of(tmp_path / "exact.mkv")
    ours, theirs = (list(map(psnr, frames_of(tmp_path / each), exact)) for each in ("out/a.mp4", "whole.mp4"))
    assert np.mean(ours) > np.mean(theirs) - 0.1


def test_a_worker_loads_its_network_once(film: Film, tmp_path: Path, loaded: list[DerainConfig]) -> None:
    film("a.mp4")
    film("short.mp4", (0, 1, 2))
    workers = Here()
    spread(tmp_path, workers)
    assert (workers.ran["part"] > 1, workers.ran["whole"], len(loaded)) == (True, 1, 1)


def test_pictures_go_through_weights_of_their_own(film: Film, tmp_path: Path, loaded: list[DerainConfig]) -> None:
    film("a.mp4")
    for name in ("b.png", "c.png"):
        write_image(tmp_path / "in" / name, torch.zeros(3, 32, 48, dtype=torch.uint8))
    spread(tmp_path, Here())
    assert sorted(each.model for each in loaded) == ["default", "picture"]


def test_the_output_alone_is_left(film: Film, tmp_path: Path) -> None:
    film()
    spread(tmp_path, Here())
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["a.mp4"]


def test_what_is_done_stays_done_and_is_done_again_when_something_changed(film: Film, tmp_path: Path) -> None:
    source = film()
    spread(tmp_path, Here())
    again = Here()
    (outcome,) = spread(tmp_path, again)
    assert (outcome.result, outcome.frames, dict(again.ran)) == ("done before", 24, {"survey": 1})
    (outcome,) = spread(tmp_path, Here(), config=work.replace(CONFIG, strength=0.5))
    assert (outcome.result, outcome.said) == ("exists", "a.mp4 exists; --overwrite replaces it")
    (outcome,) = spread(tmp_path, Here(), config=work.replace(overwriting(), strength=0.5))
    assert outcome.result == "derained"
    os.utime(source, (1, 1))
    (outcome,) = spread(tmp_path, Here(), config=work.replace(overwriting(), strength=0.5))
    assert outcome.result == "derained"
    (tmp_path / "out" / "a.mp4").write_text("rain")
    (outcome,) = spread(tmp_path, Here())
    assert outcome.result == "exists"


class Interrupted(BaseException):
    """The driver is killed."""


def interrupted_after(parts: int) -> Here:
    left = iter(range(parts + 1))

    def do(task: Task) -> Report | None:
        if task.kind == "part" and next(left) == parts:
            raise Interrupted
        return None

    return Here(do)


def test_a_driver_that_is_killed_loses_the_parts_that_were_at_work(film: Film, tmp_path: Path) -> None:
    film()
    with pytest.raises(Interrupted):
        spread(tmp_path, interrupted_after(2))
    assert len(list((tmp_path / "out").rglob("*.part"))) == 2
    made = []
    workers = Here()
    begin = work.make_part

    def counted(*arguments: object) -> object:
        made.append(arguments)
        return begin(*arguments)  # type: ignore[arg-type]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(work, "make_part", counted)
        (outcome,) = spread(tmp_path, workers)
    assert (outcome.result, outcome.frames) == ("derained", 24)
    assert len(made) == workers.ran["part"] - 2


@pytest.mark.parametrize(
    ("spoil", "when"), [("cut", "resume"), ("untold", "resume"), ("gone", "join"), ("rubbish", "join")]
)
def test_a_part_that_does_not_hold_its_frames_is_made_again(film: Film, tmp_path: Path, spoil: str, when: str) -> None:
    """Whatever the journal says of it."""
    film()

    def spoilt() -> None:
        part = sorted((tmp_path / "out").rglob("*.part"))[0]
        if spoil == "cut":
            os.truncate(part, part.stat().st_size // 2)
        elif spoil == "gone":
            part.unlink()
        elif spoil == "untold":
            part.with_name(f"{part.name}.json").unlink()
        else:
            part.write_bytes(b"rain" * 999)

    def before_the_join(task: Task) -> Report | None:
        if task.kind == "join" and not said:
            said.append("spoilt")
            spoilt()
        return None

    said: list[str] = []
    workers = Here(before_the_join) if when == "join" else Here()
    if when == "resume":
        with pytest.raises(Interrupted):
            spread(tmp_path, interrupted_after(2))
        spoilt()
    (outcome,) = spread(tmp_path, workers)
    assert (outcome.result, outcome.frames) == ("derained", 24)
    assert workers.ran["join"] == (2 if when == "join" else 1)
    assert len(frames_of(tmp_path / "out" / "a.mp4")) == 24


def test_a_part_that_never_stays_whole_is_a_failure_of_its_file(film: Film, tmp_path: Path) -> None:
    film()

    def spoils(task: Task) -> Report | None:
        if task.kind == "join":
            sorted((tmp_path / "out").rglob("*.part"))[0].unlink()
        return None

    (outcome,) = spread(tmp_path, Here(spoils))
    assert outcome.result == "failed"
    assert "its part from frame 0 does not stay whole on disk" in outcome.said


def test_what_cannot_be_cut_is_done_as_a_whole(film: Film, tmp_path: Path) -> None:
    film("untimed.avi")  # AVI tells when pictures are decoded, not when they are shown
    film("short.mp4", (0, 1, 2))
    workers = Here()
    outcomes = spread(tmp_path, workers)
    assert sorted((each.item.name, each.result, each.frames) for each in outcomes) == [
        ("short.mp4", "derained", 3),
        ("untimed.avi", "derained", 24),
    ]
    assert dict(workers.ran) == {"survey": 2, "whole": 2}


def test_a_poisoned_file_ends_in_a_list(film: Film, tmp_path: Path) -> None:
    film("a.mp4")
    cut = film("b.mkv")
    os.truncate(cut, cut.stat().st_size * 2 // 3)
    (tmp_path / "in" / "c.mp4").write_text("rain")
    film("d.mp4")
    outcomes = {each.item.name: each for each in spread(tmp_path, Here())}
    assert {name: each.result for name, each in outcomes.items()} == {
        "a.mp4": "derained",
        "b.mkv": "failed",
        "c.mp4": "failed",
        "d.mp4": "derained",
    }
    assert "c.mp4 cannot be opened as a video" in outcomes["c.mp4"].said
    assert outcomes["b.mkv"].said.endswith("; what is whole of it is kept in b.partial.mkv")
    assert 0 < len(frames_of(tmp_path / "out" / "b.partial.mkv")) < 24


def test_what_the_output_does_not_take_is_known_before_the_first_frame(film: Film, tmp_path: Path) -> None:
    film()
    (tmp_path / "all.jsonl").write_text(json.dumps({"input": str(tmp_path / "in/a.mp4"), "output": "a.webm"}))
    workers = Here()
    (outcome,) = spread(tmp_path, workers, inputs=(str(tmp_path / "all.jsonl"),))
    assert outcome.result == "failed"
    assert "does not fit into webm" in outcome.said
    assert dict(workers.ran) == {"survey": 1}


FULL_DISK = """
import resource, sys
from pathlib import Path
from streamderain.batch.spread import work
from tests.batch.spread.here import Here, Looking, spread

work._network = lambda settings: Looking()
for room in (0, 3000, 9000, resource.RLIM_INFINITY):
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, resource.RLIM_INFINITY))
    (outcome,) = spread(Path(sys.argv[1]), Here())
    print(outcome.result, outcome.frames, outcome.said)
"""


def test_a_full_disk_is_told_and_the_next_run_goes_on(film: Film, tmp_path: Path) -> None:
    """There is room for nothing, then for some parts, then for all of them but not for the film. In a process of its
    own, as the limit is one of the process: of a file's size, which is met like a full disk.
    """
    film()
    command = [sys.executable, "-c", FULL_DISK, str(tmp_path)]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    run = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
    nothing, some, all_parts, whole = run.stdout.splitlines()
    for said in (nothing, some, all_parts):
        assert said.startswith("failed 0 ")
        assert "cannot be written" in said
    assert whole == "derained 24 "
    assert "journal.jsonl cannot be written" in run.stderr
    assert len(frames_of(tmp_path / "out" / "a.mp4")) == 24
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["a.mp4"]
