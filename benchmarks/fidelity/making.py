"""How the files of the corpus are made: by the system's ffmpeg, and where that has no way, by their bytes."""

from __future__ import annotations

import shlex
import struct
import subprocess
from collections.abc import Callable
from pathlib import Path

SIGHT = "-f lavfi -i testsrc2=s=96x64:r=25:d=1"
SOUND = "-f lavfi -i sine=440:r=48000:d=1"
BOTH = f"{SIGHT} {SOUND}"
FIVE = "-f lavfi -i testsrc2=s=96x64:r=5:d=15 -f lavfi -i sine=440:r=48000:d=15"
AVC = "-c:v libx264 -preset veryfast -crf 12 -bf 2 -g 12"

Step = Callable[[Path, Path], None]
"""Makes a file (the second) of the one that the commands before it made (the first)."""


def ffmpeg(arguments: str, target: Path, source: Path | None = None) -> None:
    """Run ffmpeg; `{0}` stands for `source` and `{dir}` for the folder."""
    given = arguments.replace("{dir}", str(target.parent)).replace("{0}", str(source))
    command = ["ffmpeg", "-v", "error", "-nostdin", "-y", *shlex.split(given), str(target)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    if done.returncode or not target.is_file():
        raise RuntimeError(f"{shlex.join(command)}\n{done.stderr}")


def copied(arguments: str) -> Step:
    """What ffmpeg makes of the file before."""
    return lambda source, target: ffmpeg(arguments, target, source)


def twice(source: Path, target: Path) -> None:
    """The same bytes again, so that all times start again."""
    target.write_bytes(source.read_bytes() * 2)


def cut(share: float) -> Step:
    """The first part of the bytes."""
    return lambda source, target: _write(target, source.read_bytes()[: int(source.stat().st_size * share)])


def without_start(share: float) -> Step:
    """The last part of the bytes, from within a picture on."""
    return lambda source, target: _write(target, source.read_bytes()[int(source.stat().st_size * share) :])


def scratched(every: int) -> Step:
    """Each so many bytes another one in the second half."""

    def scratch(source: Path, target: Path) -> None:
        data = bytearray(source.read_bytes())
        for place in range(len(data) // 2, len(data) * 9 // 10, every):
            data[place] ^= 0x55
        target.write_bytes(data)

    return scratch


def of_bytes(data: bytes) -> Step:
    """Just these."""
    return lambda source, target: _write(target, data)


def replaced(old: bytes, new: bytes) -> Step:
    """The same with other bytes."""

    def replace(source: Path, target: Path) -> None:
        data = source.read_bytes()
        assert old in data, f"{old!r} is not in {source.name}"
        target.write_bytes(data.replace(old, new))

    return replace


def laid(a: int, b: int, c: int, d: int) -> Step:
    """A display matrix in the header of the picture's track: x' = ax + cy, y' = bx + dy (ISO/IEC 14496-12, 8.3.2)."""
    rows = (a << 16, b << 16, 0, c << 16, d << 16, 0, 0, 0, 1 << 30)

    def lay(source: Path, target: Path) -> None:
        data = bytearray(source.read_bytes())
        at = data.index(b"tkhd") + 4
        struct.pack_into(">9i", data, at + (52 if data[at] else 40), *rows)
        target.write_bytes(data)

    return lay


def with_messages(kind: int, text: Callable[[int], bytes], hevc: bool = False) -> Step:
    """A supplemental message before each picture of a raw H.264 or HEVC stream (H.264, 7.3.2.3)."""

    def insert(source: Path, target: Path) -> None:
        units = source.read_bytes().replace(b"\0\0\0\1", b"\0\0\1").split(b"\0\0\1")[1:]
        out, number = b"", 0
        for unit in units:
            if _begins_picture(unit, hevc):
                said = text(number)
                body = bytes([kind, len(said)]) + said + b"\x80"
                body = body.replace(b"\0\0\0", b"\0\0\3\0").replace(b"\0\0\1", b"\0\0\3\1")
                out += b"\0\0\0\1" + (b"\x4e\x01" if hevc else b"\x06") + body
                number += 1
            out += b"\0\0\0\1" + unit
        target.write_bytes(out)

    return insert


def _begins_picture(unit: bytes, hevc: bool) -> bool:
    if hevc:
        return unit[0] >> 1 & 63 < 32 and bool(unit[2] & 0x80)
    return unit[0] & 31 in (1, 5) and bool(unit[1] & 0x80)


def captions(number: int) -> bytes:
    """A pair of letters (ATSC A/53, part 4)."""
    return b"\xb5\x00\x31GA94\x03" + bytes([0xC2, 0xFF, 0xFC, 0x41 + number % 26, 0x42, 0xF8, 0, 0, 0xFF])


def hdr10_plus(number: int) -> bytes:
    """SMPTE ST 2094-40 with one window, as bits: value and width."""
    parts = [(1, 2), (400, 27), (0, 1), *[(12_000 + number, 17)] * 4, (0, 4), (5, 10), (0, 1), (0, 1), (0, 1)]
    bits = "".join(f"{value:0{width}b}" for value, width in parts)
    bits += "0" * (-len(bits) % 8)
    return b"\xb5\x00\x3c\x00\x01\x04\x01" + int(bits, 2).to_bytes(len(bits) // 8, "big")


def _write(target: Path, data: bytes) -> None:
    target.write_bytes(data)
