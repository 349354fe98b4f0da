"""The manifest: which files make a model, pinned. A value that every room may hold and none may change.

`hub` writes it, `jobs` keeps it, `library` looks for its files on disk, `pull` brings the missing ones.
"""

import json
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any, Literal

Format = Literal["gguf", "mlx", "safetensors"]
FORMATS: tuple[Format, ...] = ("gguf", "mlx", "safetensors")
Role = Literal["weights", "projector", "data"]
Algorithm = Literal["sha256", "git-sha1"]


@dataclass(frozen=True, slots=True)
class Digest:
    """What a file's content must hash to; `git-sha1` is git's hash of a blob (git-hash-object)."""

    algorithm: Algorithm
    hex: str


@dataclass(frozen=True, slots=True)
class ManifestFile:
    """One file at one commit of one repository; `path` is relative to the repository, with forward slashes."""

    repo: str
    commit: str
    path: str
    size: int
    digest: Digest
    role: Role = "weights"

    @property
    def shelf_path(self) -> str:
        """Where it stands below the models folder: `<owner>/<repo>/<path>`, upper and lower case kept."""
        return f"{self.repo}/{self.path}"


@dataclass(frozen=True, slots=True)
class CatalogEntry:
    """A catalog model's two texts, as they are written to `hub/models/<owner>/<name>/`."""

    owner: str
    name: str
    model_yaml: str
    manifest_json: str

    @property
    def id(self) -> str:
        """`owner/name`, in lower case as the catalog has it."""
        return f"{self.owner}/{self.name}"

    @property
    def size(self) -> int:
        """Bytes of both texts in UTF-8."""
        return len(self.model_yaml.encode()) + len(self.manifest_json.encode())


@dataclass(frozen=True)  # without slots, so that what is asked of every look at a job is summed up once
class Manifest:
    """The files that make one model in one quantization.

    Attributes:
        id: `owner/name` in the catalog, else `owner/repo` on the hub.
        publisher: the catalog's owner, else the repository's.
        url: the model's page.
        quantization: the label as people write it (`Q4_K_M`, `4bit`), None where the weights are not quantized by name.
        files: in the order to fetch: the weights' first shard first.
        catalog: the catalog's texts, None for a model that came by a Hugging Face address.
        subset: the address of a single file or folder, when only that was asked for.
        why: which rule chose these files, in a sentence for people.
    """

    id: str
    publisher: str
    display_name: str
    url: str
    format: Format
    quantization: str | None
    files: tuple[ManifestFile, ...]
    catalog: CatalogEntry | None = None
    subset: str | None = None
    why: str = ""

    @property
    def key(self) -> str:
        """What makes two requests the same job: the model, its format, its quantization, the part asked for."""
        parts = (self.id.lower(), self.format, (self.quantization or "").lower(), self.subset or "")
        return "|".join(parts)

    @cached_property
    def weights_size(self) -> int:
        """Bytes of all files of the repository, the catalog's texts not counted."""
        return sum(file.size for file in self.files)

    @cached_property
    def total_size(self) -> int:
        """Bytes of everything that the job brings in."""
        return self.weights_size + (self.catalog.size if self.catalog else 0)

    def to_json(self) -> str:
        """As the job store keeps it."""
        return json.dumps(self, default=_fields, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> "Manifest":
        """The inverse of `to_json`."""
        raw: dict[str, Any] = json.loads(text)
        files = tuple(ManifestFile(**{**file, "digest": Digest(**file["digest"])}) for file in raw.pop("files"))
        catalog = raw.pop("catalog")
        return cls(**raw, files=files, catalog=CatalogEntry(**catalog) if catalog else None)


def _fields(value: Any) -> dict[str, Any]:
    """One level of a dataclass; `asdict` copies everything below as well, which takes four times as long."""
    return {field.name: getattr(value, field.name) for field in fields(value)}
