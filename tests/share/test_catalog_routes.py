"""What `windlass hub` answers to LM Studio Hub's clients."""

import html
import json
import re
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from share.sharing import MODEL_YAML
from windlass.share.catalog import dependencies_of

ARTIFACT = "/api/v1/artifacts/acme/rocket/revision/-1"
SOURCES = [
    {"type": "huggingface", "user": "Acme", "repo": "Rocket-GGUF"},
    {"type": "huggingface", "user": "Acme", "repo": "Rocket-MLX"},
]


def test_artifact_has_the_manifest_made_from_model_yaml(client: TestClient) -> None:
    """The artifact's manifest names every base as an alternative of one dependency."""
    body = client.get(ARTIFACT, params={"manifest": "true"}).json()
    keys = ["acme/rocket-gguf", "acme/rocket-mlx"]
    dependency = {"type": "model", "purpose": "baseModel", "modelKeys": keys, "sources": SOURCES}
    manifest = {"type": "model", "owner": "acme", "name": "rocket", "revision": 1, "dependencies": [dependency]}
    assert body["manifest"] == manifest
    assert body["artifactUrl"] == "http://testserver/models/acme/rocket"
    assert "manifest" not in client.get(ARTIFACT).json()
    assert client.get("/catalog/acme/rocket/manifest.json").json() == manifest


def test_artifact_prefers_the_manifest_beside(client: TestClient, folder: Path) -> None:
    """A manifest.json in the folder is given as it is, its revision included."""
    beside = {"type": "model", "owner": "acme", "name": "rocket", "revision": 7, "dependencies": []}
    (folder / "catalog/acme/rocket/manifest.json").write_text(json.dumps(beside))
    body = client.get(ARTIFACT, params={"manifest": "true"}).json()
    assert (body["manifest"], body["revisionNumber"]) == (beside, 7)


def test_readme_is_a_json_string(client: TestClient) -> None:
    """`action=readme` answers the text as JSON; what there is none of is 404."""
    assert client.get(ARTIFACT, params={"action": "readme"}).json() == "Read me"
    assert client.get(ARTIFACT, params={"action": "thumbnail"}).status_code == 404


def test_page_carries_the_model_yaml_escaped(client: TestClient) -> None:
    """The page has the whole model.yaml, escaped, in a <pre> after the line that opens it."""
    answer = client.get("/models/acme/rocket")
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    [text] = re.findall(r"<pre>(# model.yaml is an open standard .*?)</pre>", answer.text, re.DOTALL)
    assert html.unescape(text).endswith(MODEL_YAML)
    assert "<fast>" not in answer.text


@pytest.mark.parametrize(
    "path", ["/catalog/acme/rocket/model.yaml", "/acme/rocket/model.yaml", "/ACME/Rocket/model.yaml"]
)
def test_model_yaml_is_there_as_it_lies(client: TestClient, path: str) -> None:
    """The text itself, by either address, in any case."""
    assert client.get(path).text == MODEL_YAML


def test_every_entry_is_a_staff_pick(client: TestClient, folder: Path) -> None:
    """The list has every readable model with its metadata; one that cannot be read does not take the list away."""
    (folder / "catalog/acme/broken").mkdir()
    (folder / "catalog/acme/broken/model.yaml").write_text("a: [")
    (folder / "catalog/acme/empty").mkdir()
    [row] = client.get("/api/v1/models", params={"action": "staff-picks"}).json()
    assert (row["owner"], row["name"], row["metadata"]["type"]) == ("acme", "rocket", "llm")
    assert row["metadata"]["compatibilityTypes"] == ["gguf", "safetensors"]


@pytest.mark.parametrize(
    "text",
    [
        "when: 2024-13-45",
        "a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]",
        "a: " + "[" * 100 + "]" * 100,
        "a: !!python/object:os.system {}",
        'a: !!int ""',
        "description: " + "x" * 300_000,
    ],
    ids=["no date", "aliases", "deep", "foreign", "no number", "large"],
)
def test_no_model_yaml_takes_the_list_away(client: TestClient, folder: Path, text: str) -> None:
    """What Windlass would take from no catalog is passed over in its own, and named where it is asked for."""
    (folder / "catalog/acme/broken").mkdir()
    (folder / "catalog/acme/broken/model.yaml").write_text(text)
    [row] = client.get("/api/v1/models", params={"action": "staff-picks"}).json()
    assert row["name"] == "rocket"
    answer = client.get(ARTIFACT.replace("rocket", "broken"), params={"manifest": "true"})
    assert (answer.status_code, "model.yaml" in answer.json()["error"]) == (500, True)


def test_what_json_cannot_say_is_left_out(client: TestClient, folder: Path) -> None:
    """YAML has dates, sets, infinities and keys of any kind; each goes alone, and the rest of the entry stays."""
    odd = "released: 2024-01-02, chosen: !!set {a}, size: .inf, 3: x, when: [2024-01-02, b]"
    text = f"description: 2024-01-02\nbase: [{{key: a/b, sources: [{{repo: c, on: {{{odd}}}}}]}}]\n"
    text += f"metadataOverrides: {{domain: llm, {odd}}}\n"
    (folder / "catalog/acme/rocket/model.yaml").write_text(text)
    [row] = client.get("/api/v1/models", params={"action": "staff-picks"}).json()
    assert (row["metadata"], row["description"]) == ({"type": "llm", "when": ["b"]}, "")
    [dependency] = client.get("/acme/rocket/manifest.json").json()["dependencies"]
    assert dependency["sources"] == [{"repo": "c"}]  # `on` is a truth in YAML


def test_a_manifest_beside_is_passed_on_as_json_has_it(client: TestClient, folder: Path) -> None:
    """Python reads NaN and halves of characters in JSON, which no client would."""
    beside = '{"type": "model", "a": NaN, "b": [1e999, "\\ud800", 1], "\\ud800": 1, "revision": 7}'
    (folder / "catalog/acme/rocket/manifest.json").write_text(beside)
    assert client.get("/acme/rocket/manifest.json").json() == {"type": "model", "b": [1], "revision": 7}


@pytest.mark.parametrize("path", [ARTIFACT.replace("rocket", "plane"), "/models/acme/plane", "/catalog/a/b/model.yaml"])
def test_a_model_that_is_not_in_the_catalog_is_404(client: TestClient, path: str) -> None:
    """404 and a sentence."""
    answer = client.get(path)
    assert (answer.status_code, answer.json()) == (404, {"error": "Artifact not found"})


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("model.yaml", "a: ["),
        ("model.yaml", "- a"),
        ("model.yaml", "[" * 1_000),
        ("model.yaml", ""),
        ("manifest.json", "{"),
        ("manifest.json", "[]"),
        ("manifest.json", "[" * 100_000),
    ],
)
def test_texts_that_cannot_be_read_are_named(client: TestClient, folder: Path, name: str, text: str) -> None:
    """A broken text is a 500 that names it, never a traceback."""
    (folder / "catalog/acme/rocket" / name).write_text(text)
    answer = client.get(ARTIFACT, params={"manifest": "true"})
    assert answer.status_code == 500
    assert name in answer.json()["error"]


def test_an_entry_too_large_to_believe_is_none(client: TestClient, folder: Path) -> None:
    """A model.yaml of more than a megabyte is not read."""
    (folder / "catalog/acme/rocket/model.yaml").write_bytes(b"#" * 1_000_001)
    assert client.get("/acme/rocket/model.yaml").status_code == 404


def test_a_catalog_that_leads_out_is_not_served(client: TestClient, folder: Path) -> None:
    """A catalog that is a link out of the folder has no entries."""
    (folder / "catalog").rename(folder.parent / "elsewhere")
    (folder / "catalog").symlink_to(folder.parent / "elsewhere")
    assert client.get("/acme/rocket/model.yaml").status_code == 404


@pytest.mark.parametrize(
    ("base", "keys", "sources"),
    [
        ("qwen/qwen3-8b", ["qwen/qwen3-8b"], []),
        ("Acme/Rocket-GGUF", ["acme/rocket-gguf"], SOURCES[:1]),
        ("Acme/Rocket-GGUF/x.gguf", ["acme/rocket-gguf"], SOURCES[:1]),
        ([{"key": "a/b", "sources": "no list"}], ["a/b"], []),
        ([{"key": 3, "sources": [SOURCES[1], "no source"]}], [], SOURCES[1:]),
    ],
)
def test_bases_in_all_their_forms(base: object, keys: list[str], sources: list[dict[str, Any]]) -> None:
    """A base is a catalog model, a repository that is served here, a file, or a list of keys with sources."""
    [dependency] = dependencies_of(base, ["Acme/Rocket-GGUF"])
    assert (dependency["modelKeys"], dependency["sources"]) == (keys, sources)


@pytest.mark.parametrize("base", [None, 3, [], [None], [{}]])
def test_no_base_is_no_dependency(base: object) -> None:
    """What names nothing gives no dependency."""
    assert dependencies_of(base, []) == []
