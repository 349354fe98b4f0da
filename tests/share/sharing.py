"""What the shared folder of these tests holds, and the hashes it must have."""

import hashlib

WEIGHTS = bytes(range(256)) * 512
MODEL_YAML = """model: acme/rocket
base:
  - key: acme/rocket-gguf
    sources: [{type: huggingface, user: Acme, repo: Rocket-GGUF}]
  - key: acme/rocket-mlx
    sources: [{type: huggingface, user: Acme, repo: Rocket-MLX}]
description: A <fast> & small model
metadataOverrides: {domain: llm, architectures: [llama], compatibilityTypes: [gguf, safetensors]}
"""


def git_sha1(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
