"""The page in a real browser: headless Chromium, driven by Playwright."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from streamderain.preview.server import PreviewServer
from streamderain.preview.sink import Preview
from tests.browser import DESK, PATIENCE_MS, PHONE, hold, is_complaint
from tests.preview.conftest import Camera, Feeder, make_frame, plain, red_and_blue
from tests.waiting import wait_until

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

PIXEL = """([x, y]) => {
  const canvas = document.getElementById("canvas");
  return [...canvas.getContext("2d").getImageData(canvas.width * x, canvas.height * y, 1, 1).data].slice(0, 3);
}"""
TILE = """() => {
  const canvas = document.querySelector(".tile canvas");
  return [...canvas.getContext("2d").getImageData(canvas.width / 2, canvas.height / 2, 1, 1).data].slice(0, 3);
}"""
RECOLOURED = 60

Opened = Callable[..., "Page"]


@pytest.fixture
def opened(browser: Browser, server: PreviewServer) -> Iterator[Opened]:
    """Opens the page; it must not have complained when the test ends."""
    complaints: list[str] = []
    pages: list[Page] = []

    def open_page(path: str = "", size: Any = DESK, script: str = "", theme: Any = "light", url: str = "") -> Page:
        page = browser.new_page(viewport=size, color_scheme=theme)
        page.set_default_timeout(PATIENCE_MS)
        pages.append(page)
        page.on("console", lambda message: complaints.append(message.text) if is_complaint(message) else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        if script:
            page.add_init_script(script)
        page.goto((url or server.url) + path)
        return page

    yield open_page
    for page in pages:
        page.close()
    assert complaints == []


def way(page: Page, expected: str) -> None:
    """Wait until a picture has come that way."""
    page.wait_for_selector(f"#way:text-is('{expected}')")


def colour(page: Page, x: float, y: float = 0.5) -> str:
    """What a place on the canvas shows, between 0 and 1 of its width and height."""
    red, green, blue = page.evaluate(PIXEL, [x, y])
    if red > blue + RECOLOURED:
        return "red"
    if blue > red + RECOLOURED:
        return "blue"
    return f"({red}, {green}, {blue})"


@pytest.mark.parametrize(("path", "by"), [("", "WebRTC"), ("?mjpeg=1", "MJPEG")])
def test_the_picture_plays_with_rainy_left_and_clean_right(
    opened: Opened, preview: Preview, feed: Callable[..., None], path: str, by: str
) -> None:
    feed(red_and_blue)
    page = opened(path)
    way(page, by)
    hold(page, lambda: (colour(page, 0.25), colour(page, 0.75)) == ("red", "blue"))
    first = page.evaluate(PIXEL, [0.25, 0.5])
    hold(page, lambda: page.evaluate(PIXEL, [0.25, 0.5]) != first)
    page.close()
    wait_until(lambda: not preview.watched)


def test_the_divider_is_dragged_and_stepped(opened: Opened, preview: Preview, feed: Callable[..., None]) -> None:
    feed(red_and_blue)
    page = opened()
    way(page, "WebRTC")
    box = page.locator("#stage").bounding_box()
    assert box
    middle = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + box["width"] / 2, middle)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.8, middle, steps=4)
    page.mouse.up()
    divider = page.get_by_role("slider", name="Divider between rainy and derained")
    assert divider.get_attribute("aria-valuenow") == "80"
    hold(page, lambda: (colour(page, 0.7), colour(page, 0.9)) == ("red", "blue"))
    page.keyboard.press("Home")
    hold(page, lambda: (colour(page, 0.1), colour(page, 0.7)) == ("blue", "blue"))
    for _ in range(3):
        page.keyboard.press("Shift+ArrowRight")
    assert divider.get_attribute("aria-valuenow") == "30"
    hold(page, lambda: (colour(page, 0.2), colour(page, 0.4)) == ("red", "blue"))
    page.keyboard.press("End")
    assert divider.get_attribute("aria-valuenow") == "100"
    # Released: the pointer moves nothing any more.
    page.mouse.move(box["x"] + 10, middle)
    assert divider.get_attribute("aria-valuenow") == "100"


def test_numbers_and_dials(opened: Opened, preview: Preview, camera: Camera) -> None:
    page = opened()
    page.wait_for_selector("#state:text-is('live')")
    shown = {name: page.inner_text(f"#{name}") for name in ("fps_in", "fps_out", "p50", "p95", "p99", "dropped")}
    assert shown == {"fps_in": "25.0", "fps_out": "24.8", "p50": "41", "p95": "63", "p99": "88", "dropped": "5"}
    assert page.inner_text("#reasons") == "3 late, 2 source"
    assert page.inner_text("#reconnects") == "1"
    assert page.inner_text("#size") == "96 \N{MULTIPLICATION SIGN} 64"
    strength = page.get_by_role("slider", name="Strength")
    strength.focus()
    for _ in range(5):
        page.keyboard.press("ArrowLeft")
    hold(page, lambda: bool(camera.adjusted) and camera.adjusted[-1] == {"strength": 0.95})
    assert page.inner_text("#strength-value") == "95%"
    camera.adjust(blend=0.25)
    page.wait_for_selector("#blend-value:text-is('25%')")


def test_a_refused_setting_says_why_and_goes_back(opened: Opened, preview: Preview, camera: Camera) -> None:
    page = opened()
    page.wait_for_selector("#blend:enabled")
    page.locator("#blend").fill("0.13")
    page.wait_for_selector("#complaint:text-is('blend is 0.13; allowed: luckier numbers')")
    page.wait_for_selector("#blend-value:text-is('50%')")
    assert camera.adjusted == []


def test_mjpeg_takes_over_where_webrtc_brings_nothing(
    opened: Opened, preview: Preview, feed: Callable[..., None]
) -> None:
    feed(red_and_blue)
    # As behind a firewall: addresses never reach the other side.
    page = opened(script="RTCPeerConnection.prototype.setRemoteDescription = async () => {}")
    way(page, "MJPEG")
    hold(page, lambda: (colour(page, 0.25), colour(page, 0.75)) == ("red", "blue"))


def test_one_of_several_streams_is_chosen(
    opened: Opened, server: PreviewServer, preview: Preview, feed: Callable[..., None]
) -> None:
    feed(red_and_blue)
    back = server.add("back & yard", Camera(connected=False))
    feeder = Feeder(back, lambda number: (plain((30, 30, 200)), plain((200, 30, 30))))
    try:
        page = opened()
        way(page, "WebRTC")
        page.select_option("#picker", "back & yard")
        page.wait_for_selector("#state:text-is('source away')")
        hold(page, lambda: (colour(page, 0.25), colour(page, 0.75)) == ("blue", "red"))
        wait_until(lambda: not preview.watched)
        # The address now names the stream.
        page.reload()
        hold(page, lambda: (colour(page, 0.25), colour(page, 0.75)) == ("blue", "red"))
        server.remove("back & yard")
        hold(page, lambda: (colour(page, 0.25), colour(page, 0.75)) == ("red", "blue"))
    finally:
        feeder.stop()


def test_what_is_away_says_why_and_how_much_it_rains_is_shown(opened: Opened, server: PreviewServer) -> None:
    outputs = [
        {"name": "rtsp://server/clean", "state": "away", "reason": "refused"},
        {"name": "out.mkv", "state": "waiting", "reason": None},
    ]
    server.add("cam", Camera(connected=False, reason="refused, 401", age=200.0, outputs=outputs, rain_level=0.0123))
    page = opened()
    page.wait_for_selector("#why:text-is('refused, 401; last frame 3 min ago')")
    page.wait_for_selector("#outputs li[data-kind=bad]:text-is('rtsp://server/clean · away: refused')")
    page.wait_for_selector("#outputs li[data-kind=wait]:text-is('out.mkv · waiting')")
    page.wait_for_selector("#rain:text-is('1.23')")
    assert page.locator("#dry").text_content() == ""
    server.remove("cam")
    server.add("cam", Camera(outputs=[], rain_level=0.0, dry=True))
    page.wait_for_selector("#dry:text-is('dry')")
    assert page.locator("#why").text_content() == ""
    assert page.locator("#outputs").is_hidden()
    server.remove("cam")
    server.add("cam", Camera(effort="half", held_fps=7.5))
    page.wait_for_selector("#held:text-is('too slow: derained at half size, holding 7.5')")


def test_what_happened_is_listed_the_newest_first(opened: Opened, preview: Preview, camera: Camera) -> None:
    page = opened()
    page.wait_for_selector("#state:text-is('live')")
    assert page.locator("#events").is_hidden()
    camera.events += [
        {"at": 1.7e9, "kind": "connected", "subject": "source", "reason": "h264 64x48", "times": 1},
        {"at": 1.8e9, "kind": "refused", "subject": "source", "reason": "<b>401</b>", "times": 3},
    ]
    camera._numbers["events"] = {"connected": 1, "refused": 3}
    page.wait_for_selector("#events li")
    newest, oldest = page.locator("#events li").all_text_contents()
    assert newest.endswith("source refused, <b>401</b>, 3 times")
    assert oldest.endswith("source connected, h264 64x48")


@pytest.mark.parametrize("ending", ["mp4", "mkv"])
def test_a_recording_is_played(
    opened: Opened, preview: Preview, camera: Camera, clip: Path, tmp_path: Path, ending: str
) -> None:
    import av

    film = tmp_path / f"rain-1.{ending}"
    with av.open(clip) as source, av.open(film, "w") as copy:
        stream = copy.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                copy.mux(packet)
    camera.files[f"1/{film.name}"] = film
    page = opened()
    page.get_by_role("button", name=film.name).click()
    hold(page, lambda: page.evaluate("() => document.querySelector('#player video').videoWidth") == 48)
    page.get_by_role("button", name="Close").click()
    page.wait_for_selector("#player", state="hidden")
    hold(page, lambda: not page.evaluate("() => document.querySelector('#player video').hasAttribute('src')"))
    assert page.locator("#player p").is_hidden()


def test_all_cameras_are_seen_at_once_and_one_is_chosen(
    opened: Opened, server: PreviewServer, preview: Preview, feed: Callable[..., None]
) -> None:
    feed(red_and_blue)
    server.add("back & yard", Camera(connected=False))
    page = opened("grid")
    page.wait_for_selector("#state:text-is('1 of 2 live')")
    tiles = page.locator(".tile")
    assert [each.locator(".caption").inner_text() for each in tiles.all()] == ["front/door 1", "back & yard"]
    page.wait_for_selector(".tile canvas:visible")
    first = page.evaluate(TILE)
    # Blue, as the derained picture is.
    assert first[2] > first[0] + RECOLOURED
    hold(page, lambda: page.evaluate(TILE) != first)
    assert tiles.last.locator(".state").inner_text() == "source away"
    page.get_by_role("button", name="Full screen").click()
    hold(page, lambda: page.evaluate("() => document.fullscreenElement?.id") == "grid")
    page.evaluate("() => document.exitFullscreen()")
    server.remove("back & yard")
    page.wait_for_selector("#state:text-is('1 of 1 live')")
    tiles.first.click()
    way(page, "WebRTC")
    assert page.locator("#all").is_hidden()
    page.close()
    wait_until(lambda: not preview.watched)


def test_the_picture_fills_the_screen_and_the_divider_stays_where_it_was(opened: Opened, preview: Preview) -> None:
    page = opened()
    page.get_by_role("button", name="Full screen").click()
    hold(page, lambda: page.evaluate("() => document.fullscreenElement?.id") == "screen")
    assert page.get_by_role("slider", name="Divider").get_attribute("aria-valuenow") == "50"
    page.get_by_role("button", name="Full screen").click()
    hold(page, lambda: page.evaluate("() => document.fullscreenElement") is None)


def test_the_token_opens_the_page_and_leaves_the_address(opened: Opened) -> None:
    with PreviewServer("0.0.0.0", 0, "secret", make_frame) as server:
        preview = server.add("cam", Camera())
        feeder = Feeder(preview, red_and_blue)
        try:
            page = opened("?token=secret&mjpeg=1", url=server.url)
            way(page, "MJPEG")
            assert page.url == server.url + "?mjpeg=1"
            assert page.evaluate("() => document.cookie") == ""
            grid = opened("grid?token=secret", url=server.url)
            grid.wait_for_selector("#state:text-is('1 of 1 live')")
            assert grid.url == server.url + "grid"
            # Before the server, which it asks all the time.
            grid.close()
            page.reload()
            way(page, "MJPEG")
            page.close()
        finally:
            feeder.stop()


@pytest.mark.parametrize("size", [PHONE, {"width": 320, "height": 640}, DESK], ids=["phone", "small", "desk"])
def test_nothing_scrolls_sideways(opened: Opened, server: PreviewServer, preview: Preview, size: Any) -> None:
    server.add("rtsp://user:***@a.very.long.camera.name.example.com:8554/a/very/long/path/to/the/stream", Camera())
    page = opened(size=size)
    page.wait_for_selector("#state:text-is('live')")
    assert page.evaluate("() => document.documentElement.scrollWidth") <= size["width"]
    for name in ("picker", "stage", "strength", "blend"):
        box = page.locator(f"#{name}").bounding_box()
        assert box
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= size["width"]


def test_the_theme_follows_the_system(opened: Opened, preview: Preview) -> None:
    ground = "() => getComputedStyle(document.body).backgroundColor"
    assert opened().evaluate(ground) == "rgb(244, 245, 246)"
    assert opened(theme="dark").evaluate(ground) == "rgb(13, 16, 18)"
