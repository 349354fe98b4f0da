"""A model's name for people, made from the names that machines use. Pure."""

import re
from collections.abc import Mapping
from typing import Any

_SIZE = re.compile(r"(?:[ae]?\d+(?:\.\d+)?|\d+x\d+(?:\.\d+)?)[bmk]", re.IGNORECASE)
_ACRONYMS = frozenset({"ai", "glm", "gpt", "llm", "moe", "oss", "qat", "rnj", "tts", "ui", "vl", "vlm"})
_KEYS = ("displayName", "display_name", "title")


def catalog_title(name: str, overrides: Mapping[str, Any]) -> str:
    """What the model.yaml calls it, else its catalog name made readable: `qwen3-4b-2507` → `Qwen3 4B 2507`."""
    stated = (overrides.get(key) for key in _KEYS)
    given = next((text for text in stated if isinstance(text, str) and text.strip()), None)
    if given is not None and given.isprintable():
        return given.strip()[:200]
    return " ".join(_capitalised(word) for word in name.split("-"))


def repository_title(name: str) -> str:
    """A repository's name without its format: `Qwen3-8B-GGUF` → `Qwen3 8B`; its own capitals are kept."""
    plain = re.sub(r"[-_.]gguf\Z", "", name, flags=re.IGNORECASE)
    return re.sub(r"[-_]+", " ", plain).strip() or name


def _capitalised(word: str) -> str:
    if word in _ACRONYMS or _SIZE.fullmatch(word):
        return word.upper()
    return word[:1].upper() + word[1:]
