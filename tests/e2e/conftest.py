"""Fixtures of the tests from outside: a hub with a few models, a home, a server."""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from e2e.outside import Home, Server
from e2e.page import browser, visit  # noqa: F401 - fixtures
from standin import Hub

MIB = 1024 * 1024

YAML = """\
model: acme/rope-8b
base:
  - key: acme/rope-8b-gguf
    sources: [{type: huggingface, user: acme, repo: Rope-8B-GGUF}]
  - key: acme/rope-8b-mlx-4bit
    sources: [{type: huggingface, user: acme, repo: Rope-8B-MLX-4bit}]
metadataOverrides:
  domain: llm
  architectures: [llama]
  compatibilityTypes: [gguf, safetensors]
  paramsStrings: [8B]
  contextLengths: [8192]
  vision: false
  reasoning: false
  trainedForToolUse: true
"""


def noise(size: int, seed: int) -> bytes:
    """Bytes that no two files share."""
    return random.Random(seed).randbytes(size)


def gguf(size: int, seed: int) -> bytes:
    """The least that is a GGUF: a head without pairs and tensors, and bytes after it."""
    return b"GGUF" + (3).to_bytes(4, "little") + bytes(16) + noise(size - 24, seed)


PLAIN = "acme/Plain-Transformer"
"""A folder of safetensors that is not MLX's: clients that do not know its format must not lose the whole list."""


def add_plain(hub: Hub) -> None:
    """Have the hub offer it."""
    config = b'{"model_type": "llama", "torch_dtype": "float16"}'
    header = b'{"__metadata__":{"format":"pt"}}'
    weights = len(header).to_bytes(8, "little") + header
    hub.add(PLAIN, {"config.json": config, "tokenizer.json": b"{}", "model.safetensors": weights})


def fill(hub: Hub) -> Hub:
    """With a catalog model in GGUF and MLX, a sharded one, one with a projector, and a gated one."""
    rope = {f"rope-8b-{quant}.gguf": gguf(3 * MIB, seed) for seed, quant in enumerate(("Q4_K_M", "Q8_0"))}
    hub.add("acme/Rope-8B-GGUF", {**rope, "README.md": b"# Rope"})
    config = b'{"model_type": "llama", "quantization": {"bits": 4, "group_size": 64}}'
    header = b'{"__metadata__":{}}'
    weights = len(header).to_bytes(8, "little") + header
    mlx = {"config.json": config, "tokenizer.json": b"{}", "model.safetensors": weights}
    hub.add("acme/Rope-8B-MLX-4bit", mlx)
    hub.add_model(YAML, "acme", "rope-8b", "acme/Rope-8B-GGUF", "acme/Rope-8B-MLX-4bit")
    shards = {f"Big-Q4_K_M-0000{n}-of-00003.gguf": gguf(2 * MIB, 10 + n) for n in (1, 2, 3)}
    hub.add("acme/Big-GGUF", shards)
    eye = {"Eye-Q4_K_M.gguf": gguf(MIB, 20), "mmproj-Eye-F16.gguf": gguf(MIB // 2, 21)}
    hub.add("acme/Eye-GGUF", eye)
    hub.add("acme/Gated-GGUF", {"Gated-Q4_K_M.gguf": gguf(MIB, 30)}, gated="manual")
    return hub


@pytest.fixture
def acme(hub: Hub) -> Hub:
    """A hub with a few models."""
    return fill(hub)


@dataclass(frozen=True)
class Lasting:
    """A hub, a machine and its server that stay for all tests of a module: for those that change nothing there."""

    hub: Hub
    home: Home
    server: Server


@pytest.fixture(scope="module")
def lasting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lasting]:
    """To start one for each row of a table takes longer than the row."""
    with Hub() as hub:
        home = Home(tmp_path_factory.mktemp("lasting"), fill(hub).url)
        with Server(home) as server:
            yield Lasting(hub, home, server)


@pytest.fixture
def home(acme: Hub, tmp_path: Path) -> Home:
    """A machine that knows this hub."""
    return Home(tmp_path, acme.url)


@pytest.fixture
def server(home: Home) -> Iterator[Server]:
    """`windlass serve` on that machine."""
    with Server(home) as server:
        yield server
