"""Models as rows: LM Studio's shapes to the letter, and what goes before what when sources differ."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from windlass.library.facts import Found, Model, ShelfFile, describe
from windlass.library.heads import Head
from windlass.library.keys import with_keys
from windlass.library.lists import openai_row, v0_row, v1_row
from windlass.manifest import Format, Role

HEAD = Head(
    architecture="qwen3", name="Qwen3", size_label="4B", quantization="Q4_K_S", context_length=262144, tool_use=True
)
FOUND = Found(
    id="qwen/qwen3-4b-2507",
    repo="lmstudio-community/Qwen3-4B-Instruct-2507-MLX-4bit",
    publisher="qwen",
    display_name="Qwen3 4B 2507",
    format="mlx",
    quantization="4bit",
    files=(ShelfFile("w", 2279153000, "weights", verified=True), ShelfFile("c", 300, "data", verified=True)),
    models_dir=Path("/m"),
    hand="lmstudio-community/Qwen3-4B-Instruct-2507-MLX-4bit",
    catalog=True,
    finished_at="2026-01-01T00:00:00.000Z",
)


def row_of(found: Found = FOUND, head: Head | None = HEAD) -> tuple[Model, dict[str, Any]]:
    (model,) = with_keys([describe(found, head)])
    return model, v1_row(model)


def test_a_catalog_model_as_lm_studio_documents_it() -> None:
    """The documented row, field by field and in its order."""
    _, row = row_of()
    assert json.dumps(row) == json.dumps(
        {
            "type": "llm",
            "publisher": "qwen",
            "key": "qwen/qwen3-4b-2507",
            "display_name": "Qwen3 4B 2507",
            "architecture": "qwen3",
            "quantization": {"name": "4bit", "bits_per_weight": 4},
            "size_bytes": 2279153300,
            "params_string": "4B",
            "loaded_instances": [],
            "max_context_length": 262144,
            "format": "mlx",
            "capabilities": {"vision": False, "trained_for_tool_use": True},
            "description": None,
            "variants": ["qwen/qwen3-4b-2507@4bit"],
            "selected_variant": "qwen/qwen3-4b-2507@4bit",
        }
    )


def test_a_model_from_hugging_face_has_no_variants() -> None:
    """Variants are the catalog's."""
    _, row = row_of(replace(FOUND, catalog=False, id=FOUND.repo, publisher="lmstudio-community"))
    assert row["key"] == "qwen3-4b-instruct-2507-mlx-4bit"
    assert "variants" not in row
    assert "selected_variant" not in row


def test_an_embedding_model() -> None:
    """Embedding rows have no architecture, capabilities, description and variants, and a type of their own."""
    model, row = row_of(FOUND, replace(HEAD, embedding=True))
    assert row["type"] == "embedding"
    assert not row.keys() & {"architecture", "capabilities", "description", "variants", "selected_variant"}
    older = v0_row(model)
    assert older["type"] == "embeddings"
    assert "capabilities" not in older


def test_a_model_whose_head_says_nothing() -> None:
    """What LM Studio's shape requires is there, null where nothing is known; the context is a number."""
    found = replace(FOUND, repo="o/unknown", quantization=None, format="safetensors", catalog=False)
    model, row = row_of(found, None)
    assert {name for name, value in row.items() if value is None} == {
        "architecture",
        "quantization",
        "params_string",
        "description",
    }
    assert row["max_context_length"] == 0
    assert v0_row(model) == {
        "id": "unknown",
        "object": "model",
        "type": "llm",
        "publisher": "qwen",
        "compatibility_type": "mlx",
        "state": "not-loaded",
    }


@pytest.mark.parametrize(("stored", "told"), [("gguf", "gguf"), ("mlx", "mlx"), ("safetensors", "mlx")])
def test_a_format_is_one_that_every_client_knows(stored: Format, told: str) -> None:
    """Clients that know the two words of LM Studio's only would drop the whole list over a third, or over none."""
    model, row = row_of(replace(FOUND, format=stored))
    assert (row["format"], v0_row(model)["compatibility_type"]) == (told, told)


def test_v0_and_openai_rows() -> None:
    """The older list and OpenAI's, field by field."""
    model, _ = row_of(replace(FOUND, overrides={"vision": True}))
    assert v0_row(model) == {
        "id": "qwen/qwen3-4b-2507",
        "object": "model",
        "type": "vlm",
        "publisher": "qwen",
        "arch": "qwen3",
        "compatibility_type": "mlx",
        "quantization": "4bit",
        "state": "not-loaded",
        "max_context_length": 262144,
        "capabilities": ["tool_use"],
    }
    assert openai_row(model) == {"id": model.key, "object": "model", "owned_by": "organization_owner"}


@pytest.mark.parametrize(
    ("overrides", "field", "value"),
    [
        ({"domain": "embedding"}, "type", "embedding"),
        ({"domain": "llm"}, "type", "llm"),
        ({"contextLengths": [4096, 8192]}, "max_context_length", 4096),
        ({"contextLengths": ["x", True, 0]}, "max_context_length", 262144),
        ({"contextLengths": 5000}, "max_context_length", 5000),
        ({"paramsStrings": ["30B-A3B"]}, "params_string", "30B-A3B"),
        ({"paramsStrings": []}, "params_string", "4B"),
        ({"paramsStrings": {"a": 1}}, "params_string", "4B"),
        ({"description": "Good."}, "description", "Good."),
        ({"description": 5}, "description", None),
        ({"vision": True}, "capabilities", {"vision": True, "trained_for_tool_use": True}),
        ({"trainedForToolUse": False}, "capabilities", {"vision": False, "trained_for_tool_use": False}),
        ({"trainedForToolUse": "mixed"}, "capabilities", {"vision": False, "trained_for_tool_use": True}),
        (
            {"reasoning": True},
            "capabilities",
            {
                "vision": False,
                "trained_for_tool_use": True,
                "reasoning": {"allowed_options": ["on"], "default": "on"},
            },
        ),
        (
            {"reasoning": "mixed"},
            "capabilities",
            {
                "vision": False,
                "trained_for_tool_use": True,
                "reasoning": {"allowed_options": ["off", "on"], "default": "on"},
            },
        ),
        ({"reasoning": "yes"}, "capabilities", {"vision": False, "trained_for_tool_use": True}),
    ],
)
def test_the_catalog_goes_before_the_files(overrides: dict[str, Any], field: str, value: Any) -> None:
    """What `metadataOverrides` says is believed before the head, and ignored where it is nonsense."""
    _, row = row_of(replace(FOUND, overrides=overrides))
    assert row[field] == value


@pytest.mark.parametrize(
    ("repo", "head", "params"),
    [
        ("o/Qwen3-30B-A3B-GGUF", Head(), "30B-A3B"),
        ("o/mixtral-8x7b", Head(), "8x7B"),
        ("o/gemma-3-270m-it", Head(), "270M"),
        ("o/qwen3-0.6B", Head(parameters=1), "0.6B"),
        ("o/qwen3-0.6B", Head(size_label="600M"), "600M"),
        ("7B/nothing", Head(), None),
        ("o/model-v1.7b2", Head(), None),
        ("o/model", Head(parameters=4_020_000_000), "4B"),
        ("o/model", Head(parameters=1_540_000_000), "1.5B"),
        ("o/model", Head(parameters=70_600_000_000), "71B"),
        ("o/model", Head(parameters=137_000_000), "137M"),
        ("o/model", Head(parameters=999_000_000), "1B"),
    ],
)
def test_params(repo: str, head: Head, params: str | None) -> None:
    """The size as the head labels it, else as the repository's name has it, else counted and rounded."""
    _, row = row_of(replace(FOUND, repo=repo), head)
    assert row["params_string"] == params


def test_a_label_in_the_name_goes_before_the_head() -> None:
    """The head's file type is coarser than names are; it serves where the name has none."""
    assert row_of()[0].quantization == "4bit"
    assert row_of(replace(FOUND, quantization=None))[0].quantization == "Q4_K_S"


@pytest.mark.parametrize(("role", "vision"), [("projector", True), ("data", False)])
def test_a_projector_makes_vision(role: Role, vision: bool) -> None:
    """A model with a projector sees, whatever its head says."""
    files = (*FOUND.files, ShelfFile("p", 1, role, verified=False))
    model, _ = row_of(replace(FOUND, files=files))
    assert (model.vision, model.verified) == (vision, False)
