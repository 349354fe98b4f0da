"""What `windlass hub` answers to Hugging Face's clients."""

import os
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from share.sharing import WEIGHTS, git_sha1, sha256

REPO = "/api/models/Acme/Rocket-GGUF"
README_SHA1 = git_sha1(b"# Rocket\n")
FILE = "/Acme/Rocket-GGUF/resolve/main/Rocket-Q4_K_M.gguf"


def test_info_lists_files_and_pins_a_commit(client: TestClient) -> None:
    """The repository's answer has a commit of 40 digits, its files by path, and its tags; nothing hidden or half."""
    body = client.get(REPO).json()
    assert [row["rfilename"] for row in body["siblings"]] == [
        "BF16/Rocket-BF16-00001-of-00002.gguf",
        "BF16/Rocket-BF16-00002-of-00002.gguf",
        "README.md",
        "Rocket-Q4_K_M.gguf",
        "empty.json",
    ]
    assert (len(body["sha"]), body["id"], body["gated"], body["tags"]) == (40, "Acme/Rocket-GGUF", False, ["gguf"])


def test_info_with_blobs_has_sizes_and_hashes(client: TestClient) -> None:
    """`blobs=true` adds the size, the git oid, and for weights the sha256."""
    rows = {row["rfilename"]: row for row in client.get(REPO, params={"blobs": "true"}).json()["siblings"]}
    assert rows["README.md"] == {"rfilename": "README.md", "size": 9, "blobId": README_SHA1}
    pointer = (
        f"version https://git-lfs.github.com/spec/v1\noid sha256:{sha256(WEIGHTS)}\nsize {len(WEIGHTS)}\n".encode()
    )
    weights = rows["Rocket-Q4_K_M.gguf"]
    assert weights["blobId"] == git_sha1(pointer)
    assert weights["lfs"] == {"sha256": sha256(WEIGHTS), "size": len(WEIGHTS), "pointerSize": len(pointer)}


@pytest.mark.parametrize(
    ("under", "recursive", "paths"),
    [
        ("", "false", ["BF16", "README.md", "Rocket-Q4_K_M.gguf", "empty.json"]),
        ("/BF16", "false", ["BF16/Rocket-BF16-00001-of-00002.gguf", "BF16/Rocket-BF16-00002-of-00002.gguf"]),
    ],
)
def test_tree_lists_one_level_or_all(client: TestClient, under: str, recursive: str, paths: list[str]) -> None:
    """The tree shows a folder's own rows, and with `recursive` all below."""
    rows = client.get(f"{REPO}/tree/main{under}", params={"recursive": recursive}).json()
    assert [row["path"] for row in rows] == paths
    everything = client.get(f"{REPO}/tree/main", params={"recursive": "true"}).json()
    assert len(everything) == 6


def test_tree_row_of_weights_has_the_sha256(client: TestClient) -> None:
    """`lfs.oid` is the content's sha256; small files have the git blob sha1 alone; no Xet hash is promised."""
    rows = {row["path"]: row for row in client.get(f"{REPO}/tree/HEAD").json()}
    assert rows["Rocket-Q4_K_M.gguf"]["lfs"]["oid"] == sha256(WEIGHTS)
    assert rows["empty.json"] == {"type": "file", "oid": git_sha1(b""), "size": 0, "path": "empty.json"}
    assert rows["BF16"]["type"] == "directory"
    assert not any("xetHash" in row for row in rows.values())


def test_tree_pages_lead_from_one_to_the_next(client: TestClient) -> None:
    """`limit` cuts the tree into pages joined by absolute `Link: rel="next"`, no row twice and none left out."""
    whole = client.get(f"{REPO}/tree/main", params={"recursive": "true"}).json()
    url, rows = f"{REPO}/tree/main?recursive=true&limit=2&expand=true", []
    while url:
        answer = client.get(url)
        rows += answer.json()
        url = answer.links["next"]["url"] if "next" in answer.links else ""
        assert not url or url.startswith("http://testserver/")
    assert [row["path"] for row in rows] == [row["path"] for row in whole]
    assert all(len(row["lastCommit"]["id"]) == 40 for row in rows)


@pytest.mark.parametrize("limit", ["0", "-1", "x", "", "²", "9" * 5000])
def test_a_limit_that_is_no_number_is_refused(client: TestClient, limit: str) -> None:
    """A page size that is no whole number from 1 up is answered with 400."""
    assert client.get(f"{REPO}/tree/main", params={"limit": limit}).status_code == 400


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("/api/models/acme/nothing", "RepoNotFound"),
        ("/api/models/gpt2", "RepoNotFound"),
        ("/api/models/catalog/acme", "RepoNotFound"),
        ("/api/datasets/acme/rocket", "RepoNotFound"),
        ("/Acme/nothing/resolve/main/x.gguf", "RepoNotFound"),
        (f"{REPO}/revision/v2", "RevisionNotFound"),
        (f"{REPO}/revision/refs%2Fpr%2F1", "RevisionNotFound"),
        (f"{REPO}/revision/{'0' * 40}", "RevisionNotFound"),
        (f"{REPO}/tree/v2", "RevisionNotFound"),
        (f"{REPO}/tree/main/nothing", "EntryNotFound"),
        ("/Acme/Rocket-GGUF/resolve/v2/README.md", "RevisionNotFound"),
        ("/Acme/Rocket-GGUF/resolve/main/nothing.gguf", "EntryNotFound"),
        ("/Acme/Rocket-GGUF/resolve/main/BF16", "EntryNotFound"),
    ],
)
def test_what_is_not_there_is_told_by_its_code(client: TestClient, path: str, code: str) -> None:
    """404 says in X-Error-Code whether repository, revision or file is missing, and in X-Error-Message and JSON why."""
    answer = client.get(path)
    assert (answer.status_code, answer.headers["x-error-code"]) == (404, code)
    assert answer.json()["error"]
    assert answer.headers["x-error-message"]


@pytest.mark.parametrize(
    "path",
    [
        "/Acme/Rocket-GGUF/resolve/main/../../../outside.gguf",
        "/Acme/Rocket-GGUF/resolve/main/..%2f..%2f..%2foutside.gguf",
        "/Acme/Rocket-GGUF/resolve/main/%2e%2e/%2e%2e/%2e%2e/outside.gguf",
        "/Acme/Rocket-GGUF/resolve/main//etc/passwd",
        "/Acme/Rocket-GGUF/resolve/main/README.md%00.gguf",
        "/Acme/Rocket-GGUF/resolve/main/.gitattributes",
        "/Acme/Rocket-GGUF/resolve/main/coming.gguf.part",
        "/Acme/Rocket-GGUF/resolve/main/downloading_Rocket-Q8_0.gguf",
        "/Acme/Rocket-GGUF/resolve/main/Rocket-Q8_0.gguf.Incomplete",
        "/Acme/Rocket-GGUF/resolve/main/..%5c..%5coutside.gguf",
        "/Acme/.git/resolve/main/config",
        "/.windlass/partials/resolve/main/secret.gguf",
        "/../models/resolve/main/outside.gguf",
        "/Acme/../resolve/main/loose.gguf",
        "/%2e%2e/%2e%2e/resolve/main/etc/passwd",
        "/catalog/..%2f..%2fAcme/Rocket-GGUF/model.yaml",
        "/api/models/Acme/Rocket-GGUF/tree/main/..%2f..",
    ],
)
def test_nothing_outside_is_served_whatever_the_url_says(client: TestClient, path: str) -> None:
    """Dots, encoded or not, NUL, backslashes, hidden names and those of unfinished files find nothing."""
    assert client.get(path).status_code == 404


def test_links_that_lead_out_are_not_served(client: TestClient, folder: Path) -> None:
    """A link to a file below the folder is a file like others; one that leads out, or to a hidden place, is not."""
    repo = folder / "Acme" / "Rocket-GGUF"
    (repo / "inside.gguf").symlink_to(repo / "Rocket-Q4_K_M.gguf")
    (repo / "out.gguf").symlink_to(folder.parent / "outside.gguf")
    (repo / "hidden.gguf").symlink_to(folder / ".windlass" / "partials" / "secret.gguf")
    (repo / "nowhere.gguf").symlink_to(folder / "nowhere")
    (repo / "loop").symlink_to(repo)
    (folder / "Acme" / "Away").symlink_to(folder.parent)
    (folder / "Outer").symlink_to(folder.parent)
    os.mkfifo(repo / "pipe.gguf")
    names = {row["rfilename"] for row in client.get(REPO).json()["siblings"]}
    assert "inside.gguf" in names
    assert not names & {"out.gguf", "hidden.gguf", "nowhere.gguf", "pipe.gguf"}
    assert not any("loop" in name for name in names)
    assert [row["id"] for row in client.get("/api/models").json()] == ["Acme/Rocket-GGUF", "Acme/Rocket-MLX"]


def test_a_name_that_is_not_utf8_is_left_out(client: TestClient, folder: Path) -> None:
    """A file whose name no address can hold does not break its repository."""
    (folder / "Acme" / "Rocket-GGUF" / os.fsdecode(b"bad\xff.gguf")).write_bytes(b"x")
    assert len(client.get(REPO).json()["siblings"]) == 5


@pytest.mark.parametrize(
    ("asked", "location"),
    [
        ("/api/models/acme/rocket-gguf?blobs=true", "/api/models/Acme/Rocket-GGUF?blobs=true"),
        ("/acme/ROCKET-gguf/resolve/main/a%20b.gguf", "/Acme/Rocket-GGUF/resolve/main/a%20b.gguf"),
        ("/%61cme/rocket-gguf/resolve/main/x", "/Acme/Rocket-GGUF/resolve/main/x"),
    ],
)
def test_case_is_mended_by_a_relative_redirect(client: TestClient, asked: str, location: str) -> None:
    """A repository's name in other case gets a relative 307 to the right one, path and query kept."""
    answer = client.get(asked)
    assert (answer.status_code, answer.headers["location"]) == (307, location)


def test_the_commit_changes_with_any_file(client: TestClient, folder: Path) -> None:
    """Another byte, another name, a file more or less: another commit; a touched file: the same."""
    repo = folder / "Acme" / "Rocket-GGUF"
    commits = [client.get(REPO).json()["sha"]]
    os.utime(repo / "README.md", ns=(1, 1))
    assert client.get(REPO).json()["sha"] == commits[0]
    for change in (
        lambda: (repo / "README.md").write_bytes(b"# Racket\n"),
        lambda: (repo / "README.md").rename(repo / "READ.md"),
        (repo / "READ.md").unlink,
    ):
        change()
        commits.append(client.get(REPO).json()["sha"])
    assert len(set(commits)) == len(commits)


def test_an_old_commit_is_gone_after_a_change(client: TestClient, folder: Path) -> None:
    """Who asks for the bytes at an old commit gets 404 and never other bytes; `main` gets the new ones."""
    commit = client.get(REPO).json()["sha"]
    readme = f"/Acme/Rocket-GGUF/resolve/{commit}/README.md"
    assert client.get(readme).content == b"# Rocket\n"
    (folder / "Acme" / "Rocket-GGUF" / "README.md").write_bytes(b"new")
    answer = client.get(readme)
    assert (answer.status_code, answer.headers["x-error-code"]) == (404, "RevisionNotFound")
    assert client.get("/Acme/Rocket-GGUF/resolve/main/README.md").content == b"new"


def test_a_repository_that_goes_away_is_not_found(client: TestClient, folder: Path) -> None:
    """A deleted repository, or one left without files, answers 404 also for the commit it had."""
    commit = client.get("/api/models/Acme/Rocket-MLX").json()["sha"]
    for file in (folder / "Acme" / "Rocket-MLX").iterdir():
        file.unlink()
    gone = [f"/Acme/Rocket-MLX/resolve/{commit}/config.json", "/api/models/Acme/Rocket-MLX"]
    assert [client.get(path).headers["x-error-code"] for path in gone] == ["RepoNotFound", "RepoNotFound"]


def test_head_tells_all_about_a_file(client: TestClient) -> None:
    """HEAD has the headers of GET and no body: length, commit, hash, and X-Linked-* for weights."""
    answer = client.head(FILE)
    commit = client.get(REPO).json()["sha"]
    expected = {
        "content-length": str(len(WEIGHTS)),
        "etag": f'"{sha256(WEIGHTS)}"',
        "x-linked-etag": f'"{sha256(WEIGHTS)}"',
        "x-linked-size": str(len(WEIGHTS)),
        "x-repo-commit": commit,
        "accept-ranges": "bytes",
    }
    assert {name: answer.headers[name] for name in expected} == expected
    assert (answer.status_code, answer.content) == (200, b"")
    small = client.head("/Acme/Rocket-GGUF/resolve/main/README.md")
    assert small.headers["etag"] == f'"{README_SHA1}"'
    assert "x-linked-size" not in small.headers


@pytest.mark.parametrize(
    ("headers", "status", "content", "content_range"),
    [
        ({}, 200, WEIGHTS, None),
        ({"Range": "bytes=0-0"}, 206, WEIGHTS[:1], f"bytes 0-0/{len(WEIGHTS)}"),
        ({"Range": "bytes=1000-"}, 206, WEIGHTS[1000:], f"bytes 1000-{len(WEIGHTS) - 1}/{len(WEIGHTS)}"),
        ({"Range": "bytes=-5"}, 206, WEIGHTS[-5:], f"bytes {len(WEIGHTS) - 5}-{len(WEIGHTS) - 1}/{len(WEIGHTS)}"),
        ({"Range": f"bytes={len(WEIGHTS)}-"}, 416, b"", f"bytes */{len(WEIGHTS)}"),
        ({"Range": "bytes=0-0", "If-Range": f'"{sha256(WEIGHTS)}"'}, 206, WEIGHTS[:1], f"bytes 0-0/{len(WEIGHTS)}"),
        ({"Range": "bytes=0-0", "If-Range": '"other"'}, 200, WEIGHTS, None),
        ({"If-None-Match": f'"{sha256(WEIGHTS)}"'}, 304, b"", None),
    ],
)
def test_get_serves_ranges(
    client: TestClient, headers: dict[str, str], status: int, content: bytes, content_range: str | None
) -> None:
    """A range gets 206 with exactly its bytes, one beyond the end 416, and one for another version the whole file."""
    answer = client.get(FILE, headers=headers)
    assert (answer.status_code, answer.content, answer.headers.get("content-range")) == (status, content, content_range)


def test_an_empty_file_is_served(client: TestClient) -> None:
    """A file of no bytes is 200 with Content-Length 0."""
    answer = client.get("/Acme/Rocket-GGUF/resolve/main/empty.json")
    assert (answer.status_code, answer.content, answer.headers["content-length"]) == (200, b"", "0")


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ("paths=README.md&paths=nothing&expand=false", "application/x-www-form-urlencoded"),
        ('{"paths": ["README.md", "nothing"]}', "application/json"),
    ],
)
def test_paths_info_answers_the_paths_that_there_are(client: TestClient, body: str, kind: str) -> None:
    """The rows of the named paths come back, whether asked by form or by JSON."""
    answer = client.post(f"{REPO}/paths-info/main", content=body, headers={"Content-Type": kind})
    assert [row["path"] for row in answer.json()] == ["README.md"]


@pytest.mark.parametrize(("body", "status"), [("[", 400), ("{}", 400), ("[1]", 400), ("x" * (2 << 20), 413)])
def test_paths_info_refuses_other_bodies(client: TestClient, body: str, status: int) -> None:
    """A body that is no list of paths, or an endless one, is refused."""
    headers = {"Content-Type": "application/json"}
    assert client.post(f"{REPO}/paths-info/main", content=body, headers=headers).status_code == status


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("", ["Acme/Rocket-GGUF", "Acme/Rocket-MLX"]),
        ("search=gguf", ["Acme/Rocket-GGUF"]),
        ("search=ROCKET acme", ["Acme/Rocket-GGUF", "Acme/Rocket-MLX"]),
        ("search=plane", []),
        ("filter=mlx", ["Acme/Rocket-MLX"]),
        ("filter=gguf,mlx", []),
        ("author=acme&limit=1", ["Acme/Rocket-GGUF"]),
        ("author=other", []),
        ("cursor=Acme%2FRocket-GGUF", ["Acme/Rocket-MLX"]),
    ],
)
def test_search_looks_at_names_and_tags(client: TestClient, query: str, names: list[str]) -> None:
    """Every word must be in the name and every filter among the tags."""
    rows = client.get(f"/api/models?{query}").json()
    assert [row["id"] for row in rows] == names
    assert not any("siblings" in row for row in rows)


def test_search_page_by_page(client: TestClient) -> None:
    """As the real hub does it (RFC 8288)."""
    first = client.get("/api/models?search=rocket&limit=1")
    assert [row["id"] for row in first.json()] == ["Acme/Rocket-GGUF"]
    second = client.get(first.links["next"]["url"])
    assert [row["id"] for row in second.json()] == ["Acme/Rocket-MLX"]
    assert "next" not in second.links


def test_search_in_full_names_the_files(client: TestClient) -> None:
    """`full=true` adds the files."""
    [row] = client.get("/api/models?search=mlx&full=true").json()
    assert [file["rfilename"] for file in row["siblings"]] == ["config.json", "model.safetensors"]


@pytest.mark.parametrize(
    ("config", "tags"),
    [
        (b'{"quantization": {"bits": 4}}', ["mlx", "safetensors"]),
        (b"{}", ["safetensors"]),
        (b"not json", ["safetensors"]),
        (b"3", ["safetensors"]),
        (None, ["safetensors"]),
    ],
)
def test_mlx_is_told_by_its_config(client: TestClient, folder: Path, config: bytes | None, tags: list[str]) -> None:
    """Safetensors count as MLX when config.json has a quantization, whatever else it holds."""
    repo = folder / "Acme" / "Plain"
    repo.mkdir()
    (repo / "model.safetensors").write_bytes(b"w")
    if config is not None:
        (repo / "config.json").write_bytes(config)
    assert client.get("/api/models/Acme/Plain").json()["tags"] == tags


def test_small_routes(client: TestClient) -> None:
    """There is one branch, any token belongs to a guest, and the front page says what there is."""
    commit = client.get(REPO).json()["sha"]
    assert client.get(f"{REPO}/refs").json()["branches"][0]["targetCommit"] == commit
    assert client.get("/api/whoami-v2").json()["name"] == "guest"
    assert "Acme/Rocket-GGUF" in client.get("/").text
    assert client.post(REPO).status_code == 405
