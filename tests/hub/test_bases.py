"""Which base of a catalog model is looked at first, and what models are called."""

import pytest

from windlass.hub.bases import in_order
from windlass.hub.model_yaml import HubSource
from windlass.hub.titles import catalog_title, repository_title
from windlass.manifest import Format


@pytest.mark.parametrize(
    ("wish", "prefer", "expected"),
    [
        (None, None, ["gguf", "plain", "mlx4", "mlx8"]),
        (None, "mlx", ["mlx4", "mlx8", "plain"]),
        (None, "gguf", ["gguf", "plain"]),
        ("8bit", None, ["mlx8", "gguf", "plain"]),
        ("Q6_K", None, ["gguf", "plain"]),
    ],
)
def test_order_of_bases(wish: str | None, prefer: Format | None, expected: list[str]) -> None:
    """What the names say is tried first, what they say nothing of next, what they rule out never."""
    sources = {
        "mlx8": HubSource("mlx-community/x-8bit"),
        "plain": HubSource("u/x"),
        "gguf": HubSource("u/x-GGUF"),
        "mlx4": HubSource("u/y-4bit"),
    }
    names = {source: name for name, source in sources.items()}
    assert [names[c.source] for c in in_order(sources.values(), wish, prefer, "gguf")] == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("qwen3-4b-2507", "Qwen3 4B 2507"),
        ("gpt-oss-20b", "GPT OSS 20B"),
        ("qwen3-30b-a3b", "Qwen3 30B A3B"),
        ("gemma-3n-e4b", "Gemma 3n E4B"),
        ("mixtral-8x7b", "Mixtral 8X7B"),
        ("qwen2.5-vl-7b", "Qwen2.5 VL 7B"),
    ],
)
def test_titles_of_catalog_models(name: str, expected: str) -> None:
    """A catalog's name is made readable, unless the model.yaml has a better one."""
    assert catalog_title(name, {}) == expected
    assert catalog_title(name, {"displayName": " My model "}) == "My model"
    assert catalog_title(name, {"displayName": "\x00", "title": 7}) == expected


def test_titles_of_repositories() -> None:
    """A repository's name keeps its capitals and loses its format."""
    assert repository_title("Qwen3-8B-GGUF") == "Qwen3 8B"
    assert repository_title("gemma-3-4b-it-qat-q4_0-gguf") == "gemma 3 4b it qat q4 0"
    assert repository_title("GGUF") == "GGUF"
