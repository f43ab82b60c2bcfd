"""The page for files in a real browser."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import av
import numpy as np
import pytest

from streamderain.media.synthetic import write_test_video
from tests.browser import DESK, PATIENCE_MS, PHONE, hold, is_complaint
from tests.media.test_tags import TURNS, matrix_of
from tests.page.conftest import Darker, Running

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from playwright.sync_api import Browser, ConsoleMessage, Page

LIGHTS = """() => {
  const canvas = document.getElementById("canvas");
  return [0.45, 0.55].map((x) => {
    const [red, green, blue] = canvas.getContext("2d").getImageData(canvas.width * x, canvas.height / 2, 1, 1).data;
    return (red + green + blue) / 3;
  });
}"""
QUARTERS = """() => {
  const canvas = document.getElementById("canvas");
  return [0.25, 0.75].flatMap((x) => [0.25, 0.75].map(
    (y) => canvas.getContext("2d").getImageData(canvas.width * x, canvas.height * y, 1, 1).data[1],
  ));
}"""
DROP = """async ([name, bytes]) => {
  const data = new DataTransfer();
  data.items.add(new File([new Uint8Array(bytes)], name));
  for (const kind of ["dragover", "drop"]) {
    document.body.dispatchEvent(new DragEvent(kind, { bubbles: true, cancelable: true, dataTransfer: data }));
  }
}"""

MET = 6
"""Pairs of a film's pictures that a test wants to see, of 25."""

Opened = Callable[..., "Page"]


@pytest.fixture
def opened(browser: Browser, page: Running) -> Iterator[Opened]:
    """Opens the page; it must not have complained when the test ends."""
    complaints: list[str] = []
    tabs: list[Page] = []

    def open_page(size: Any = DESK, theme: Any = "light") -> Page:
        tab = browser.new_page(viewport=size, color_scheme=theme)
        tab.set_default_timeout(PATIENCE_MS)
        tabs.append(tab)
        tab.on("console", lambda message: None if has_ended(message) else complaints.append(message.text))
        tab.on("pageerror", lambda error: complaints.append(str(error)))
        tab.goto(page.url)
        tab.wait_for_selector("#state:text-is('ready')")
        return tab

    yield open_page
    for tab in tabs:
        tab.close()
    assert complaints == []


def has_ended(message: ConsoleMessage) -> bool:
    """The browser itself reports that nobody answers any more."""
    return not is_complaint(message) or "ERR_CONNECTION_REFUSED" in message.text


def chosen(tab: Page, *files: Path) -> None:
    tab.set_input_files("#chosen", list(files))


def lights(tab: Page) -> tuple[float, float]:
    """What the canvas shows left and right of its middle, at one moment, 0 to 255."""
    left, right = tab.evaluate(LIGHTS)
    return float(left), float(right)


def darker_by(tab: Page, much: float) -> bool:
    """Whether the derained side of a plain picture has so much less light than the rainy one."""
    left, right = lights(tab)
    return abs(left - right - much) < 4


def write_film(
    path: Path, pictures: Iterable[NDArray[np.uint8]], codec: str = "libx264", turn: str = "upright"
) -> None:
    """Grey pictures of 64 rows of 96, 25 a second, stored so that a player lays them as `turn` says."""
    with av.open(path, "w") as file:
        video = file.add_stream(codec, rate=25, options={"crf": "4", "bf": "0"} if codec == "libx264" else {})
        assert isinstance(video, av.VideoStream)
        video.width, video.height, video.pix_fmt = 96, 64, "yuv420p"
        video.set_display_matrix(matrix_of(TURNS[turn]))
        for picture in pictures:
            frame = av.VideoFrame.from_ndarray(picture[..., None].repeat(3, 2), format="rgb24")
            file.mux(video.encode(frame))
        file.mux(video.encode(None))


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    """One second of plain frames, each a little lighter than the one before."""
    path = tmp_path / "plain & grey.mp4"
    write_film(path, (np.full((64, 96), 60 + 6 * number, np.uint8) for number in range(25)))
    return path


def test_a_clip_is_dropped_seen_derained_and_saved(opened: Opened, page: Running, plain: Path) -> None:
    tab = opened()
    assert tab.locator("#seen").is_hidden()
    tab.evaluate(DROP, [plain.name, list(plain.read_bytes())])
    tab.wait_for_selector(".clip.chosen b:text-is('plain & grey.mp4')")
    tab.wait_for_selector("#place:enabled")
    hold(tab, lambda: darker_by(tab, 25.5))
    # Half of the strength, half of the change; at once, and for everybody.
    tab.locator("#strength").fill("0.5")
    hold(tab, lambda: darker_by(tab, 12.7))
    hold(tab, lambda: page.clip(1)["strength"] == 0.5)
    # Another of its frames, which is lighter.
    before, _ = lights(tab)
    tab.locator("#place").press("End")
    hold(tab, lambda: lights(tab)[0] > before + 20)
    tab.get_by_role("button", name="Derain", exact=True).click()
    tab.wait_for_selector(".clip[data-kind=good] small:has-text('derained at 50%')")
    with tab.expect_download() as begun:
        tab.get_by_role("link", name="Save").click()
    assert begun.value.suggested_filename == plain.name
    saved = Path(begun.value.path()).read_bytes()
    assert saved == (page.folder / plain.name).read_bytes()
    assert str(page.folder / plain.name) in tab.inner_text("#where")


@pytest.mark.parametrize("slower", [1, 12], ids=["free", "busy"])
def test_both_films_are_played_in_step(opened: Opened, page: Running, plain: Path, slower: int) -> None:
    tab = opened()
    # A busy browser leaves out pictures, and others of the one film than of the other.
    tab.context.new_cdp_session(tab).send("Emulation.setCPUThrottlingRate", {"rate": slower})
    chosen(tab, plain)
    tab.wait_for_selector("#place:enabled")
    tab.get_by_role("button", name="Derain", exact=True).click()
    tab.get_by_role("button", name="Watch").click()
    assert tab.locator("#strength").is_disabled()
    shown: dict[float, float] = {}

    def played() -> bool:
        rainy, clean = lights(tab)
        shown[rainy] = clean
        play = tab.get_by_role("button", name="Play", exact=True)
        if len(shown) < MET and play.is_visible():
            # It is over, and a busy browser has left out most of it.
            play.click()
        return len(shown) >= MET and play.is_visible()

    hold(tab, played, 60)
    # A frame earlier or later differs by 6.
    assert all(abs(rainy - clean - 25.5) < 3 for rainy, clean in shown.items()), shown
    place = tab.locator("#place")
    place.focus()
    place.press("Home")
    hold(tab, lambda: abs(lights(tab)[0] - 60) < 4 and darker_by(tab, 25.5))
    place.press("End")
    hold(tab, lambda: lights(tab)[0] > 190 and darker_by(tab, 25.5))
    tab.get_by_role("button", name="Back to the frames").click()
    assert tab.get_by_role("button", name="Play", exact=True).is_hidden()
    assert tab.evaluate("() => document.getElementById('clean').hasAttribute('src')") is False
    hold(tab, lambda: tab.locator("#strength").is_enabled())


@pytest.mark.parametrize("turn", ["left", "over", "right"])  # a mirrored film Chromium plays as it was stored
def test_a_turned_film_stands_as_its_frames_do(opened: Opened, page: Running, tmp_path: Path, turn: str) -> None:
    path = tmp_path / "turned.mp4"
    # Every quarter has a light of its own.
    quarters = np.array([[80, 120], [160, 200]], np.uint8).repeat(32, 0).repeat(48, 1)
    write_film(path, [quarters] * 25, turn=turn)
    tab = opened()

    def are_shown() -> bool:
        """The rainy two to the left of the divider, the derained two to its right."""
        light = np.sort(np.add(tab.evaluate(QUARTERS), [0, 0, 25.5, 25.5]))
        return bool(np.abs(light - [80, 120, 160, 200]).max() < 4)

    chosen(tab, path)
    tab.wait_for_selector("#place:enabled")
    hold(tab, are_shown)
    frames = tab.evaluate(QUARTERS)
    tab.get_by_role("button", name="Derain", exact=True).click()
    tab.get_by_role("button", name="Watch").click()
    for name in ("Pause", "Play"):
        tab.get_by_role("button", name=name, exact=True).wait_for()
    hold(tab, are_shown)
    assert np.abs(np.subtract(tab.evaluate(QUARTERS), frames)).max() < 4


def test_an_original_that_the_browser_cannot_play_leaves_the_derained_film(
    opened: Opened, page: Running, tmp_path: Path
) -> None:
    path = tmp_path / "old.mp4"
    write_film(path, [np.full((64, 96), 120, np.uint8)] * 25, codec="mpeg4")
    tab = opened()
    chosen(tab, path)
    tab.get_by_role("button", name="Derain", exact=True).click()
    tab.get_by_role("button", name="Watch").click()
    tab.wait_for_selector("#notice:has-text('This browser cannot play the original')")
    assert tab.locator("#divider").is_hidden()
    hold(tab, lambda: all(abs(each - 94.5) < 4 for each in lights(tab)))


def test_the_divider_is_that_of_the_live_page(opened: Opened, page: Running, plain: Path) -> None:
    tab = opened()
    chosen(tab, plain)
    tab.wait_for_selector("#place:enabled")
    hold(tab, lambda: darker_by(tab, 25.5))
    divider = tab.get_by_role("slider", name="Divider between rainy and derained")
    divider.focus()
    for _ in range(3):
        tab.keyboard.press("Shift+ArrowRight")
    assert divider.get_attribute("aria-valuenow") == "80"
    hold(tab, lambda: darker_by(tab, 0))


def test_what_is_no_video_is_said_in_a_line_and_the_rest_comes(
    opened: Opened, page: Running, clip: Path, tmp_path: Path
) -> None:
    (tmp_path / "<i>notes.txt").write_text("rain")
    (tmp_path / "empty.mp4").touch()
    tab = opened()
    chosen(tab, tmp_path / "<i>notes.txt", tmp_path / "empty.mp4", clip)
    tab.wait_for_selector(".clip.chosen b:text-is('clip.mp4')")
    first, second = tab.inner_text("#refusal").splitlines()
    assert first.startswith("<i>notes.txt: _i_notes.txt cannot be opened as a video")
    assert second == "empty.mp4 is empty; expected a video"
    assert tab.locator(".clip").count() == 1


def test_two_tabs_and_a_reload_show_the_same(
    opened: Opened, page: Running, network: Darker, clip: Path, tmp_path: Path
) -> None:
    write_test_video(tmp_path / "b.mkv", 32, 48, 30)
    one, other = opened(), opened(size=PHONE, theme="dark")
    chosen(one, clip, tmp_path / "b.mkv")
    for number in (1, 2):
        page.until(number, lambda told: told["is_shown"])
    network.gate.clear()
    one.get_by_role("button", name="Derain all").click()
    for tab in (one, other):
        tab.wait_for_selector("#state:text-is('deraining, 1 in line')")
        tab.wait_for_selector(".clip:nth-child(2) small:text-is('next in line')")
        tab.wait_for_selector(".clip:nth-child(1) small:text-is('getting ready')")
    other.get_by_role("button", name="b.mkv", exact=False).first.click()
    other.get_by_role("button", name="Stop").click()
    for tab in (one, other):
        tab.wait_for_selector(".clip:nth-child(2) small:text-is('not derained yet')")
    # What works is not removed by a slip.
    one.get_by_role("button", name="Remove clip.mp4").click()
    one.get_by_role("button", name="Cancel").click()
    assert one.locator(".clip").count() == 2
    network.gate.set()
    one.reload()
    for tab in (one, other):
        tab.wait_for_selector(".clip:nth-child(1)[data-kind=good]")
        tab.wait_for_selector("#state:text-is('ready')")
    one.get_by_role("button", name="Remove b.mkv").click()
    hold(other, lambda: other.locator(".clip").count() == 1)


def test_quit_asks_and_then_ends_for_all(
    opened: Opened, page: Running, network: Darker, clip: Path, browser: Browser
) -> None:
    tab, other = opened(), opened()
    chosen(tab, clip)
    page.until(1, lambda told: told["is_shown"])
    network.gate.clear()
    tab.get_by_role("button", name="Derain", exact=True).click()
    tab.wait_for_selector("#state:text-is('deraining')")
    tab.get_by_role("button", name="Quit").click()
    tab.get_by_role("button", name="Cancel").click()
    assert page.clip(1)["state"] == "running"
    tab.get_by_role("button", name="Quit").click()
    tab.locator("#question").get_by_role("button", name="Quit").click()
    for each in (tab, other):
        each.wait_for_selector("#state:text-is('ending after this frame')")
    network.gate.set()
    for each in (tab, other):
        each.wait_for_selector("#ended:visible")
    assert str(page.folder) in tab.inner_text("#ended")
    hold(tab, lambda: page.has_ended)


@pytest.mark.parametrize("size", [PHONE, {"width": 320, "height": 640}, DESK], ids=["phone", "small", "desk"])
def test_nothing_scrolls_sideways(opened: Opened, page: Running, clip: Path, tmp_path: Path, size: Any) -> None:
    long = tmp_path / ("averylongnamewithoutanyblank" * 4 + ".mp4")
    long.write_bytes(clip.read_bytes())
    tab = opened(size=size)
    assert tab.evaluate("() => document.documentElement.scrollWidth") <= size["width"]
    chosen(tab, long)
    tab.wait_for_selector("#place:enabled")
    tab.get_by_role("button", name="Derain", exact=True).click()
    tab.wait_for_selector("#films:visible")
    assert tab.evaluate("() => document.documentElement.scrollWidth") <= size["width"]
    for name in ("stage", "strength", "derain", "save", "films", "drop", "quit"):
        box = tab.locator(f"#{name}").bounding_box()
        assert box
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= size["width"]
