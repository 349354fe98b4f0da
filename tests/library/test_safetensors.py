"""config.json, indexes and safetensors heads: what is read of them, and every way in which they can be wrong."""

import json
import struct
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from effort import memory
from library.shelving import safetensors_bytes
from windlass.library import safetensors
from windlass.library.gguf import Damaged
from windlass.library.heads import Head, read_folder
from windlass.library.safetensors import Config, WeightsHead, read_config, read_json, read_template, scan, shards_of

WEIGHTS = safetensors_bytes({"w": ("U32", [4, 8], 128), "s": ("BF16", [16], 32)}, {"format": "mlx"})


def write(path: Path, content: Any) -> Path:
    path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
    return path


@pytest.mark.parametrize(
    ("raw", "config"),
    [
        ({}, Config()),
        (
            {"model_type": "qwen3", "max_position_embeddings": 40960, "quantization": {"bits": 4, "group_size": 64}},
            Config(model_type="qwen3", context_length=40960, bits=4, group_size=64, mlx=True),
        ),
        (
            {"quantization": {"bits": 4, "group_size": 32, "mode": "mxfp4"}, "quantization_config": {"bits": 8}},
            Config(bits=4, group_size=32, mode="mxfp4", mlx=True),
        ),
        ({"quantization_config": {"quant_method": "awq", "bits": 4}}, Config(bits=4, mode="awq")),
        (
            {"text_config": {"max_position_embeddings": 8, "torch_dtype": "float16"}, "vision_config": {"depth": 1}},
            Config(context_length=8, dtype="float16", vision=True),
        ),
        ({"architectures": ["A", 5, "B"], "dtype": "bfloat16"}, Config(architectures=("A", "B"), dtype="bfloat16")),
        ({"torch_dtype": "float32", "vision_config": {}}, Config(dtype="float32")),
        (
            {
                "model_type": 5,
                "max_position_embeddings": "x",
                "quantization": [],
                "architectures": {},
                "text_config": 1,
            },
            Config(),
        ),
        ({"model_type": "a\x1b", "max_position_embeddings": -5, "quantization": {"bits": True}}, Config(mlx=True)),
        ({"max_position_embeddings": 1e99}, Config()),
    ],
)
def test_config(tmp_path: Path, raw: dict[str, Any], config: Config) -> None:
    """What is well-formed is read, MLX's quantization before another's, and nonsense is as if absent."""
    assert read_config(write(tmp_path / "config.json", raw)) == config


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b"\xff", b"[" * 100_000, b"1" * 5000])
def test_json_that_is_none(tmp_path: Path, content: bytes) -> None:
    """Anything but a JSON object is damage."""
    with pytest.raises(Damaged):
        read_json(write(tmp_path / "config.json", content))


def test_json_too_large(tmp_path: Path) -> None:
    """A file of more than 16 MB is not read as JSON."""
    path = write(tmp_path / "config.json", {})
    with path.open("r+b") as file:
        file.truncate(safetensors.MAX_JSON + 1)
    with pytest.raises(Damaged, match="larger"):
        read_json(path)


def test_weights(tmp_path: Path) -> None:
    """Elements are counted by dtype, and the writer's format is told."""
    assert scan(write(tmp_path / "w", WEIGHTS)) == WeightsHead({"U32": 32, "BF16": 16}, "mlx")


def tensor(**change: Any) -> dict[str, Any]:
    return {"w": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]} | change}


@pytest.mark.parametrize(
    "head",
    [
        {"w": []},
        {"w": {"dtype": "F32"}},
        tensor(dtype=5),
        tensor(shape=5),
        tensor(shape=[-1]),
        tensor(shape=["1"]),
        tensor(shape=[1] * 17),
        tensor(data_offsets=[0, 5]),
        tensor(data_offsets=[0]),
        tensor(data_offsets=[0, "4"]),
        tensor(data_offsets=None),
    ],
)
def test_damaged_weights(tmp_path: Path, head: dict[str, Any]) -> None:
    """A tensor that cannot be, or that the file is too short for, is damage."""
    text = json.dumps(head).encode()
    with pytest.raises(Damaged):
        scan(write(tmp_path / "w", struct.pack("<Q", len(text)) + text + bytes(4)))


@pytest.mark.parametrize("value", [b"[]", b"{}", b'{"a":1}', b'"ab"', b"[" * 50 + b"]" * 50, b"1234.5"])
def test_json_of_more_values_than_there_are(tmp_path: Path, value: bytes) -> None:
    """Text within the bound of bytes may stand for thirty times as much memory: such a one is not read."""
    count = safetensors.MAX_JSON // (len(value) + 1) - 10
    path = write(tmp_path / "config.json", b'{"a":[' + value + (b"," + value) * (count - 1) + b"]}")
    assert path.stat().st_size <= safetensors.MAX_JSON

    def read() -> None:
        with pytest.raises(Damaged, match="values"):
            read_json(path)

    assert memory(read) < 2 * safetensors.MAX_JSON


def test_json_of_as_many_values_as_may_be(tmp_path: Path) -> None:
    """The costliest text that is read takes less than 150 MB."""
    text = b'{"a":[{}' + b",{}" * (safetensors.MAX_VALUES // 2 - 2) + b"]}"
    assert memory(lambda: read_json(write(tmp_path / "config.json", text))) < 150_000_000


def test_weights_cut_short_anywhere(tmp_path: Path) -> None:
    """Not one byte may be missing."""
    for end in range(len(WEIGHTS)):
        with pytest.raises(Damaged):
            scan(write(tmp_path / "w", WEIGHTS[:end]))


def test_a_head_longer_than_heads_are(tmp_path: Path) -> None:
    """A head of more than 16 MB is not read."""
    path = write(tmp_path / "w", struct.pack("<Q", safetensors.MAX_HEAD + 1))
    with path.open("r+b") as file:
        file.truncate(safetensors.MAX_HEAD * 2)
    with pytest.raises(Damaged):
        scan(path)


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(at=st.integers(0, len(WEIGHTS) - 1), new=st.binary(min_size=1, max_size=8))
def test_any_flip(tmp_path: Path, at: int, new: bytes) -> None:
    """Bytes overwritten anywhere give a head or `Damaged`, nothing else."""
    try:
        scan(write(tmp_path / "w", WEIGHTS[:at] + new + WEIGHTS[at + len(new) :]))
    except Damaged:
        return


def test_index(tmp_path: Path) -> None:
    """The index names each weights file once."""
    path = write(tmp_path / "i", {"weight_map": {"a": "2.safetensors", "b": "1.safetensors", "c": "2.safetensors"}})
    assert shards_of(path) == ("1.safetensors", "2.safetensors")


@pytest.mark.parametrize("raw", [{}, {"weight_map": []}, {"weight_map": {"a": 1}}, {"weight_map": {"a": ["x"]}}])
def test_a_damaged_index(tmp_path: Path, raw: dict[str, Any]) -> None:
    """An index that does not map to names is damage."""
    with pytest.raises(Damaged):
        shards_of(write(tmp_path / "i", raw))


def test_the_template_wherever_it_stands(tmp_path: Path) -> None:
    """A file of its own goes before tokenizer_config.json, where several templates are one text; damage is none."""
    assert read_template(tmp_path) is None
    write(tmp_path / "tokenizer_config.json", b"{")
    assert read_template(tmp_path) is None
    write(tmp_path / "tokenizer_config.json", {"chat_template": [{"name": "tool_use", "template": "{{ tools }}"}]})
    assert "tools" in (read_template(tmp_path) or "")
    write(tmp_path / "chat_template.json", {"chat_template": "second"})
    assert read_template(tmp_path) == "second"
    write(tmp_path / "chat_template.jinja", b"first \xff")
    assert read_template(tmp_path) == "first \N{REPLACEMENT CHARACTER}"


@pytest.mark.parametrize(
    ("config", "weights", "head"),
    [
        (
            {"model_type": "qwen3", "quantization": {"bits": 4}, "max_position_embeddings": 9},
            WEIGHTS,
            Head(architecture="qwen3", quantization="4bit", context_length=9, parameters=32 * 8 + 16, mlx=True),
        ),
        (
            {"quantization": {"bits": 4, "mode": "mxfp4"}},
            WEIGHTS,
            Head(quantization="MXFP4", parameters=272, mlx=True),
        ),
        (
            {"model_type": "xlm-roberta", "torch_dtype": "float16"},
            safetensors_bytes({"w": ("F16", [3], 6)}),
            Head(architecture="xlm-roberta", quantization="F16", parameters=3, embedding=True),
        ),
        ({"vision_config": {"a": 1}}, safetensors_bytes({}), Head(vision=True)),
        ({}, safetensors_bytes({}, {"format": "mlx"}), Head(mlx=True)),
    ],
)
def test_what_a_folder_means(tmp_path: Path, config: dict[str, Any], weights: bytes, head: Head) -> None:
    """Quantization, parameters, embedding and MLX are told by config.json and the weights' head together."""
    write(tmp_path / "config.json", config)
    write(tmp_path / "model.safetensors", weights)
    assert read_folder(tmp_path, "model.safetensors", is_all=True) == head
    assert read_folder(tmp_path, "model.safetensors", is_all=False).parameters is None


def test_sentence_transformers_embed(tmp_path: Path) -> None:
    """A folder with sentence-transformers' modules.json is an embedding model whatever its architecture."""
    write(tmp_path / "config.json", {"model_type": "qwen3"})
    write(tmp_path / "model.safetensors", WEIGHTS)
    write(tmp_path / "modules.json", [])
    assert read_folder(tmp_path, "model.safetensors", is_all=True).embedding
