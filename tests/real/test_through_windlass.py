"""Real models through the REST API onto disk, and from there into the libraries that their users use."""

import json
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from e2e.outside import Home, Server, sha256
from real.fixtures import CACHE, EMBEDDING, MIRRORED, VOCABULARIES, run_pip

pytestmark = pytest.mark.real

_OPEN = """
import json, sys
from sentence_transformers import SentenceTransformer
from transformers import AutoConfig, AutoModel, AutoTokenizer
model = SentenceTransformer(sys.argv[1], device="cpu")
vectors = model.encode(["a man is eating food", "a person eats a meal", "the stock market fell"])
config = AutoConfig.from_pretrained(sys.argv[1])
tokens = AutoTokenizer.from_pretrained(sys.argv[1])("a winch hauls", return_tensors="pt")
shape = AutoModel.from_pretrained(sys.argv[1])(**tokens).last_hidden_state.shape
print(json.dumps([model.similarity(vectors, vectors).tolist(), config.model_type, *shape]))
"""


@pytest.fixture
def downloaded_embedding(real_hub: str, real_repositories: Path, tmp_path: Path) -> Path:
    """The embedding model, brought in over the REST API; each file compared with the one that the hub has."""
    home = Home(tmp_path, real_hub).real
    with Server(home) as server:
        job = server.finished(server.download(f"https://huggingface.co/{EMBEDDING}")["job_id"])
        assert job["status"] == "completed", job
        assert job["items"][0]["format"] == "safetensors"
        (row,) = server.ask("GET", "/api/v1/models").json["models"]
        assert (row["type"], row["max_context_length"]) == ("embedding", 512)
    for path in (home.models / EMBEDDING).rglob("*"):
        if path.is_file():
            assert sha256(path) == sha256(real_repositories / path.relative_to(home.models))
    return printed(home, EMBEDDING)


def printed(home: Home, model: str) -> Path:
    """What `windlass path` says that a program is to be given: nothing below opens anything else."""
    ended = home.run("path", model)
    assert ended.returncode == 0, ended.stderr
    return Path(ended.stdout.removesuffix("\n"))


def test_a_safetensors_model_loads(downloaded_embedding: Path) -> None:
    """Weights and tokenizer open in the libraries that everything of that kind is built on."""
    from safetensors import safe_open
    from tokenizers import Tokenizer

    config = json.loads((downloaded_embedding / "config.json").read_text())
    with safe_open(downloaded_embedding / "model.safetensors", framework="numpy") as weights:
        words = weights.get_tensor("embeddings.word_embeddings.weight")
    assert words.shape == (config["vocab_size"], config["hidden_size"])
    tokenizer = Tokenizer.from_file(str(downloaded_embedding / "tokenizer.json"))
    assert "winch" in tokenizer.decode(tokenizer.encode("a winch hauls").ids)


def test_sentence_transformers_and_transformers_open_it(
    downloaded_embedding: Path, python_with_sentence_transformers: str
) -> None:
    """Offline, from the folder that `windlass path` prints: configuration, tokenizer, weights; alike comes out alike.

    Both in one process, for what they stand on takes longer to import than all the rest.
    """
    said = said_by(python_with_sentence_transformers, _OPEN, downloaded_embedding)
    (eating, _, _), model_type, _, tokens, width = json.loads(said)
    assert eating[1] > 0.5 > eating[2]
    assert (model_type, width) == ("bert", 384)
    assert tokens > 3


def said_by(python: str, code: str, folder: Path) -> str:
    """The last line that the code prints when it is given the folder; no network is asked."""
    environment = {"HF_HUB_OFFLINE": "1", "PATH": "/usr/bin:/bin", "HOME": str(folder.parent)}
    command = [python, "-c", code, str(folder)]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout.splitlines()[-1]


@pytest.fixture(scope="session")
def python_with_sentence_transformers() -> str:
    """An interpreter that has it, with PyTorch for the CPU: the other builds are of several gigabytes."""
    environment = CACHE / "sentence-transformers"
    python = environment / "bin" / "python"
    if not (environment / "ready").exists():
        venv.create(environment, with_pip=True, clear=True)
        run_pip(str(python), "install", "torch==2.13.0+cpu")
        run_pip(str(python), "install", "sentence-transformers")
        (environment / "ready").touch()
    return str(python)


def test_real_gguf_heads(real_hub: str, real_repositories: Path, tmp_path: Path) -> None:
    """One of llama.cpp's vocabulary files, by its address; the `gguf` package reads it, and the list knows it."""
    import gguf

    home = Home(tmp_path, real_hub).real
    name = "ggml-vocab-phi-3.gguf"
    with Server(home) as server:
        link = f"https://huggingface.co/{VOCABULARIES}/blob/main/{name}"
        job = server.finished(server.download(link)["job_id"])
        assert job["status"] == "completed", job
        (row,) = server.ask("GET", "/api/v1/models").json["models"]
        assert row["architecture"] == "phi3"
    path = printed(home, VOCABULARIES)
    assert sha256(path) == sha256(real_repositories / VOCABULARIES / name)
    field = gguf.GGUFReader(path).get_field("general.architecture")
    assert field is not None
    assert field.contents() == "phi3"


def test_a_hub_that_others_wrote(olah_server: str, tmp_path: Path) -> None:
    """Olah, a mirror server without ranges: the model comes in whole and verified all the same."""
    home = Home(tmp_path, olah_server).real
    with Server(home) as server:
        job = server.finished(server.download(f"https://huggingface.co/{MIRRORED}")["job_id"])
        assert job["status"] == "completed", job
        details = server.ask("GET", f"/api/windlass/v1/jobs/{job['job_id']}").json
    for file in details["files"]:
        algorithm, digest = file["digest"].split(":")
        assert algorithm == "sha256"
        assert sha256(home.models / file["path"]) == digest


def test_the_interpreter_is_ours() -> None:
    """The tests above ran the code of this tree, not one that is installed somewhere else."""
    code = "import windlass; print(windlass.__file__)"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert Path(shown.strip()).is_relative_to(Path(__file__).parents[2] / "src")
