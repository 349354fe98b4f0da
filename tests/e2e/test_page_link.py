"""The life of the page's connection: streams that are held back or cut off, a server that is silent, tokens."""

import signal
from pathlib import Path

import pytest
from playwright.sync_api import expect

from e2e.conftest import gguf
from e2e.outside import Home
from e2e.page import NAME, REPO, Visit
from standin import Hub

EVENTS = "**/api/windlass/v1/events"


@pytest.fixture
def home(hub: Hub, tmp_path: Path) -> Home:
    hub.add(REPO, {NAME: gguf(100_000, 3)})
    return Home(tmp_path, hub.url)


def test_a_stream_that_does_not_come_and_a_silent_server(visit: Visit, hub: Hub) -> None:
    """Lists are shown and read anew without it, and the line says no ill; a server that is silent is noticed."""
    page, line = visit.page, visit.page.locator("#line")
    page.clock.install()
    page.route(EVENTS, lambda route: None)  # for ever, head and all
    page.reload()
    visit.connected()
    visit.server.finished(visit.server.download(f"{hub.url}/{REPO}")["job_id"])
    page.clock.run_for(4000)
    expect(visit.job.locator("strong")).to_have_text("completed")
    page.unroute_all(behavior="ignoreErrors")
    page.route(EVENTS, lambda route: route.fulfill(body="retry: 2000\n\n", content_type="text/event-stream"))
    page.reload()
    visit.connected()
    page.evaluate(
        "window.said = []; new MutationObserver(() => said.push(document.getElementById('line').textContent))"
        ".observe(document.getElementById('line'), { childList: true })"
    )
    for _ in range(5):
        with page.expect_response("**/limits"):
            page.clock.run_for(3000)
    assert page.evaluate("said") == []
    page.unroute_all(behavior="ignoreErrors")
    page.reload()
    visit.connected()
    visit.server.process.send_signal(signal.SIGSTOP)
    try:
        page.clock.run_for(16_000)
        page.clock.run_for(16_000)
        expect(line).to_contain_text("does not answer")
        visit.press("Save")
        page.clock.run_for(16_000)
        expect(page.locator("#limits")).to_contain_text("Is it running?")
    finally:
        visit.server.process.send_signal(signal.SIGCONT)
    page.clock.run_for(4000)
    visit.connected()
    expect(page.locator("#limits")).not_to_contain_text("Is it running?")


def test_a_token_can_be_left_and_changed(visit: Visit, home: Home) -> None:
    """The line says what is so; Escape leaves the dialog; another token can be given, and other tabs have it too."""
    page, line, dialog = visit.page, visit.page.locator("#line"), visit.page.get_by_role("dialog")
    reading = home.run("token", "create", "--scope", "read").stdout.strip()
    token = home.run("token", "create").stdout.strip()
    other = page.context.new_page()
    for each in (page, other):
        each.goto(visit.server.url)
        expect(each.get_by_role("dialog")).to_be_visible()
    expect(line).to_have_text("A token is asked for")
    page.keyboard.press("Escape")
    expect(line).to_have_text("This server asks for a token.")
    expect(dialog).to_be_hidden()
    page.get_by_role("button", name="Give a token").press("Enter")
    dialog.get_by_label("Token").fill(reading)
    page.keyboard.press("Enter")
    visit.connected()
    expect(other.get_by_role("dialog")).to_be_hidden()
    expect(other.locator("#line")).to_have_text("Connected")
    other.close()
    page.get_by_label("Jobs at once").fill("2")
    visit.press("Save")
    expect(page.locator("#limits")).to_contain_text("needs admin")
    visit.press("Give a token")
    dialog.get_by_label("Token").fill(token)
    page.keyboard.press("Enter")
    expect(dialog).to_be_hidden()
    visit.press("Save")
    expect(page.locator("#limits")).to_contain_text("Saved.")
