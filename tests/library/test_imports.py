"""Which files make the models at a path, where they belong, and what other programs keep."""

import json
import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from library.shelving import safetensors_bytes
from windlass.errors import InvalidRequest
from windlass.library.imports import in_hub_cache, in_ollama, plan_import

GGUF = struct.pack("<4sIQQ", b"GGUF", 3, 0, 0)
WEIGHTS = safetensors_bytes({"a": ("F32", [1], 4)})
SNAPSHOT = f"hub/models--o--r/snapshots/{'c' * 40}"
SHARDS = [f"Big-Q4_K_M-0000{number}-of-00003.gguf" for number in (1, 2, 3)]


def put(folder: Path, *names: str) -> Path:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(GGUF if name.endswith(".gguf") else WEIGHTS if name.endswith(".safetensors") else b"{}")
    return folder


@pytest.mark.parametrize(
    ("names", "source", "repository", "places"),
    [
        (["M-Q4_K_M.gguf"], "M-Q4_K_M.gguf", "owner/M-GGUF", ["owner/M-GGUF/M-Q4_K_M.gguf"]),
        (["M.gguf"], "M.gguf", None, ["imported-models/M/M.gguf"]),
        (["A b!.gguf"], "A b!.gguf", None, ["imported-models/A-b/A b!.gguf"]),
        (["models/o/r/M.gguf"], "models/o/r/M.gguf", None, ["o/r/M.gguf"]),
        (["models/o/r/M.gguf", "models/o/r/sub/N.gguf"], "models/o/r", None, ["o/r/M.gguf", "o/r/sub/N.gguf"]),
        ([f"{SNAPSHOT}/M.gguf"], SNAPSHOT, None, ["o/r/M.gguf"]),
        (SHARDS, SHARDS[1], "o/r", [f"o/r/{name}" for name in SHARDS]),
        ([*SHARDS, "Other.gguf"], SHARDS[0], None, [f"imported-models/Big-Q4_K_M/{name}" for name in SHARDS]),
        (
            ["f/config.json", "f/model.safetensors", "f/tokenizer.json", "f/photo.png", "f/sub/x.json"],
            "f",
            "o/r",
            ["o/r/config.json", "o/r/model.safetensors", "o/r/tokenizer.json"],
        ),
    ],
)  # fmt: skip
def test_what_a_model_is_made_of_and_where_it_goes(
    tmp_path: Path, names: list[str], source: str, repository: str | None, places: list[str]
) -> None:
    """All shards by any one, a folder with what belongs to its weights; told by the path where it says whose it is."""
    put(tmp_path, *names)
    found = plan_import(tmp_path / source, repository)
    assert sorted(one.shelf_path for one in found) == sorted(places)
    assert all(one.source.is_file() for one in found)


def damage(name: str) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_bytes(b"GGUF")


@pytest.mark.parametrize(
    ("names", "source", "repository", "spoil", "said"),
    [
        (SHARDS[:2], SHARDS[0], "o/r", None, "one of 3 shards, and 2 are here"),
        (["M.gguf"], "M.gguf", "o/r", damage("M.gguf"), "is damaged"),
        (["f/config.json", "f/m.safetensors"], "f", "o/r", damage("f/m.safetensors"), "is damaged"),
        (["M.gguf"], "M.gguf", "../../etc", None, "is no repository"),
        (["M.gguf"], "M.gguf", "owner", None, "is no repository"),
        (["f/aux.gguf"], "f", "o/r", None, "cannot be a file's name"),
    ],
)
def test_what_is_refused(
    tmp_path: Path,
    names: list[str],
    source: str,
    repository: str,
    spoil: Callable[[Path], object] | None,
    said: str,
) -> None:
    """In words, before anything is touched."""
    put(tmp_path, *names)
    if spoil:
        spoil(tmp_path)
    with pytest.raises(InvalidRequest, match=said):
        plan_import(tmp_path / source, repository)


@pytest.mark.parametrize("name", ["x.txt", "f/x.txt", "f/model.safetensors"])
def test_where_there_is_no_model_there_is_nothing_to_import(tmp_path: Path, name: str) -> None:
    """That is no mistake: among all that a program keeps there are folders without one, whatever they are called."""
    put(tmp_path, name)
    for source in (tmp_path / name, tmp_path / "f", tmp_path / "nothing"):
        assert plan_import(source, "no repository") == []


def test_what_hugging_faces_cache_has(tmp_path: Path) -> None:
    """The snapshot that `main` points to; what has none, or points nowhere, is passed over."""
    newest = put(tmp_path / "models--o--r--x" / "snapshots" / ("c" * 40), "M.gguf")
    for repo, commit in (("o--r--x", "c" * 40), ("o--gone", "d" * 40)):
        refs = tmp_path / f"models--{repo}" / "refs"
        refs.mkdir(parents=True, exist_ok=True)
        (refs / "main").write_text(commit)
    put(tmp_path / "models--o--none" / "snapshots" / ("e" * 40), "M.gguf")
    put(tmp_path / "datasets--o--r" / "refs", "main")
    assert list(in_hub_cache(tmp_path)) == [(newest, "o/r--x")]


def test_what_ollama_has(tmp_path: Path) -> None:
    """Weights and projectors by the manifests; its own library's models are `ollama`'s; the rest is passed over."""

    def layer(kind: str, number: int) -> dict[str, str]:
        return {"mediaType": f"application/vnd.ollama.image.{kind}", "digest": f"sha256:{number:064x}"}

    manifests = {
        "registry.ollama.ai/library/qwen3/4b": json.dumps({"layers": [layer("model", 1), layer("template", 9)]}),
        "hf.co/someone/eye/latest": json.dumps({"layers": [layer("projector", 3), layer("model", 2)]}),
        "hf.co/someone/text/only": json.dumps({"layers": [layer("template", 4)]}),
        "hf.co/some one/x/1": json.dumps({"layers": [layer("model", 5)]}),
        "a/b/c/broken": "{",
        "a/b/c/list": "[]",
        "a/b/c/odd": json.dumps({"layers": [7]}),
    }
    for name, text in manifests.items():
        path = tmp_path / "manifests" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    found = {one.shelf_path: one.source.name for one in in_ollama(tmp_path)}
    assert found == {
        "ollama/qwen3-GGUF/qwen3-4b.gguf": f"sha256-{1:064x}",
        "someone/eye-GGUF/eye-latest.gguf": f"sha256-{2:064x}",
        "someone/eye-GGUF/mmproj-eye-latest.gguf": f"sha256-{3:064x}",
    }
