"""The demo's models are real GGUF files, and the same ones every time."""

import hashlib
from pathlib import Path

import gguf
import pytest
import yaml

from windlass.share.catalog import read_entries
from windlass.share.demo_models import OWNER, write_demo_models
from windlass.share.folder import Folder


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("demo").resolve()
    write_demo_models(folder)
    return folder


def field(path: Path, key: str) -> object:
    found = gguf.GGUFReader(path).fields.get(key)
    return found.contents() if found else None


@pytest.mark.parametrize(("quantization", "kind"), [("Q4_0", 2), ("Q5_1", 9), ("Q8_0", 7), ("F16", 1)])
def test_each_file_is_what_its_name_says(demo: Path, quantization: str, kind: int) -> None:
    """The header's file type, the tensors' type and the name agree; a few MB, so that a bar can be seen."""
    path = demo / OWNER / "tiny-llama-GGUF" / f"tiny-llama-{quantization}.gguf"
    reader = gguf.GGUFReader(path)
    assert reader.fields["general.file_type"].contents() == kind
    matrices = {tensor.tensor_type.name for tensor in reader.tensors if len(tensor.shape) > 1}
    assert matrices == {quantization}
    assert 2_000_000 < path.stat().st_size < 8_000_000


def test_the_header_has_what_a_shelf_shows(demo: Path) -> None:
    """Architecture, name, context length, chat template and vocabulary are there."""
    path = demo / OWNER / "tiny-llama-GGUF" / "tiny-llama-Q4_0.gguf"
    assert field(path, "general.architecture") == "llama"
    assert field(path, "general.name") == "Tiny Llama"
    assert field(path, "llama.context_length") == 2048
    assert "messages" in str(field(path, "tokenizer.chat_template"))
    tokens = field(path, "tokenizer.ggml.tokens")
    assert isinstance(tokens, list)
    assert len(tokens) == 512


def test_shards_know_their_place(demo: Path) -> None:
    """Three shards, numbered, and their tensors add up to the count that each of them states."""
    shards = sorted((demo / OWNER / "tiny-llama-sharded-GGUF").glob("*.gguf"))
    assert [shard.name[-20:] for shard in shards] == [f"-0000{number}-of-00003.gguf" for number in (1, 2, 3)]
    assert [field(shard, "split.no") for shard in shards] == [0, 1, 2]
    counts = {field(shard, "split.tensors.count") for shard in shards}
    assert counts == {sum(len(gguf.GGUFReader(shard).tensors) for shard in shards)}


def test_the_vision_model_has_a_projector(demo: Path) -> None:
    """The projector is told by its name and by its header."""
    [projector] = (demo / OWNER / "tiny-vision-GGUF").glob("mmproj*.gguf")
    assert (field(projector, "general.architecture"), field(projector, "general.type")) == ("clip", "mmproj")


def test_every_catalog_model_leads_to_a_repository(demo: Path) -> None:
    """Each model.yaml has overrides and a source that the folder serves."""
    folder = Folder(demo)
    entries = read_entries(folder)
    assert len(entries) == 3
    for entry in entries:
        [dependency] = entry.manifest(folder.repositories())["dependencies"]
        [source] = dependency["sources"]
        assert f"{source['user']}/{source['repo']}" in folder.repositories()
        assert yaml.safe_load(entry.model_yaml)["metadataOverrides"]["domain"] == "llm"


def test_the_bytes_are_the_same_every_time(demo: Path, tmp_path: Path) -> None:
    """Written twice, nothing differs: the demo's hashes can be relied on."""
    write_demo_models(tmp_path)

    def hashes(folder: Path) -> dict[str, str]:
        files = [path for path in folder.rglob("*") if path.is_file()]
        return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}

    assert hashes(tmp_path) == hashes(demo)
