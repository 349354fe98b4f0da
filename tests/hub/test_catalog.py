"""The catalog: manifest, page, plain file or folder; each believed only as far as it can be read."""

import html
import json
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from hub.hubsite import Answer, Site, as_json
from windlass.errors import HubError, HubRateLimited, HubUnreachable, ModelNotFound, WindlassError
from windlass.hub.catalog import Catalog
from windlass.hub.model_yaml import CatalogBase, HubSource, read_manifest, read_model_yaml
from windlass.hub.web import Web

YAML = """\
model: qwen/qwen3-8b
base:
  - key: lmstudio-community/qwen3-8b-gguf
    sources: [{type: huggingface, user: lmstudio-community, repo: Qwen3-8B-GGUF}]
  - key: lmstudio-community/qwen3-8b-mlx-4bit
    sources: [{type: huggingface, user: lmstudio-community, repo: Qwen3-8B-MLX-4bit}]
metadataOverrides: {domain: llm, architectures: [qwen3], vision: false}
customFields: [{key: x}]
"""
GGUF = HubSource("lmstudio-community/Qwen3-8B-GGUF", None, "lmstudio-community/qwen3-8b-gguf")
MLX = HubSource("lmstudio-community/Qwen3-8B-MLX-4bit", None, "lmstudio-community/qwen3-8b-mlx-4bit")
MANIFEST = {
    "type": "model",
    "owner": "qwen",
    "name": "qwen3-8b",
    "revision": 3,
    "dependencies": [
        {
            "type": "model",
            "purpose": "baseModel",
            "modelKeys": [GGUF.key],
            "sources": [{"type": "huggingface", "user": "lmstudio-community", "repo": "Qwen3-8B-GGUF"}],
        },
        {"type": "model", "purpose": "draftModel", "sources": [{"type": "huggingface", "user": "x", "repo": "y"}]},
    ],
}
API = "/api/v1/artifacts/qwen/qwen3-8b/revision/-1?manifest=true"
PAGE = "/models/qwen/qwen3-8b"
PLAIN = "/qwen/qwen3-8b/model.yaml"


def page(text: str) -> Answer:
    """A model's page as LM Studio Hub shows it: the file escaped and coloured in a <pre>."""
    shown = html.escape("# model.yaml is an open standard for models\n" + text).replace(
        "model:", "<span class='k'>model</span>:"
    )
    return Answer(body=f"<html><pre>npm i</pre><pre class=x>{shown}</pre><script>{shown}</script>".encode())


@pytest.fixture
def catalog(site: Site, web: Web) -> Catalog:
    return Catalog(web, site.address + "/")


def test_manifest_and_page(site: Site, catalog: Catalog) -> None:
    """Both texts are the catalog's own, for two requests."""
    site.pages = {API: as_json({"manifest": MANIFEST}), PAGE: page(YAML)}
    model = catalog.find("qwen", "qwen3-8b")
    assert model is not None
    assert model.entry.model_yaml == YAML
    assert json.loads(model.entry.manifest_json) == MANIFEST
    assert model.bases == (GGUF, MLX)
    assert model.overrides["architectures"] == ["qwen3"]
    assert site.asked == [API, PAGE]


@pytest.mark.parametrize("trouble", [Answer(404), Answer(500), Answer(body=b"<html>no yaml"), Answer(429)])
def test_manifest_alone(site: Site, catalog: Catalog, trouble: Answer) -> None:
    """When only the manifest can be had, a model.yaml is made that LM Studio takes; each other way is tried once."""
    site.pages = {API: as_json({"manifest": MANIFEST}), PAGE: trouble, PLAIN: trouble}
    model = catalog.find("qwen", "qwen3-8b")
    assert model is not None
    assert model.bases == (GGUF,)
    made = yaml.safe_load(model.entry.model_yaml)
    assert made["model"] == "qwen/qwen3-8b"
    assert made["metadataOverrides"] == {"domain": "llm"}
    assert read_model_yaml(model.entry.model_yaml).bases == (GGUF,)
    assert len(site.asked) == 3


@pytest.mark.parametrize(
    "api", [Answer(404), Answer(500), Answer(body=b"<html>"), as_json({"error": "x"}), as_json([])]
)
def test_page_alone(site: Site, catalog: Catalog, api: Answer) -> None:
    """When the manifest cannot be had, the page is enough, and a manifest is made from it."""
    site.pages = {API: api, PAGE: page(YAML)}
    model = catalog.find("qwen", "qwen3-8b")
    assert model is not None
    assert model.entry.model_yaml == YAML
    made = json.loads(model.entry.manifest_json)
    assert (made["type"], made["owner"], made["name"]) == ("model", "qwen", "qwen3-8b")
    assert read_manifest(made).bases == (GGUF, MLX)


def test_plain_file(site: Site, catalog: Catalog) -> None:
    """An address below which plain model.yaml files lie is a catalog too, whatever else it answers with 200."""
    site.pages = {API: Answer(body=b"<html>"), PAGE: Answer(body=b"<html>"), PLAIN: Answer(body=YAML.encode())}
    model = catalog.find("qwen", "qwen3-8b")
    assert model is not None
    assert model.bases == (GGUF, MLX)


def test_unknown(site: Site, catalog: Catalog) -> None:
    """A model that every way says 404 to is not in the catalog."""
    assert catalog.find("qwen", "qwen3-8b") is None
    assert site.asked == [API, PAGE, PLAIN]


@pytest.mark.parametrize(
    "answer",
    [
        Answer(body=b"<html>welcome"),
        Answer(500),
        Answer(403),
        Answer(body=b"\xff\xfe"),
        Answer(body=b"x" * 9_000_000),
        Answer(body=b"- just\n- a list"),
        Answer(body=b"base: &a [*a]"),
        as_json({"manifest": {"type": "model", "x": "y" * 300_000}}),
    ],
)
def test_unreadable(site: Site, catalog: Catalog, answer: Answer) -> None:
    """A catalog that answers garbage, megabytes or other HTML is a hub error; so is one that refuses (403)."""
    site.pages = {API: answer, PAGE: answer, PLAIN: answer}
    with pytest.raises(HubError):
        catalog.find("qwen", "qwen3-8b")


def test_another_model(site: Site, catalog: Catalog) -> None:
    """A catalog that answers with another model than was asked for is not believed."""
    site.pages = {PAGE: page(YAML.replace("qwen/qwen3-8b\n", "evil/other\n", 1))}
    with pytest.raises(HubError, match="evil/other"):
        catalog.find("qwen", "qwen3-8b")


def test_presets_are_no_models(site: Site, catalog: Catalog) -> None:
    """A name that is a preset's is no model's."""
    site.pages = {API: as_json({"manifest": {**MANIFEST, "type": "preset"}})}
    with pytest.raises(ModelNotFound, match="preset"):
        catalog.find("qwen", "qwen3-8b")


def test_limits(site: Site, catalog: Catalog) -> None:
    """A catalog that limits us says so; the other ways are the same site's."""
    site.pages = {API: Answer(429, headers={"Retry-After": "99"})}
    with pytest.raises(HubRateLimited):
        catalog.find("qwen", "qwen3-8b")
    assert site.asked == [API]


def test_unreachable(web: Web) -> None:
    """A catalog that nobody answers for is unreachable."""
    with pytest.raises(HubUnreachable):
        Catalog(web, "http://127.0.0.1:1").find("qwen", "qwen3-8b")


def test_pages_of_models(web: Web) -> None:
    """A model's page is at the catalog, or for a folder at LM Studio Hub."""
    assert Catalog(web, "http://mirror/").page("a", "b") == "http://mirror/models/a/b"
    assert Catalog(web, "/srv/x").page("a", "b") == "https://lmstudio.ai/models/a/b"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "qwen" / "qwen3-8b").mkdir(parents=True)
    return tmp_path / "qwen" / "qwen3-8b"


def test_folder(folder: Path, web: Web) -> None:
    """A folder of model.yaml files is a catalog; a manifest.json beside one is kept as it is."""
    catalog = Catalog(web, str(folder.parent.parent))
    assert catalog.find("qwen", "qwen3-8b") is None
    assert catalog.find("no", "body") is None
    (folder / "model.yaml").write_text(YAML)
    model = catalog.find("qwen", "qwen3-8b")
    assert model is not None
    assert (model.entry.model_yaml, model.bases) == (YAML, (GGUF, MLX))
    (folder / "manifest.json").write_text(json.dumps(MANIFEST))
    model = catalog.find("qwen", "qwen3-8b")
    assert model is not None
    assert json.loads(model.entry.manifest_json) == MANIFEST
    (folder / "model.yaml").write_text("a: [")
    model = catalog.find("qwen", "qwen3-8b")
    assert model is not None
    assert model.bases == (GGUF,)
    assert "cannot be read" in model.warnings[0]


def test_broken_folder(folder: Path, web: Web) -> None:
    """What lies there and cannot be read is a hub error; a folder that is not there is unreachable."""
    catalog = Catalog(web, str(folder.parent.parent))
    for name, content in [
        ("model.yaml", b"a: ["),
        ("model.yaml", b"\xff"),
        ("manifest.json", b"{"),
        ("model.yaml", b"x" * 300_000),
    ]:
        (folder / name).write_bytes(content)
        with pytest.raises(HubError):
            catalog.find("qwen", "qwen3-8b")
        (folder / name).unlink()
    (folder / "model.yaml").mkdir()
    with pytest.raises(HubError):
        catalog.find("qwen", "qwen3-8b")
    with pytest.raises(HubUnreachable):
        Catalog(web, str(folder / "nowhere")).find("qwen", "qwen3-8b")


# -- reading the texts


@pytest.mark.parametrize(
    ("base", "expected"),
    [
        ("other/model", [CatalogBase("other", "model")]),
        ("User/Repo-GGUF", [HubSource("User/Repo-GGUF")]),
        ("user/repo/file-Q4_K_M.gguf", [HubSource("user/repo", "file-Q4_K_M.gguf")]),
        ("user/repo/d/file.gguf", [HubSource("user/repo", "d/file.gguf")]),
        (["a/b", "c/d"], [CatalogBase("a", "b"), CatalogBase("c", "d")]),
        ([{"key": "k", "sources": [{"type": "huggingface", "user": "u", "repo": "R"}]}], [HubSource("u/R", None, "k")]),
        ([{"sources": [{"user": "u", "repo": "R"}]}], [HubSource("u/R")]),
    ],
)
def test_bases(base: object, expected: list[object]) -> None:
    """A base is a string or a list: other catalog models, repositories, files of repositories."""
    read = read_model_yaml(yaml.safe_dump({"model": "x/y", "base": base}))
    assert (list(read.bases), read.warnings) == (expected, ())


@pytest.mark.parametrize(
    "base",
    [
        *("", "x", "user/repo/../x", "../x", 7, None, [{"key": "k"}], [{"sources": "x"}], [[1]]),
        [{"sources": [{"type": "ollama", "user": "u", "repo": "r"}]}],
        [{"sources": [{"type": "huggingface", "user": "..", "repo": "r"}]}],
    ],
)
def test_bases_that_are_passed_over(base: object) -> None:
    """A base of a kind that is not known is passed over with a warning."""
    read = read_model_yaml(yaml.safe_dump({"base": base}))
    assert read.bases == ()
    assert len(read.warnings) == 1


BOMB = "a: &a [x, x]\nb: &b [*a, *a]\nbase: [*b, *b]\n"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "7",
        "model: x/y",
        BOMB,
        "base: !!python/object/apply:os.system [ls]",
        "base: !x y",
        "base: " + "[" * 40 + "]" * 40,
        "base: " + "[" * 50_000,
        "base: 2026-99-99",
        "base: " + "9" * 5000,
        "base: x\x00",
        "a: b: c",
        "? [a]\n: b",
        "base: '" + "x" * 300_000 + "'",
        "base: !!int ''",
        "base: !!bool maybe",
        "base: !!timestamp x",
    ],
)
def test_unreadable_yaml(text: str) -> None:
    """Bombs, foreign tags, depth, size and damage are hub errors."""
    with pytest.raises(HubError):
        read_model_yaml(text)


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ("{a: 2024-01-01, b: [2024-01-01, 1], c: {2024-01-01: x, d: 1.5}}", {"b": [1], "c": {"d": 1.5}}),
        ("{a: !!set {x, y}, b: !!binary aGk=, c: !!omap [x: 1], d: null}", {"c": [], "d": None}),
        ("{a: .nan, b: -.inf, c: 0x" + "f" * 5000 + ", 1: x, d: true}", {"d": True}),
        ("[a, b]", {}),
        ("2024-01-01", {}),
    ],
)
def test_what_json_cannot_say_is_left_out(written: str, kept: object) -> None:
    """The overrides are kept as JSON once the model is here, and a date in them must not undo a download."""
    read = read_model_yaml(f"base: a/b\nmetadataOverrides: {written}")
    assert read.overrides == kept
    assert json.loads(json.dumps(dict(read.overrides))) == kept


@given(
    st.one_of(
        st.text(),
        st.lists(st.sampled_from(["base:", "\n", "- ", "key: x", "sources:", "  ", "[", "{", "&a", "*a"])).map("".join),
    )
)
def test_any_text_is_read_or_our_error(text: str) -> None:
    """Whatever a catalog sends, nothing but our own errors comes out."""
    try:
        read_model_yaml(text)
    except WindlassError:
        return


JSON = st.recursive(
    st.none() | st.booleans() | st.text(max_size=5),
    lambda x: (
        st.lists(x, max_size=3)
        | st.dictionaries(
            st.sampled_from(["type", "owner", "name", "dependencies", "sources", "modelKeys", "user", "repo"]),
            x,
            max_size=4,
        )
    ),
)


@given(JSON)
def test_any_manifest_is_read_or_our_error(raw: object) -> None:
    """Nor from a manifest."""
    try:
        assert isinstance(read_manifest(raw).bases, tuple)
    except WindlassError:
        return
