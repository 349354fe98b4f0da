"""The page, driven in Debian's Chromium as a person would: by what is written on it, by keyboard, over a restart."""

import re
import tempfile
from pathlib import Path

import pytest
from playwright.sync_api import expect

from e2e.conftest import MIB, gguf
from e2e.outside import Home, Server
from e2e.page import NAME, PICTURES, RATE, REPO, SIZE, Visit
from e2e.test_models import flip
from standin import ALWAYS, Hub, faults


@pytest.fixture
def home(hub: Hub, tmp_path: Path) -> Home:
    hub.add(REPO, {NAME: gguf(SIZE, 3), "Qwen3-4B-Q8_0.gguf": gguf(SIZE // 4, 4)})
    return Home(Path(tempfile.mkdtemp()) if PICTURES else tmp_path, hub.url)  # a path that can be shown


def test_a_model_from_its_name_to_the_list(visit: Visit, hub: Hub) -> None:
    """Planned with its choices, started, watched, paused, resumed, completed, told of in detail; and accessible."""
    hub.rate = RATE
    visit.look_up(REPO)
    whole, quarter = (f"{SIZE / part / 1e6:.3g}" for part in (1, 4))
    expect(visit.page.locator("#found")).to_contain_text(f"{whole} MB to fetch")
    visit.page.get_by_role("radio", name="Q8_0").check()
    expect(visit.page.locator("#found")).to_contain_text(re.compile(rf"{quarter}\d* MB to fetch"))
    visit.page.get_by_role("radio", name="Q4_K_M").check()
    expect(visit.page.locator("#found")).to_contain_text(f"{whole} MB to fetch")
    visit.picture("plan")
    visit.press(f"Download {whole} MB")
    expect(visit.job).to_contain_text("transferring")
    expect(visit.job).to_contain_text(re.compile(r"\d+ [kM]B/s .* left"))
    visit.picture("download", after=9)
    visit.job.get_by_text("Details").click()
    expect(visit.job.get_by_role("row").nth(1)).to_contain_text(NAME)
    expect(visit.job.get_by_role("heading", name="Connections")).to_be_visible()
    visit.picture("details", visit.job)
    assert visit.accessible() == []
    visit.press("Pause Qwen3")
    expect(visit.job.locator("strong")).to_have_text("paused")
    expect(visit.page.get_by_role("button", name="Resume Qwen3")).to_be_focused()
    visit.picture("paused", visit.job)
    hub.rate = None
    visit.page.get_by_role("button", name="Resume Qwen3").press("Enter")
    expect(visit.job.locator("strong")).to_have_text("completed")
    expect(visit.page.locator("#model-list")).to_contain_text("Qwen3 4B")
    expect(visit.job.get_by_role("row").nth(1)).to_contain_text("100 %")
    expect(visit.job.get_by_role("heading", name="Connections")).to_be_hidden()
    visit.picture("completed")
    assert visit.complaints == []


def test_cancel_asks_first_and_forget_clears(visit: Visit, hub: Hub) -> None:
    """By keyboard alone: Escape leaves all as it was."""
    hub.misbehave("cdn", faults.stall(after=MIB), times=ALWAYS)
    visit.look_up(REPO)
    visit.press("Download")
    cancel = visit.page.get_by_role("button", name="Cancel Qwen3")
    cancel.press("Enter")
    expect(visit.page.get_by_role("dialog")).to_contain_text("Cancel Qwen3")
    visit.picture("cancel")
    visit.page.keyboard.press("Escape")
    expect(visit.page.get_by_role("dialog")).to_be_hidden()
    expect(visit.job.locator("strong")).not_to_have_text("cancelled")
    cancel.press("Enter")
    visit.press("^Cancel it$")
    expect(visit.job.locator("strong")).to_have_text("cancelled")
    visit.page.get_by_role("button", name="Forget Qwen3").press("Enter")
    expect(visit.page.get_by_text("No jobs yet")).to_be_visible()
    assert visit.complaints == []


def test_it_outlives_the_server(visit: Visit, home: Home, hub: Hub) -> None:
    """Killed, it is said; started again at the same address, the page goes on by itself with what is so now."""
    hub.misbehave("cdn", faults.stall(after=MIB), times=ALWAYS)
    visit.look_up(f"{hub.url}/{REPO}")
    visit.press("Download")
    expect(visit.job).to_contain_text("transferring")
    visit.server.kill()
    expect(visit.page.locator("#line")).to_contain_text("does not answer")
    visit.press("Pause Qwen3")
    expect(visit.job.get_by_role("alert").first).to_contain_text("Is it running?")
    visit.picture("server-away")
    home.more["WINDLASS_PORT"] = visit.server.url.rpartition(":")[2]
    hub.behave()
    visit.server.restart()
    visit.connected()
    expect(visit.job.locator("strong")).to_have_text("completed")


def test_open_jobs_are_shown_however_many_there_are(visit: Visit, hub: Hub) -> None:
    """More than one page of the list of jobs."""
    hub.misbehave("cdn", faults.stall(after=100), times=ALWAYS)
    visit.server.ask("PUT", "/api/windlass/v1/limits", {"max_jobs": 1})
    for number in range(210):
        hub.add(f"acme/M{number}-GGUF", {f"M{number}-Q4_K_M.gguf": gguf(1000, number)})
        visit.server.download(f"{hub.url}/acme/M{number}-GGUF")
    visit.page.reload()
    visit.connected()
    expect(visit.page.locator("#job-list > li")).to_have_count(210)


def test_what_is_here(visit: Visit, home: Home, hub: Hub) -> None:
    """Facts, files, a damaged one found and mended, deleted when it is confirmed."""
    visit.server.finished(visit.server.download(f"{hub.url}/{REPO}")["job_id"])
    card = visit.page.locator("#model-list > li")
    expect(card).to_contain_text("Q4_K_M · GGUF")
    visit.press("Verify Qwen3")
    expect(card).to_contain_text("Every byte is as it should be")
    flip(home.models / REPO / NAME, SIZE // 2)
    visit.press("Verify Qwen3")
    expect(card).to_contain_text("is damaged")
    visit.picture("damaged", card)
    visit.press("Fetch what is damaged")
    expect(visit.page.locator("#job-list strong")).to_have_text(["completed", "completed"])
    expect(card).to_contain_text("What was damaged has been fetched again.")
    assert visit.focused() == "Verify Qwen3 4B"
    card.get_by_text("Files").click()
    expect(card).to_contain_text("sha256:")
    visit.picture("files", card)
    assert visit.accessible() == []
    visit.press("Delete Qwen3")
    visit.press("^Delete it$")
    expect(visit.page.get_by_text("No model is here")).to_be_visible()
    assert visit.focused() == "Models on this machine"
    assert visit.complaints == []
    visit.server.finished(visit.server.download(f"{hub.url}/{REPO}", "Q8_0")["job_id"])
    expect(card).to_be_visible()
    key = visit.server.ask("GET", "/api/v1/models").json["models"][0]["key"]
    visit.server.ask("DELETE", f"/api/windlass/v1/models/{key}")
    visit.press("Verify Qwen3")
    expect(card).to_have_count(0)


def test_limits_and_hours(visit: Visit) -> None:
    """Saved for the server, and shown again."""
    visit.page.get_by_label("Jobs at once").fill("2")
    visit.page.get_by_label("All together, MB/s").fill("12.5")
    visit.press("Add hours")
    visit.page.get_by_label("sat").uncheck()
    visit.page.get_by_label("to", exact=True).fill("00:30")
    visit.press("Save")
    expect(visit.page.locator("#limits")).to_contain_text("Saved")
    visit.picture("limits", visit.page.locator("#limits"))
    limits = visit.server.ask("GET", "/api/windlass/v1/limits").json
    assert (limits["max_jobs"], limits["limit_rate"]) == (2, 12_500_000)
    [window] = limits["schedule"]
    assert (window["from"], window["to"], "sat" in window["days"]) == ("08:00", "00:30", False)
    visit.page.reload()
    visit.connected()
    expect(visit.page.get_by_label("Jobs at once")).to_have_value("2")
    visit.page.get_by_label("Jobs at once").fill("0")
    visit.press("Save")
    expect(visit.page.locator("#limits")).to_contain_text("whole number from 1 up")


def test_search_and_errors(visit: Visit) -> None:
    """Words are searched for, and what is found is planned; what is not there is said, and nothing said is markup."""
    visit.look_up("qwen3")
    expect(visit.page.get_by_role("button", name="Show what")).to_be_visible()
    visit.picture("search")
    visit.press("Show what lmstudio-community.Qwen3")
    expect(visit.page.locator("#found")).to_contain_text("to fetch")
    visit.look_up("acme/nothing-at-all")
    expect(visit.page.locator("#found [role=alert]")).to_contain_text("nothing-at-all")
    visit.picture("error", visit.page.locator("#add"))
    visit.look_up("acme/<img>")
    expect(visit.page.locator("#found [role=alert]")).to_contain_text("<img>")
    expect(visit.page.locator("img")).to_have_count(0)


def test_a_token_is_asked_for_once(visit: Visit, home: Home) -> None:
    """When the server begins to ask for one; a wrong one is said to be, and the right one is kept."""
    token = home.run("token", "create").stdout.strip()
    visit.page.reload()
    dialog = visit.page.get_by_role("dialog")
    expect(dialog).to_contain_text("windlass token create")
    visit.picture("token")
    assert visit.accessible() == []
    dialog.get_by_label("Token").fill("sk-lm-AAAAAAAA:BBBBBBBBBBBBBBBBBBBB")
    visit.page.keyboard.press("Enter")
    expect(dialog).to_contain_text("none of this server's")
    dialog.get_by_label("Token").fill(f"{token}\u200b")  # as text that was copied from a page may end
    visit.page.keyboard.press("Enter")
    visit.connected()
    expect(dialog).to_be_hidden()
    visit.page.reload()
    visit.connected()
    expect(dialog).to_be_hidden()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_on_a_phone(visit: Visit, hub: Hub, scheme: str) -> None:
    """Nothing is wider than it; contrast and names hold in both colour schemes."""
    visit.page.set_viewport_size({"width": 360, "height": 740})
    visit.page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
    visit.server.finished(visit.server.download(f"{hub.url}/{REPO}", "Q8_0")["job_id"])
    expect(visit.page.locator("#model-list")).to_contain_text("Qwen3 4B")
    visit.look_up(f"{hub.url}/{REPO}")
    expect(visit.page.locator("#found .card")).to_be_visible()
    visit.press("Add hours")
    assert visit.page.evaluate("document.documentElement.scrollWidth") <= 360
    visit.picture(f"phone-{scheme}")
    assert visit.accessible() == []


def test_its_files(home: Home) -> None:
    """Known by tags, with a policy that lets nothing in from elsewhere; what is none of them is not there."""
    with Server(home) as server:
        page = server.ask("GET", "/")
        policy = page.headers["content-security-policy"]
        assert (page.status, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        parts = re.findall(r'(?:src|href)="(/page/[^"]+)"', page.body.decode())
        assert len(parts) == 3
        for part in parts:
            answer = server.ask("GET", part)
            assert answer.status == 200
            assert server.ask("GET", part, headers={"If-None-Match": answer.headers["etag"]}).status == 304
        for wrong in ("/page/nothing.js", "/page/..%2f__init__.py", "/page/"):
            assert server.ask("GET", wrong).status == 404
