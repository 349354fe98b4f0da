"""A folder to share, and a client for the application that serves it."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from share.sharing import MODEL_YAML, WEIGHTS
from windlass.share.app import create_app


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two repositories and a catalog model, and around them what must never be served."""
    files = {
        "Acme/Rocket-GGUF/Rocket-Q4_K_M.gguf": WEIGHTS,
        "Acme/Rocket-GGUF/README.md": b"# Rocket\n",
        "Acme/Rocket-GGUF/BF16/Rocket-BF16-00001-of-00002.gguf": b"one",
        "Acme/Rocket-GGUF/BF16/Rocket-BF16-00002-of-00002.gguf": b"two",
        "Acme/Rocket-GGUF/empty.json": b"",
        "Acme/Rocket-GGUF/.gitattributes": b"hidden",
        "Acme/Rocket-GGUF/coming.gguf.part": b"unfinished",
        "Acme/Rocket-GGUF/downloading_Rocket-Q8_0.gguf": b"unfinished, by LM Studio",
        "Acme/Rocket-GGUF/Rocket-Q8_0.gguf.Incomplete": b"unfinished",
        "Acme/Rocket-MLX/model.safetensors": b"weights",
        "Acme/Rocket-MLX/config.json": b'{"quantization": {"bits": 4}}',
        "catalog/acme/rocket/model.yaml": MODEL_YAML.encode(),
        "catalog/acme/rocket/README.md": b"Read me",
        ".windlass/partials/secret.gguf": b"hidden",
        "Acme/.git/config": b"hidden",
        "loose.gguf": b"belongs to nobody",
    }
    shared = tmp_path / "models"
    for path, content in files.items():
        (shared / path).parent.mkdir(parents=True, exist_ok=True)
        (shared / path).write_bytes(content)
    (tmp_path / "outside.gguf").write_bytes(b"outside")
    return shared


@pytest.fixture
def serve() -> Iterator[Callable[[Path], TestClient]]:
    """Makes a client for a folder. Redirects are shown, not followed."""
    clients: list[TestClient] = []

    def client(folder: Path) -> TestClient:
        clients.append(TestClient(create_app(folder), follow_redirects=False))
        return clients[-1].__enter__()

    yield client
    for one in clients:
        one.__exit__(None, None, None)


@pytest.fixture
def client(folder: Path, serve: Callable[[Path], TestClient]) -> TestClient:
    return serve(folder)
