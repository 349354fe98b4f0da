"""`catalog/owner/name/model.yaml` as LM Studio Hub shows it: undocumented, so observed answers are followed."""

import hashlib
import html
import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from windlass.errors import HubError
from windlass.hub.model_yaml import plain_dict, read_fields
from windlass.share.folder import CATALOG, Folder

Json = dict[str, Any]

_LARGEST_TEXT = 1_000_000  # bytes of a model.yaml that are believed
_OPENING = "# model.yaml is an open standard for defining cross-platform, composable AI models"
_PAGE = """<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><title>{title}</title></head>
<body>
<h1>{title}</h1>
<pre>{opening}
# Learn more at https://modelyaml.org
{text}</pre>
</body>
</html>
"""


class UnreadableEntry(ValueError):
    """A catalog entry's texts do not read as what they should be; the message says which and why."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One catalog model's texts, as they lie in the folder."""

    owner: str
    name: str
    model_yaml: str
    manifest_json: str | None = None
    readme: str = ""

    @property
    def id(self) -> str:
        """`owner/name`."""
        return f"{self.owner}/{self.name}"

    def model(self) -> Json:
        """What of the model.yaml JSON can say: no dates, for one.

        Raises:
            UnreadableEntry: it is none that Windlass would take from another catalog.
        """
        try:
            model = read_fields(self.model_yaml)
        except HubError as error:
            raise UnreadableEntry(f"{self.id} is passed over: {error.message}") from error
        if model is None:
            raise UnreadableEntry(f"The model.yaml of {self.id} holds no fields.")
        return model

    def manifest(self, repositories: Iterable[str]) -> Json:
        """The manifest that lies beside, else one made from model.yaml's `base`.

        Args:
            repositories: the `owner/repo` that the same folder serves; a base that names one of them is a source.

        Raises:
            UnreadableEntry: the text that is needed cannot be read.
        """
        if self.manifest_json is not None:
            return self._manifest_beside(self.manifest_json)
        about = {"type": "model", "owner": self.owner, "name": self.name, "revision": 1}
        return {**about, "dependencies": dependencies_of(self.model().get("base"), repositories)}

    def _manifest_beside(self, text: str) -> Json:
        try:
            manifest = json.loads(text)
            if isinstance(manifest, dict):
                return plain_dict(manifest)
        except (ValueError, RecursionError) as error:
            raise UnreadableEntry(f"The manifest.json of {self.id} is not JSON: {error}") from error
        raise UnreadableEntry(f"The manifest.json of {self.id} is not an object.")

    def artifact(self, address: str, manifest: Json | None) -> Json:
        """As `/api/v1/artifacts/{owner}/{name}/revision/-1` answers; `address`: this server, without a last slash."""
        texts = f"{self.model_yaml}{self.manifest_json or ''}{self.readme}".encode()
        digest = hashlib.sha256(texts).hexdigest()
        answer: Json = {
            "fileTreeIdentifier": digest,
            "sizeBytes": len(texts),
            "sha256Hex": digest,
            "revisionNumber": (manifest or {}).get("revision", 1),
            "downloadCount": 0,
            "artifactUrl": f"{address}/models/{self.id}",
            "creatorProfile": {"username": self.owner},
        }
        return answer if manifest is None else {**answer, "manifest": manifest}

    def page(self) -> str:
        """As `/models/{owner}/{name}` answers: HTML with the whole model.yaml in it, escaped."""
        title = html.escape(self.id)
        return _PAGE.format(title=title, opening=_OPENING, text=html.escape(self.model_yaml))

    def row(self, address: str) -> Json:
        """As one of the staff picks."""
        model = self.model()
        overrides = model.get("metadataOverrides")
        metadata = dict(overrides) if isinstance(overrides, dict) else {}
        return {
            "owner": self.owner,
            "name": self.name,
            "revisionNumber": 1,
            "description": str(model.get("description", "")),
            "likeCount": 0,
            "forkCount": 0,
            "downloads": 0,
            "isPrivate": False,
            "metadata": {"type": metadata.pop("domain", "llm"), **metadata},
            "url": f"{address}/models/{self.id}",
        }


def read_entry(folder: Folder, owner: str, name: str) -> Entry | None:
    """A catalog model by its name, capitals or not; None when the folder has none of that name."""
    wanted = f"{owner}/{name}".lower()
    known = next((entry for entry in folder.entries() if entry.lower() == wanted), None)
    return _entry(folder, known) if known else None


def read_entries(folder: Folder) -> list[Entry]:
    """Every catalog model of the folder."""
    entries = (_entry(folder, known) for known in folder.entries())
    return [entry for entry in entries if entry]


def _entry(folder: Folder, known: str) -> Entry | None:
    texts = _texts(folder, known)
    if "model.yaml" not in texts:
        return None
    owner, name = known.split("/")
    return Entry(owner, name, texts["model.yaml"], texts.get("manifest.json"), texts.get("README.md", ""))


def _texts(folder: Folder, known: str) -> dict[str, str]:
    """The entry's files that are text of a believable size."""
    texts = {}
    for found in folder.files(f"{CATALOG}/{known}"):
        file = found.open() if found.stamp.size <= _LARGEST_TEXT else None
        if file:
            with file:
                texts[found.path] = file.read(_LARGEST_TEXT).decode("utf-8", "replace")
    return texts


def dependencies_of(base: object, repositories: Iterable[str]) -> list[Json]:
    """The manifest's `dependencies` for a model.yaml's `base`: one dependency whose sources are alternatives.

    A text is another catalog model, or, as found in the wild, `user/repo` or `user/repo/file` on Hugging Face. Which of
    the two `a/b` is, only `repositories` can tell.
    """
    bases = base if isinstance(base, list) else [base]
    known = {repository.lower() for repository in repositories}
    keys: list[str] = []
    sources: list[Json] = []
    for one in bases:
        if isinstance(one, dict):
            keys += [one["key"]] if isinstance(one.get("key"), str) else []
            sources += [source for source in _list(one.get("sources")) if isinstance(source, dict)]
        elif isinstance(one, str):
            parts = one.split("/")
            keys.append("/".join(parts[:2]).lower())
            if len(parts) > 2 or one.lower() in known:
                sources.append({"type": "huggingface", "user": parts[0], "repo": parts[1]})
    if not keys and not sources:
        return []
    return [{"type": "model", "purpose": "baseModel", "modelKeys": keys, "sources": sources}]


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []
