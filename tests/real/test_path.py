"""What `windlass path` prints is what the readers of each format open: written by their own writers, and read."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gguf
import pytest
from numpy import arange, float16, float32, uint32, zeros
from safetensors import safe_open
from safetensors.numpy import save_file

from e2e.outside import Home

_Printed = Callable[[str], Path]


@pytest.fixture(scope="session")
def demo_models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo's models, which the `gguf` package writes."""
    from windlass.share.demo_models import write_demo_models

    folder = tmp_path_factory.mktemp("demo")
    write_demo_models(folder)
    return folder


@pytest.fixture
def home(tmp_path: Path, demo_models: Path) -> Iterator[Home]:
    """A machine whose hub is `windlass hub` over them."""
    from windlass.share.serve import Running

    with Running(demo_models) as running:
        yield Home(tmp_path, running.url).real


@pytest.fixture
def printed(home: Home) -> _Printed:
    def printed(name: str) -> Path:
        ended = home.run("path", name)
        assert ended.returncode == 0, ended.stderr
        told = json.loads(home.run("path", name, "--json").stdout)
        assert f"{told['path']}\n" == ended.stdout
        return Path(told["path"])

    return printed


def facts(path: Path) -> dict[str, Any]:
    return {name: field.contents() for name, field in gguf.GGUFReader(path).fields.items()}


def test_a_model_in_shards_gives_its_first(home: Home, printed: _Printed) -> None:
    """From which a reader finds the others by their names."""
    assert home.run("get", "windlass-demo/tiny-llama-sharded").returncode == 0
    first = printed("windlass-demo/tiny-llama-sharded")
    assert (facts(first)["split.no"], facts(first)["split.count"]) == (0, 3)
    others = [first.with_name(first.name.replace("00001-of", f"0000{number}-of")) for number in (2, 3)]
    assert [facts(other)["split.no"] for other in others] == [1, 2]


def test_a_model_with_a_projector_gives_its_weights(home: Home, printed: _Printed) -> None:
    """And not the projector, which sorts before some names and stands beside them."""
    assert home.run("get", "windlass-demo/tiny-vision").returncode == 0
    weights = printed("windlass-demo/tiny-vision")
    assert facts(weights)["general.architecture"] == "llama"
    [projector] = weights.parent.glob("mmproj*.gguf")
    assert facts(projector)["general.architecture"] == "clip"


def test_an_embedding_model_gives_its_file(home: Home, printed: _Printed) -> None:
    """By its repository, and by the key that LM Studio would give it."""
    path = home.models / "nomic" / "Nomic-Embed-GGUF" / "nomic-embed-Q8_0.gguf"
    path.parent.mkdir(parents=True)
    writer = gguf.GGUFWriter(path, "nomic-bert")
    writer.add_pooling_type(gguf.PoolingType.MEAN)
    writer.add_tensor("token_embd.weight", zeros((8, 4), dtype=float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    assert printed("nomic/Nomic-Embed-GGUF") == printed("text-embedding-nomic-embed") == path
    assert facts(printed("text-embedding-nomic-embed"))["nomic-bert.pooling_type"] == gguf.PoolingType.MEAN


@pytest.mark.parametrize(
    ("name", "metadata", "config"),
    [
        ("Tiny-MLX-4bit", {"format": "mlx"}, {"model_type": "qwen3", "quantization": {"bits": 4, "group_size": 32}}),
        ("Tiny-Vision-MLX", {"format": "mlx"}, {"model_type": "qwen3_vl", "vision_config": {"depth": 2}}),
        ("Tiny", {"format": "pt"}, {"model_type": "qwen3", "torch_dtype": "float16"}),
    ],
)
def test_mlx_and_safetensors_give_their_folder(
    home: Home, printed: _Printed, name: str, metadata: dict[str, str], config: dict[str, Any]
) -> None:
    """In which config.json, the index and each file of the weights are found, a vision model's too."""
    folder = home.models / "acme" / name
    folder.mkdir(parents=True)
    parts = {f"model-0000{number}-of-00002.safetensors": f"layers.{number}.weight" for number in (1, 2)}
    for file, tensor in parts.items():
        save_file(
            {tensor: arange(8, dtype=uint32), f"{tensor}.scale": zeros(2, dtype=float16)}, folder / file, metadata
        )
    index = {"weight_map": {tensor: file for file, tensor in parts.items()}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    (folder / "config.json").write_text(json.dumps(config))
    found = printed(f"acme/{name}")
    assert found == folder
    assert json.loads((found / "config.json").read_text()) == config
    for tensor, file in json.loads((found / "model.safetensors.index.json").read_text())["weight_map"].items():
        with safe_open(found / file, framework="numpy") as weights:
            assert weights.get_tensor(tensor).tolist() == list(range(8))
