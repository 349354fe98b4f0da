"""Hugging Face: listings pinned to a commit, and what its refusals mean."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from hub.hubsite import COMMIT, Answer, Site, add_repository, as_json
from windlass.errors import HubError, ModelGated, ModelNotFound, WindlassError
from windlass.hub import huggingface
from windlass.hub.huggingface import HuggingFace, saved_token
from windlass.hub.listing import HubFile
from windlass.hub.web import Web
from windlass.manifest import Digest

SHA256, SHA1 = "2" * 64, "1" * 40
TREE = f"/api/models/a/b/tree/{COMMIT}?recursive=true&expand=false"


@pytest.fixture
def hub(site: Site, web: Web) -> HuggingFace:
    return HuggingFace(web, site.address, lambda: None)


def test_listing(site: Site, hub: HuggingFace) -> None:
    """Files, their sizes and hashes, and what the hub says about the repository."""
    add_repository(
        site, "a/b", "x.gguf", texts={"config.json": "{}"}, gated="auto", tags=["mlx", 3], library_name="mlx"
    )
    listing = hub.listing("a/b")
    assert (listing.repo, listing.commit, listing.gated) == ("a/b", COMMIT, True)
    assert (listing.tags, listing.library_name) == (("mlx",), "mlx")
    assert listing.files == (
        HubFile("x.gguf", 6, Digest("sha256", SHA256)),
        HubFile("config.json", 2, Digest("git-sha1", SHA1)),
    )


def test_two_requests(site: Site, hub: HuggingFace) -> None:
    """A listing costs two requests: the commit, then everything at that commit."""
    add_repository(site, "a/b", "x.gguf")
    hub.listing("a/b")
    assert site.asked == ["/api/models/a/b/revision/main", TREE]


def test_revision(site: Site, hub: HuggingFace) -> None:
    """A revision with slashes is one part of the address."""
    add_repository(site, "a/b", "x.gguf")
    site.pages["/api/models/a/b/revision/refs%2Fpr%2F1"] = as_json({"sha": COMMIT})
    assert hub.listing("a/b", "refs/pr/1").commit == COMMIT


def test_minimal_hub(site: Site, hub: HuggingFace) -> None:
    """A hub that sends nothing but commit, paths, sizes and hashes is enough; folders are passed over."""
    site.pages["/api/models/a/b"] = as_json({"sha": COMMIT})
    site.pages[TREE] = as_json(
        [
            {"path": "x.gguf", "size": 7, "lfs": {"sha256": f"sha256:{SHA256}"}},
            {"path": "y", "size": 0, "oid": SHA1},
            {"type": "directory", "path": "d", "oid": SHA1},
            {"type": "commit", "path": "m"},
        ]
    )
    listing = hub.listing("a/b")
    assert [(f.path, f.size, f.digest.algorithm) for f in listing.files] == [
        ("x.gguf", 7, "sha256"),
        ("y", 0, "git-sha1"),
    ]
    assert listing.repo == "a/b"


def test_pages(site: Site, hub: HuggingFace) -> None:
    """A long list comes in pages, each told by the one before; one that a push repeats counts once."""
    add_repository(site, "a/b", "x.gguf")
    entry = {"path": "y.gguf", "size": 1, "oid": SHA1}
    site.pages[TREE] = as_json([entry], Link=f'<{site.address}/2?c=a%3D>; rel="next"')
    site.pages["/2?c=a%3D"] = as_json([entry, {**entry, "path": "z"}], Link="</3>; rel=next")
    site.pages["/3"] = as_json([], Link='</2?c=a%3D>; rel="prev"')
    assert [file.path for file in hub.listing("a/b").files] == ["y.gguf", "z"]


@pytest.mark.parametrize(
    "link",
    ["<http://169.254.169.254/x>; rel=next", "<https://{host}/x>; rel=next", "<http://[x/>; rel=next", "<?>; rel=next"],
)
def test_pages_elsewhere_or_without_end(site: Site, hub: HuggingFace, link: str) -> None:
    """A next page at another origin is not fetched, nor one page for ever."""
    add_repository(site, "a/b")
    site.pages[TREE] = as_json([], Link=link.replace("{host}", site.address.removeprefix("http://")))
    site.pages[TREE.partition("?")[0] + "?"] = site.pages[TREE.partition("?")[0]] = site.pages[TREE]
    with pytest.raises(HubError, match=r"do not go|no end"):
        hub.listing("a/b")
    assert len(site.asked) < 5


def test_too_many_files(site: Site, hub: HuggingFace, monkeypatch: pytest.MonkeyPatch) -> None:
    """A repository with more files than we take is refused."""
    monkeypatch.setattr(huggingface, "MOST_FILES", 2)
    add_repository(site, "a/b", "x", "y", "z")
    with pytest.raises(HubError, match="more than 2 files"):
        hub.listing("a/b")


@pytest.mark.parametrize(
    "info",
    [[], "x", None, {}, {"sha": "main"}, {"sha": "C" * 40}, {"sha": COMMIT + "\n"}, {"sha": 7}, {"sha": ["c" * 40]}],
)
def test_no_commit(site: Site, hub: HuggingFace, info: object) -> None:
    """Without a commit nothing can be pinned: a hub error."""
    site.pages["/api/models/a/b"] = as_json(info)
    with pytest.raises(HubError):
        hub.listing("a/b")


@pytest.mark.parametrize(
    "entry",
    [
        7,
        {},
        {"path": "x", "size": 1},
        {"path": "x", "size": 1, "oid": "zz"},
        {"path": "x", "size": -1, "oid": SHA1},
        {"path": "x", "size": True, "oid": SHA1},
        {"path": "x", "size": 1.5, "oid": SHA1},
        {"path": "x", "size": 2**70, "oid": SHA1},
        {"path": "x", "size": "1", "oid": SHA1},
        {"path": "", "size": 1, "oid": SHA1},
        {"path": ["x"], "size": 1, "oid": SHA1},
        {"path": "x", "oid": SHA1},
        {"path": "x", "size": 1, "oid": SHA1, "lfs": {"oid": SHA1}},
        {"path": "x", "size": 1, "oid": SHA1, "lfs": {"oid": 5}},
    ],
)
def test_unusable_entries(site: Site, hub: HuggingFace, entry: object) -> None:
    """A file without a path, size or hash that can be trusted is a hub error, not a file less."""
    add_repository(site, "a/b")
    site.pages[TREE] = as_json([entry])
    with pytest.raises(HubError, match="usable"):
        hub.listing("a/b")


def test_no_list(site: Site, hub: HuggingFace) -> None:
    """A tree that is no list is a hub error."""
    add_repository(site, "a/b")
    site.pages[TREE] = as_json({"error": "x"})
    with pytest.raises(HubError, match="list of files"):
        hub.listing("a/b")


@pytest.mark.parametrize(
    ("told", "redirected", "expected"),
    [
        ("A/B", False, "A/B"),
        ("other/name", False, "a/b"),
        ("new/name", True, "new/name"),
        ("../b", True, "a/b"),
        ("x", True, "a/b"),
        (None, True, "a/b"),
    ],
)
def test_canonical_name(site: Site, hub: HuggingFace, told: Any, redirected: bool, expected: str) -> None:
    """Another case, or after a redirect another name, is the hub's spelling; without a redirect it is not believed."""
    add_repository(site, expected)
    site.pages["/api/models/a/b"] = (
        Answer(307, headers={"Location": "/api/models/new/name"}) if redirected else as_json({})
    )
    site.pages["/api/models/new/name" if redirected else "/api/models/a/b"] = as_json({"id": told, "sha": COMMIT})
    assert hub.listing("a/b").repo == expected


def test_read(site: Site, hub: HuggingFace) -> None:
    """A small file is read through a relative redirect, its name percent-encoded, within its bound."""
    site.pages[f"/a/b/resolve/{COMMIT}/x%20y/%23.json"] = Answer(307, headers={"Location": "/cache/1"})
    site.pages["/cache/1"] = Answer(body=b"{}")
    assert hub.read("a/b", COMMIT, "x y/#.json") == b"{}"
    with pytest.raises(HubError):
        hub.read("a/b", COMMIT, "x y/#.json", limit=1)


def test_token(site: Site, other_site: Site, web: Web) -> None:
    """The token is sent with every request to the hub, and never elsewhere."""
    add_repository(site, "a/b", "x")
    site.pages[f"/a/b/resolve/{COMMIT}/x"] = Answer(302, headers={"Location": f"{other_site.address}/x"})
    other_site.pages["/x"] = Answer(body=b"1")
    hub = HuggingFace(web, site.address, lambda: "hf_secret")
    hub.listing("a/b")
    hub.read("a/b", COMMIT, "x")
    assert {headers.get("authorization") for headers in site.headers} == {"Bearer hf_secret"}
    assert [headers.get("authorization") for headers in other_site.headers] == [None]


GATED = {"X-Error-Code": "GatedRepo"}
DISABLED = {"X-Error-Message": "Access to this resource is disabled."}
REFUSALS = [
    # status, headers, signed in → error, words
    (401, {"X-Error-Message": "Invalid username or password."}, False, ModelNotFound, "private, set HF_TOKEN"),
    (401, {}, True, ModelNotFound, "token in use is wrong"),
    (401, {"X-Error-Message": "Invalid credentials in Authorization header"}, True, ModelGated, "may have expired"),
    (401, {"X-Error-Message": "Invalid credentials in Authorization header"}, False, ModelNotFound, "spelling"),
    (403, {**GATED, "X-Error-Message": "Your request is awaiting a review"}, True, ModelGated, "being looked at"),
    (404, {"X-Error-Code": "RepoNotFound"}, True, ModelNotFound, "spelling"),
    (404, {"X-Error-Code": "RevisionNotFound"}, False, ModelNotFound, "no revision 'v9'"),
    (404, {}, False, ModelNotFound, "no revision 'v9'"),
    (401, GATED, False, ModelGated, "hf auth login"),
    (403, GATED, True, ModelGated, "has not been granted"),
    (403, DISABLED, False, ModelNotFound, "disabled"),
    (451, DISABLED, False, ModelNotFound, "disabled"),
    (403, {"X-Error-Message": "Fine-grained\ttoken lacks it."}, True, ModelGated, "Fine-grainedtoken lacks it."),
    (403, {}, False, ModelGated, "denies access"),
    (410, {}, False, ModelNotFound, "not there"),
    (400, {"X-Error-Message": "bad"}, False, HubError, "400"),
    (418, {}, False, HubError, "418"),
]


@pytest.mark.parametrize(("status", "headers", "signed_in", "error", "words"), REFUSALS)
def test_refusals(
    site: Site, web: Web, status: int, headers: dict[str, str], signed_in: bool, error: type[WindlassError], words: str
) -> None:
    """Missing, gated, private and disabled are told apart as far as the hub lets one, with what to do next."""
    site.pages["/api/models/a/b/revision/v9"] = Answer(status, headers=headers)
    hub = HuggingFace(web, site.address, lambda: "hf_x" if signed_in else None)
    with pytest.raises(error) as caught:
        hub.listing("a/b", "v9")
    assert type(caught.value) is error
    assert words in str(caught.value)
    if error is ModelGated:
        assert f"{site.address}/a/b" in str(caught.value)


def test_missing_without_a_revision(site: Site, hub: HuggingFace) -> None:
    """A bare 404 for a repository says that there is none."""
    with pytest.raises(ModelNotFound, match="knows no model a/b"):
        hub.listing("a/b")


def test_missing_file(site: Site, hub: HuggingFace) -> None:
    """A file that is not there is named."""
    site.pages[f"/a/b/resolve/{COMMIT}/x"] = Answer(404, headers={"X-Error-Code": "EntryNotFound"})
    with pytest.raises(ModelNotFound, match="no file 'x'"):
        hub.read("a/b", COMMIT, "x")


def test_disabled_in_its_metadata(site: Site, hub: HuggingFace) -> None:
    """A repository whose metadata says that it is disabled is gone for everyone."""
    add_repository(site, "a/b", "x", disabled=True)
    with pytest.raises(ModelNotFound, match="disabled"):
        hub.listing("a/b")


@pytest.mark.parametrize(
    "answer", [Answer(302, headers={"Location": "http://cdn.example/"}), Answer(206, b"x"), Answer(416)]
)
def test_access(site: Site, hub: HuggingFace, answer: Answer) -> None:
    """A redirect to the bytes, or a first byte, means access; no redirect is followed, at most one byte asked for."""
    site.pages[f"/a/b/resolve/{COMMIT}/x"] = answer
    hub.check_access("a/b", COMMIT, "x")
    assert site.headers[0]["range"] == "bytes=0-0"


def test_access_where_ranges_are_unknown(site: Site, hub: HuggingFace) -> None:
    """A hub that sends the whole file instead of a byte is not listened to."""
    site.pages[f"/a/b/resolve/{COMMIT}/x"] = Answer(200, bytes(8_000_000))
    hub.check_access("a/b", COMMIT, "x")


def test_no_access(site: Site, hub: HuggingFace) -> None:
    """A gated repository shows its gate when bytes are asked for."""
    site.pages[f"/a/b/resolve/{COMMIT}/x"] = Answer(403, headers=GATED)
    with pytest.raises(ModelGated):
        hub.check_access("a/b", COMMIT, "x")


def test_saved_token(monkeypatch: pytest.MonkeyPatch) -> None:
    """A token handed in goes before what huggingface_hub finds."""
    monkeypatch.setenv("HF_TOKEN", "hf_from_environment")
    assert saved_token("hf_given") == "hf_given"
    assert saved_token() == "hf_from_environment"


def test_the_token_of_a_login_is_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """`hf auth login` writes it to a file; before, there is none."""
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_OIDC_RESOURCE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", str(tmp_path / "token"))
    assert saved_token() is None
    (tmp_path / "token").write_text("hf_of_a_login\n")
    assert saved_token() == "hf_of_a_login"


@pytest.mark.parametrize(
    ("signed_in", "absent"), [(False, ("huggingface_hub.utils", "httpx2")), (True, ("huggingface_hub.hf_api",))]
)
def test_asking_for_the_token_is_cheap(tmp_path: Path, signed_in: bool, absent: tuple[str, ...]) -> None:
    """It never loads huggingface_hub's API client, a fifth of a second, and next to nothing where nobody signed in."""
    own = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "HUGGING_FACE_"))}
    if signed_in:
        (tmp_path / "token").write_text("hf_of_a_login")
    code = "import sys, windlass.hub.huggingface as h; print(h.saved_token(), *sys.modules)"
    command = [sys.executable, "-c", code]
    printed = subprocess.run(command, env={**own, "HF_HOME": str(tmp_path)}, stdout=subprocess.PIPE, check=True).stdout
    token, *loaded = printed.decode().split()
    assert token == ("hf_of_a_login" if signed_in else "None")
    assert not set(absent) & set(loaded)
