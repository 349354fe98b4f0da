"""Searching catalog and hub: what is found, in which order, page by page, and what happens when one of them fails."""

import base64
import json
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.hubsite import Answer, Site, as_json
from standin import ALWAYS, Hub, faults
from windlass.errors import HubError, HubFailure, HubUnreachable, InvalidRequest
from windlass.hub.catalog import Catalog
from windlass.hub.huggingface import HuggingFace, Repositories
from windlass.hub.offers import Offer, Query, pick_offer, repository_offer
from windlass.hub.search import search
from windlass.hub.web import Web
from windlass.manifest import Format

GGUF = {"M-Q4_K_M.gguf": b"GGUF"}
MLX = {"model.safetensors": b"m"}
PICKS = "/api/v1/models?action=staff-picks"


def card(downloads: int, *tags: str) -> dict[str, Any]:
    return {"downloads": downloads, "tags": list(tags)}


@pytest.fixture
def world(hub: Hub) -> Hub:
    """Four repositories and two models of the catalog."""
    hub.add("acme/Rocket-GGUF", GGUF, card=card(50, "gguf"))
    hub.add("acme/Rocket-MLX-4bit", MLX, card=card(900, "mlx", "safetensors"))
    hub.add("acme/Rocket", MLX, card=card(7000, "safetensors"))
    hub.add("other/Plane-GGUF", GGUF, card=card(4000, "gguf"), gated="manual")
    hub.add_model("model: acme/rocket\nbase: acme/Rocket-GGUF/M-Q4_K_M.gguf\n", "acme", "rocket", "acme/Rocket-GGUF")
    hub.add_model("model: acme/plane\nbase: other/Plane-GGUF/M-Q4_K_M.gguf\n", "acme", "plane", "other/Plane-GGUF")
    return hub


def sources(web: Web, world: Hub) -> tuple[HuggingFace, Catalog]:
    return HuggingFace(web, world.url, lambda: None), Catalog(web, world.url)


def ids(offers: tuple[Offer, ...]) -> list[str]:
    return [offer.id for offer in offers]


@pytest.mark.parametrize(
    ("text", "formats", "found"),
    [
        ("", None, ["acme/rocket", "acme/plane", "other/Plane-GGUF", "acme/Rocket-MLX-4bit", "acme/Rocket-GGUF"]),
        ("rocket", None, ["acme/rocket", "acme/Rocket-MLX-4bit", "acme/Rocket-GGUF"]),
        ("ROCKET", ("gguf",), ["acme/rocket", "acme/Rocket-GGUF"]),
        ("rocket", ("mlx",), ["acme/rocket", "acme/Rocket-MLX-4bit"]),
        ("rocket", ("safetensors",), ["acme/rocket", "acme/Rocket", "acme/Rocket-MLX-4bit"]),
        ("submarine", None, []),
    ],
)
def test_the_catalogs_come_first(
    web: Web, world: Hub, text: str, formats: tuple[Format, ...] | None, found: list[str]
) -> None:
    """Then the hub's, the most downloaded first; both formats where none is named."""
    query = Query(text, formats) if formats else Query(text)
    page = search(*sources(web, world), query)
    assert (ids(page.offers), page.cursor, page.warnings) == (found, None, ())


def test_what_is_told_of_each(web: Web, world: Hub) -> None:
    """What a person chooses by."""
    page = search(*sources(web, world), Query("plane"))
    picked, gated = page.offers
    assert (picked.source, picked.display_name, picked.url) == ("catalog", "Plane", f"{world.url}/models/acme/plane")
    assert (gated.source, gated.formats, gated.downloads, gated.gated) == ("huggingface", ("gguf",), 4000, True)
    assert gated.url == f"{world.url}/other/Plane-GGUF"


@pytest.mark.parametrize("limit", [1, 2, 3, 7])
def test_pages_follow_one_another(web: Web, world: Hub, limit: int) -> None:
    """Every model once, in the order of the one long page, however we and the hub cut our pages."""
    for number in range(6):
        world.add(f"many/M{number}-GGUF", GGUF, card=card(10 * number, "gguf"))
    whole = ids(search(*sources(web, world), Query(limit=100)).offers)
    world.page_size = 2
    hub, catalog = sources(web, world)
    found, cursor = list[str](), None
    while True:
        page = search(hub, catalog, Query(limit=limit), cursor)
        found += ids(page.offers)
        assert len(page.offers) <= limit
        if (cursor := page.cursor) is None:
            break
    assert found == whole
    assert len(whole) == 11


class Shelves:
    """A hub with rows for each tag, cut into pages of `size`; a page's cursor is where it begins."""

    endpoint = "https://hub.example"

    def __init__(self, offers: list[Offer], size: int) -> None:
        self._offers = sorted(offers, key=lambda offer: -(offer.downloads or 0))
        self._size = size

    def search(self, _text: str, tag: str, cursor: str = "") -> Repositories:
        rows = [offer for offer in self._offers if tag in offer.formats]
        start = int(cursor or 0)
        end = start + self._size
        return Repositories(tuple(rows[start:end]), str(end) if end < len(rows) else "")


class Picks:
    def __init__(self, offers: list[Offer]) -> None:
        self._offers = offers

    def picks(self) -> list[Offer]:
        return self._offers


def offer(number: int, formats: tuple[Format, ...], downloads: int) -> Offer:
    return Offer(f"o/r{number}", "huggingface", "R", "u", formats, downloads=downloads)


@st.composite
def offers(draw: st.DrawFn) -> list[Offer]:
    kinds = st.sampled_from([("gguf",), ("mlx",), ("gguf", "mlx"), ("safetensors",)])
    rows = draw(st.lists(st.tuples(kinds, st.integers(0, 5)), max_size=12))
    return [offer(number, cast("tuple[Format, ...]", kind), count) for number, (kind, count) in enumerate(rows)]


@given(offers(), st.integers(0, 4), st.integers(1, 4), st.integers(1, 5))
def test_nothing_is_lost_and_nothing_comes_twice(rows: list[Offer], picked: int, size: int, limit: int) -> None:
    """Whatever there is and however both sides cut their pages; never less downloaded before more downloaded."""
    picks = Picks([Offer(f"c/p{n}", "catalog", "P", "u") for n in range(picked)])
    hub = cast("HuggingFace", Shelves(rows, size))
    found, cursor = list[Offer](), None
    while True:
        page = search(hub, cast("Catalog", picks), Query(limit=limit), cursor)
        found += page.offers
        if (cursor := page.cursor) is None:
            break
        assert len(page.offers) == limit
    wanted = {row.id for row in rows if {"gguf", "mlx"} & {*row.formats}} | {f"c/p{n}" for n in range(picked)}
    assert {one.id for one in found} == wanted
    assert len(found) == len(wanted)
    counts = [one.downloads or 0 for one in found[picked:]]
    assert counts == sorted(counts, reverse=True)


def test_a_hub_that_finds_nothing_without_an_end(web: Web, site: Site) -> None:
    """Page after empty page is an error in the end."""

    def pages() -> Iterator[str]:
        yield ""
        yield from (f"&cursor={number}" for number in range(60))

    for number, extra in enumerate(pages()):
        path = f"/api/models?filter=gguf&sort=downloads&direction=-1&limit=50{extra}"
        site.pages[path] = as_json([], Link=f'<{site.address}/api/models?cursor={number}>; rel="next"')
    site.pages[PICKS] = as_json([])
    hub, catalog = HuggingFace(web, site.address, lambda: None), Catalog(web, site.address)
    with pytest.raises(HubError, match="without an end"):
        search(hub, catalog, Query(formats=("gguf",)))


# One of the two fails


def test_a_catalog_that_fails_is_passed_over(web: Web, world: Hub) -> None:
    """The hub's models are shown, and a warning says what is missing."""
    world.misbehave("picks", faults.garbage_json(), times=ALWAYS)
    page = search(*sources(web, world), Query("rocket"))
    assert ids(page.offers) == ["acme/Rocket-MLX-4bit", "acme/Rocket-GGUF"]
    assert "catalog was passed over" in page.warnings[0]


def test_a_hub_that_fails_is_passed_over(web: Web, world: Hub) -> None:
    """The catalog's are shown, and a warning says what is missing; nobody is told that there is another page."""
    world.misbehave("search", faults.garbage_json(), times=ALWAYS)
    page = search(*sources(web, world), Query("rocket"))
    assert (ids(page.offers), page.cursor) == (["acme/rocket"], None)
    assert "hub was passed over" in page.warnings[0]


def test_a_hub_that_fails_when_the_catalog_has_nothing(web: Web, world: Hub) -> None:
    """Its error, not an empty answer."""
    world.misbehave("search", faults.garbage_json(), times=ALWAYS)
    with pytest.raises(HubError):
        search(*sources(web, world), Query("submarine"))


def test_offline(web: Web) -> None:
    """Nobody can be reached: an error that says so."""
    hub, catalog = HuggingFace(web, "http://127.0.0.1:9", lambda: None), Catalog(web, "http://127.0.0.1:9")
    with pytest.raises(HubUnreachable):
        search(hub, catalog, Query())


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (Answer(404), "offer no search"),
        (Answer(401), "token"),
        (Answer(403), "token"),
        (Answer(body=b"{}"), "a list"),
        (Answer(body=b"<html>"), "JSON"),
        (as_json([], Link='<https://evil.example/api/models?cursor=x>; rel="next"'), "do not go"),
    ],
    ids=["404", "401", "403", "no list", "no json", "leads elsewhere"],
)
def test_a_hub_that_answers_with_something_else(web: Web, site: Site, answer: Answer, said: str) -> None:
    """An error for people, never a traceback."""
    site.pages["/api/models?search=x&filter=gguf&sort=downloads&direction=-1&limit=50"] = answer
    with pytest.raises(HubFailure) as caught:
        HuggingFace(web, site.address, lambda: None).search("x", "gguf")
    assert said in f"{caught.value.message} {caught.value.hint}"


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (Answer(404), []),
        (as_json([{"owner": "a", "name": "b"}, {"owner": 3}, "x", {"owner": "../", "name": "b"}]), ["a/b"]),
        (Answer(500), HubError),
        (Answer(403), HubError),
        (Answer(body=b"{}"), HubError),
        (Answer(body=b"["), HubError),
    ],
    ids=["404", "some rows", "500", "403", "no list", "no json"],
)
def test_picks(web: Web, site: Site, answer: Answer, expected: Any) -> None:
    """Rows that name no model are passed over; a catalog without such a page has none; the rest are errors."""
    site.pages[PICKS] = answer
    catalog = Catalog(web, site.address)
    if isinstance(expected, list):
        assert [pick.id for pick in catalog.picks()] == expected
    else:
        with pytest.raises(expected):
            catalog.picks()


def test_a_folder_shows_all_its_models(web: Web, tmp_path: Path) -> None:
    """What cannot be read is left out; a folder that is not there is an error."""
    for name, text in {"good": "base: a/b/c.gguf\n", "bad": "base: [", "Capital": "base: a/b/c.gguf\n"}.items():
        (tmp_path / "acme" / name).mkdir(parents=True)
        (tmp_path / "acme" / name / "model.yaml").write_text(text)
    (tmp_path / "acme" / "good" / "model.yaml").write_text(
        "base: a/b/c.gguf\nmetadataOverrides: {compatibilityTypes: [gguf, safetensors], paramsStrings: [4B]}\n"
    )
    [found] = Catalog(web, str(tmp_path)).picks()
    assert (found.id, found.formats, found.params_string) == ("acme/good", ("gguf", "mlx"), "4B")
    with pytest.raises(HubUnreachable):
        Catalog(web, str(tmp_path / "none")).picks()


def test_asked_again_soon_costs_nothing(web: Web, world: Hub) -> None:
    """Pages of pages are looked at in a row by one person; `forget` asks anew."""
    hub, catalog = sources(web, world)
    search(hub, catalog, Query())
    before = len(world.exchanges)
    search(hub, catalog, Query())
    assert len(world.exchanges) == before
    hub.forget()
    catalog.forget()
    search(hub, catalog, Query())
    assert len(world.exchanges) == 2 * before


# What is looked for


@pytest.mark.parametrize(
    ("given", "param"),
    [
        ({"text": "x" * 201}, "q"),
        ({"limit": 0}, "limit"),
        ({"limit": 101}, "limit"),
        ({"formats": ("onnx",)}, "format"),
        ({"formats": ()}, "format"),
    ],
)
def test_bad_queries(given: dict[str, Any], param: str) -> None:
    """Are refused, and the answer names the parameter."""
    with pytest.raises(InvalidRequest) as caught:
        Query(**given)
    assert caught.value.param == param


@given(st.one_of(st.text(max_size=60), st.from_regex(r"[A-Za-z0-9_-]{1,80}={0,2}", fullmatch=True)))
def test_any_cursor(cursor: str) -> None:
    """One that is none of ours is refused as such, whatever it is."""
    with suppress(InvalidRequest):
        search(cast("HuggingFace", Shelves([], 1)), cast("Catalog", Picks([])), Query(), cursor)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["picks", "gguf", "mlx"]), inner),
    max_leaves=8,
)


@given(json_values)
def test_any_content_of_a_cursor(content: Any) -> None:
    """The same for what is well wrapped and means nothing."""
    cursor = base64.urlsafe_b64encode(json.dumps(content).encode()).decode()
    with suppress(InvalidRequest):
        search(cast("HuggingFace", Shelves([], 1)), cast("Catalog", Picks([])), Query(), cursor)


ROW_KEYS = ["id", "modelId", "tags", "library_name", "downloads", "likes", "lastModified", "gated", "owner", "name"]
ROW_KEYS += ["metadata", "description", "compatibilityTypes", "paramsStrings", "displayName"]
rows = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.just("a/b") | st.just("gguf"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(ROW_KEYS), inner, max_size=6),
    max_leaves=15,
)


@given(st.dictionaries(st.sampled_from(ROW_KEYS), rows) | rows)
def test_any_row(row: Any) -> None:
    """Whatever a hub sends, it is a model that can be shown, or none."""
    for found in (repository_offer(row, "https://hub.example"), pick_offer(row, "https://hub.example/models")):
        if found is not None:
            assert found.id.count("/") == 1
            shown = (found.description, found.display_name, found.params_string, found.updated_at)
            assert all(text is None or text.isprintable() for text in shown)
