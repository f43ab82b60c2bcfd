"""Writes the figures of benchmarks/*.json between the marks BENCHMARKS: the main ones in README.md, all in numbers."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from quality_page import rows
from results import FOLDER, load

README, PAGE = FOLDER.parent / "README.md", FOLDER.parent / "docs" / "numbers.md"
BASELINES = ("nothing", "median")
PUBLISHED, PEER = "published form, eager torch, float32", "S2VD, eager torch, float32"
BEGIN, END = "<!-- BENCHMARKS -->", "<!-- /BENCHMARKS -->"


def _quality() -> list[str]:
    result = load("quality")
    models = [name for name in result["methods"] if name not in BASELINES]
    table = [["pairs", "rainy", *(f"derained by `{model}`" for model in models)]]
    for name, found in result["sets"].items():
        mean = found["mean"]
        rainy = mean["nothing"]
        derained = (f"{_shown(mean[model])} ({mean[model]['psnr'] - rainy['psnr']:+.2f} dB)" for model in models)
        table.append([f"{name} ({found['items']})", _shown(rainy), *derained])
    return list(rows(table))


def _shown(score: dict[str, float]) -> str:
    return f"{score['psnr']:.2f} dB / {score['ssim']:.3f}"


def _speed() -> list[str]:
    engine, startup, overlap, memory = (load(name) for name in ("engine", "startup", "overlap", "memory"))
    fast, published = engine["fast"], engine["published"]
    starts, peaks = startup["next_starts_seconds"], memory["peak_mib"]
    return [
        f"- `fast` costs {fast['mac_per_pixel'] / 1000:.1f} kMAC per pixel with {fast['parameters'] / 1e6:.2f} M "
        f"parameters. At {fast['size']} its frame rate is {_times(fast)} that of S2VD's derainer (0.53 M parameters, "
        f"eager torch, {fast['seconds_per_frame'][PEER]:.2f} s a frame).",
        f"- The published network, full size at {published['size']}, is {_times(published)} as fast as its published "
        f"form in eager torch ({published['seconds_per_frame'][PUBLISHED]:.1f} s).",
        f"- The first derained frame of {startup['size']} comes {starts['both']:.1f} s after the command, "
        f"and {starts['past']:.1f} s with `--neighbours past`; the very first time, "
        f"{startup['first_start_seconds']:.0f} s.",
        f"- Overlap: with a network that sleeps, a run takes {overlap['together_over_slowest']:.2f} times as long "
        f"as its slowest station alone ({overlap['together_seconds']:.1f} s; one after another "
        f"{overlap['one_after_another_seconds']:.1f} s).",
        f"- Memory: {peaks['3000']:.0f} MiB at most over 3,000 frames, {peaks['300']:.0f} MiB over 300 "
        f"({(memory['long_over_short'] - 1) * 100:+.1f}%).",
    ]


def _times(found: dict[str, Any]) -> str:
    """How many times as fast as the first way OpenVINO and plain torch are."""
    shown = (("openvino, bfloat16", "in OpenVINO, bfloat16"), ("openvino, float32", "in float32"))
    shares = [
        f"{found['times_as_fast'][way]:.1f} times ({what})" for way, what in shown if way in found["times_as_fast"]
    ]
    return ", ".join([*shares, f"{found['times_as_fast']['torch, float32']:.1f} times (the same in torch)"])


def _live() -> list[str]:
    """The rows of the profile: what this machine derains live."""
    table = [["resolution", "fps", "the network alone", "live at 25 fps", "memory"]]
    for row in load("profile")["rows"]:
        said = row["verdicts"]["25"].split(": ", 1)[1].split(";")[0]
        if "fps" in row:
            memory = f"{row['peak_memory_mib'] / 1024:.1f} GiB"
            table.append([row["resolution"], f"{row['fps']:.2g}", f"{row['network_fps']:.2g}", said, memory])
        else:
            table.append([row["resolution"], "-", "-", said, "-"])
    return list(rows(table))


def _pace() -> str:
    """The profile in one line."""
    measured = [row for row in load("profile")["rows"] if "fps" in row]
    paces = ", ".join(f"{row['fps']:.2g} at {row['resolution']}" for row in measured[::2])
    return f"Frames per second of `fast`, file to file: {paces} ({load('engine')['machine']['processor']})."


def _write(page: Path, parts: list[str]) -> None:
    text = "\n".join([BEGIN, *parts, END])
    page.write_text(re.sub(f"{BEGIN}.*{END}", lambda _: text, page.read_text(), flags=re.DOTALL))


def main() -> None:
    chart = "![Frames per second by resolution](profile.png)"
    machine = f"Machine: {load('engine')['machine']['processor']}."
    _write(README, [*_quality(), "", _pace()])
    _write(PAGE, [*_quality(), "", *_live(), "", chart, "", *_speed(), "", machine])


if __name__ == "__main__":
    main()
