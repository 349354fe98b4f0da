"""Models for tests that need one and do not care which."""

from dataclasses import replace
from hashlib import sha256
from typing import Any

from windlass.manifest import CatalogEntry, Digest, Manifest, ManifestFile

COMMIT = "c" * 40
REPO = "unsloth/Qwen3-8B-GGUF"

MODEL_YAML = """# model.yaml is an open standard for defining cross-platform, composable AI models
model: qwen/qwen3-8b
base:
  - key: unsloth/qwen3-8b-gguf
    sources: [{type: huggingface, user: unsloth, repo: Qwen3-8B-GGUF}]
metadataOverrides: {domain: llm, architectures: [qwen3], compatibilityTypes: [gguf], paramsStrings: [8B]}
"""


def file_of(content: bytes, path: str = "Qwen3-8B-Q4_K_M.gguf", **more: Any) -> ManifestFile:
    """The manifest's file of that content."""
    file = ManifestFile(REPO, COMMIT, path, len(content), Digest("sha256", sha256(content).hexdigest()))
    return replace(file, **more)


def manifest_of(*files: ManifestFile, **more: Any) -> Manifest:
    """A manifest of those files, or of a small one."""
    values: dict[str, Any] = {
        "id": REPO,
        "publisher": "unsloth",
        "display_name": "Qwen3 8B",
        "url": f"https://huggingface.co/{REPO}",
        "format": "gguf",
        "quantization": "Q4_K_M",
    }
    return Manifest(**(values | more), files=files or (file_of(b"weights"),))


def entry() -> CatalogEntry:
    """A catalog's texts that belong to that repository."""
    return CatalogEntry("qwen", "qwen3-8b", MODEL_YAML, '{"type":"model","owner":"qwen","name":"qwen3-8b"}')


def numbered(number: int) -> Manifest:
    """A manifest of its own for each number."""
    return manifest_of(id=f"owner/model-{number}")
