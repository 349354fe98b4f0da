"""A person on the page: Debian's Chromium, what is done and looked for there, and the machine that serves it."""

import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]
from playwright.sync_api import Browser, Locator, Page, expect, sync_playwright

from e2e.outside import Home, Server

REPO = "lmstudio-community/Qwen3-4B-GGUF"
NAME = "Qwen3-4B-Q4_K_M.gguf"
PICTURES = os.environ.get("PICTURES")  # the folder for them: `make pictures`
SIZE = (200 if PICTURES else 8) * 1024 * 1024
RATE = 1_500_000 if PICTURES else 300_000  # bytes per second of a connection


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("Chromium is not installed: apt install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield browser
        browser.close()


@dataclass
class Visit:
    """A person on the page, and what the browser had to complain about meanwhile."""

    page: Page
    server: Server
    complaints: list[str] = field(default_factory=list)
    foreign: list[str] = field(default_factory=list)

    def open(self) -> None:
        self.page.on("console", lambda said: self.complaints.append(said.text) if said.type == "error" else None)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", lambda asked: self._note(asked.url))
        self.page.goto(f"{self.server.url}/")

    def _note(self, url: str) -> None:
        if not url.startswith((self.server.url, "data:")):
            self.foreign.append(url)

    def connected(self) -> None:
        expect(self.page.locator("#line")).to_have_text("Connected")

    def seen(self, seen: bool) -> None:
        """Whether the person looks at this tab or at another one: Chromium without a screen shows all of them."""
        self.page.evaluate(
            "seen => { Object.defineProperty(document, 'visibilityState', "
            "{ configurable: true, value: seen ? 'visible' : 'hidden' });"
            "document.dispatchEvent(new Event('visibilitychange')); }",
            seen,
        )

    def come_back(self) -> None:
        """From another tab, as after a change elsewhere: all is read anew."""
        self.seen(False)
        self.seen(True)

    def focused(self) -> str:
        """The name of what has the focus, or its text."""
        said: str = self.page.evaluate(
            "(e => e.getAttribute('aria-label') || e.labels?.[0]?.textContent || e.textContent)(document.activeElement)"
        )
        return said

    def look_up(self, text: str) -> None:
        self.page.get_by_label("A name, a link").fill(text)
        self.page.keyboard.press("Enter")

    def press(self, name: str) -> None:
        self.page.get_by_role("button", name=re.compile(name)).first.click()

    @property
    def job(self) -> Locator:
        return self.page.locator("#job-list > li").first

    def picture(self, name: str, of: Page | Locator | None = None, after: float = 0) -> None:
        """Keep how it looks now for the docs, where that was asked for; `after` seconds, for which only that waits."""
        if PICTURES:
            self.page.wait_for_timeout(1000 * after)
            (of or self.page).screenshot(path=Path(PICTURES) / f"page-{name}.png", animations="disabled")

    def accessible(self) -> list[str]:
        """What axe-core finds that is serious; its script is let in past the page's policy, for the check alone."""
        found = Axe().run(self.page).response["violations"]
        return [f"{one['id']}: {one['help']}" for one in found if one["impact"] in {"serious", "critical"}]


@pytest.fixture
def visit(browser: Browser, home: Home) -> Iterator[Visit]:
    context = browser.new_context(reduced_motion="reduce", viewport={"width": 1000, "height": 760})
    context.set_default_timeout(20_000)
    expect.set_options(timeout=20_000)
    with Server(home) as server:
        visit = Visit(context.new_page(), server)
        visit.open()
        visit.connected()
        yield visit
        assert visit.foreign == []
    context.close()
