"""Resolution: a name becomes a manifest."""

import json

import pytest

from hub.hubsite import COMMIT, Answer, Site, add_repository
from standin import Hub
from windlass.errors import (
    HubError,
    HubUnreachable,
    ModelGated,
    ModelNotFound,
    NoModelFiles,
    QuantizationNotFound,
)
from windlass.hub.catalog import Catalog
from windlass.hub.huggingface import HuggingFace
from windlass.hub.resolve import Resolver
from windlass.hub.web import Web
from windlass.manifest import Digest, Format, Manifest, ManifestFile
from windlass.names import parse

LINUX, APPLE = ("linux", "x86_64"), ("darwin", "arm64")


class Place:
    """A hub and a catalog at two addresses, and a resolver that knows them."""

    def __init__(self, hub: Site, catalog: Site, web: Web) -> None:
        self.hub, self.catalog, self._web = hub, catalog, web

    def resolver(self, platform: tuple[str, str] = LINUX, catalog: str | None = None) -> Resolver:
        hub = HuggingFace(self._web, self.hub.address, lambda: None)
        return Resolver(hub, Catalog(self._web, catalog or self.catalog.address), platform)

    def resolve(
        self, text: str, prefer: Format | None = None, platform: tuple[str, str] = LINUX, catalog: str | None = None
    ) -> Manifest:
        ref = parse(text, hub_endpoint=self.hub.address, catalog_url=self.catalog.address)
        return self.resolver(platform, catalog).resolve(ref, prefer)

    def add_model(self, model: str, *bases: object, **overrides: object) -> None:
        raw = {"model": model, "base": list(bases), "metadataOverrides": overrides}
        self.catalog.pages[f"/{model}/model.yaml"] = Answer(body=json.dumps(raw).encode())


def base(repo: str) -> dict[str, object]:
    user, _, name = repo.partition("/")
    return {"key": repo.lower(), "sources": [{"type": "huggingface", "user": user, "repo": name}]}


@pytest.fixture
def place(site: Site, other_site: Site, web: Web) -> Place:
    return Place(site, other_site, web)


@pytest.fixture
def qwen(place: Place) -> Place:
    """A catalog model with a GGUF base and two MLX ones."""
    add_repository(place.hub, "lm/Qwen3-8B-GGUF", "Qwen3-8B-Q4_K_M.gguf", "Qwen3-8B-Q8_0.gguf")
    add_repository(place.hub, "lm/Qwen3-8B-MLX-8bit", "model.safetensors", texts={"config.json": "{}"}, tags=["mlx"])
    add_repository(place.hub, "lm/Qwen3-8B-MLX-4bit", "model.safetensors", texts={"config.json": "{}"}, tags=["mlx"])
    bases = map(base, ["lm/Qwen3-8B-MLX-8bit", "lm/Qwen3-8B-GGUF", "lm/Qwen3-8B-MLX-4bit"])
    place.add_model("qwen/qwen3-8b", *bases, domain="llm")
    return place


def test_repository(place: Place) -> None:
    """A repository's address gives a manifest pinned to a commit, with the hub's own names."""
    add_repository(place.hub, "Qwen/Qwen3-8B-GGUF", "x-Q8_0.gguf", "x-Q4_K_M.gguf", "mmproj-F16.gguf", "README.md")
    repo, digest = "Qwen/Qwen3-8B-GGUF", Digest("sha256", "2" * 64)
    assert place.resolve(f"{place.hub.address}/{repo}") == Manifest(
        id=repo,
        publisher="Qwen",
        display_name="Qwen3 8B",
        url=f"{place.hub.address}/{repo}",
        format="gguf",
        quantization="Q4_K_M",
        files=(
            ManifestFile(repo, COMMIT, "x-Q4_K_M.gguf", 13, digest),
            ManifestFile(repo, COMMIT, "mmproj-F16.gguf", 15, digest, "projector"),
        ),
        why="Q4_K_M is the default. The vision projector mmproj-F16.gguf goes along.",
    )
    assert place.catalog.asked == []


def test_explanation(place: Place) -> None:
    """For a plan there are the other quantizations with their sizes, and why this one."""
    add_repository(place.hub, "a/b-GGUF", "x-Q8_0.gguf", "x-Q4_K_M.gguf", gated="manual")
    resolution = place.resolver().explain(parse("hf.co/a/b-GGUF"))
    assert (resolution.alternatives, resolution.gated) == ({"Q8_0": 11, "Q4_K_M": 13}, True)
    assert "default" in resolution.manifest.why


@pytest.mark.parametrize(
    ("address", "subset"),
    [
        ("", None),
        ("/tree/main", None),
        ("/blob/main/d/x-Q8_0.gguf", "d/x-Q8_0.gguf"),
        ("/tree/main/d", "d"),
        ("/tree/v1", "v1:"),
        ("/blob/v1/d/x-Q8_0.gguf", "v1:d/x-Q8_0.gguf"),
    ],
)
def test_parts_and_revisions_are_jobs_of_their_own(place: Place, address: str, subset: str | None) -> None:
    """A part of a repository, or another revision of it, is not the same job as the whole."""
    add_repository(place.hub, "a/b", "d/x-Q8_0.gguf")
    place.hub.pages["/api/models/a/b/revision/v1"] = place.hub.pages["/api/models/a/b"]
    assert place.resolve(f"hf.co/a/b{address}").subset == subset


def test_wrong_case_on_the_hub(place: Place) -> None:
    """A repository typed in another case has the hub's spelling in the manifest."""
    add_repository(place.hub, "Qwen/Qwen3-GGUF", "x-Q8_0.gguf")
    place.hub.pages["/api/models/qwen/qwen3-gguf"] = Answer(307, headers={"Location": "/api/models/Qwen/Qwen3-GGUF"})
    assert place.resolve("hf.co/qwen/qwen3-gguf").files[0].shelf_path == "Qwen/Qwen3-GGUF/x-Q8_0.gguf"


def test_texts_are_read_when_they_decide(place: Place) -> None:
    """An MLX repository's configuration states the quantization that its name does not."""
    config = '{"quantization": {"group_size": 64, "bits": 4}}'
    add_repository(place.hub, "a/b", "model.safetensors", texts={"config.json": config})
    manifest = place.resolve("hf.co/a/b")
    assert (manifest.format, manifest.quantization) == ("mlx", "4bit")
    assert [file.role for file in manifest.files] == ["weights", "data"]


def test_a_hub_that_others_wrote(hub: Hub, web: Web) -> None:
    """The stand-in hub, written from the facts and not from this client, is understood: pages, renaming, catalog."""
    hub.page_size = 2
    files = {f"m-{label}.gguf": b"x" * 100 for label in ("Q4_K_M", "Q8_0", "Q6_K", "F16")}
    hub.add("owner/Old-GGUF", {**files, "mmproj-F16.gguf": b"y" * 50})
    hub.rename("owner/Old-GGUF", "owner/New-GGUF")
    hub.add_model("model: q/m\nbase: owner/New-GGUF\n", "q", "m", "owner/New-GGUF")
    resolver = Resolver(HuggingFace(web, hub.url, lambda: None), Catalog(web, hub.url), LINUX)
    for text in ("hf.co/owner/old-gguf@q8_0", "Q/M@q8_0", f"{hub.url}/models/q/m@Q8_0"):
        manifest = resolver.resolve(parse(text, hub_endpoint=hub.url, catalog_url=hub.url))
        shelved = [file.shelf_path for file in manifest.files]
        assert shelved == ["owner/New-GGUF/m-Q8_0.gguf", "owner/New-GGUF/mmproj-F16.gguf"]
    assert len(hub.asked("tree")) == 6  # three pages under each of two names; the third time it is known


def test_a_gate_that_others_wrote(hub: Hub, web: Web) -> None:
    """Its gated repository is denied without a token and granted with the right one; a missing one is not found."""
    hub.add("owner/gated", {"m-Q8_0.gguf": b"x"}, gated="auto", granted={"hf_good"})
    hub.tokens |= {"hf_good", "hf_other"}

    def resolve(token: str | None, repo: str = "owner/gated") -> Manifest:
        return Resolver(HuggingFace(web, hub.url, lambda: token), Catalog(web, hub.url), LINUX).resolve(
            parse(f"hf.co/{repo}")
        )

    assert resolve("hf_good").quantization == "Q8_0"
    for token in (None, "hf_other"):
        with pytest.raises(ModelGated):
            resolve(token)
        with pytest.raises(ModelNotFound):
            resolve(token, "owner/missing")


# -- gates


def test_gated(place: Place) -> None:
    """A gate is found before a job is made; a plan shows what there is all the same."""
    add_repository(place.hub, "a/b", "model.safetensors", texts={"config.json": "{}"}, gated="auto", tags=["mlx"])
    gate = Answer(401, headers={"X-Error-Code": "GatedRepo"})
    for path in ("config.json", "model.safetensors"):
        place.hub.pages[f"/a/b/resolve/{COMMIT}/{path}"] = gate
    assert place.resolver().explain(parse("hf.co/a/b")).gated
    with pytest.raises(ModelGated, match="Ask for it at"):
        place.resolve("hf.co/a/b")


def test_granted(place: Place) -> None:
    """Where access is granted, the gate costs one request; without a gate, none."""
    add_repository(place.hub, "a/b", "x-Q8_0.gguf", gated=True)
    place.hub.pages[f"/a/b/resolve/{COMMIT}/x-Q8_0.gguf"] = Answer(302, headers={"Location": "http://cdn.example/"})
    place.resolve("hf.co/a/b")
    assert len(place.hub.asked) == 3
    add_repository(place.hub, "a/b", "x-Q8_0.gguf")
    place.resolve("hf.co/a/b")
    assert len(place.hub.asked) == 5


def test_denied_though_not_gated(place: Place) -> None:
    """A repository that denies its texts without being marked as gated is an error at once."""
    add_repository(place.hub, "a/b", "model.safetensors", texts={"config.json": "{}"})
    place.hub.pages[f"/a/b/resolve/{COMMIT}/config.json"] = Answer(403)
    with pytest.raises(ModelGated):
        place.resolver().explain(parse("hf.co/a/b"))


# -- catalog or hub?


def test_bare_name_in_the_catalog(qwen: Place) -> None:
    """A bare name means the catalog's model first, whatever its case."""
    manifest = qwen.resolve("Qwen/Qwen3-8B")
    assert (manifest.id, manifest.publisher, manifest.display_name) == ("qwen/qwen3-8b", "qwen", "Qwen3 8B")
    assert manifest.url == f"{qwen.catalog.address}/models/qwen/qwen3-8b"
    assert manifest.catalog is not None
    assert "lm/Qwen3-8B-GGUF" in manifest.why


def test_bare_name_on_the_hub(place: Place) -> None:
    """A bare name that the catalog does not know is the hub's, and one that it cannot hold is not asked for there."""
    add_repository(place.hub, "a/b-GGUF", "x-Q8_0.gguf")
    add_repository(place.hub, "a/b_c", "x-Q8_0.gguf")
    assert place.resolve("a/b-GGUF").id == "a/b-GGUF"
    assert len(place.catalog.asked) == 3
    assert place.resolve("a/b_c").catalog is None
    assert len(place.catalog.asked) == 3


def test_nowhere(place: Place) -> None:
    """A name that neither knows says so of both; other trouble on the hub is told as it is."""
    with pytest.raises(ModelNotFound) as caught:
        place.resolve("a/b")
    assert "knows no model a/b" in str(caught.value)
    assert "catalog" in str(caught.value)
    add_repository(place.hub, "a/b", "README.md")
    with pytest.raises(NoModelFiles) as other:
        place.resolve("a/b")
    assert "catalog" not in str(other.value)


@pytest.mark.parametrize("name", ["a/b", "a/b_c"])
def test_catalog_address_that_leads_nowhere(place: Place, name: str) -> None:
    """An address of the catalog means the catalog: the hub's namesake is not taken."""
    add_repository(place.hub, name, "x-Q8_0.gguf")
    with pytest.raises(ModelNotFound, match="knows no model"):
        place.resolve(f"lmstudio.ai/models/{name}")


def test_catalog_out_of_reach(place: Place) -> None:
    """Without the catalog a name of its kind fails, for the hub's may be another model; one with capitals goes on."""
    add_repository(place.hub, "a/b", "x-Q8_0.gguf")
    add_repository(place.hub, "a/B", "x-Q8_0.gguf")
    nobody = "http://127.0.0.1:1"
    with pytest.raises(HubUnreachable):
        place.resolve("a/b", catalog=nobody)
    with pytest.raises(HubUnreachable):
        place.resolve("lmstudio.ai/a/B", catalog=nobody)
    resolution = place.resolver(catalog=nobody).explain(parse("a/B"))
    assert resolution.manifest.id == "a/B"
    assert "catalog was passed over" in resolution.warnings[0]
    with pytest.raises(ModelNotFound):
        place.resolve("a/C", catalog=nobody)


# -- which base?


@pytest.mark.parametrize(
    ("text", "prefer", "platform", "expected"),
    [
        ("qwen/qwen3-8b", None, LINUX, "Qwen3-8B-GGUF gguf Q4_K_M"),
        ("qwen/qwen3-8b", None, APPLE, "Qwen3-8B-MLX-4bit mlx 4bit"),
        ("qwen/qwen3-8b", None, ("darwin", "x86_64"), "Qwen3-8B-GGUF gguf Q4_K_M"),
        ("qwen/qwen3-8b", "mlx", LINUX, "Qwen3-8B-MLX-4bit mlx 4bit"),
        ("qwen/qwen3-8b", "gguf", APPLE, "Qwen3-8B-GGUF gguf Q4_K_M"),
        ("qwen/qwen3-8b@8bit", None, LINUX, "Qwen3-8B-MLX-8bit mlx 8bit"),
        ("qwen/qwen3-8b@4BIT", None, LINUX, "Qwen3-8B-MLX-4bit mlx 4bit"),
        ("qwen/qwen3-8b@q8_0", None, APPLE, "Qwen3-8B-GGUF gguf Q8_0"),
        ("qwen/qwen3-8b@q8_0", "gguf", APPLE, "Qwen3-8B-GGUF gguf Q8_0"),
    ],
)
def test_bases(qwen: Place, text: str, prefer: Format | None, platform: tuple[str, str], expected: str) -> None:
    """MLX on Apple silicon, GGUF elsewhere, unless a format or a quantization says otherwise."""
    manifest = qwen.resolve(text, prefer, platform)
    assert f"{manifest.files[0].repo} {manifest.format} {manifest.quantization}" == f"lm/{expected}"
    assert manifest.id == "qwen/qwen3-8b"


@pytest.mark.parametrize(("text", "requests"), [("qwen/qwen3-8b", 2), ("qwen/qwen3-8b@8bit", 3)])
def test_bases_are_asked_one_by_one(qwen: Place, text: str, requests: int) -> None:
    """Only the base that its names suggest is listed."""
    qwen.resolve(text)
    assert len(qwen.hub.asked) == requests


@pytest.mark.parametrize(("text", "prefer"), [("qwen/qwen3-8b@Q5_K_M", None), ("qwen/qwen3-8b@8bit", "gguf")])
def test_quantization_in_no_base(qwen: Place, text: str, prefer: Format | None) -> None:
    """A quantization that no base has is refused with those that they have."""
    with pytest.raises(QuantizationNotFound) as caught:
        qwen.resolve(text, prefer)
    offered = caught.value.message.partition("It comes in")[2]
    assert [label in offered for label in ("4bit", "8bit", "Q4_K_M", "Q8_0")] == [not prefer, not prefer, True, True]


def test_a_base_that_is_gone(qwen: Place) -> None:
    """A base that cannot be had is passed over with a warning; when none can, the first reason stands."""
    for address in ("/api/models/lm/Qwen3-8B-GGUF", "/api/models/lm/Qwen3-8B-GGUF/revision/main"):
        del qwen.hub.pages[address]
    resolution = qwen.resolver().explain(parse("qwen/qwen3-8b"))
    assert (resolution.manifest.format, resolution.manifest.quantization) == ("mlx", "4bit")
    assert "Qwen3-8B-GGUF" in resolution.warnings[0]
    with pytest.raises(ModelNotFound, match="Qwen3-8B-GGUF"):
        qwen.resolve("qwen/qwen3-8b", "gguf")


def test_no_base_at_all(place: Place) -> None:
    """A model of which nothing can be fetched says so, and an unknown kind of source is a warning."""
    place.add_model("a/b", {"key": "x", "sources": [{"type": "ollama", "name": "x"}]})
    with pytest.raises(ModelNotFound, match="no base"):
        place.resolve("a/b")
    add_repository(place.hub, "u/r", "x-Q8_0.gguf")
    place.add_model("a/b", {"key": "x", "sources": [{"type": "ollama", "name": "x"}]}, base("u/r"))
    resolution = place.resolver().explain(parse("a/b"))
    assert resolution.manifest.quantization == "Q8_0"
    assert "ollama" in resolution.warnings[0]


def test_base_file(place: Place) -> None:
    """A base can be one file of a repository."""
    add_repository(place.hub, "u/r", "x-Q4_K_M.gguf", "x-Q8_0.gguf")
    place.add_model("a/b", "u/r/x-Q8_0.gguf")
    assert [file.path for file in place.resolve("a/b").files] == ["x-Q8_0.gguf"]
    with pytest.raises(QuantizationNotFound, match="Q8_0"):
        place.resolve("a/b@Q4_K_M")


def test_chain(place: Place) -> None:
    """A base can be another model of the catalog, up to five steps; the name asked for stays the model's."""
    add_repository(place.hub, "u/r", "x-Q8_0.gguf")
    for n in range(6):
        place.add_model(f"a/m{n}", f"a/m{n + 1}")
    place.add_model("a/m6", base("u/r"))
    manifest = place.resolve("a/m1")
    assert (manifest.id, manifest.files[0].repo) == ("a/m1", "u/r")
    with pytest.raises(HubError, match="without an end"):
        place.resolve("a/m0")


def test_loops_and_gaps(place: Place) -> None:
    """Models built on one another, or on what is not there, are refused with the way that led there."""
    place.add_model("a/x", "a/y")
    place.add_model("a/y", "a/x")
    place.add_model("a/z", "a/gone")
    with pytest.raises(HubError, match="a/x → a/y → a/x"):
        place.resolve("a/x")
    with pytest.raises(ModelNotFound, match="a/gone"):
        place.resolve("a/z")


def test_a_base_that_reads_like_the_catalogs_and_is_the_hubs(place: Place) -> None:
    """A repository's name may be in lower case: where the catalog does not know it, the hub may."""
    add_repository(place.hub, "maker/lower-gguf", "x-Q8_0.gguf")
    place.add_model("a/x", "maker/lower-gguf")
    assert place.resolve("a/x").files[0].repo == "maker/lower-gguf"


def test_a_closed_base_is_passed_over(place: Place) -> None:
    """Any base is the model: where the first is closed to us, the next one is taken. A plan still shows the first."""
    add_repository(place.hub, "u/closed-GGUF", "x-Q4_K_M.gguf", gated="manual")
    denied = Answer(403, headers={"X-Error-Code": "GatedRepo"})
    place.hub.pages[f"/u/closed-GGUF/resolve/{COMMIT}/x-Q4_K_M.gguf"] = denied
    add_repository(place.hub, "u/open-GGUF", "x-Q4_K_M.gguf")
    place.add_model("a/x", base("u/closed-GGUF"), base("u/open-GGUF"))
    assert place.resolve("a/x").files[0].repo == "u/open-GGUF"
    assert place.resolver().explain(parse("a/x")).gated
    place.add_model("a/y", base("u/closed-GGUF"))
    with pytest.raises(ModelGated):
        place.resolve("a/y")


@pytest.mark.parametrize("platform", [LINUX, APPLE])
def test_plain_safetensors_are_taken_last(place: Place, platform: tuple[str, str]) -> None:
    """A base that turns out to be neither GGUF nor MLX is no choice while there is one, and one where there is not."""
    add_repository(place.hub, "u/x", "model.safetensors", texts={"config.json": "{}"})
    add_repository(place.hub, "u/x-GGUF", "x-Q8_0.gguf")
    place.add_model("a/x", base("u/x"), base("u/x-GGUF"))
    assert place.resolve("a/x", platform=platform).format == "gguf"
    assert place.resolve("a/x", "safetensors", platform).format == "safetensors"
    place.add_model("a/y", base("u/x"))
    assert place.resolve("a/y", platform=platform).format == "safetensors"


@pytest.mark.parametrize(
    ("bits", "taken"),
    [(["3", "4", "8"], "4"), (["3", "6", "8"], "8"), (["3", "6"], "6")],
)
def test_which_bits_of_mlx(place: Place, bits: list[str], taken: str) -> None:
    """Four, then eight, then the finer before the coarser."""
    for number in bits:
        add_repository(place.hub, f"u/x-{number}bit", "model.safetensors", tags=["mlx"])
    place.add_model("a/x", *(base(f"u/x-{number}bit") for number in bits))
    assert place.resolve("a/x", platform=APPLE).quantization == f"{taken}bit"


@pytest.mark.parametrize(("budget", "taken"), [(None, "Q6_K"), (900, "Q6_K"), (13, "Q5_K_M"), (1, "Q2_K")])
def test_what_fits_is_asked_where_it_decides(place: Place, budget: int | None, taken: str) -> None:
    """Where the usual defaults are not there: the largest quantized one that this machine can run."""
    add_repository(place.hub, "a/b", "x-Q2_K.gguf", "z-Q5_K_M.gguf", "long-Q6_K.gguf", "longest-x-BF16.gguf")
    asked = []

    def look() -> int | None:
        asked.append(1)
        return budget

    hub = HuggingFace(place._web, place.hub.address, lambda: None)
    resolver = Resolver(hub, Catalog(place._web, place.catalog.address), LINUX, look)
    assert resolver.resolve(parse("hf.co/a/b")).quantization == taken
    assert asked == [1]
    assert resolver.resolve(parse("hf.co/a/b@Q5_K_M")).quantization == "Q5_K_M"
    assert asked == [1]


def test_branches(place: Place) -> None:
    """Bases that branch at every step are looked up once each, and not without a bound."""
    add_repository(place.hub, "u/r", "x-Q8_0.gguf")
    for n in range(1, 5):
        place.add_model(f"a/m{n}", *[f"a/m{n + 1}"] * 50)
    place.add_model("a/m5", base("u/r"))
    assert place.resolve("a/m1").quantization == "Q8_0"
    assert len(place.catalog.asked) == 5 * 3
    place.add_model("a/wide", *[f"a/w{n}" for n in range(100)])
    for n in range(100):
        place.add_model(f"a/w{n}", base("u/r"))
    with pytest.raises(HubError, match="without an end"):
        place.resolve("a/wide")
