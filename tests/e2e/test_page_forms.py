"""What is typed on the page: it follows the server until somebody types, and only what he typed is sent."""

from pathlib import Path

import pytest
from playwright.sync_api import expect

from e2e.conftest import gguf
from e2e.outside import Home, eventually
from e2e.page import NAME, REPO, Visit
from standin import ALWAYS, Hub, faults

LIMITS = "/api/windlass/v1/limits"


@pytest.fixture
def home(hub: Hub, tmp_path: Path) -> Home:
    hub.add(REPO, {NAME: gguf(100_000, 3)})
    return Home(tmp_path, hub.url)


def test_limits_that_others_change_too(visit: Visit) -> None:
    """Fields follow what others save; Enter saves what was typed and no more; mistakes are told by the page's words."""
    page, ask = visit.page, visit.server.ask
    jobs, connections, rate = map(page.get_by_label, ("Jobs at once", "Connections a file", "All together, MB/s"))
    form = page.locator("#limits")
    ask("PUT", LIMITS, {"max_jobs": 3, "limit_rate": 7_000_000})
    visit.come_back()
    expect(jobs).to_have_value("3")
    expect(rate).to_have_value("7")
    connections.fill("6")
    hours = {"days": ["mon"], "from": "08:00", "to": "09:00", "limit_rate": 1000}
    ask("PUT", LIMITS, {"max_jobs": 4, "schedule": [hours]})
    connections.press("Enter")
    expect(form).to_contain_text("Saved.")
    saved = ask("GET", LIMITS).json
    assert (saved["max_jobs"], saved["connections"], saved["limit_rate"]) == (4, 6, 7_000_000)
    assert saved["schedule"] == [hours]
    expect(jobs).to_have_value("4")
    expect(page.get_by_label("from")).to_have_value("08:00")
    for field, wrong in ((rate, "-5"), (jobs, "1.5"), (connections, "")):
        was = field.input_value()
        field.fill(wrong)
        field.press("Enter")
        expect(form.get_by_role("alert").filter(has_text="is wanted")).to_be_visible()
        expect(form).not_to_contain_text("Saved.")
        field.fill(was)
    rate.fill("33")
    page.get_by_label("mon").uncheck()
    visit.press("Save")
    expect(form).to_contain_text("at least one day")
    visit.press("Add hours")
    visit.come_back()
    expect(page.get_by_label("from")).to_have_count(2)
    expect(rate).to_have_value("33")
    page.get_by_role("button", name="Remove these hours").first.press("Enter")
    assert visit.focused() == "Remove these hours"
    page.get_by_role("button", name="Remove these hours").press("Enter")
    assert visit.focused() == "Add hours"
    assert ask("GET", LIMITS).json == saved


def test_the_settings_of_a_job(visit: Visit, hub: Hub) -> None:
    """They follow the server; what is untouched is not sent; what is no number is said to be none."""
    hub.misbehave("cdn", faults.stall(after=100), times=ALWAYS)
    path = f"/api/windlass/v1/jobs/{visit.server.download(f'{hub.url}/{REPO}')['job_id']}"

    def kept() -> tuple[int, int | None]:
        job = visit.server.ask("GET", path).json
        return job["priority"], job.get("limit_rate")

    visit.job.get_by_text("Details").click()
    priority, limit = (visit.job.get_by_label(text) for text in ("Priority of Qwen3", "Limit, MB/s of Qwen3"))
    expect(priority).to_have_value("0")
    visit.server.ask("PATCH", path, {"priority": 9, "limit_rate": 1_000_000})
    expect(priority).to_have_value("9")
    expect(limit).to_have_value("1")
    limit.fill("2")
    visit.press("Set priority and limit of Qwen3")
    eventually(lambda: kept() == (9, 2_000_000))
    for field, wrong in ((limit, "-3"), (priority, "1.5")):
        was = field.input_value()
        field.fill(wrong)
        field.press("Enter")
        expect(visit.job.get_by_role("alert").filter(has_text="is wanted")).to_be_visible()
        field.fill(was)
    priority.fill("1e3")
    priority.press("Enter")
    eventually(lambda: kept() == (1000, 2_000_000))
    expect(priority).to_have_value("1000")
    assert visit.complaints == []
