"""Writes what was measured of live streams, the JSON files beside it, into docs/live.md, between its LIVE marks."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from parts import FOLDER
from results import ROOT, load

PAGE = ROOT / "docs" / "live.md"
BEGIN, END = "<!-- LIVE -->", "<!-- /LIVE -->"


def _lines() -> Iterator[str]:
    latency, recoveries, cameras, sharing = (
        load(name, FOLDER) for name in ("latency", "recoveries", "cameras", "sharing")
    )
    # Those that take long are renewed less often than the code that they measure changes, and left out meanwhile.
    slow, soak, carried = (
        load(name, FOLDER) if (FOLDER / f"{name}.json").is_file() else None for name in ("slow", "soak", "load")
    )
    yield from ("## Measured", "")
    alone = ", while no other process could take its cores" if latency["real_time_priority"] else ""
    for case in latency["cases"]:
        yield (
            f"- {latency['size']} at {latency['fps']} fps through a network of {latency['network_ms']:.0f} ms, "
            f"{case['output']}, blend {case['blend']:g}: {_quantiles(case['latency_ms'])} ms from packet to packet "
            f"(p50, p95, p99), x264 included, {case['fps_out']:.0f} fps out{alone}."
        )
    if slow:
        yield _slow(slow)
    warm, last = recoveries["after_warm_up"], recoveries["after_last"]
    back = [seconds for way in recoveries["back_seconds"].values() for seconds in way.values()]
    yield (
        f"- A camera with sound killed and frozen {recoveries['times']} times, its clock moved by an hour "
        f"{recoveries['jumps']} times between: {recoveries['recoveries']} recoveries, at most "
        f"{max(back):.1f} s after its return; {warm['rss_mib']:.0f} MiB after the warm-up, {last['rss_mib']:.0f} "
        f"after the last, {warm['files']} and {last['files']} files, {warm['threads']} and {last['threads']} threads; "
        f"sound and picture end {abs(recoveries['sound']['ends_before_picture_seconds']):.2f} s apart."
    )
    calm, dying = (sum(cameras[kind]["dropped"].values()) for kind in ("calm", "dying"))
    yield (
        f"- {cameras['cameras']} cameras, {cameras['size']} at {cameras['fps']} fps, one of them dying all the time: "
        f"the others lost {dying} of {cameras['dying']['received']:,} frames, and {calm} while all were well; their "
        f"p95 was {cameras['p95_ratio']['median']:.2f} times what it was."
    )
    for case in sharing["cases"]:
        yield (
            f"- {case['streams']} streams that keep a network of {sharing['network_ms']:.0f} ms a call busy, whatever "
            f"goes through it: {case['windows_per_call']:.1f} frames a call, {case['fps']:.0f} fps together where "
            f"turns would give {case['fps_in_turns']:.0f}."
        )
    if carried:
        yield from (_carried(case, carried["seconds"]) for case in carried["cases"])
    if soak:
        yield _soak(soak)
    yield from ("", f"Machine: {latency['machine']['processor']}; `make live-bench`, `make soak`.")


def _slow(slow: dict[str, Any]) -> str:
    return (
        f"- The same through one of {slow['network_ms']:.0f} ms, for {slow['minutes']:.0f} minutes: "
        f"{_quantiles(slow['latency_ms'])} ms, {slow['latency_ms']['max']:.0f} at most where "
        f"{slow['max_latency_ms']:.0f} are allowed; {slow['received']:,} frames in, {slow['published']:,} out, "
        f"{sum(slow['dropped'].values()):,} dropped; {slow['fps_settled']:.1f} fps where {slow['fps_possible']:.1f} "
        "are possible."
    )


def _carried(case: dict[str, Any], seconds: float) -> str:
    came = f"{case['fps_out']:.1f} of {case['fps_in']:.1f} fps, {case['fps_out'] * seconds:.0f} frames"
    return (
        f"- {case['cameras']} of 640x360 at 5 fps through `fast`, with {case['load']:.0f} processes wanting a "
        f"core: {came}; {case['core_ms_a_frame']:.0f} core-milliseconds a frame, which leaves two cores room for "
        f"{case['room']:.1f} such cameras."
    )


def _soak(soak: dict[str, Any]) -> str:
    low, high = soak["between"]
    return (
        f"- The program itself for {soak['minutes']:.0f} minutes, {soak['size']} through `{soak['network']}`, the "
        f"camera killed {soak['deaths']} times: memory changes by {soak['rss_mib_per_hour']:+.2f} MiB an hour after "
        f"{soak['warm_up_minutes']:.0f} minutes, with 95 % confidence by {low:+.2f} to {high:+.2f}."
    )


def _quantiles(latency: dict[str, Any]) -> str:
    return ", ".join(f"{latency[name]:.0f}" for name in ("p50", "p95", "p99"))


def main() -> None:
    text = "\n".join([BEGIN, *_lines(), END])
    PAGE.write_text(re.sub(f"{BEGIN}.*{END}", lambda _: text, PAGE.read_text(), flags=re.DOTALL))


if __name__ == "__main__":
    main()
