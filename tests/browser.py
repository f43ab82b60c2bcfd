"""A real browser for the tests of pages: headless Chromium, driven by Playwright."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import ConsoleMessage, Page

CHROMIUM = Path("/usr/bin/chromium")
ARGUMENTS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
    # Its stand-ins for addresses are asked for by multicast, which a container may not have.
    "--disable-features=WebRtcHideLocalIpsWithMdns",
)  # fmt: skip
PATIENCE_MS = 120_000
"""What a page is given for anything, on a machine that is busy elsewhere."""
PHONE, DESK = {"width": 375, "height": 812}, {"width": 1280, "height": 900}


def is_complaint(message: ConsoleMessage) -> bool:
    """The browser itself reports every answer of 400 and more."""
    return message.type == "error" and "status of 4" not in message.text


def hold(page: Page, condition: Callable[[], bool], seconds: float = 20) -> None:
    """Wait in the page's own way, which lets its events in."""
    for _ in range(int(seconds * 20)):
        if condition():
            return
        page.wait_for_timeout(50)
    pytest.fail("waited in vain")
