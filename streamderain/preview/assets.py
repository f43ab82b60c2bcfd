"""The files that a page is made of, as routes that answer with them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

from aiohttp import web

HERE = Path(__file__).parent

_INCLUDED = re.compile(r"<!-- (\w+\.html) -->")
_KINDS = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}


def asset_routes(folder: Path, assets: Mapping[str, str]) -> Iterator[web.RouteDef]:
    """A route for each of the `assets`, files in `folder` by their path in URLs, which are read now. Where one has a
    comment `<!-- stage.html -->`, that file of this room is put in, as several pages have it.
    """
    for path, name in assets.items():
        text = _INCLUDED.sub(lambda named: (HERE / named[1]).read_text(), (folder / name).read_text())
        yield web.get(path, partial(_answered, text, _KINDS[Path(name).suffix]))


async def _answered(text: str, kind: str, request: web.Request) -> web.Response:
    return web.Response(text=text, content_type=kind, charset="utf-8")
