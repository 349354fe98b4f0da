"""Keys are unique and stable, and every name that a person may type leads back to its model."""

from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from windlass.errors import InvalidModel, ModelNotFound, QuantizationNotFound, WindlassError
from windlass.library.facts import Found, Model, ShelfFile, describe
from windlass.library.heads import Head
from windlass.library.keys import find, with_keys


def model(repo: str, label: str | None = "Q4_K_M", catalog: str | None = None, at: str = "", file: str = "") -> Model:
    path = f"{repo}/{file or label}.gguf"
    found = Found(
        id=catalog or repo,
        repo=repo,
        publisher=(catalog or repo).partition("/")[0],
        display_name=repo,
        format="gguf",
        quantization=label,
        files=(ShelfFile(path, 1, "weights", verified=True),),
        models_dir=Path("/m"),
        hand=path,
        catalog=catalog is not None,
        finished_at=at,
    )
    return describe(found, None)


@pytest.mark.parametrize(
    ("repo", "key"),
    [
        ("o/DeepSeek-R1-GGUF", "deepseek-r1"),
        ("o/DeepSeek-R1.gguf", "deepseek-r1"),
        ("o/Qwen3-4B-MLX-4bit", "qwen3-4b-mlx-4bit"),
        ("o/GGUF", "gguf"),
    ],
)
def test_a_key_without_a_namesake(repo: str, key: str) -> None:
    """The repository's name in lower case without `-gguf`."""
    assert [m.key for m in with_keys([model(repo)])] == [key]


@pytest.mark.parametrize(
    ("repo", "key"),
    [
        ("nomic-ai/nomic-embed-text-v1.5-GGUF", "text-embedding-nomic-embed-text-v1.5"),
        ("o/text-embedding-3", "text-embedding-3"),
    ],
)
def test_an_embedding_models_key(repo: str, key: str) -> None:
    """It begins with `text-embedding-`, once."""
    embedding = describe(model(repo).found, Head(embedding=True))
    (keyed,) = with_keys([embedding])
    assert keyed.key == key
    assert find([keyed], repo.partition("/")[2]) == keyed


def test_variants_of_a_catalog_model() -> None:
    """The one that came first keeps the id, a later one is `id@quantization`; each knows them all."""
    later = model("o/M-8bit", "8bit", "qwen/m", at="2026-02")
    first = model("o/M-4bit", "4bit", "qwen/m", at="2026-01")
    keyed = with_keys([later, first])
    assert [(m.key, m.selected_variant) for m in keyed] == [("qwen/m", "qwen/m@4bit"), ("qwen/m@8bit", "qwen/m@8bit")]
    assert {m.variants for m in keyed} == {("qwen/m@4bit", "qwen/m@8bit")}


def test_a_catalog_id_is_not_taken_by_a_repository() -> None:
    """A repository whose key would be a catalog model's id gives way."""
    keyed = with_keys([model("a/m"), model("qwen/m"), model("x/y", catalog="qwen/m", at="2026")])
    assert {m.key: m.found.repo for m in keyed} == {
        "qwen/m": "x/y",
        "a/m": "a/m",
        "qwen/m@q4_k_m": "qwen/m",
    }


NAMES = st.sampled_from(["a", "A", "b", "m-gguf", "M"])
MODELS = st.builds(
    model,
    repo=st.builds("{}/{}".format, NAMES, NAMES),
    label=st.sampled_from(["Q4_0", "q4_0", "Q8_0", None]),
    catalog=st.sampled_from([None, None, "a/m", "a/b"]),
    at=st.sampled_from(["", "2025", "2026"]),
    file=st.sampled_from(["x", "y"]),
)


@given(st.lists(MODELS, max_size=12), st.randoms())
def test_keys_are_unique_and_lead_back(models: list[Model], random: object) -> None:
    """However alike the names, each model has a key of its own, whatever the order they came in, and is found by it."""
    models = list({m.found.hand: m for m in models}.values())
    keyed = with_keys(models)
    assert len({m.key for m in keyed}) == len(models)
    random.shuffle(models)  # type: ignore[attr-defined]
    assert with_keys(models) == keyed
    for m in keyed:
        alike = [other for other in keyed if other.key.lower() == m.key.lower()]
        if len(alike) == 1:
            assert find(keyed, m.key.swapcase()) == m


SHELF = with_keys(
    [
        model("unsloth/Qwen3-8B-GGUF", "Q4_K_M"),
        model("unsloth/Qwen3-8B-GGUF", "UD-Q8_K_XL"),
        model("bartowski/Llama-3-GGUF", "Q8_0"),
        model("lmstudio-community/Gemma-3-GGUF", "Q4_K_M", "google/gemma-3", at="2026-01"),
        model("lmstudio-community/Gemma-3-MLX-8bit", "8bit", "google/gemma-3", at="2026-02"),
    ]
)


@pytest.mark.parametrize(
    ("name", "quantization", "key"),
    [
        ("qwen3-8b@q4_k_m", None, "qwen3-8b@q4_k_m"),
        ("Qwen3-8B@Q4_K_M", None, "qwen3-8b@q4_k_m"),
        ("unsloth/Qwen3-8B-GGUF@Q4_K_M", None, "qwen3-8b@q4_k_m"),
        ("unsloth/qwen3-8b", "q4_k_m", "qwen3-8b@q4_k_m"),
        ("unsloth/Qwen3-8B-GGUF/UD-Q8_K_XL.gguf", None, "qwen3-8b@ud-q8_k_xl"),
        ("qwen3-8b", "Q8_K_XL", "qwen3-8b@ud-q8_k_xl"),
        (" llama-3 ", None, "llama-3"),
        ("Llama-3-GGUF", None, "llama-3"),
        ("bartowski/Llama-3-GGUF", "q8_0", "llama-3"),
        ("google/gemma-3", None, "google/gemma-3"),
        ("google/gemma-3", "8bit", "google/gemma-3@8bit"),
        ("google/gemma-3@8bit", "8bit", "google/gemma-3@8bit"),
        ("google/gemma-3@Q4_K_M", None, "google/gemma-3"),
        ("lmstudio-community/Gemma-3-MLX-8bit", None, "google/gemma-3@8bit"),
    ],
)
def test_find(name: str, quantization: str | None, key: str) -> None:
    """By key, id, repository, path, with and without a quantization, in any case."""
    assert find(SHELF, name, quantization).key == key


@pytest.mark.parametrize(
    ("name", "quantization", "error", "hint"),
    [
        ("qwen3-8b", None, InvalidModel, "Say which: qwen3-8b@q4_k_m, qwen3-8b@ud-q8_k_xl."),
        ("qwen3-8b", "Q2_K", QuantizationNotFound, "There is: Q4_K_M, UD-Q8_K_XL."),
        ("llama-3@Q2_K", None, QuantizationNotFound, "There is: Q8_0."),
        ("llama-4", None, ModelNotFound, "Did you mean llama-3?"),
        ("zzzzzzzzzz", None, ModelNotFound, "`windlass ls` shows what is here."),
        ("", None, ModelNotFound, "`windlass ls` shows what is here."),
        ("@", None, ModelNotFound, "`windlass ls` shows what is here."),
    ],
)
def test_find_says_why_not(name: str, quantization: str | None, error: type[WindlassError], hint: str) -> None:
    """No model, no such quantization, or more than one: each says what to type instead."""
    with pytest.raises(error) as caught:
        find(SHELF, name, quantization)
    assert caught.value.hint == hint


@given(st.text(max_size=30), st.none() | st.text(max_size=10))
def test_find_any_text(name: str, quantization: str | None) -> None:
    """Any text finds a model or raises our own error."""
    with suppress(WindlassError):
        assert find(SHELF, name, quantization) in SHELF


def test_a_model_without_a_quantization_is_named_by_its_format() -> None:
    """Where weights are not quantized by name, the format stands in."""
    plain = replace(model("o/m", None, "q/m", at="1"))
    (keyed,) = with_keys([plain])
    assert keyed.variants == ("q/m@gguf",)
    assert find([keyed], "q/m", "gguf") == keyed
