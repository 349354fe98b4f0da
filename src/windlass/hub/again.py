"""Asking again: what a model was asked for, told from its manifest, and what the same request means now."""

import re
from dataclasses import replace
from typing import TYPE_CHECKING
from urllib.parse import quote

from windlass.errors import QuantizationNotFound
from windlass.hub.model_yaml import read_model_yaml
from windlass.manifest import Format, Manifest
from windlass.names import ModelRef, Site
from windlass.quantization import choose

if TYPE_CHECKING:
    from windlass.hub.resolve import Resolver

_COMMIT = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_BARE = {"domain": "llm"}  # the metadata of a model.yaml that was made up for want of the catalog's own


def ref_of(manifest: Manifest) -> ModelRef:
    """The request that a manifest came from, as far as it matters for what it means now.

    - Site: a catalog model is asked of the catalog alone. Were its name bare, the hub's namesake would be taken once
      the catalog drops it, and that is another model.
    - Quantization: the one that is here, also where the default was asked for. The default may change; what is here
      stays what it is.
    - Part: of `subset`, so a branch or `refs/pr/N` is looked at where it is now, and one file, or one folder, is held
      against that file or folder alone. With a file, its quantization goes without saying.
    """
    owner, _, name = manifest.id.partition("/")
    if manifest.catalog:
        return ModelRef(Site.CATALOG, owner, name, quantization=manifest.quantization)
    revision, path = _part(manifest)
    ref = ModelRef(Site.HUB, owner, name, revision, path, "folder" if path else None, manifest.quantization)
    if any(file.path == path for file in manifest.files):
        return replace(ref, path_kind="file", quantization=None)
    return ref


def answers(manifest: Manifest, ref: ModelRef, prefer: Format | None) -> bool:
    """Whether a manifest is of the model that is asked for, in a quantization and a format that would do.

    Only where all of a repository's main line is meant: what a branch has now, or which file a path means, is for the
    hub to say.
    """
    if ref.revision or ref.path or prefer not in {None, manifest.format}:
        return False
    catalog_only, hub_only = ref.site is Site.CATALOG, ref.site is Site.HUB
    if (catalog_only and not manifest.catalog) or (hub_only and manifest.catalog):
        return False
    if manifest.id.lower() != ref.repo.lower() or _part(manifest) != (None, None):
        return False
    return ref.quantization is None or choose(ref.quantization, [manifest.quantization or ""]) is not None


def is_fixed(manifest: Manifest) -> bool:
    """Whether it was asked for at a commit, where nothing ever changes. A tag is not fixed: it can be moved."""
    revision, _ = _part(manifest)
    return revision is not None and _COMMIT.fullmatch(revision) is not None


def request_of(manifest: Manifest) -> tuple[str, str | None, Format]:
    """The request as `download` takes it: an address, a quantization and a format.

    The address is at huggingface.co or lmstudio.ai, which every Windlass reads as its own hub's or catalog's: one that
    runs elsewhere may know them at other addresses.
    """
    ref = ref_of(manifest)
    if ref.site is Site.CATALOG:
        return f"https://lmstudio.ai/models/{ref.repo}", ref.quantization, manifest.format
    address = f"https://huggingface.co/{ref.repo}"
    if ref.revision or ref.path:
        verb = "blob" if ref.path_kind == "file" else "tree"
        address += f"/{verb}/{quote(ref.revision or 'main', safe='')}"
    if ref.path:
        address += f"/{quote(ref.path)}"
    return address, ref.quantization, manifest.format


def newest(manifest: Manifest, resolver: "Resolver") -> Manifest:
    """What the request for `manifest` means now. One at a fixed commit is what it was: the hub is not asked.

    Raises:
        ModelNotFound: the repository, the revision or the part of it is not there any more.
        QuantizationNotFound: it does not come any more in the quantization and format that are here.
        ModelGated, HubFailure: as `Resolver.explain`; whether it may be fetched is not asked.
    """
    if is_fixed(manifest):
        return manifest
    now = resolver.explain(ref_of(manifest), manifest.format).manifest
    if _kind(now) != _kind(manifest):
        label = manifest.quantization or manifest.format
        raise QuantizationNotFound(
            f"{manifest.id} does not come as {label} any more.", hint=f"See what there is: windlass plan {now.id}"
        )
    return _with_own_text(now, manifest)


def _part(manifest: Manifest) -> tuple[str | None, str | None]:
    """Revision and path of `Manifest.subset`; a colon is in neither, so the first one parts them."""
    if manifest.subset is None:
        return None, None
    revision, mark, path = manifest.subset.partition(":")
    return (revision, path or None) if mark else (None, revision)


def _kind(manifest: Manifest) -> tuple[str, str]:
    return manifest.format, (manifest.quantization or "").lower()


def _with_own_text(now: Manifest, then: Manifest) -> Manifest:
    """With the text that is here, where the catalog gave its manifest alone, as it does when its page is ill.

    The bare model.yaml that is made up then would pass for a change, and cost LM Studio's users the metadata.
    """
    if not (now.catalog and then.catalog) or read_model_yaml(now.catalog.model_yaml).overrides != _BARE:
        return now
    return replace(now, catalog=then.catalog)
