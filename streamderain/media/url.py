"""URLs as people write them: what stands before the host, what libav wants of it, and what of it all may be told.

Passwords and keys stand anywhere in the URLs of cameras and servers, under any name. So nothing is told but what is
known to be harmless: the scheme, the host with its port, and the first element of the path where it is a plain word. Of
what was meant for a URL and is none, as one sign is wrong, no login and no query is told.
"""

from __future__ import annotations

import re
from typing import NamedTuple
from urllib.parse import quote

_SCHEME = re.compile(r"[a-z][a-z0-9+.-]{0,30}://", re.IGNORECASE)
_HOST = re.compile(r"(?P<name>[a-z0-9_-]+(?:\.[a-z0-9_-]+)*\.?|\[[0-9a-f:.%]+\]|(?=:\d))(?P<port>:\d{1,5})?(?=[/?#]|$)",
                   re.IGNORECASE)  # fmt: skip
_PLAIN = re.compile(r"/(?:[a-z0-9._~-]{1,24}(?=[/?#]|$))?", re.IGNORECASE)
_WORD = re.compile(r"[^\s'\"]+")
_COLON = re.compile(r"(?!(?<=\d):\d\d(?!\d)|(?<=^[a-z]):[\\/]|:\d+x\d+$)(?::|%3a)(?!//)", re.IGNORECASE)
"""One that ends a login's name; not a time's in the name of a file, a drive's of Windows, or of test:640x360@25."""
_QUERY = re.compile(r"(?<=[?&])[\w.-]+=.*", re.DOTALL)
_LONE_PERCENT = re.compile(r"%(?![0-9a-f]{2})", re.IGNORECASE)

_TCP_PORTS = {"rtsp://": 554, "rtsps://": 322, "rtmp://": 1935, "rtmps://": 443, "tcp://": 0}
"""The ports of outputs whose URL names none, by scheme; 0 where it must."""

_HIDDEN = "***"
_RAW = "!$&'()*+,;=:-._~%"
"""What may stand in a name or password as it is."""

_whole = False


class _Parts(NamedTuple):
    """What follows the scheme; `login` is None where none is given, `host` where there is nothing like one."""

    login: str | None
    host: str | None
    tail: str


def show_urls() -> None:
    """From now on, for the whole process, tell URLs as they are, secrets and all."""
    global _whole
    _whole = True


def public(name: str) -> str:
    """What of `name`, a file or a URL as a whole, may be told. Raises nothing, whatever it is."""
    scheme = _SCHEME.match(name)
    if _whole or (scheme and scheme[0].lower() == "file://"):
        return name
    return scheme[0] + _harmless(name[scheme.end() :]) if scheme else redacted(name)


def redacted(text: str) -> str:
    """`text` with no more of each URL in it than `public` tells. Where one with a blank in it ends cannot be known, so
    that rather too much is hidden: everything up to the last @ of its line.
    """
    if _whole:
        return text
    starts = list(_SCHEME.finditer(text))
    pieces, told = [], 0
    for number, start in enumerate(starts):
        limit = starts[number + 1].start() if number + 1 < len(starts) else len(text)
        rest = text[start.end() : limit].partition("\n")[0]
        rest = rest[: _length(rest, text[start.start() - 1 : start.start()])]
        harmless = rest if start[0].lower() == "file://" else _harmless(rest)
        pieces += [_shy(text[told : start.start()]), start[0], harmless]
        told = start.end() + len(rest)
    return "".join([*pieces, _shy(text[told:])])


def _shy(text: str) -> str:
    """`text`, which holds no URL, without what may be a login or a query."""
    return _WORD.sub(lambda word: _shy_word(word[0]), text)


def _shy_word(word: str) -> str:
    at = max(word.rfind("@"), word.rfind("%40"))
    hidden = at if at >= 0 and _COLON.search(word[:at]) else 0
    return (_HIDDEN if hidden else "") + _QUERY.sub(_HIDDEN, word[hidden:])


def for_libav(url: str) -> str:
    """`url` as libav reads it: what its name and password hold of the signs that end them is written as %40 and so on.

    The host is what follows the last @, as far as anything else there could be one. What is written as %40 stays so.
    """
    scheme = _SCHEME.match(url)
    # For RTMP, libav takes them as they are.
    if scheme is None or scheme[0].lower().startswith("rtmp"):
        return url
    login, host, tail = _parts(url[scheme.end() :])
    if not login or host is None:
        return url
    return f"{scheme[0]}{quote(_LONE_PERCENT.sub('%25', login), safe=_RAW)}@{host}{tail}"


def port_of(url: str) -> int | None:
    """The TCP port that an output's URL leads to; None for what does not go by TCP, and for what is no URL."""
    scheme = _SCHEME.match(url)
    usual = _TCP_PORTS.get(scheme[0].lower()) if scheme else None
    if scheme is None or usual is None:
        return None
    host = _HOST.match(_parts(url[scheme.end() :]).host or "")
    return int(host["port"][1:]) if host and host["port"] else usual or None


def _parts(rest: str) -> _Parts:
    """Where the host is. By RFC 3986 it follows the last @ before the first of / ? #; but passwords hold such signs, so
    a later @ counts where what the RFC finds is no host, or hardly one, and what follows that @ surely is one.
    """
    authority = re.match(r"[^/?#]*", rest)
    assert authority
    by_rfc = _split(rest, authority[0].rfind("@"))
    if by_rfc and _is_sure(by_rfc):
        return by_rfc
    others = [found for sign in re.finditer("@", rest) if (found := _split(rest, sign.start()))]
    sure = [found for found in others if _is_sure(found) and ":" in (found.login or "")]
    return (sure[-1] if sure else None) or by_rfc or (others[-1] if others else _Parts(None, None, rest))


def _split(rest: str, at: int) -> _Parts | None:
    host = _HOST.match(rest, at + 1)
    return _Parts(rest[:at] if at >= 0 else None, host[0], rest[host.end() :]) if host else None


def _is_sure(parts: _Parts) -> bool:
    """Whether it is a host by its looks, and not just a word."""
    host = parts.host or ""
    return "." in host or host.startswith(("[", ":")) or host.partition(":")[0].lower() == "localhost"


def _harmless(rest: str) -> str:
    login, host, tail = _parts(rest)
    if host is None or ("@" in tail and not (login is None and _is_sure(_Parts(login, host, tail)))):
        return _HIDDEN
    who = "" if login is None else "@" if not login else f"{_HIDDEN}@"
    first = _PLAIN.match(tail)
    path = first[0] if first else ""
    hidden = tail[len(path) :]
    if not hidden:
        return who + host + path
    sign = hidden[0] if hidden[0] in "/?#" and hidden != "/" else ""
    return who + host + path + (sign + _HIDDEN if hidden != "/" else "/")


def _length(rest: str, before: str) -> int:
    """How much of `rest` belongs to the URL that it goes on with; `before` is the sign before that."""
    last = rest.rfind("@")
    if before and before in "'\"`" and (end := rest.find(before, max(last, 0))) >= 0:
        return end
    word = re.match(r"\S*", rest)
    assert word
    if last >= word.end() and not word[0].startswith(f"{_HIDDEN}@"):
        word = re.compile(r"\S*").match(rest, last)
        assert word
    return len(rest[: word.end()].rstrip(",.;:)]}>'\"`"))
