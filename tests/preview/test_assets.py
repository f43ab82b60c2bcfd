"""The files of the pages: each with its kind, and what pages share put into each."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from streamderain.page import api
from streamderain.preview import handlers
from streamderain.preview.assets import HERE, asset_routes


@pytest.mark.parametrize(("room", "page"), [(handlers, "page.html"), (api, "files.html")])
def test_each_page_has_the_stage_in_it(room: object, page: str) -> None:
    folder = Path(str(room.__file__)).parent  # type: ignore[attr-defined]
    (route,) = asset_routes(folder, {"/": page})
    answer = asyncio.run(route.handler(None))  # type: ignore[arg-type]
    assert (HERE / "stage.html").read_text() in answer.text
    assert (answer.content_type, answer.charset) == ("text/html", "utf-8")
    assert "<!-- " not in answer.text


def test_every_file_of_a_page_has_a_kind_and_is_there() -> None:
    for room in (handlers, api):
        folder = Path(str(room.__file__)).parent
        routes = list(asset_routes(folder, room.ASSETS))
        assert [route.path for route in routes] == [*room.ASSETS]
        pages = {path.name for path in folder.iterdir() if path.suffix in (".js", ".css", ".svg")}
        assert pages == set(room.FILES)
