"""What a hub lists, for whoever can do without: what it does not tell is not there, and its paths are judged."""

import pytest

from hub.hubsite import COMMIT, Answer, Site, add_repository
from windlass.errors import HubUnreachable
from windlass.hub.huggingface import HuggingFace
from windlass.hub.recognition import listed
from windlass.hub.web import HASTE, Timing, Web
from windlass.manifest import Digest, ManifestFile


def test_what_it_lists(site: Site, web: Web) -> None:
    """At its commit, with its hashes; a path that does not stay in its repository is left out."""
    add_repository(site, "a/b", "x.gguf", "../../x.gguf", "a\\b.gguf", "y:z.gguf")
    hub = HuggingFace(web, site.address, lambda: None)
    assert listed(hub, "a/b") == (ManifestFile("a/b", COMMIT, "x.gguf", 6, Digest("sha256", "2" * 64)),)


@pytest.mark.parametrize("status", [401, 403, 404, 429, 500, 503])
def test_a_refusal_is_no_news(site: Site, web: Web, status: int) -> None:
    """Whatever it means elsewhere."""
    site.pages["/api/models/a/b/revision/main"] = Answer(status)
    assert listed(HuggingFace(web, site.address, lambda: None), "a/b") == ()


def test_in_haste_it_is_asked_once(site: Site) -> None:
    """And not waited for longer than a few seconds."""
    ticks = iter(range(0, 10**9, 6))
    site.pages["/"] = Answer(body=b"[1]")
    web = Web(Timing(sleep=lambda _: None, monotonic=lambda: next(ticks)), patience=HASTE)
    with pytest.raises(HubUnreachable, match="5 s"):
        web.get(f"{site.address}/")
    assert len(site.asked) == 1
    web.close()
