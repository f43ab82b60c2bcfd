"""streamderain beside what else can be done about rain: time and memory of each way, and what is left of a file.

Networks of others have random weights, which cost as much as trained ones, and run as their authors run them, in
eager torch; each way has a process of its own, in which its memory is the most that it ever took. Time is that of the
processor, with one thread, which others that share the machine change little; the load that there was stands beside it.
Of the files, each way is the command that stands in the results: streamderain, ffmpeg's median over time, and pictures
out and in again, as scripts of research want them. Needs spandrel, spandrel_extra_arches and ffmpeg.

Measures all of it, in some minutes, and writes comparison.json.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import av
import torch
from peer import PeerDerainer, PReNet
from results import ROOT, save
from torch import Tensor, nn

from streamderain.evaluation.baselines import MedianOfThree, Nothing
from streamderain.media.images import read_clip
from streamderain.networks.restorer import Restorer

SAMPLE = ROOT / "samples" / "rainy-temple.mp4"
HEIGHT, WIDTH, ROUNDS, PEER_CLIP = 128, 192, 2, 9
CPU = torch.device("cpu")
METADATA = """;FFMETADATA1
title=a drive
[CHAPTER]
TIMEBASE=1/1000
START=0
END=400
title=first
[CHAPTER]
TIMEBASE=1/1000
START=400
END=900
title=second
"""
SUBTITLES = "1\n00:00:00,100 --> 00:00:00,700\nrain\n"


def restorer(model: str) -> Callable[[Tensor], Tensor]:
    """A bundled network, as `streamderain` runs it; one frame of the clip."""
    made = Restorer.load(model, "cpu")
    return lambda clip: made.restore(clip[None, : made.past + 1 + made.future])


def spandrel() -> None:
    """Have it loaded, if need be without what torchvision says of its own operators, which no network here has: beside
    a torch from elsewhere that cannot be.
    """
    try:
        importlib.import_module("torchvision")
    except RuntimeError:
        sys.modules["torchvision._meta_registrations"] = ModuleType("nothing")


def nafnet() -> nn.Module:
    """Width 32, as published for GoPro."""
    spandrel()
    from spandrel.architectures.NAFNet import NAFNet

    return NAFNet(width=32, enc_blk_nums=[1, 1, 1, 28], middle_blk_num=1, dec_blk_nums=[1, 1, 1, 1])


def restormer() -> nn.Module:
    """As published for deraining."""
    spandrel()
    from spandrel_extra_arches.architectures.Restormer import Restormer

    return Restormer(LayerNorm_type="WithBias")


def mprnet() -> nn.Module:
    """As published for deraining."""
    spandrel()
    from spandrel_extra_arches.architectures.MPRNet import MPRNet

    return MPRNet(n_feat=40, scale_unetfeats=20, scale_orsnetfeats=16)


def alone(make: Callable[[], nn.Module]) -> Callable[[Tensor], Tensor]:
    """A network for single pictures, in eager torch; one frame of the clip."""
    network = make().eval()
    return lambda clip: network(clip[:1])


def peer() -> Callable[[Tensor], Tensor]:
    """S2VD's derainer, which takes a clip at once."""
    network = PeerDerainer().eval()
    return lambda clip: network(clip[:PEER_CLIP].transpose(0, 1))


WAYS: dict[str, tuple[Callable[[], Callable[[Tensor], Tensor]], int]] = {
    "doing nothing": (lambda: lambda clip: Nothing(CPU).restore(clip[None, :1]), 1),
    "median of three frames": (lambda: lambda clip: MedianOfThree(CPU).restore(clip[None, :3]), 1),
    "streamderain, fast": (lambda: restorer("fast"), 1),
    "streamderain, best": (lambda: restorer("best"), 1),
    "S2VD's derainer": (peer, PEER_CLIP),
    "PReNet": (lambda: alone(PReNet), 1),
    "NAFNet, width 32": (lambda: alone(nafnet), 1),
    "Restormer": (lambda: alone(restormer), 1),
    "MPRNet": (lambda: alone(mprnet), 1),
}
"""What to time, and how many frames it derains."""


@torch.inference_mode()
def measured(name: str) -> dict[str, float]:
    """Median milliseconds of processor time per frame after a first one, and the most memory of this process in MiB."""
    torch.set_num_threads(1)
    make, frames = WAYS[name]
    clip = read_clip(SAMPLE, PEER_CLIP)[..., :HEIGHT, :WIDTH].float() / 255
    run, times = make(), []
    for _ in range(ROUNDS + 1):
        begin = time.process_time()
        run(clip)
        times.append((time.process_time() - begin) / frames)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"ms": 1000 * statistics.median(times[1:]), "mib": peak}


def in_a_process(name: str) -> dict[str, float]:
    """`measured`, in a process of its own."""
    command = [sys.executable, __file__, "--way", name]
    found: dict[str, float] = json.loads(
        subprocess.run(command, check=True, capture_output=True).stdout.splitlines()[-1]
    )
    return found


FILES = {
    "streamderain": "streamderain in.mkv out.mkv",
    "ffmpeg's median": "ffmpeg -i in.mkv -map 0 -c copy -c:v libx264 -vf tmedian=radius=1 out.mkv",
    "pictures out and in": "ffmpeg -i in.mkv %03d.png && ffmpeg -framerate 25 -i %03d.png out.mkv",
}


def write_source(path: Path) -> None:
    """Frames at uneven times, 10 bits, two sounds, subtitles, chapters, a title."""
    (path.parent / "about").write_text(METADATA)
    (path.parent / "said.srt").write_text(SUBTITLES)
    sounds = [part for rate in (440, 880) for part in ("-f", "lavfi", "-i", f"sine={rate}:duration=0.9")]
    picked = ["-vf", "select='not(eq(mod(n,5),2))'", "-fps_mode", "vfr", "-frames:v", "18", "-pix_fmt", "yuv420p10le"]
    kinds = ["-c:v", "libx265", "-x265-params", "log-level=none", "-c:a", "aac", "-c:s", "srt"]
    maps = [part for number in range(4) for part in ("-map", f"{number}")]
    inputs = ["-i", SAMPLE, *sounds, "-i", "said.srt", "-i", "about", *maps, "-map_metadata", "4", "-map_chapters", "4"]
    subprocess.run(["ffmpeg", "-v", "error", *inputs, *picked, *kinds, path], check=True, cwd=path.parent)


def inside(path: Path) -> dict[str, Any]:
    """What a file holds."""
    with av.open(path) as file:
        packets: dict[int, list[bytes]] = {}
        for packet in file.demux(*file.streams.audio, *file.streams.subtitles):
            packets.setdefault(packet.stream.index, []).append(bytes(packet))
        sounds = [packets.get(stream.index) for stream in file.streams.audio]
        said = [packets.get(stream.index) for stream in file.streams.subtitles]
        about = {"chapters": [each["metadata"] for each in file.chapters()], "title": file.metadata.get("title")}
    with av.open(path) as file:
        frames = [(frame.time, frame.format.components[0].bits) for frame in file.decode(video=0)]
    return {"frames": len(frames), "times": [f"{seconds:.3f}" for seconds, _ in frames], "depth": frames[0][1],
            "sound, bit for bit": sounds, "subtitles": said, **about}  # fmt: skip


def kept(name: str, folder: Path) -> dict[str, bool]:
    """What of in.mkv is in out.mkv too, once the command has run."""
    command = FILES[name].replace("streamderain ", f"{sys.executable} -m streamderain --quiet ")
    quiet = command.replace("ffmpeg ", "ffmpeg -v error ")
    subprocess.run(quiet, shell=True, check=True, cwd=folder)
    before, after = inside(folder / "in.mkv"), inside(folder / "out.mkv")
    (folder / "out.mkv").unlink()
    return {what: before[what] == after[what] for what in before}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--way", choices=WAYS, help="measure this one here and print it")
    way = parser.parse_args().way
    if way:
        print(json.dumps(measured(way)))
        return
    with tempfile.TemporaryDirectory() as folder:
        write_source(Path(folder) / "in.mkv")
        files = {name: {"command": FILES[name], "kept": kept(name, Path(folder))} for name in FILES}
    before = os.getloadavg()[0]
    ways = {name: in_a_process(name) for name in WAYS}
    load = [before, os.getloadavg()[0]]
    save("comparison", {"size": f"{WIDTH}x{HEIGHT}", "rounds": ROUNDS, "load": load, "files": files, "ways": ways})


if __name__ == "__main__":
    main()
