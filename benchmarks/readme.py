"""Writes the figures of benchmarks/*.json into README.md, between its BENCHMARKS marks."""

from __future__ import annotations

import re

from quality_page import rows
from results import FOLDER, load

README = FOLDER.parent / "README.md"
BASELINES = ("nothing", "median")
PEER = "S2VD"
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
    network, backends, overlap, memory = (load(name) for name in ("network", "backends", "overlap", "memory"))
    times = ", ".join(f"{size} {seconds:.2f} s" for size, seconds in network["seconds_per_frame"].items())
    peaks = memory["peak_mib"]
    return [
        f"- `fast` costs {network['mac_per_pixel'] / 1000:.1f} kMAC per pixel with {network['parameters'] / 1e6:.2f} M "
        f"parameters. Per frame on {network['threads']} CPU threads: {times}.",
        f"- At {backends['size']} on {backends['threads']} CPU threads, S2VD's derainer takes "
        f"{backends['seconds_per_frame'][PEER]:.2f} s a frame in eager torch, and `fast` "
        + ", ".join(f"{share:.2f} of that in {way}" for way, share in backends["over_s2vd"].items() if way != PEER)
        + ".",
        f"- Overlap: with a network that sleeps, a run takes {overlap['together_over_slowest']:.2f} times as long "
        f"as its slowest station alone ({overlap['together_seconds']:.1f} s; one after another "
        f"{overlap['one_after_another_seconds']:.1f} s).",
        f"- Memory: {peaks['3000']:.0f} MiB at most over 3,000 frames, {peaks['300']:.0f} MiB over 300 "
        f"({(memory['long_over_short'] - 1) * 100:+.1f}%).",
    ]


def main() -> None:
    text = "\n".join([BEGIN, *_quality(), "", *_speed(), f"\nMachine: {load('overlap')['machine']['processor']}.", END])
    readme = README.read_text()
    README.write_text(re.sub(f"{BEGIN}.*{END}", lambda _: text, readme, flags=re.DOTALL))


if __name__ == "__main__":
    main()
