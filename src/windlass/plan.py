"""What a download would do, and what else there is to choose from: a value, and its JSON."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from windlass.fit import Memory, needed, place_of
from windlass.library.shelf import State
from windlass.manifest import Manifest, ManifestFile
from windlass.views import items

if TYPE_CHECKING:
    from windlass.hub.resolve import Resolution


@dataclass(frozen=True, slots=True)
class Plan:
    """A plan.

    Attributes:
        resolution: which files make the model, and why.
        default: the quantization that is taken when none is asked for.
        states: how each file stands on the shelf.
        kept: bytes of each file, by its place on the shelf, that need not be fetched any more.
        elsewhere: where else on this machine a file that is not here may be; it is hashed before it counts.
        models_dir: where it would go.
        free: bytes on the disk there that may be used.
        memory: what this machine has to run it in.
    """

    resolution: "Resolution"
    default: str | None
    states: Mapping[ManifestFile, State]
    kept: Mapping[str, int]
    elsewhere: Mapping[ManifestFile, Path]
    models_dir: Path
    free: int
    memory: Memory

    @property
    def manifest(self) -> Manifest:
        """The files that make the model."""
        return self.resolution.manifest

    @property
    def to_fetch(self) -> int:
        """Bytes that a download would bring over the network, if what looks like a file is that file."""
        return sum(self._lacking(file) for file in self.manifest.files if file not in self.elsewhere)

    @property
    def fits_disk(self) -> bool:
        """Whether a download would be let in: what is elsewhere on this machine needs room here, too."""
        return sum(map(self._lacking, self.manifest.files)) <= self.free

    def _lacking(self, file: ManifestFile) -> int:
        """Bytes of a file that do not stand in its place, or beside it as a partial."""
        return 0 if self.states[file] is State.UNVERIFIED else file.size - self.kept[file.shelf_path]


def plan_body(plan: Plan) -> dict[str, Any]:
    """A plan as JSON (docs/rest.md)."""
    manifest, memory = plan.manifest, plan.memory
    body: dict[str, Any] = {
        "model": manifest.id,
        "publisher": manifest.publisher,
        "display_name": manifest.display_name,
        "url": manifest.url,
        "format": manifest.format,
        "quantization": manifest.quantization,
        "why": manifest.why,
        "gated": plan.resolution.gated,
        "items": items(manifest),
        "files": [_file(plan, file) for file in manifest.files],
        "total_size_bytes": manifest.total_size,
        "bytes_to_fetch": plan.to_fetch,
        "models_dir": str(plan.models_dir),
        "free_bytes": plan.free,
        "fits_disk": plan.fits_disk,
        "quantizations": [_quantization(plan, *one) for one in sorted(_alternatives(plan).items(), key=_by_size)],
        "ram_bytes": memory.ram,
        "gpu_bytes": memory.gpu,
        "warnings": list(plan.resolution.warnings),
    }
    return {name: value for name, value in body.items() if value is not None}


def _alternatives(plan: Plan) -> dict[str, int]:
    """What it comes in; of what no name tells its quantization, just that."""
    manifest = plan.manifest
    known = dict(plan.resolution.alternatives)
    return {**known, manifest.quantization: manifest.weights_size} if manifest.quantization else known


def _by_size(alternative: tuple[str, int]) -> tuple[int, str]:
    return alternative[1], alternative[0]


def _quantization(plan: Plan, name: str, size: int) -> dict[str, Any]:
    selected, manifest_format = name == plan.manifest.quantization, plan.manifest.format
    return {
        "name": name,
        "format": manifest_format if selected else _format_of(name, manifest_format),
        "size_bytes": size,
        "default": name == plan.default,
        "selected": selected,
        "fits_disk": plan.fits_disk if selected else size <= plan.free,
        "memory_bytes": needed(size),
        "fits_memory": place_of(size, plan.memory),
    }


def _format_of(label: str, format_: str) -> str:
    """Of a quantization beside the planned one: only MLX's are counted in bits (`4bit`), and a GGUF's never are."""
    if re.match(r"[\d.]+-?bit", label):
        return "mlx"
    return "gguf" if format_ == "mlx" else format_


def _file(plan: Plan, file: ManifestFile) -> dict[str, Any]:
    state, kept = plan.states[file], plan.kept[file.shelf_path]
    return {
        "path": file.shelf_path,
        "size_bytes": file.size,
        "role": file.role,
        "digest": f"{file.digest.algorithm}:{file.digest.hex}",
        **({"sha256": file.digest.hex} if file.digest.algorithm == "sha256" else {}),
        "commit": file.commit,
        "state": "elsewhere" if file in plan.elsewhere else "partial" if 0 < kept < file.size else state,
        "downloaded_bytes": kept,
        **({"elsewhere": str(plan.elsewhere[file])} if file in plan.elsewhere else {}),
    }
