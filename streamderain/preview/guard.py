"""Who may talk to the page: hosts it answers to, requests of other sites, and the token."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
from collections.abc import Awaitable, Callable, Collection
from typing import NamedTuple

from aiohttp import web
from yarl import URL

from streamderain.errors import ConfigError

PAGES = ("/", "/grid")
"""What is opened in a browser, with the token in its address the first time."""

LOOKS = ("GET", "HEAD")
WATCHES = ("/offer", "/whep")
"""Ends of paths, those of viewers cut off, that are posted to and change nothing: pictures by WebRTC."""

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

HEADERS = {
    "Content-Security-Policy": "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}
"""On every answer, unless its handler says otherwise."""


def refused(status: int, reason: str) -> web.Response:
    """An answer that says in one line why not: {"error": reason}."""
    return web.json_response({"error": " ".join(reason.split())}, status=status)


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches `host`."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() == "localhost"


class _Token(NamedTuple):
    """A token, what its cookie holds in its stead, and what it allows."""

    text: bytes
    cookie: str
    may_change: bool

    @classmethod
    def of(cls, text: str, may_change: bool) -> _Token:
        # Not the token itself: that stays out of what the browser keeps, and may have any letters.
        return cls(_bytes(text), hmac.new(_bytes(text), b"streamderain page", hashlib.sha256).hexdigest(), may_change)


class Guard:
    """Lets a request through, or says why not.

    On loopback the Host must be this machine's, so that no page elsewhere can reach it by a name of its own that it
    points here (DNS rebinding). Other sites may link to the page and do nothing else. Where there is a token, it comes
    as `Authorization: Bearer`, as `?token=` of a page, or in the cookie that it then sets; `public` paths need
    none. Who has only the `view_token` may look and change nothing. Raises ConfigError for a host that others reach
    and no token, and for tokens that cannot be.
    """

    def __init__(
        self, host: str, token: str | None, public: Collection[str] = (), view_token: str | None = None
    ) -> None:
        if any(each is not None and not each.strip() for each in (token, view_token)):
            raise ConfigError("the token is empty; give a long random one, or none to listen on this machine alone")
        if view_token is not None and token in (None, view_token):
            raise ConfigError("view_token is for those who may only look; set another token for those who may change")
        if token is None and not is_loopback(host):
            raise ConfigError(
                f"{host or 'every address'} is reached by other machines too; set a token, or listen on 127.0.0.1"
            )
        self._names = {"localhost", "127.0.0.1", "::1", host.lower().strip("[]")} if is_loopback(host) else None
        self._tokens = [_Token.of(each, each is token) for each in (token, view_token) if each is not None]
        self._public = frozenset(public)

    @web.middleware
    async def middleware(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """For aiohttp; the outermost."""
        if reason := self._foreign(request):
            return refused(403, reason)
        if not self._tokens or request.path in self._public:
            return await handler(request)
        if token := self._borne(request):
            if not token.may_change and not _only_looks(request):
                return refused(403, "this token may look and change nothing; ask for the other one")
            return await handler(request)
        asked = request.query.get("token") if request.method == "GET" and request.path in PAGES else None
        token = self._named(asked) if asked is not None else None
        if token is None:
            answer = refused(401, "a token is needed; open the page as /?token=..., or send Authorization: Bearer ...")
            answer.headers["WWW-Authenticate"] = "Bearer"
            return answer
        response = await handler(request)
        response.set_cookie(
            _cookie(request), token.cookie, httponly=True, samesite="Strict", path="/", secure=request.secure
        )
        return response

    def may_change(self, request: web.Request) -> bool:
        """Whether who asks may also change something."""
        token = self._borne(request)
        return not self._tokens or (token is not None and token.may_change)

    def _foreign(self, request: web.Request) -> str | None:
        """Why the request comes from somewhere that has no business here; None when it does not."""
        if self._names is not None and _host(request.headers.get("Host", "")) not in self._names:
            return "the Host of the request is not this machine; open the page as localhost or 127.0.0.1"
        # Browsers write both; no page can forge them. What sends neither is no browser.
        site, origin = request.headers.get("Sec-Fetch-Site"), request.headers.get("Origin")
        if site is not None:
            link = request.method == "GET" and request.headers.get("Sec-Fetch-Mode") == "navigate"
            foreign = site not in ("same-origin", "none") and not link
        else:
            foreign = origin is not None and _authority(origin) != request.headers.get("Host", "").lower()
        return "requests from other sites are not answered" if foreign else None

    def _borne(self, request: web.Request) -> _Token | None:
        """The token that a request brings, as itself or by its cookie."""
        scheme, _, given = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() == "bearer" and (token := self._named(given.strip())):
            return token
        cookie = _bytes(request.cookies.get(_cookie(request), ""))
        return next((each for each in self._tokens if hmac.compare_digest(cookie, _bytes(each.cookie))), None)

    def _named(self, given: str) -> _Token | None:
        return next((each for each in self._tokens if hmac.compare_digest(_bytes(given), each.text)), None)


def _only_looks(request: web.Request) -> bool:
    viewers = request.path.rpartition("/")[0] if request.method == "DELETE" else request.path
    return request.method in LOOKS or (request.method in ("POST", "DELETE") and viewers.endswith(WATCHES))


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _cookie(request: web.Request) -> str:
    """Cookies know no ports, and several pages may run on one machine."""
    return f"streamderain-{request.url.port}"


def _host(header: str) -> str | None:
    try:
        return (URL(f"http://{header}").host or "").lower()
    except ValueError:
        return None


def _authority(origin: str) -> str | None:
    try:
        return URL(origin).raw_authority.lower()
    except ValueError:
        return None
