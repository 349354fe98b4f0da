"""The site: all pages are on it, no link leads nowhere, and nothing on it comes from another origin."""

import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

from docs.pages import PAGES, ROOT

LOADED = {"script": "src", "img": "src", "iframe": "src", "source": "src", "video": "src", "audio": "src"}


class Sources(HTMLParser):
    """The addresses from which a browser would load something by itself."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag == "link" and given.get("rel") != "canonical":
            self.found.append(given.get("href") or "")
        elif tag in LOADED:
            self.found.append(given.get(LOADED[tag]) or "")


def foreign(html: str) -> list[str]:
    sources = Sources()
    sources.feed(html)
    styles = re.findall(r"(?:@import|url\()\s*[\"']?((?:https?:)?//[^\"')]+)", html)
    return [address for address in sources.found if re.match(r"(?:https?:)?//", address)] + styles


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built as `make docs` does it."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return folder


def test_the_pages_are_there_and_need_nothing_from_elsewhere(site: Path) -> None:
    """Strictly built, each page of the repository, with no script, style, font or picture of another origin."""
    pages = {str(page.relative_to(site)) for page in site.rglob("*.html")}
    wanted = {str(page.relative_to(ROOT).with_suffix("")) for page in PAGES if page.name != "README.md"}
    assert {f"{page}/index.html" for page in wanted} | {"index.html"} <= pages
    assert {page: found for page in pages if (found := foreign((site / page).read_text(encoding="utf-8")))} == {}
    for style in site.rglob("*.css"):
        assert foreign(f"<style>{style.read_text(encoding='utf-8')}</style>") == []


def test_what_comes_from_elsewhere_is_found() -> None:
    """Else the test above would prove nothing."""
    for html in (
        '<script src="https://cdn.example.com/x.js"></script>',
        '<link rel="stylesheet" href="//fonts.example.com/x.css">',
        "<style>@import 'https://example.com/x.css'</style>",
        "<style>a { background: url(https://example.com/x.png) }</style>",
    ):
        assert len(foreign(html)) == 1
