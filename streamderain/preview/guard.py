"""Who may talk to the page: hosts it answers to, requests of other sites, and the token."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
from collections.abc import Awaitable, Callable, Collection

from aiohttp import web
from yarl import URL

from streamderain.errors import ConfigError

PAGES = ("/", "/grid")
"""What is opened in a browser, with the token in its address the first time."""

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


class Guard:
    """Lets a request through, or says why not.

    On loopback the Host must be this machine's, so that no page elsewhere can reach it by a name of its own that it
    points here (DNS rebinding). Other sites may link to the page and do nothing else. Where there is a token, it comes
    as `Authorization: Bearer`, as `?token=` of a page, or in the cookie that it then sets; `public` paths need
    none. Raises ConfigError for a host that others reach and no token.
    """

    def __init__(self, host: str, token: str | None, public: Collection[str] = ()) -> None:
        if token is not None and not token.strip():
            raise ConfigError("the token is empty; give a long random one, or none to listen on this machine alone")
        if token is None and not is_loopback(host):
            raise ConfigError(
                f"{host or 'every address'} is reached by other machines too; set a token, or listen on 127.0.0.1"
            )
        self._names = {"localhost", "127.0.0.1", "::1", host.lower().strip("[]")} if is_loopback(host) else None
        self._token = _bytes(token) if token is not None else None
        # Not the token itself: that stays out of what the browser keeps, and may have any letters.
        self._pass = hmac.new(self._token or b"", b"streamderain page", hashlib.sha256).hexdigest()
        self._public = frozenset(public)

    @web.middleware
    async def middleware(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """For aiohttp; the outermost."""
        if reason := self._foreign(request):
            return refused(403, reason)
        if self._token is None or request.path in self._public or self._bears(request):
            return await handler(request)
        asked = request.query.get("token") if request.method == "GET" and request.path in PAGES else None
        if asked is None or not self._is_token(asked):
            answer = refused(401, "a token is needed; open the page as /?token=..., or send Authorization: Bearer ...")
            answer.headers["WWW-Authenticate"] = "Bearer"
            return answer
        response = await handler(request)
        response.set_cookie(_cookie(request), self._pass, httponly=True, samesite="Strict", path="/")
        return response

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

    def _bears(self, request: web.Request) -> bool:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() == "bearer" and self._is_token(token.strip()):
            return True
        return hmac.compare_digest(_bytes(request.cookies.get(_cookie(request), "")), _bytes(self._pass))

    def _is_token(self, given: str) -> bool:
        return hmac.compare_digest(_bytes(given), self._token or b"")


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
