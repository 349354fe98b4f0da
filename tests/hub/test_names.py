"""Names: every form that a person may type, and nothing else."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from windlass.errors import InvalidModel, InvalidRequest, QuantizationNotFound
from windlass.names import ModelRef, Site, catalog_name, collision, is_repository, parse, safe_path

HUB = "https://huggingface.co"

# text → site owner/name revision path kind quantization, `-` for none.
ACCEPTED = {
    "qwen/qwen3-4b-2507": "bare qwen/qwen3-4b-2507 - - - -",
    "  qwen/qwen3-4b-2507\n": "bare qwen/qwen3-4b-2507 - - - -",
    "qwen/qwen3-4b-2507/": "bare qwen/qwen3-4b-2507 - - - -",
    "Qwen/Qwen3-4B": "bare Qwen/Qwen3-4B - - - -",
    "qwen/qwen3-4b@4bit": "bare qwen/qwen3-4b - - - 4bit",
    "qwen/qwen3-4b@q4_k_m": "bare qwen/qwen3-4b - - - q4_k_m",
    "unsloth/Qwen3-8B-GGUF@UD-Q4_K_XL": "bare unsloth/Qwen3-8B-GGUF - - - UD-Q4_K_XL",
    "unsloth/Qwen3-8B-GGUF:Q4_K_M": "bare unsloth/Qwen3-8B-GGUF - - - Q4_K_M",
    "google/gemma-3_1b.it": "bare google/gemma-3_1b.it - - - -",
    "https://lmstudio.ai/models/qwen/qwen3-8b": "catalog qwen/qwen3-8b - - - -",
    "https://www.lmstudio.ai/models/qwen/qwen3-8b/": "catalog qwen/qwen3-8b - - - -",
    "https://lmstudio.ai/qwen/qwen3-8b": "catalog qwen/qwen3-8b - - - -",
    "lmstudio.ai/models/qwen/qwen3-8b": "catalog qwen/qwen3-8b - - - -",
    "lmstudio.ai/qwen/qwen3-8b@8bit": "catalog qwen/qwen3-8b - - - 8bit",
    "https://lmstudio.ai/models/Qwen/Qwen3-8B?utm=1#x": "catalog Qwen/Qwen3-8B - - - -",
    "https://huggingface.co/unsloth/Qwen3-8B-GGUF": "hub unsloth/Qwen3-8B-GGUF - - - -",
    "http://huggingface.co/unsloth/Qwen3-8B-GGUF": "hub unsloth/Qwen3-8B-GGUF - - - -",
    "HTTPS://HuggingFace.co/unsloth/Qwen3-8B-GGUF": "hub unsloth/Qwen3-8B-GGUF - - - -",
    "https://huggingface.co:443/unsloth/Qwen3-8B-GGUF": "hub unsloth/Qwen3-8B-GGUF - - - -",
    "https://www.huggingface.co/a/b": "hub a/b - - - -",
    "https://hf.co/a/b": "hub a/b - - - -",
    "hf.co/a/b": "hub a/b - - - -",
    "www.hf.co/a/b": "hub a/b - - - -",
    "huggingface.co/a/b": "hub a/b - - - -",
    "hf.co/bartowski/Llama-3.2-1B-GGUF:Q4_K_M": "hub bartowski/Llama-3.2-1B-GGUF - - - Q4_K_M",
    "hf.co/bartowski/Llama-3.2-1B-GGUF:IQ3_M": "hub bartowski/Llama-3.2-1B-GGUF - - - IQ3_M",
    "hf:a/b": "hub a/b - - - -",
    "hf://a/b@Q8_0": "hub a/b - - - Q8_0",
    "https://huggingface.co/a/b@Q8_0": "hub a/b - - - Q8_0",
    "https://huggingface.co/a/b%40Q8_0": "hub a/b - - - Q8_0",
    "https://huggingface.co/a/b/": "hub a/b - - - -",
    "https://huggingface.co//a//b": "hub a/b - - - -",
    "https://huggingface.co/a/b?library=mlx#files": "hub a/b - - - -",
    "https://huggingface.co/a/b?show_file_info=d%2Fx-Q6_K.gguf": "hub a/b - d/x-Q6_K.gguf file -",
    "https://huggingface.co/a/b/tree/v1?show_file_info=x.gguf": "hub a/b v1 x.gguf file -",
    "https://huggingface.co/a/b/blob/main/y.gguf?show_file_info=x.gguf": "hub a/b main y.gguf file -",
    "https://huggingface.co/a/b?show_file_info=&%ff": "hub a/b - - - -",
    "https://lmstudio.ai/a/b?show_file_info=x.gguf": "catalog a/b - - - -",
    "https://huggingface.co/a/b/tree/main": "hub a/b main - - -",
    "https://huggingface.co/a/b/tree/main/": "hub a/b main - - -",
    "https://huggingface.co/a/b/tree/main@Q4_K_M": "hub a/b main - - Q4_K_M",
    "https://huggingface.co/a/b@Q4_K_M/tree/main": "hub a/b main - - Q4_K_M",
    "https://huggingface.co/a/b/tree/v1.0": "hub a/b v1.0 - - -",
    "https://huggingface.co/a/b/tree/main/BF16": "hub a/b main BF16 folder -",
    "https://huggingface.co/a/b/tree/main/x/y%20z": "hub a/b main x/y%20z folder -",
    "https://huggingface.co/a/b/tree/main/x%2Fy": "hub a/b main x/y folder -",
    "https://huggingface.co/a/b/tree/refs%2Fpr%2F1": "hub a/b refs/pr/1 - - -",
    "https://huggingface.co/a/b/tree/refs%2Fpr%2F1/sub": "hub a/b refs/pr/1 sub folder -",
    "https://huggingface.co/a/b/tree/refs/pr/1/sub": "hub a/b refs/pr/1 sub folder -",
    "https://huggingface.co/a/b/tree/feature%2Fx": "hub a/b feature/x - - -",
    f"https://huggingface.co/a/b/tree/{'0a' * 20}": f"hub a/b {'0a' * 20} - - -",
    "https://huggingface.co/a/b/blob/main/x-Q4_K_M.gguf": "hub a/b main x-Q4_K_M.gguf file -",
    "https://huggingface.co/a/b/resolve/main/x-Q4_K_M.gguf?download=true": "hub a/b main x-Q4_K_M.gguf file -",
    "https://huggingface.co/a/b/raw/main/x.gguf": "hub a/b main x.gguf file -",
    "https://huggingface.co/a/b/blob/main/d/x.gguf": "hub a/b main d/x.gguf file -",
    "https://huggingface.co/a/b/blob/main/x.gguf@Q4_K_M": "hub a/b main x.gguf file Q4_K_M",
    "https://huggingface.co/a/b/blob/main/icon@2x.gguf": "hub a/b main icon@2x.gguf file -",
    "https://huggingface.co/a/b/blob/main/%E6%A8%A1.gguf": "hub a/b main 模.gguf file -",
    "https://huggingface.co/a/b?library=x@Q4_K_M": "hub a/b - - - Q4_K_M",
    "https://huggingface.co/a/b#files@Q8_0": "hub a/b - - - Q8_0",
    "https://huggingface.co/a/b/blob/main/x.gguf?download=true@Q4_K_M": "hub a/b main x.gguf file Q4_K_M",
    "https://huggingface.co/a/b?show_file_info=x.gguf@Q4_K_M": "hub a/b - x.gguf file Q4_K_M",
    "https://huggingface.co/a/b/tree/main/@Q8_0": "hub a/b main - - Q8_0",
    "https://huggingface.co/a/b/tree/main@4.5bit": "hub a/b main - - 4.5bit",
    "https://lmstudio.ai/models/qwen/qwen3-8b?x@4bit": "catalog qwen/qwen3-8b - - - 4bit",
    "https://huggingface.co/a/b.git": "hub a/b - - - -",
    "hf.co/a/b:latest": "hub a/b - - - -",
    "hf.co/a/b:X-IQ3_M.gguf": "hub a/b - X-IQ3_M.gguf file -",
    "https://huggingface.co/a/b/blob/main/%252e%252e.gguf": "hub a/b main %2e%2e.gguf file -",
}


def written(ref: ModelRef) -> str:
    parts = (ref.site.value, ref.repo, ref.revision, ref.path, ref.path_kind, ref.quantization)
    return " ".join(part.replace(" ", "%20") if part else "-" for part in parts)


@pytest.mark.parametrize(("text", "meaning"), ACCEPTED.items())
def test_accepted(text: str, meaning: str) -> None:
    """Each form means one model, and the parts of its address are told apart."""
    assert written(parse(text)) == meaning


REFUSED = [
    "",
    "   ",
    "qwen",
    "a/b/c",
    "/a/b",
    "a//b",
    "a/b@",
    "a/b@x@y",
    "a/b@x y",
    "a/..",
    "../b",
    "a/b..c",
    ".windlass/b",
    "a/.git",
    "con/b",
    "a/nul",
    "a/b\\c",
    "a/b\x00",
    "a/b\nc",
    "a/b\u202e",
    "a/b%2e",
    "a/b?x",
    "a" * 3000 + "/b",
    "a/" + "b" * 200,
    "https://example.com/a/b",
    "example.com/a/b",
    "https://huggingface.co.evil.com/a/b",
    "https://evil.com/huggingface.co/a/b",
    "https://huggingface.co@evil.com/a/b",
    "https://user:pass@huggingface.co/a/b",
    "https://huggingface.co\\@evil.com/a/b",
    "https://huggingface.co:8080/a/b",
    "huggingface.co:8080/a/b",
    "https://huggingface.co:99999/a/b",
    "https://[::1/a/b",
    "ftp://huggingface.co/a/b",
    "file:///etc/passwd",
    "javascript://huggingface.co/a/b",
    "https://",
    "https:///a/b",
    "https://huggingface.co",
    "https://huggingface.co/a",
    "https://huggingface.co/datasets/a/b",
    "https://huggingface.co/papers/2401.1",
    "https://huggingface.co/settings/tokens",
    "https://huggingface.co/blog/x",
    "https://lmstudio.ai/catalog/x",
    "https://huggingface.co/a/b@Q4_K_M?x@Q8_0",
    "https://huggingface.co/a/b?mail=x@y z",
    "https://huggingface.co/spaces/a/b",
    "https://huggingface.co/api/models/a/b",
    "https://huggingface.co/models/a/b",
    "https://huggingface.co/a/b/discussions/3",
    "https://huggingface.co/a/b?show_file_info=../x.gguf",
    "https://huggingface.co/a/b?show_file_info=x%00.gguf",
    "https://huggingface.co/a/b/tree",
    "https://huggingface.co/a/b/blob/main",
    "https://huggingface.co/a/b/blob/main/../x.gguf",
    "https://huggingface.co/a/b/blob/main/%2e%2e/x.gguf",
    "https://huggingface.co/a/b/blob/main/x%2F..%2Fy.gguf",
    "https://huggingface.co/a/b/blob/main/%2Fetc%2Fpasswd",
    "https://huggingface.co/a/b/blob/main/x%00.gguf",
    "https://huggingface.co/a/b/blob/main/x%5Cy.gguf",
    "https://huggingface.co/a/b/blob/main/c:x.gguf",
    "https://huggingface.co/a/b/blob/main/aux.gguf",
    "https://huggingface.co/a/b/blob/main/%ff.gguf",
    "https://huggingface.co/a/b/blob/..%2F..%2Fx/y.gguf",
    "https://huggingface.co/a/b/tree/-rf",
    "https://huggingface.co/a/b/tree/a%20b",
    "https://huggingface.co/a/b@x@y",
    "https://huggingface.co/a/b@Q4_K_M/tree/main@Q8_0",
    "https://huggingface.co/%2e%2e/b",
    "https://lmstudio.ai/models/a",
    "https://lmstudio.ai/docs/a/b",
    "https://lmstudio.ai/models/a/b/c",
]


@pytest.mark.parametrize("text", REFUSED)
def test_refused(text: str) -> None:
    """Anything else is an invalid model, and the hint names the forms that work."""
    with pytest.raises(InvalidModel) as caught:
        parse(text)
    assert "owner/name" in (caught.value.hint or "")
    assert caught.value.param == "model"
    assert len(caught.value.message) < 300


MIRRORED = {
    "http://127.0.0.1:9000/a/b": "hub a/b - - - -",
    "127.0.0.1:9000/a/b": "hub a/b - - - -",
    "http://127.0.0.1:9000/a/b/blob/main/x.gguf": "hub a/b main x.gguf file -",
    "http://127.0.0.1:9000/a/b:Q8_0": "hub a/b - - - Q8_0",
    "http://127.0.0.1:9000/models/a/b": "catalog a/b - - - -",
    "https://mirror.example/hf/a/b/tree/v2": "hub a/b v2 - - -",
    "mirror.example/hf/a/b": "hub a/b - - - -",
    "https://mirror.example/shop/a/b": "catalog a/b - - - -",
    "https://mirror.example/shop/models/a/b@4bit": "catalog a/b - - - 4bit",
    "https://huggingface.co/a/b": "hub a/b - - - -",
    "https://lmstudio.ai/models/a/b": "catalog a/b - - - -",
}


@pytest.mark.parametrize(("text", "meaning"), MIRRORED.items())
def test_mirrors(text: str, meaning: str) -> None:
    """The configured addresses count as Hugging Face's and the catalog's, beside the public ones."""
    here = "http://127.0.0.1:9000"
    one, other = (here, here) if "9000" in text else ("https://mirror.example/hf", "https://mirror.example/shop")
    assert written(parse(text, hub_endpoint=one, catalog_url=other)) == meaning


@pytest.mark.parametrize(
    "text", ["http://127.0.0.1:9001/a/b", "http://127.0.0.1/a/b", "http://127.0.0.2:9000/a/b", "127.0.0.1:9001/a/b"]
)
def test_other_ports_of_a_mirror_are_not_ours(text: str) -> None:
    """Another port or address is another host."""
    with pytest.raises(InvalidModel):
        parse(text, hub_endpoint="http://127.0.0.1:9000")


def test_outside_a_mirrors_prefix_is_not_ours() -> None:
    """A mirror below a folder answers for that folder only."""
    with pytest.raises(InvalidModel):
        parse("https://mirror.example/other/a/b", hub_endpoint="https://mirror.example/hf")


@pytest.mark.parametrize("text", ["https://www.mirror.example/a/b", "mirror.example/a/b", "http://mirror.example/a/b"])
def test_a_mirror_is_known_as_the_public_sites_are(text: str) -> None:
    """With `www.` and without, over http too."""
    assert written(parse(text, hub_endpoint="https://www.mirror.example")) == "hub a/b - - - -"


def test_a_mirror_called_like_an_owner() -> None:
    """A mirror's short name does not hide the owner of the same name."""
    assert parse("hub/model", hub_endpoint="http://hub").site is Site.BARE
    assert parse("hub/owner/model", hub_endpoint="http://hub").site is Site.HUB


def test_folder_as_catalog() -> None:
    """A catalog that is a folder has no address of its own; the public catalog's still means the catalog."""
    assert parse("lmstudio.ai/a/b", catalog_url="/srv/catalog").site is Site.CATALOG


@pytest.mark.parametrize(
    ("model", "quantization", "expected"),
    [
        ("a/b", "Q4_K_M", "Q4_K_M"),
        ("a/b", " Q4_K_M ", "Q4_K_M"),
        ("a/b", "", None),
        ("a/b", None, None),
        ("a/b@Q4_K_M", "", "Q4_K_M"),
        ("a/b@Q4_K_M", "q4_k_m", "Q4_K_M"),
        ("https://hf.co/a/b/tree/main/x", "4bit", "4bit"),
    ],
)
def test_quantization(model: str, quantization: str | None, expected: str | None) -> None:
    """It may stand in the name, beside it, or, if they agree but for case, in both."""
    assert parse(model, quantization).quantization == expected


def test_two_quantizations_that_differ() -> None:
    """The name and the field asking for different ones is the caller's mistake, and the field is named."""
    with pytest.raises(InvalidRequest) as caught:
        parse("a/b@Q4_K_M", "Q8_0")
    assert (caught.value.code, caught.value.param) == ("invalid_request", "quantization")


@pytest.mark.parametrize("text", ["Q4 K M", "../x", "q\x00", "x" * 100, "@", "a/b"])
def test_no_quantization_at_all(text: str) -> None:
    """A text that cannot be a quantization is one that the model does not come in."""
    with pytest.raises(QuantizationNotFound):
        parse("a/b", text)


PIECES = st.sampled_from(
    [
        *("https://", "huggingface.co", "hf.co", "lmstudio.ai", "127.0.0.1:9", "models", "tree", "blob", "main", "a"),
        *(
            "b-c",
            "x.gguf",
            "Q4_K_M",
            "/",
            "//",
            "@",
            ":",
            "..",
            "%2e",
            "%2F",
            "%00",
            "\\",
            "?",
            "?show_file_info=",
            "#",
            "\x00",
        ),
        *("\u202e", " ", "con", "é"),
    ]
)


@given(st.one_of(st.text(), st.lists(PIECES, max_size=14).map("".join)), st.one_of(st.none(), st.text(max_size=8)))
def test_never_lets_anything_else_through(text: str, quantization: str | None) -> None:
    """Whatever is typed, there is our own error or a name without path traversal, host or control character."""
    try:
        ref = parse(text, quantization, hub_endpoint="http://127.0.0.1:9")
    except InvalidRequest:
        return
    assert is_repository(ref.owner, ref.name)
    assert ref.path is None or safe_path(ref.path)
    assert (ref.path is None) == (ref.path_kind is None)
    for part in (ref.owner, ref.name, ref.revision or "", ref.path or "", ref.quantization or ""):
        assert part.isprintable()
        assert ".." not in part.split("/")
        assert "\\" not in part


NAME = st.text(string.ascii_letters + string.digits + "-_", min_size=1, max_size=20).filter(lambda s: s[0] not in "-_")


@given(NAME, NAME, NAME)
def test_every_spelling_of_a_repository_means_the_same(owner: str, name: str, quantization: str) -> None:
    """Bare, short and long addresses with `@` or `:` agree on the parts."""
    if not is_repository(owner, name) or quantization[0] in "-_":
        return
    spellings = [f"{owner}/{name}@", f"hf.co/{owner}/{name}:", f"https://huggingface.co/{owner}/{name}@"]
    if owner not in {"datasets", "spaces", "api", "models", "collections", "docs"}:
        refs = {(r.owner, r.name, r.quantization) for r in (parse(s + quantization) for s in spellings)}
        assert refs == {(owner, name, quantization)}


@pytest.mark.parametrize(
    "path",
    [
        "x.gguf",
        "BF16/x-00001-of-00002.gguf",
        ".gitattributes",
        "a b/c.gguf",
        "模型.gguf",
        "console.txt",
        "com10",
        "x" * 250,
    ],
)
def test_safe_paths(path: str) -> None:
    """Ordinary names are safe, other scripts' too."""
    assert safe_path(path)


@pytest.mark.parametrize(
    "path",
    [
        *("", "/x", "x/", "a//b", ".", "..", "a/../b", "a/.", "a\\b", "c:x", "C:/x", ".windlass/x", ".WINDLASS"),
        *("nul", "NUL.txt", "a/com1.gguf", "lpt¹", "conin$", "aux .txt", "x.", "x ", "a./b"),
        *("x\n", "x\x00", "x\ud800", "\u202ex", "x" * 251, "é" * 126, "/".join(["a" * 200] * 6)),
    ],
)
def test_unsafe_paths(path: str) -> None:
    """What leaves its folder, or means something else on another operating system, is not safe."""
    assert not safe_path(path)


@given(st.text())
def test_safe_paths_stay_in_their_folder(path: str) -> None:
    """A safe path has no empty, dotted or unprintable part, on any system."""
    if safe_path(path):
        parts = path.split("/")
        assert all(part.strip(". ") and part.isprintable() and not set(part) & set("\\:") for part in parts)


@pytest.mark.parametrize(
    ("paths", "expected"),
    [
        (["a", "b"], None),
        (["A.gguf", "a.gguf"], ("A.gguf", "a.gguf")),
        (["\u00e9", "e\u0301"], ("\u00e9", "e\u0301")),
        (["a/x", "A"], ("A", "a/x")),
        (["a/x", "a/y", "a-b"], None),
        (["a", "a"], ("a", "a")),
    ],
)
def test_collisions(paths: list[str], expected: tuple[str, str] | None) -> None:
    """Two names that are one on a disk which ignores case or Unicode form are found, a file in a folder's place too."""
    assert collision(paths) == expected


@pytest.mark.parametrize(
    ("owner", "name", "expected"),
    [
        ("Qwen", "Qwen3-4B-2507", ("qwen", "qwen3-4b-2507")),
        ("qwen", "qwen2.5-coder", ("qwen", "qwen2.5-coder")),
        ("a_b", "c", None),
        ("a", "b_c", None),
        ("a", "b--c", None),
        ("a", "b-", None),
        ("a.b", "c", None),
        ("con", "c", None),
        ("a", "b" * 101, None),
    ],
)
def test_catalog_names(owner: str, name: str, expected: tuple[str, str] | None) -> None:
    """The catalog's names are lower case, and narrower than the hub's."""
    assert catalog_name(owner, name) == expected
