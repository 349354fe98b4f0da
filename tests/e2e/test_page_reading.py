"""Who reads the page, with eyes or ears or on a phone: nothing is taken away from under him."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import expect

from e2e.conftest import MIB, gguf
from e2e.outside import Home
from e2e.page import Visit
from standin import Hub

MANY = "acme/Many-7B-GGUF"
LEVELS = ("Q2_K", "Q3_K_M", "Q4_K_M", "Q5_K_M", "Q6_K", "Q8_0")


@pytest.fixture
def home(hub: Hub, tmp_path: Path) -> Home:
    hub.add(MANY, {f"Many-7B-{level}.gguf": gguf(MIB, seed) for seed, level in enumerate(LEVELS)})
    for number in range(24):
        hub.add(
            f"acme/Thing-{number}B-GGUF",
            {"M-Q4_K_M.gguf": b"GGUF"},
            card={"downloads": 9000 - number, "tags": ["gguf"]},
        )
    return Home(tmp_path, hub.url)


def test_what_a_search_finds_on_a_phone(visit: Visit) -> None:
    """Each hit has the width for its words; more comes by the page; and the focus goes along."""
    page, found = visit.page, visit.page.locator("#found")
    page.set_viewport_size({"width": 320, "height": 740})
    visit.look_up("   ")
    expect(found).to_be_empty()
    visit.look_up("thing")
    expect(found.get_by_role("listitem")).to_have_count(20)
    expect(page.locator("#news")).to_have_text("20 found, and there are more.")
    small = found.locator("li").first.locator("small").bounding_box()
    assert small is not None
    assert small["height"] < 60
    page.get_by_role("button", name="More of what").press("Enter")
    expect(found.get_by_role("listitem")).to_have_count(24)
    expect(page.get_by_role("button", name="More of what")).to_be_hidden()
    assert visit.focused() == "Show what acme/Thing-20B-GGUF would bring in"
    page.keyboard.press("Enter")
    expect(found.get_by_role("heading")).to_be_focused()
    assert page.evaluate("document.documentElement.scrollWidth") <= 320


def test_choosing_and_watching(visit: Visit, hub: Hub) -> None:
    """Arrow keys choose a quantization as in any list; what is read stays while it changes; the end is told."""
    page, found = visit.page, visit.page.locator("#found")
    visit.look_up(f"{hub.url}/{MANY}")
    page.get_by_role("radio", name="Q4_K_M").focus()
    for _ in range(3):
        page.keyboard.press("ArrowDown")
    expect(page.get_by_role("radio", name="Q8_0")).to_be_focused()
    expect(found.get_by_role("heading")).to_have_text("Many 7B · Q8_0")
    expect(found.get_by_role("button", name="Download 1.05 MB")).not_to_have_attribute("aria-disabled", "true")
    expect(page.locator("#news")).to_have_text("Many 7B · Q8_0: 1.05 MB to fetch")
    assert page.evaluate("scrollY") == 0
    page.set_viewport_size({"width": 360, "height": 740})
    page.evaluate("Date.now = () => 0")  # the clock of this machine need not be the server's
    hub.rate = 300_000
    visit.press("Download")
    expect(found.get_by_text("is on its way")).to_be_focused()
    expect(visit.job).to_contain_text(re.compile(r"kB/s · \d+ s left"))
    visit.job.get_by_text("Details").click()
    table = page.get_by_role("group", name="Files of Many 7B · Q8_0")
    table.evaluate(
        "each => { each.scrollLeft = 60; each.focus(); getSelection().selectAllChildren(each.querySelector('td')); }"
    )
    here = table.locator("tbody td").nth(2)
    for _ in range(2):
        expect(here).not_to_have_text(here.inner_text())
    assert table.evaluate("each => [each.scrollLeft, document.activeElement === each, `${getSelection()}`]") == [
        60, True, f"{MANY}/Many-7B-Q8_0.gguf",
    ]  # fmt: skip
    hub.rate = None
    expect(visit.job.locator("strong")).to_have_text("completed")
    expect(page.locator("#news")).to_have_text("Many 7B · Q8_0: completed")
    assert visit.complaints == []
