"""The newest pair of pictures, and who waits for it."""

from __future__ import annotations

import asyncio
import time
import weakref

import pytest

from streamderain.preview.sink import Gone, Preview
from tests.preview.conftest import BLUE, RED, plain


def test_nothing_is_kept_while_nobody_watches() -> None:
    async def run() -> None:
        preview = Preview(asyncio.get_running_loop())
        rainy = plain(RED)
        held = weakref.ref(rainy)
        preview.show(rainy, plain(BLUE))
        await asyncio.sleep(0)
        del rainy
        assert held() is None
        assert not preview.watched

    asyncio.run(run())


def test_a_viewer_gets_the_newest_and_each_once() -> None:
    async def run() -> None:
        preview = Preview(asyncio.get_running_loop())
        with preview.viewer():
            assert preview.watched
            preview.show(plain(BLUE), plain(BLUE))
            preview.show(plain(RED), plain(BLUE))
            picture = await preview.after(0)
            assert tuple((await picture.pixels())[0, 0]) == RED
            again = asyncio.ensure_future(preview.after(picture.number))
            await asyncio.sleep(0.05)
            assert not again.done()
            preview.show(plain(BLUE), plain(BLUE))
            assert (await again).number == picture.number + 1
        assert not preview.watched

    asyncio.run(run())


def test_it_is_known_since_when_somebody_watches() -> None:
    async def run() -> None:
        preview = Preview(asyncio.get_running_loop())
        with preview.viewer():
            first = preview.since
            assert 0 < first <= time.monotonic()
            with preview.viewer():
                assert preview.since == first
        with preview.viewer():
            assert preview.since >= first

    asyncio.run(run())


def test_a_busy_loop_collects_one_call_not_many() -> None:
    calls = []

    class Loop:
        def call_soon_threadsafe(self, function: object) -> None:
            calls.append(function)

    preview = Preview(Loop())  # type: ignore[arg-type]
    with preview.viewer():
        for _ in range(100):
            preview.show(plain(RED), plain(BLUE))
    assert len(calls) == 1


def test_a_picture_is_encoded_once_for_all() -> None:
    async def run() -> None:
        preview = Preview(asyncio.get_running_loop())
        with preview.viewer(), preview.viewer():
            preview.show(plain(RED), plain(BLUE))
            picture = await preview.after(0)
            leaver = asyncio.ensure_future(picture.jpeg())
            await asyncio.sleep(0)
            leaver.cancel()
            first, second = await asyncio.gather(picture.jpeg(), picture.jpeg())
            assert first is second

    asyncio.run(run())


def test_close_wakes_who_waits() -> None:
    async def run() -> None:
        preview = Preview(asyncio.get_running_loop())
        with preview.viewer():
            waiting = asyncio.ensure_future(preview.after(0))
            await asyncio.sleep(0)
            preview.close()
            with pytest.raises(Gone):
                await waiting

    asyncio.run(run())


def test_pictures_of_two_sizes_are_refused() -> None:
    async def run() -> None:
        preview = Preview(asyncio.get_running_loop())
        with preview.viewer(), pytest.raises(ValueError, match="both must be"):
            preview.show(plain(RED), plain(BLUE, 32))

    asyncio.run(run())


def test_showing_after_the_page_has_gone_is_no_error() -> None:
    async def make() -> Preview:
        return Preview(asyncio.get_running_loop())

    preview = asyncio.run(make())
    with preview.viewer():
        preview.show(plain(RED), plain(BLUE))
