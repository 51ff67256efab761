"""A headless Chromium for tests of pages; `look` opens one of them and remembers what it complained of."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

NAMES = ("chromium", "chromium-browser", "google-chrome")
ADVICE = "install Chromium (Debian: apt install chromium), or name one in BUNRAKU_CHROMIUM"
FLAGS = (
    "--no-sandbox",  # refuses to start as root with one
    "--use-angle=swiftshader",  # WebGL without a graphics card
    "--enable-unsafe-swiftshader",
    "--disable-dev-shm-usage",
)


@dataclass
class Sight:
    """A page that is open."""

    page: Page
    shots: Path
    complaints: list[str] = field(default_factory=list[str])
    """Errors and warnings of its console, exceptions that nothing caught, requests that failed."""
    requests: list[str] = field(default_factory=list[str])
    """What it asked for, the page itself left out; data: and blob: addresses do not count."""

    def shot(self, name: str, *, whole: bool = False) -> Path:
        """A screenshot among the test's artifacts."""
        file = self.shots / f"{re.sub(r'[^a-z0-9-]+', '-', name.lower())}.png"
        self.page.screenshot(path=file, full_page=whole)
        return file


def executable() -> str | None:
    """Where Chromium is."""
    named = os.environ.get("BUNRAKU_CHROMIUM")
    return named or next(filter(None, map(shutil.which, NAMES)), None)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """The browser; without one the test skips, or fails where BUNRAKU_REQUIRE_BROWSER=1.

    Of a module, not of the session: while it runs, no other event loop can in the same thread.
    """
    found = executable()
    if found is None:
        if os.environ.get("BUNRAKU_REQUIRE_BROWSER") == "1":
            pytest.fail(f"no Chromium; {ADVICE}")
        pytest.skip(f"no Chromium; {ADVICE}")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=found, headless=True, args=list(FLAGS))
        yield browser
        browser.close()


@pytest.fixture
def look(chromium: Browser, tmp_path: Path) -> Iterator[Callable[..., Sight]]:
    """Opens a file or an address: `look(path, width=390, dark=True)`. Pictures go to BUNRAKU_SHOTS if it is set."""
    named = os.environ.get("BUNRAKU_SHOTS")
    shots = Path(named) if named else tmp_path / "shots"
    shots.mkdir(parents=True, exist_ok=True)
    open_ones = []

    def opened(target: Path | str, *, width: int = 1280, height: int = 800, dark: bool = False) -> Sight:
        context = chromium.new_context(
            viewport={"width": width, "height": height}, color_scheme="dark" if dark else "light"
        )
        open_ones.append(context)
        page = context.new_page()
        page.set_default_timeout(20_000)
        sight = Sight(page, shots)
        address = target.resolve().as_uri() if isinstance(target, Path) else target

        def said(message) -> None:
            # What SwiftShader says of its own slowness is no fault of the page.
            if message.type in ("error", "warning") and "GL Driver Message" not in message.text:
                sight.complaints.append(f"{message.type}: {message.text}")

        page.on("console", said)
        page.on("pageerror", lambda error: sight.complaints.append(f"exception: {error}"))
        page.on("requestfailed", lambda request: sight.complaints.append(f"request failed: {request.url[:200]}"))
        page.on("request", lambda request: _asked(sight, address, request.url))
        page.goto(address)
        return sight

    yield opened
    for context in open_ones:
        context.close()


def _asked(sight: Sight, address: str, url: str) -> None:
    if url != address and not url.startswith(("data:", "blob:")):
        sight.requests.append(url[:200])
