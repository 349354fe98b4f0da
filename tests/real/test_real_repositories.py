"""The real repositories and the real mirror are what the tests that use them take them for."""

import json
import subprocess
import sys
from pathlib import Path
from urllib.request import urlopen

import gguf
import pytest
from huggingface_hub import HfApi

from real.fixtures import EMBEDDING, MIRRORED, VOCABULARIES

pytestmark = pytest.mark.real


def test_the_embedding_model_is_whole(real_repositories: Path) -> None:
    """Its safetensors header (8 bytes of length, then JSON) describes exactly the bytes that follow it."""
    path = real_repositories / EMBEDDING / "model.safetensors"
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(length))
    ends = [tensor["data_offsets"][1] for name, tensor in header.items() if name != "__metadata__"]
    assert 8 + length + max(ends) == path.stat().st_size
    config = json.loads((real_repositories / EMBEDDING / "config.json").read_text())
    assert config["hidden_size"] == 384


def test_the_vocabularies_are_gguf(real_repositories: Path) -> None:
    """Each begins as GGUF does, and a small one reads to its end."""
    files = sorted((real_repositories / VOCABULARIES).glob("*.gguf"))
    assert len(files) > 5
    assert {file.read_bytes()[:4] for file in files} == {b"GGUF"}
    smallest = min(files, key=lambda file: file.stat().st_size)
    assert gguf.GGUFReader(smallest).fields["tokenizer.ggml.model"].contents()


def test_windlass_hub_serves_them(real_hub: str) -> None:
    """Info, tags and hashes are there for real repositories."""
    api = HfApi(endpoint=real_hub)
    assert api.model_info(EMBEDDING).tags == ["safetensors"]
    rows = list(api.list_repo_tree(VOCABULARIES))
    assert all(len(vars(row)["lfs"].sha256) == 64 for row in rows)


def test_olah_serves_its_repository(olah_server: str, tmp_path: Path) -> None:
    """The mirror lists sha256 hashes, knows no ranges, and the real `hf download` fetches from it."""
    api = HfApi(endpoint=olah_server)
    rows = {row.path: vars(row) for row in api.list_repo_tree(MIRRORED)}
    weights = rows["tiny-vision-Q4_0.gguf"]
    with urlopen(f"{olah_server}/{MIRRORED}/resolve/main/tiny-vision-Q4_0.gguf") as answer:
        assert len(answer.read()) == weights["size"]
    hf = str(Path(sys.executable).with_name("hf"))
    command = [hf, "download", MIRRORED, "--local-dir", str(tmp_path / "target")]
    environment = {"HF_ENDPOINT": olah_server, "HF_HOME": str(tmp_path / "hf"), "PATH": "/usr/bin:/bin"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "target" / "tiny-vision-Q4_0.gguf").stat().st_size == weights["size"]
