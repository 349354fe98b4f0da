"""The same content elsewhere on this machine, in other programs' caches and folders: what is here need not be fetched.

Nothing found here is believed: whoever takes it hashes it first. And nothing is ever written there.

    Hugging Face's cache    <cache>/models--owner--repo/blobs/<sha256>
    Ollama                  <models>/blobs/sha256-<sha256>
    any folder              files of the same size, whatever they are called
"""

import os
import stat
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from windlass.manifest import ManifestFile

SMALLEST = 1024 * 1024  # bytes of what is worth the look: many small files are of the same size
_DEEPEST = 8


@dataclass(frozen=True)
class Elsewhere:
    """Where to look.

    Attributes:
        hub_caches: caches of `huggingface_hub`.
        ollama: Ollama's folders of models.
        folders: any others; looked through once, when first asked.
        jan: Jan's folders of models; they are among `folders`.
    """

    hub_caches: Sequence[Path] = ()
    ollama: Sequence[Path] = ()
    folders: Sequence[Path] = field(default=())
    jan: Sequence[Path] = ()

    def find(self, file: ManifestFile) -> Iterator[Path]:
        """Files that may hold the same content, the likeliest first; each is of the right size."""
        if file.size < SMALLEST or file.digest.algorithm != "sha256":
            return
        for path in self._candidates(file):
            if _size(path) == file.size:
                yield path

    def _candidates(self, file: ManifestFile) -> Iterator[Path]:
        name = file.digest.hex
        for cache in self.hub_caches:
            yield cache / f"models--{file.repo.replace('/', '--')}" / "blobs" / name
            yield from cache.glob(f"models--*/blobs/{name}")
        for folder in self.ollama:
            yield folder / "blobs" / f"sha256-{name}"
        yield from self._by_size.get(file.size, ())

    @cached_property
    def _by_size(self) -> Mapping[int, list[Path]]:
        found: dict[int, list[Path]] = defaultdict(list)
        for folder in self.folders:
            for path in _files(folder, 0):
                if (size := _size(path)) >= SMALLEST:
                    found[size].append(path)
        return found


def places(environ: Mapping[str, str], home: Path, more: Sequence[Path]) -> Elsewhere:
    """Where programs keep models by default, or as their own variables say; `more` are further folders.

    Args:
        environ: the environment.
        home: the user's home folder.
        more: other folders.
    """
    cache = Path(environ.get("XDG_CACHE_HOME") or home / ".cache")
    hugging_face = Path(environ.get("HF_HOME") or cache / "huggingface")
    hub = Path(environ.get("HF_HUB_CACHE") or hugging_face / "hub")
    ollama = [Path(environ["OLLAMA_MODELS"])] if environ.get("OLLAMA_MODELS") else []
    ollama += [home / ".ollama" / "models", Path("/usr/share/ollama/.ollama/models")]
    data = (home / ".local/share/Jan/data", home / "Library/Application Support/Jan/data", home / "jan")
    jan = tuple(place / folder for place in data for folder in ("llamacpp/models", "models"))
    return Elsewhere((hub,), tuple(ollama), (*more, *jan), jan)


def _files(folder: Path, depth: int) -> Iterator[Path]:
    """All files below, hidden folders and links to folders left out; what cannot be read is passed over."""
    try:
        entries = list(os.scandir(folder))
    except OSError:
        return
    for entry in entries:
        if entry.is_dir(follow_symlinks=False):
            if depth < _DEEPEST and not entry.name.startswith("."):
                yield from _files(Path(entry.path), depth + 1)
        else:
            yield Path(entry.path)


def _size(path: Path) -> int:
    try:
        found = path.stat()
    except OSError:
        return -1
    return found.st_size if stat.S_ISREG(found.st_mode) else -1
