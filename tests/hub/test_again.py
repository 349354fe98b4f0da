"""Asking again by the manifest: the same model, whatever form of name it was asked for by."""

from collections.abc import Iterator
from dataclasses import replace

import httpx2
import pytest

from hub.hubsite import Clock
from standin import ALWAYS, Hub, faults
from windlass.errors import HubError, ModelNotFound, QuantizationNotFound
from windlass.hub.again import is_fixed, newest, ref_of, request_of
from windlass.hub.catalog import Catalog
from windlass.hub.huggingface import HuggingFace
from windlass.hub.resolve import Resolver
from windlass.hub.web import Web
from windlass.manifest import Format, Manifest
from windlass.names import Site, parse

REPO = "acme/Rope-GGUF"
GGUF = {
    "Rope-Q4_K_M.gguf": b"4" * 40,
    "Rope-Q8_0.gguf": b"8" * 80,
    "Rope-F16-00001-of-00002.gguf": b"1" * 90,
    "Rope-F16-00002-of-00002.gguf": b"2" * 90,
    "UD/Rope-UD-Q2_K.gguf": b"u" * 20,
    "mmproj-Rope-F16.gguf": b"m" * 10,
}
MLX = {"config.json": b'{"quantization": {"bits": 4}}', "tokenizer.json": b"{}", "model.safetensors": b"s" * 30}
YAML = """\
model: acme/rope
base:
  - key: acme/rope-gguf
    sources: [{type: huggingface, user: acme, repo: Rope-GGUF}]
  - key: acme/rope-mlx-4bit
    sources: [{type: huggingface, user: acme, repo: Rope-MLX-4bit}]
metadataOverrides: {domain: llm, paramsStrings: [8B]}
"""


class Place:
    """A hub that is a catalog too, and who looks names up there, anew each time."""

    def __init__(self, hub: Hub, web: Web) -> None:
        self.hub, self._web = hub, web
        hub.left = {"api": 100_000, "resolvers": 100_000}
        refs = hub.add(REPO, GGUF).refs
        refs |= dict.fromkeys(("refs/pr/1", "next/one"), refs["main"])
        hub.add("acme/Rope-MLX-4bit", MLX)
        hub.add(
            "acme/Plain", {name: data for name, data in MLX.items() if name != "config.json"} | {"config.json": b"{}"}
        )
        hub.add("acme/rope", {"Namesake-Q4_K_M.gguf": b"another model"})
        hub.add_model(YAML, "acme", "rope", REPO, "acme/Rope-MLX-4bit")

    @property
    def resolver(self) -> Resolver:
        hub = HuggingFace(self._web, self.hub.url, lambda: None)
        return Resolver(hub, Catalog(self._web, self.hub.url), ("linux", "x86_64"))

    def resolve(self, text: str, quantization: str | None = None, prefer: Format | None = None) -> Manifest:
        ref = parse(text, quantization, hub_endpoint=self.hub.url, catalog_url=self.hub.url)
        return self.resolver.resolve(ref, prefer)


@pytest.fixture
def place(hub: Hub, clock: Clock) -> Iterator[Place]:
    web = Web(clock.timing, lambda _: httpx2.Client(trust_env=False))
    yield Place(hub, web)
    web.close()


NAMES: list[tuple[str, str | None, Format | None]] = [
    (REPO, None, None),
    (f"{REPO}@Q8_0", None, None),
    (REPO, "f16", None),
    ("acme/rope", None, None),
    ("acme/rope@4bit", None, None),
    ("acme/rope", "q8_0", "gguf"),
    ("https://lmstudio.ai/models/acme/rope", None, None),
    ("hf.co/acme/rope", None, None),
    (f"https://huggingface.co/{REPO}/tree/main/UD", None, None),
    (f"https://huggingface.co/{REPO}/tree/refs%2Fpr%2F1/UD@UD-Q2_K", None, None),
    (f"https://huggingface.co/{REPO}/tree/next%2Fone", "Q8_0", None),
    (f"https://huggingface.co/{REPO}/blob/main/Rope-Q8_0.gguf", None, None),
    (f"https://huggingface.co/{REPO}/blob/next%2Fone/UD/Rope-UD-Q2_K.gguf", "UD-Q2_K", None),
    (f"https://huggingface.co/{REPO}/blob/main/Rope-F16-00002-of-00002.gguf", None, None),
    (f"https://huggingface.co/{REPO}/blob/main/mmproj-Rope-F16.gguf", None, None),
    ("acme/Rope-MLX-4bit", None, None),
    ("acme/Rope-MLX-4bit", None, "mlx"),
    ("acme/Plain", None, None),
    ("https://huggingface.co/acme/Rope-MLX-4bit/blob/main/tokenizer.json", None, None),
]


@pytest.mark.parametrize(("text", "quantization", "prefer"), NAMES)
def test_the_manifest_tells_what_was_asked_for(
    place: Place, text: str, quantization: str | None, prefer: Format | None
) -> None:
    """Asked again it is the same manifest, but for the reason; so it is when the request goes to another Windlass."""
    manifest = place.resolve(text, quantization, prefer)
    again = newest(manifest, place.resolver)
    assert replace(again, why="") == replace(manifest, why="")
    assert replace(place.resolve(*request_of(manifest)), why="") == replace(manifest, why="")
    assert newest(again, place.resolver) == again


@pytest.mark.parametrize(("text", "quantization", "prefer"), NAMES)
def test_what_changes_is_seen(place: Place, text: str, quantization: str | None, prefer: Format | None) -> None:
    """Wherever the branch is that was asked for: the newest files are those of its last commit."""
    manifest = place.resolve(text, quantization, prefer)
    file = manifest.files[0]
    repository = place.hub.repositories[file.repo.lower()]
    for ref in list(repository.refs):
        repository.push({file.path: b'{"quantization": {"bits": 4}, "new": 1}'}, ref)
    now = newest(manifest, place.resolver)
    assert now.key == manifest.key
    wanted = manifest.subset.partition(":")[0] if manifest.subset and ":" in manifest.subset else "main"
    assert {one.commit for one in now.files} == {repository.refs[wanted]}
    assert now.files[0].digest != file.digest


def test_at_a_commit_nothing_is_asked(place: Place) -> None:
    """It is what it was, also when the hub is gone; a branch, a tag and a pull request are looked at."""
    commit = place.hub.repositories[REPO.lower()].refs["main"]
    manifest = place.resolve(f"https://huggingface.co/{REPO}/tree/{commit}@Q8_0")
    file = place.resolve(f"https://huggingface.co/{REPO}/blob/{commit}/UD/Rope-UD-Q2_K.gguf")
    assert is_fixed(manifest)
    assert is_fixed(file)
    place.hub.close()
    assert newest(manifest, place.resolver) is manifest
    moving = (None, "UD", "refs/pr/1:", "next/one:UD", f"v{commit}:")
    assert not any(is_fixed(replace(manifest, subset=subset)) for subset in moving)


def test_the_quantization_that_is_here_stays(place: Place) -> None:
    """Though the default would be another one now."""
    place.hub.add("acme/Solo-GGUF", {"Solo-Q8_0.gguf": b"8" * 80})
    manifest = place.resolve("acme/Solo-GGUF")
    place.hub.repositories["acme/solo-gguf"].push({"Solo-Q4_K_M.gguf": b"4" * 40})
    assert place.resolve("acme/Solo-GGUF").quantization == "Q4_K_M"
    assert newest(manifest, place.resolver).files[0].path == "Solo-Q8_0.gguf"


@pytest.mark.parametrize("files", [{}, {"Solo-UD-Q8_0.gguf": b"8"}, {"Solo-Q4_K_M.gguf": b"4"}])
def test_what_is_not_offered_any_more_has_nothing_newer(place: Place, files: dict[str, bytes]) -> None:
    """Another quantization is another model: it does not take the place of this one."""
    place.hub.add("acme/Solo-GGUF", {"Solo-Q8_0.gguf": b"8" * 80, "Solo-Q2_K.gguf": b"2"})
    manifest = place.resolve("acme/Solo-GGUF@Q8_0")
    place.hub.repositories["acme/solo-gguf"].push(files, without=["Solo-Q8_0.gguf"])
    with pytest.raises(QuantizationNotFound):
        newest(manifest, place.resolver)


def test_one_without_a_quantization_is_not_taken_for_another(place: Place) -> None:
    """A file that says none was the default; now there is one that does."""
    place.hub.add("acme/Solo-GGUF", {"Solo.gguf": b"?" * 80})
    manifest = place.resolve("acme/Solo-GGUF")
    assert manifest.quantization is None
    place.hub.repositories["acme/solo-gguf"].push({"Solo-Q4_K_M.gguf": b"4" * 40})
    with pytest.raises(QuantizationNotFound, match="does not come as gguf any more"):
        newest(manifest, place.resolver)


def test_the_namesake_on_the_hub_is_no_newer_version(place: Place) -> None:
    """A model that the catalog has dropped is gone, though the hub has a repository of that name."""
    manifest = place.resolve("acme/rope")
    assert ref_of(manifest).site is Site.CATALOG
    place.hub.catalog.clear()
    with pytest.raises(ModelNotFound):
        newest(manifest, place.resolver)


def test_a_catalog_whose_page_is_ill_has_no_newer_text(place: Place) -> None:
    """The model.yaml that is made up then would cost the metadata; a text that has changed is taken."""
    manifest = place.resolve("acme/rope")
    assert manifest.catalog
    for kind in ("page", "yaml"):
        place.hub.misbehave(kind, faults.status(500), times=ALWAYS)
    assert place.resolve("acme/rope").catalog != manifest.catalog
    assert newest(manifest, place.resolver).catalog == manifest.catalog
    place.hub.behave()
    text, raw = place.hub.catalog["acme/rope"]
    place.hub.catalog["acme/rope"] = text.replace("8B", "9B"), raw
    catalog = newest(manifest, place.resolver).catalog
    assert catalog
    assert "9B" in catalog.model_yaml
    for kind in ("artifact", "page", "yaml"):
        place.hub.misbehave(kind, faults.status(500), times=ALWAYS)
    with pytest.raises(HubError):
        newest(manifest, place.resolver)
