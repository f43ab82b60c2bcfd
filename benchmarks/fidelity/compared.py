"""Two files, as `seen.py` sees them -> what the second lost of the first, each in a word and a sentence."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from seen import Seen

_CARRIED = {
    "Display Matrix": ("matrix", "display matrix"),
    "Mastering display metadata": ("light", "mastering display"),
    "Content light level metadata": ("light", "content light"),
    "ATSC A53 Part 4 Closed Captions": ("captions", "captions"),
    "HDR Dynamic Metadata SMPTE2094-40 (HDR10+)": ("hdr10+", "HDR10+"),
    "H.26[45] User Data Unregistered SEI message": ("user data", "user data"),
    "Stereo 3D": ("stereo", "stereo"),
    "GOP timecode": ("time codes", "time codes"),
    "SMPTE 12-1 timecode": ("time codes", "time codes"),
}
"""By ffprobe's names: what a loss is called, and a word that the run is to say of it."""

_FRAME_SECONDS = 0.04

_ALPHA = ("yuva", "rgba", "bgra", "gbrap", "ya8")

_RGB = ("rgb", "bgr", "pal8", "mono")

_COLOURS = ("color_range", "color_space", "color_primaries", "color_transfer")


class Loss(NamedTuple):
    """What is not as it was, what it is now, and words of which the run is to have said one before its first frame."""

    what: str
    how: str
    words: tuple[str, ...]


def losses(before: Seen, after: Seen, reference: Seen, is_lossless: bool) -> Iterator[Loss]:
    """All of them; times and the number of frames by the `reference`, which may be `before`."""
    yield from _times(reference, after)
    yield from _sounds(before, after, reference)
    yield from _streams(before, after)
    yield from _words(before, after)
    yield from _side_data(before, after)
    yield from _shape(before, after)
    yield from _pixels(before, after, is_lossless)


def _times(before: Seen, after: Seen) -> Iterator[Loss]:
    if len(before.frames) != len(after.frames):
        yield Loss("frames", f"{len(after.frames)} of {len(before.frames)}", ("frame",))
        return
    if len(before.times) != len(before.frames):
        return  # nothing to compare with
    ours = [time - min(before.times) for time in before.times]
    theirs = [time - min(after.times) for time in after.times]
    if len(ours) == len(theirs):
        # As far as either container can write a time.
        leeway = 1.01 * max(_rounding(before), _rounding(after))
        worst = max((abs(one - two) for one, two in zip(ours, theirs, strict=True)), default=0.0)
        if worst > leeway + 1e-6:
            yield Loss("times", f"off by up to {worst * 1000:.1f} ms", ("rounded", "time", "clock"))
    one, two = (float(each.header["format"].get("duration", "nan")) for each in (before, after))
    begin = min(before.times, default=0.0)
    # Some formats tell none, and some count from 0 and not from their start.
    fits = [one, one - begin, _end(before)]
    if not (math.isnan(one) or math.isnan(two)) and min(abs(a - b) for a in fits for b in (two, _end(after))) > 0.1:
        yield Loss("duration", f"{two:.2f} s, not {one:.2f} s", ("ends", "jumps"))


def _end(seen: Seen) -> float:
    """From the first that is seen or heard to the last, in seconds."""
    begins = [min(seen.times, default=None), *(sound.begins for sound in seen.sounds)]
    ends = [max(seen.times, default=0.0) + _FRAME_SECONDS, *(sound.ends for sound in seen.sounds)]
    return max(each for each in ends if each is not None) - min(
        (each for each in begins if each is not None), default=0.0
    )


def _rounding(seen: Seen) -> float:
    """By how much it may round a time since the first, which what counts frames does not; others round both."""
    return max(_unit(seen) / 2, min(_unit(seen), 1e-3))


def _unit(seen: Seen) -> float:
    above, below = seen.picture["time_base"].split("/")
    return int(above) / int(below)


def _sounds(before: Seen, after: Seen, reference: Seen) -> Iterator[Loss]:
    if len(before.sounds) != len(after.sounds):
        yield Loss("sound", f"{len(after.sounds)} of {len(before.sounds)} tracks", ("audio track",))
        return
    for number, (was, ours, theirs) in enumerate(zip(before.sounds, reference.sounds, after.sounds, strict=True)):
        if was.md5 != theirs.md5:
            yield Loss("sound", f"track {number} ({was.codec}) is not the same to the bit", ("audio track", "sound"))
        if was.language != theirs.language:
            yield Loss("language", f"of sound {number}: {theirs.language}, not {was.language}", ("language",))
        if set(was.dispositions) - {"default", "forced"} - set(theirs.dispositions):
            yield Loss("disposition", f"of sound {number}: {theirs.dispositions}, not {was.dispositions}", ("marked",))
        if None in (ours.begins, theirs.begins) or not reference.times or not after.times:
            continue
        drift = (theirs.begins - min(after.times)) - (ours.begins - min(reference.times))
        if abs(drift) > 0.002 + max(_unit(reference), _unit(after)):
            yield Loss("sync", f"sound {number} is {drift * 1000:+.0f} ms off", ("sound", "audio", "clock"))


def _streams(before: Seen, after: Seen) -> Iterator[Loss]:
    if (had := len(before.videos)) != (has := len(after.videos)):
        yield Loss("pictures", f"{has} of {had} tracks", ("video track",))
    if before.covers > after.covers + sum("cover" in each for each in after.attachments):
        yield Loss("cover", "is gone", ("cover art",))
    for kind in ("subtitle", "data"):
        had_tracks, has_tracks = before.others(kind), after.others(kind)
        if len(had_tracks) != len(has_tracks):
            yield Loss(kind, f"{len(has_tracks)} of {len(had_tracks)} tracks", (f"{kind} track",))
            continue
        for was, now in zip(had_tracks, has_tracks, strict=True):
            if was != now:
                yield Loss(kind, f"{now}, not {was}", (f"{kind} track", "language"))
    if lost := set(before.attachments) - set(after.attachments):
        yield Loss("attachments", f"{', '.join(lost)} gone", ("attachment",))


def _words(before: Seen, after: Seen) -> Iterator[Loss]:
    had, has = before.chapters, after.chapters
    if [each[2] for each in had] != [each[2] for each in has] or any(
        abs(was[0] - now[0]) > 0.002 for was, now in zip(had, has, strict=False)
    ):
        yield Loss("chapters", f"{has}, not {had}", ("chapters",))
    for key, value in before.tags.items():
        if after.tags.get(key, "").strip() != value.strip() and not after.says(value):
            name = key.removeprefix("picture.")
            yield Loss(f"tag {key}", f"{after.tags.get(key)!r}, not {value!r}", (f"tag {name}",))
    if before.timecode and before.timecode != after.timecode:
        yield Loss("timecode", f"{after.timecode}, not {before.timecode}", ("timecode", "time code"))
    ours, theirs = (each.picture.get("tags", {}).get("language", "und") for each in (before, after))
    if ours not in ("und", theirs):
        yield Loss("language", f"of the picture: {theirs}, not {ours}", ("language",))


def _side_data(before: Seen, after: Seen) -> Iterator[Loss]:
    for kind, was in before.first_side_data.items():
        if kind not in _CARRIED:
            continue
        what, word = _CARRIED[kind]
        if what == "user data" and not _goes_on(before, kind):
            continue  # x264's word of its settings
        now = after.first_side_data.get(kind)
        if now is None:
            yield Loss(what, "is gone", (word,))
        # Of a picture this ffprobe tells less than of a stream.
        elif wrong := {key: value for key, value in _values(was).items() if _values(now).get(key, value) != value}:
            yield Loss(what, f"{_values(now)}, not {wrong}", (word,))


def _goes_on(seen: Seen, kind: str) -> bool:
    """Whether the second picture has such side data too."""
    return any(each["side_data_type"] == kind for frame in seen.frames[1:2] for each in frame.get("side_data_list", []))


def _values(side: dict[str, Any]) -> dict[str, Any]:
    """What it says, by name; numbers without the last digits, which some writers round."""
    found = {key: _number(str(value)) for key, value in side.items() if key not in ("side_data_type", "max_size")}
    if matrix := side.get("displaymatrix"):
        found["displaymatrix"] = [int(word) for line in matrix.split("\n") for word in line.partition(":")[2].split()]
    return found


def _number(text: str) -> float | str:
    above, _, below = text.partition("/")
    try:
        return round(float(above) / float(below or 1), 4)
    except ValueError:
        return text


def _shape(before: Seen, after: Seen) -> Iterator[Loss]:
    was, now = before.picture, after.picture
    for name in ("width", "height"):
        if was[name] != now[name]:
            yield Loss("size", f"{name} {now[name]}, not {was[name]}", ("even sizes",))
    if _aspect(was) != _aspect(now):
        yield Loss("aspect", f"{_aspect(now)}, not {_aspect(was)}", ("pixel", "aspect"))
    for name in _COLOURS:
        ours, theirs = (each.get(name, "unknown") for each in (was, now))
        if name == "color_range" and any(each in was["pix_fmt"] for each in _RGB):
            continue
        if name == "color_range":
            # What is not told is limited, but for grey.
            usual = "pc" if was["pix_fmt"].startswith(("gray", "ya")) else "tv"
            ours, theirs = (usual if each == "unknown" else each for each in (ours, theirs))
        if ours not in ("unknown", "reserved", theirs) and "gbr" not in (ours, theirs):
            yield Loss("colour tags", f"{name} {theirs}, not {ours}", ("colour", "encoding as"))
    if (ours := was.get("chroma_location", "left")) != (theirs := now.get("chroma_location", "left")) and (
        "420" in was["pix_fmt"] and "420" in now["pix_fmt"] and ours != "unspecified"
    ):
        yield Loss("chroma", f"lies {theirs}, not {ours}", ("chroma",))
    ours, theirs = (_fields(each) for each in (before, after))
    if ours != theirs:
        yield Loss("fields", f"{theirs}, not {ours}", ("interlac",))


def _aspect(stream: dict[str, Any]) -> str:
    found: str = stream.get("sample_aspect_ratio", "1:1")
    return "1:1" if found == "0:1" else found


def _fields(seen: Seen) -> str:
    first = seen.frames[0] if seen.frames else {}
    if not int(first.get("interlaced_frame", 0)):
        return "progressive"
    return "top first" if int(first.get("top_field_first", 0)) else "bottom first"


def _pixels(before: Seen, after: Seen, is_lossless: bool) -> Iterator[Loss]:
    if _has_alpha(before) and not _has_alpha(after):
        yield Loss("alpha", "is gone", ("alpha",))
    if is_lossless:
        own = before.picture["pix_fmt"]
        one, two = _samples(before, own), _samples(after, own)
        if one.shape != two.shape or not np.array_equal(one, two):
            most = "another size" if one.shape != two.shape else f"by up to {np.abs(one.astype(int) - two).max()}"
            yield Loss("pixels", f"differ, {most}", ("rounds", "encoding as", "256 colours"))
        return
    # What lost its matrix would be compared with another picture.
    kept = ("Display Matrix" in before.first_side_data) == ("Display Matrix" in after.first_side_data)
    one, two = before.pixels("rgb24", kept), after.pixels("rgb24", kept)
    if one.size != two.size:
        return  # its size, which is told by itself
    mean, shift = _differences(one, two)
    if mean > 6 or shift > 2:
        how = f"off by {mean:.1f} codes, in the mean by {shift:.1f}"
        yield Loss("pixels", how, ("rounds", "encoding as", "colours"))


def _samples(seen: Seen, pixel_format: str) -> np.ndarray[Any, Any]:
    """In that format; of one whose samples share bytes the bits that it has."""
    return seen.pixels("rgb24") >> 3 if "555" in pixel_format else seen.pixels(pixel_format)


def _has_alpha(seen: Seen) -> bool:
    tags = {key.lower(): value for key, value in seen.picture.get("tags", {}).items()}
    return any(each in seen.picture.get("pix_fmt", "") for each in _ALPHA) or tags.get("alpha_mode") == "1"


def _differences(one: np.ndarray[Any, Any], two: np.ndarray[Any, Any]) -> tuple[float, float]:
    """The mean distance of a sample, and the most that red, green or blue as a whole went up or down; of 255."""
    difference = (two.astype(np.int16) - one).reshape(-1, 3) if one.size else np.zeros((1, 3))
    return float(np.abs(difference).mean()), float(np.abs(difference.mean(0)).max())
