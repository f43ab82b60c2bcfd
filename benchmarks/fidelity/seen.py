"""What a file holds, as the system's ffprobe and ffmpeg see it; nothing of streamderain's is used."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

Json = dict[str, Any]

_NOISE = re.compile(
    r"encoder|major_brand|minor_version|compatible_brands|handler_name|vendor_id|encoded_by|_statistics.*|duration|bps"
    r"|number_of_(frames|bytes)|source_id|rotate|creation_time|name|wm/encodingsettings|software|device.*|filename|mimetype"
    r"|operational_pattern_ul|.*_uid|uid|modification_date|product_.*|company_name|toolkit_version|application_platform"
    r"|.*_package_.*|alpha_mode|file_package_name|reel_name|variant_bitrate|language"
)
"""Tags that writers make anew, and a language, which is looked at by itself."""

_MADE = (("data", "tmcd"), ("data", "text"))
"""Tracks that writers make of time codes and chapters."""

_SHOWN = 12
"""Pictures that are compared, from the beginning."""


def _probe(path: Path, *options: str) -> Json:
    command = ["ffprobe", "-v", "error", "-of", "json", *options, str(path)]
    done = subprocess.run(command, capture_output=True, check=False, timeout=120)
    found: Json = json.loads(done.stdout.decode(errors="surrogateescape") or "{}")
    return found


def _ffmpeg(path: Path, *options: str, first: Sequence[str] = ()) -> bytes:
    command = ["ffmpeg", "-v", "error", "-nostdin", *first, "-i", str(path), *options, "-"]
    return subprocess.run(command, capture_output=True, check=False, timeout=120).stdout


def _seconds(value: Any) -> float | None:
    return None if value in (None, "N/A") else float(value)


@dataclass
class Sound:
    """A track of sound: its codec, language, dispositions, the MD5 of its packets in a row, when it begins and ends."""

    codec: str
    language: str
    dispositions: tuple[str, ...]
    md5: str
    begins: float | None
    ends: float | None


@dataclass
class Seen:
    """A file."""

    path: Path
    header: Json = field(init=False)

    def __post_init__(self) -> None:
        self.header = _probe(self.path, "-show_format", "-show_streams", "-show_chapters", "-show_packets")

    @property
    def streams(self) -> list[Json]:
        """All, in order."""
        found: list[Json] = self.header.get("streams", [])
        return found

    @cached_property
    def videos(self) -> list[Json]:
        """Those that move."""
        return [each for each in self.streams if each.get("codec_type") == "video" and not self._is_cover(each)]

    @property
    def covers(self) -> int:
        """How many pictures are shown for the file."""
        return sum(each.get("codec_type") == "video" and self._is_cover(each) for each in self.streams)

    def _is_cover(self, stream: Json) -> bool:
        return bool(stream["disposition"]["attached_pic"])

    @property
    def picture(self) -> Json:
        """The stream of the first."""
        return self.videos[0] if self.videos else {}

    @cached_property
    def frames(self) -> list[Json]:
        """The pictures as decoded, with their side data."""
        if not self.videos:
            return []
        found = _probe(self.path, "-select_streams", str(self.picture["index"]), "-show_frames")
        return [each for each in found.get("frames", []) if each.get("media_type") == "video"]

    @cached_property
    def times(self) -> list[float]:
        """When each picture is shown, in seconds; of those that are told."""
        found = (_seconds(each.get("best_effort_timestamp_time")) for each in self.frames)
        return [each for each in found if each is not None]

    @cached_property
    def first_side_data(self) -> dict[str, Json]:
        """What the first picture, or else the stream, says beside its pixels."""
        both = [
            *self.picture.get("side_data_list", []),
            *(self.frames[0].get("side_data_list", []) if self.frames else []),
        ]
        found: dict[str, Json] = {}
        for each in both:
            found.setdefault(each["side_data_type"], {}).update(each)
        return found

    def packets(self, index: int) -> list[Json]:
        """Of a stream."""
        return [each for each in self.header.get("packets", []) if each["stream_index"] == index]

    @cached_property
    def sounds(self) -> list[Sound]:
        """All tracks of it."""
        return [self._sound(each) for each in self.streams if each.get("codec_type") == "audio"]

    def _sound(self, stream: Json) -> Sound:
        codec, index = stream["codec_name"], stream["index"]
        # Without the header that a transport stream has before each packet.
        bare = ["-bsf:a", "aac_adtstoasc"] if codec == "aac" else []
        md5 = _ffmpeg(self.path, "-map", f"0:{index}", "-c", "copy", *bare, "-f", "md5").decode().strip()
        packets = self.packets(index)
        times = [each for packet in packets if (each := _seconds(packet.get("pts_time"))) is not None]
        last = _seconds(packets[-1].get("duration_time")) if packets else None
        ends = max(times) + (last or 0.0) if times else None
        marks = tuple(sorted(key for key, value in stream["disposition"].items() if value))
        return Sound(codec, _language(stream), marks, md5, min(times, default=None), ends)

    def others(self, kind: str) -> list[tuple[str, str, int]]:
        """Codec, language and packets of the streams of a kind, such as subtitle, but those that time codes make."""
        return [
            (each.get("codec_name") or each.get("codec_tag_string", ""), _language(each),
             sum(int(packet.get("size", 0)) > 2 for packet in self.packets(each["index"])))
            for each in self.streams
            if each.get("codec_type") == kind and (kind, each.get("codec_tag_string")) not in _MADE
        ]  # fmt: skip

    @property
    def attachments(self) -> list[str]:
        """Their names."""
        return [
            each.get("tags", {}).get("filename", "") for each in self.streams if each.get("codec_type") == "attachment"
        ]

    @property
    def chapters(self) -> list[tuple[float, float, str]]:
        """Begin, end, title."""
        return [(float(each["start_time"]), float(each["end_time"]), each.get("tags", {}).get("title", ""))
                for each in self.header.get("chapters", [])]  # fmt: skip

    @property
    def tags(self) -> dict[str, str]:
        """What the file says of itself, by lower case, and under `picture.` what its picture does."""
        whole = _tags(self.header.get("format", {}))
        return {**whole, **{f"picture.{key}": value for key, value in _tags(self.picture).items()}}

    def says(self, word: str) -> bool:
        """Whether it stands in the file, where this ffprobe may not look: the title of a track in an MP4, say."""
        # It shows bytes that are no UTF-8 as replaced.
        pattern = b".{1,4}".join(re.escape(part.encode(errors="replace")) for part in re.split("\ufffd+", word))
        return len(word) > 3 and bool(re.search(pattern, self.path.read_bytes()))

    @property
    def timecode(self) -> str | None:
        """Where the counting of frames begins."""
        found = [each.get("tags", {}) for each in [self.header.get("format", {}), *self.streams]]
        words = [value for tags in found for key, value in tags.items() if key.lower() == "timecode"]
        return words[0] if words else None

    def pixels(self, pixel_format: str, turned: bool = True) -> np.ndarray[Any, Any]:
        """The first pictures, (N, bytes of a picture); as they are shown if `turned`, else as they are coded."""
        if not self.frames:
            return np.zeros((0, 0), np.uint8)
        # The decoder that gives alpha.
        codec = {"vp9": ["-c:v", "libvpx-vp9"], "vp8": ["-c:v", "libvpx"]}.get(self.picture["codec_name"], [])
        data = _ffmpeg(
            self.path, "-map", f"0:{self.picture['index']}", "-fps_mode", "passthrough", "-frames:v", str(_SHOWN),
            "-pix_fmt", pixel_format, "-sws_flags", "accurate_rnd+full_chroma_int+bitexact", "-f", "rawvideo",
            first=[*codec, *([] if turned else ["-noautorotate"])],
        )  # fmt: skip
        shown = min(_SHOWN, len(self.frames))
        return np.frombuffer(data[: len(data) // shown * shown], np.uint8).reshape(shown, -1)


def _language(stream: Json) -> str:
    found: str = stream.get("tags", {}).get("language", "und")
    return found


def _tags(holder: Json) -> dict[str, str]:
    found = {key.lower(): value for key, value in holder.get("tags", {}).items()}
    if "name" in found:
        found.setdefault("title", found["name"])  # as MP4 has it
    return {key: value for key, value in found.items() if not _NOISE.fullmatch(key) and key != "timecode"}
