"""The page while things change: where somebody is, he stays; and what is shown is what is so."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import APIResponse, Route, expect

from e2e.conftest import MIB, gguf
from e2e.outside import Home, eventually
from e2e.page import Visit
from standin import ALWAYS, Hub, faults


@pytest.fixture
def home(hub: Hub, tmp_path: Path) -> Home:
    for number in range(5):
        hub.add(
            f"acme/M{number}-GGUF", {f"M{number}-Q4_K_M.gguf": gguf(MIB, number), f"M{number}-Q8_0.gguf": gguf(999, 9)}
        )
    return Home(tmp_path, hub.url, {"WINDLASS_MAX_JOBS": "1"})


def names(visit: Visit) -> list[str]:
    return [text[:2] for text in visit.page.locator("#job-list h3").all_inner_texts()]


def test_the_queue_and_who_is_in_it(visit: Visit, hub: Hub) -> None:
    """As the server goes through it; cards move around the one with the focus; who loses his card is in the next."""
    page = visit.page
    hub.misbehave("cdn", faults.stall(after=1000), times=ALWAYS)
    ids = [visit.server.download(f"{hub.url}/acme/M{number}-GGUF", "Q4_K_M")["job_id"] for number in range(5)]
    eventually(lambda: names(visit) == ["M0", "M1", "M2", "M3", "M4"])
    card = page.locator(f"[data-job='{ids[2]}']")
    card.get_by_text("Details").click()
    card.get_by_label("Priority of").fill("5")
    visit.server.ask("PATCH", f"/api/windlass/v1/jobs/{ids[4]}", {"priority": 9})
    eventually(lambda: names(visit) == ["M0", "M4", "M1", "M2", "M3"])
    assert visit.focused() == "Priority of M2 · Q4_K_M"
    page.keyboard.press("Enter")
    eventually(lambda: names(visit) == ["M0", "M4", "M2", "M1", "M3"])
    assert visit.focused() == "Priority of M2 · Q4_K_M"
    page.get_by_role("button", name="Pause M0").press("Enter")
    eventually(lambda: names(visit) == ["M4", "M2", "M1", "M3", "M0"])
    assert visit.focused() == "Resume M0 · Q4_K_M"
    expect(page.get_by_role("button", name="Resume M0")).to_be_in_viewport()
    page.get_by_role("button", name="Resume M0").press("Enter")
    eventually(lambda: names(visit) == ["M4", "M2", "M0", "M1", "M3"])
    assert visit.focused() == "Pause M0 · Q4_K_M"
    for number in (1, 3):
        visit.server.ask("POST", f"/api/windlass/v1/jobs/{ids[number]}/cancel", {})
    again = page.get_by_role("button", name="Download again M3")
    expect(page.get_by_role("button", name="Resume M3")).to_have_count(0)
    page.get_by_role("button", name="Forget M3").press("Enter")
    eventually(lambda: visit.focused() == "Download again M1 · Q4_K_M")
    page.keyboard.press("Enter")
    eventually(lambda: visit.focused() == "Pause M1 · Q4_K_M")
    expect(again).to_have_count(0)
    hub.behave()
    assert visit.complaints == []


def test_an_answer_that_comes_late(visit: Visit, hub: Hub) -> None:
    """A list that was asked for before a job was completed does not bring it back; a tab that nobody sees lets go."""
    page, held = visit.page, list[tuple[Route, APIResponse]]()

    def hold(route: Route) -> None:
        held.append((route, route.fetch()))
        if len(held) != 2:  # that one is asked for once events come, and what they tell of is newer than its answer
            route.fulfill(response=held[-1][1])

    hub.misbehave("cdn", faults.stall(after=1000), times=ALWAYS)
    job = visit.server.download(f"{hub.url}/acme/M0-GGUF", "Q4_K_M")["job_id"]
    expect(visit.job).to_contain_text("transferring")
    page.route("**/jobs?limit=200*", hold)
    visit.come_back()
    eventually(lambda: page.evaluate("true") and len(held) == 2)  # the routes are seen to while the page is asked
    hub.behave()
    visit.server.ask("POST", f"/api/windlass/v1/jobs/{job}/pause", {})
    visit.server.ask("POST", f"/api/windlass/v1/jobs/{job}/resume", {})
    visit.server.finished(job)
    expect(visit.job.locator("strong")).to_have_text("completed")
    held[1][0].fulfill(response=held[1][1])
    page.unroute_all(behavior="ignoreErrors")
    visit.connected()
    expect(visit.job.locator("strong")).to_have_text("completed")
    expect(page.locator("#news")).to_have_text("M0 · Q4_K_M: completed")
    visit.job.get_by_text("Details").click()
    expect(visit.job.get_by_label("Priority of")).to_be_hidden()

    def readers() -> int:
        metrics = visit.server.ask("GET", "/metrics").body.decode()
        return int(re.findall(r"event_readers (\d+)", metrics)[0])

    visit.seen(False)
    eventually(lambda: readers() == 0)
    visit.server.ask("DELETE", f"/api/windlass/v1/jobs/{job}")
    key = visit.server.ask("GET", "/api/v1/models").json["models"][0]["key"]
    visit.server.ask("DELETE", f"/api/windlass/v1/models/{key}")
    expect(page.locator("#model-list > li")).to_have_count(1)
    visit.seen(True)
    expect(page.locator("#model-list > li")).to_have_count(0)
    expect(page.locator("#job-list > li")).to_have_count(0)
    eventually(lambda: readers() == 1)
