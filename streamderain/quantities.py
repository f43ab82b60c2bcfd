"""What settings say in text: lengths of time, moments, sizes, ports."""

from __future__ import annotations

import re
from collections.abc import Sequence
from fractions import Fraction

from streamderain.errors import ConfigError


def seconds(duration: str) -> float:
    """`90s`, `10m`, `1h` or plain seconds -> seconds. Raises ConfigError for anything else, and below a second."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([smh]?)", duration.strip())
    length = float(match[1]) * {"": 1, "s": 1, "m": 60, "h": 3600}[match[2]] if match else 0.0
    if length < 1:
        raise ConfigError(f"{duration} is no length of time; expected 1 second or more, such as 90s, 10m or 1h")
    return length


def moment(name: str, text: str) -> Fraction:
    """`90`, `1:30` or `0:01:30.5` -> seconds, exactly. Raises ConfigError, which calls it `name`."""
    match = re.fullmatch(r"(?:(?:(\d+):)?(\d+):)?(\d+(?:\.\d+)?)", text.strip())
    hours, minutes, rest = (Fraction(part or 0) for part in (match.groups() if match else "000"))
    if not match or (match[1] and minutes >= 60) or (match[2] and rest >= 60):
        raise ConfigError(f"{name} is {text}; expected seconds or hh:mm:ss, such as 90, 12.5 or 1:02:03.5")
    return hours * 3600 + minutes * 60 + rest


def kept(words: Sequence[str]) -> tuple[float | None, int | None]:
    """`7d` and `200GB` -> seconds and bytes that are kept, None where nothing is said. Raises ConfigError."""
    units = {"h": 3600.0, "d": 86400.0, "w": 604800.0, "MB": 1e6, "GB": 1e9, "TB": 1e12}
    found: dict[bool, float] = {}
    for word in words:
        match = re.fullmatch(r"(\d+(?:\.\d+)?)(h|d|w|MB|GB|TB)", word.strip())
        is_time = match is not None and match[2] in "hdw"
        if not match or not float(match[1]) or is_time in found:
            raise ConfigError(f"keep is {', '.join(words)}; expected one length of time or one size or both: 7d, 200GB")
        found[is_time] = float(match[1]) * units[match[2]]
    return found.get(True), int(found[False]) if False in found else None


def size_of(text: str) -> tuple[int, int]:
    """`640x360` -> width and height, even and 16 to 8192. Raises ConfigError."""
    match = re.fullmatch(r"(\d+)x(\d+)", text)
    width, height = (int(match[1]), int(match[2])) if match else (0, 0)
    if not (16 <= width <= 8192 and 16 <= height <= 8192) or width % 2 or height % 2:
        raise ConfigError(f"{text} is no size; expected WIDTHxHEIGHT, both even and 16 to 8192, such as 1280x720")
    return width, height


def host_and_port(address: str) -> tuple[str, int]:
    """`8090`, `0.0.0.0:8090` or `[::]:8090` -> a host, by itself 127.0.0.1, and a port. Raises ConfigError."""
    host, _, port = address.rpartition(":")
    if not port.isdecimal() or int(port) > 65535 or (":" in host and not host.startswith("[")):
        raise ConfigError(f"{address} is no port; expected 0 to 65535, such as 8090, or a host before it: 0.0.0.0:8090")
    return host.strip("[]") or "127.0.0.1", int(port)
