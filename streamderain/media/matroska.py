"""What the head of a Matroska file says of its size (RFC 8794 and RFC 9559)."""

from __future__ import annotations

import os

_HEAD = 0x1A45DFA3
_SEGMENT = 0x18538067
_VOID = 0xEC

_READ = 4096
"""Bytes at the head of a file, of which an EBML header is one or two hundred."""


def missing_bytes(name: str) -> int | None:
    """How many bytes the file lacks of what its head promises; None where that promises nothing, as of a live
    recording, or `name` is no file.
    """
    try:
        have = os.path.getsize(name)
        with open(name, "rb") as file:
            head = file.read(_READ)
    except OSError:
        return None
    at = 0
    while at < len(head):
        identity, at = _number(head, at, keeps_marker=True)
        size, at = _number(head, at)
        if size is None:
            return None
        if identity == _SEGMENT:
            return max(0, at + size - have)
        if identity not in (_HEAD, _VOID):
            return None
        at += size
    return None


def _number(data: bytes, at: int, keeps_marker: bool = False) -> tuple[int | None, int]:
    """A number of variable length, and where it ends; None for one that is not known, all of whose bits are 1."""
    if at >= len(data) or not data[at]:
        return None, len(data)
    length = 9 - data[at].bit_length()
    value = int.from_bytes(data[at : at + length], "big")
    if keeps_marker:
        return value, at + length
    value &= (1 << 7 * length) - 1
    return (None if value == (1 << 7 * length) - 1 else value), at + length
