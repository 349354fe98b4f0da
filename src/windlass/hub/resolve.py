"""The room's recipe: a name becomes a manifest.

`owner/name` → the catalog's model, else the hub's repository → its listing → the files that make the model.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace

from windlass.errors import HubError, HubFailure, ModelGated, ModelNotFound, QuantizationNotFound
from windlass.hub.bases import in_order, preferred_format, stated_labels
from windlass.hub.catalog import Catalog, CatalogModel
from windlass.hub.huggingface import HuggingFace
from windlass.hub.listing import Listing
from windlass.hub.model_yaml import CatalogBase, HubSource
from windlass.hub.select import needs, select
from windlass.hub.selection import Selection, Wish, offered
from windlass.hub.titles import catalog_title, repository_title
from windlass.hub.web import MIB
from windlass.manifest import Format, Manifest, ManifestFile
from windlass.names import ModelRef, Site, catalog_name

_LONGEST_CHAIN = 5
_MOST_LOOKUPS = 30
_TEXT_LIMIT = 32 * MIB  # an index names each tensor of the model


@dataclass(frozen=True, slots=True)
class Resolution:
    """A manifest and what `plan` shows beside it.

    Attributes:
        alternatives: the quantizations that it comes in, with the bytes that each would bring in; of a catalog model
            those of the chosen base, or where every base was asked about, of all.
        gated: the hub grants access to this repository per person.
        warnings: what was passed over, in sentences for people.
    """

    manifest: Manifest
    alternatives: Mapping[str, int] = field(default_factory=dict)
    gated: bool = False
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Found:
    """What was chosen, and from where."""

    listing: Listing
    selection: Selection
    warnings: tuple[str, ...] = ()


class Resolver:
    """Finds models in the catalog and on the hub."""

    def __init__(
        self,
        huggingface: HuggingFace,
        catalog: Catalog,
        platform: tuple[str, str],
        budget: Callable[[], int | None] = lambda: None,
    ) -> None:
        """`platform` is (`sys.platform`, `platform.machine()`).

        `budget` tells how many bytes a model may have to run here, None if that is not known. It is asked only where
        the answer depends on it, for whoever looks at graphics cards waits for them.
        """
        self._hub = huggingface
        self._budget = budget
        self._catalog = catalog
        self._first = preferred_format(platform)

    def forget(self) -> None:
        """Ask catalog and hub anew from now on, though they have answered a moment ago."""
        self._hub.forget()
        self._catalog.forget()

    def resolve(self, ref: ModelRef, prefer: Format | None = None) -> Manifest:
        """The manifest of a model that may be fetched.

        Raises:
            ModelGated: access is not granted; found out now, not in the middle of a job.
            ModelNotFound, QuantizationNotFound, HubFailure: as `explain`.
        """
        return self.explain(ref, prefer, check=True).manifest

    def explain(
        self, ref: ModelRef, prefer: Format | None = None, *, every_base: bool = False, check: bool = False
    ) -> Resolution:
        """The manifest and what there is to say about it; whether it may be fetched is only asked with `check`.

        With `every_base` a catalog model's alternatives are those of all its bases, at the price of a listing for each.

        Raises:
            ModelNotFound: neither catalog nor hub has it, or not this part of it.
            NoModelFiles: it has no files that can be placed.
            QuantizationNotFound: it does not come in the one asked for.
            HubFailure: the catalog or the hub did not answer as it should.
            ModelGated: with `check`, access is not granted.
        """
        if ref.site is Site.HUB:
            return self._from_hub(ref, prefer, check=check)
        model, warnings = self._in_catalog(ref)
        if model is not None:
            wish = Wish(ref.quantization, prefer=prefer)
            return self._from_catalog(model, wish, every_base=every_base, check=check)
        if ref.site is Site.CATALOG:
            raise ModelNotFound(
                f"{self._catalog.address} knows no model {ref.repo.lower()}.", hint="Look at its spelling."
            )
        try:
            resolution = self._from_hub(ref, prefer, check=check)
        except ModelNotFound as error:
            if warnings or type(error) is not ModelNotFound:
                raise
            hint = f"The catalog at {self._catalog.address} does not know it either. {error.hint or ''}".rstrip()
            raise ModelNotFound(error.message, hint=hint) from error
        return replace(resolution, warnings=(*warnings, *resolution.warnings))

    def _in_catalog(self, ref: ModelRef) -> tuple[CatalogModel | None, tuple[str, ...]]:
        """The catalog's model, if it knows one of this name.

        When the catalog does not answer, a name that is right for it as typed fails: the hub's namesake, taken
        silently, might be another model. A name that the catalog would never write so (capitals) means the hub's.
        """
        name = catalog_name(ref.owner, ref.name)
        if name is None:
            return None, ()
        try:
            return self._catalog.find(*name), ()
        except HubFailure as failure:
            if ref.site is Site.CATALOG or name == (ref.owner, ref.name):
                raise
            return None, (f"The catalog was passed over: {failure.message}",)

    def _from_hub(self, ref: ModelRef, prefer: Format | None, *, check: bool) -> Resolution:
        listing = self._hub.listing(ref.repo, ref.revision)
        found = self._choose(listing, Wish(ref.quantization, ref.path, ref.path_kind, prefer))
        if check:
            self._check_access(found)
        owner, _, name = listing.repo.partition("/")
        manifest = Manifest(
            id=listing.repo,
            publisher=owner,
            display_name=repository_title(name),
            url=f"{self._hub.endpoint}/{listing.repo}",
            format=found.selection.format,
            quantization=found.selection.quantization,
            files=_files(found),
            subset=_subset(ref),
            why=found.selection.why,
        )
        return Resolution(manifest, found.selection.alternatives, listing.gated)

    def _check_access(self, found: _Found) -> None:
        """Find out now, not in the middle of a job, whether a gated repository is open to us. Raises ModelGated."""
        if found.listing.gated:
            self._hub.check_access(found.listing.repo, found.listing.commit, found.selection.files[0].file.path)

    def _choose(self, listing: Listing, wish: Wish) -> _Found:
        """Read what the selection needs to know, and select."""
        texts = self._texts(listing, needs(listing, wish))
        selection = select(listing, wish, texts)
        if selection.by_size:
            selection = select(listing, replace(wish, budget=self._budget()), texts)
        return _Found(listing, selection)

    def _texts(self, listing: Listing, paths: Iterable[str]) -> Mapping[str, bytes]:
        """The content of small files; of a repository that denies them none: what it would bring can still be shown."""
        try:
            return {path: self._hub.read(listing.repo, listing.commit, path, _TEXT_LIMIT) for path in paths}
        except ModelGated:
            if listing.gated:
                return {}
            raise

    def _from_catalog(self, model: CatalogModel, wish: Wish, *, every_base: bool, check: bool) -> Resolution:
        sources = self._sources(model)
        found = self._first_base(model, sources, wish, check=check)
        entry, alternatives = model.entry, found.selection.alternatives
        if every_base:
            alternatives = {**self._alternatives(sources, wish.prefer), **alternatives}
        manifest = Manifest(
            id=entry.id,
            publisher=entry.owner,
            display_name=catalog_title(entry.name, model.overrides),
            url=self._catalog.page(entry.owner, entry.name),
            format=found.selection.format,
            quantization=found.selection.quantization,
            files=_files(found),
            catalog=entry,
            why=f"{found.listing.repo} is the base that fits. {found.selection.why}",
        )
        warnings = (*model.warnings, *found.warnings)
        return Resolution(manifest, alternatives, found.listing.gated, warnings)

    def _alternatives(self, sources: list[HubSource], prefer: Format | None) -> dict[str, int]:
        """What all bases come in together; of two that come in the same one, the first to be taken counts."""
        labels: dict[str, int] = {}
        for candidate in in_order(sources, None, prefer, self._first)[:_MOST_LOOKUPS]:
            with suppress(ModelNotFound, ModelGated, HubError):  # a base that fails is one that cannot be had
                found = self._base(candidate.source, Wish(prefer=prefer), {})
                labels = {**(found.selection.alternatives if found else {}), **labels}
        return labels

    def _sources(self, model: CatalogModel) -> list[HubSource]:
        """All repositories that a catalog model can come from, bases that are catalog models looked up in turn."""
        return list(self._walk(model, (model.entry.id,), set()))

    def _walk(self, model: CatalogModel, chain: tuple[str, ...], visited: set[str]) -> Iterator[HubSource]:
        """Depth first; what two models are both built on counts once, since bases may branch at every step."""
        for base in model.bases:
            if isinstance(base, HubSource):
                yield base
                continue
            longer = (*chain, base.id)
            if base.id in chain or len(chain) > _LONGEST_CHAIN or len(visited) > _MOST_LOOKUPS:
                raise HubError(f"The catalog builds models on one another without an end: {' → '.join(longer)}.")
            if base.id not in visited:
                visited.add(base.id)
                yield from self._built_on(base, longer, visited)

    def _built_on(self, base: CatalogBase, chain: tuple[str, ...], visited: set[str]) -> Iterator[HubSource]:
        """What a base is that reads like the catalog's name: that, or a repository whose name is in lower case too."""
        model = self._catalog.find(base.owner, base.name)
        if model is None:
            yield HubSource(base.id)
        else:
            yield from self._walk(model, chain, visited)

    def _first_base(self, model: CatalogModel, sources: list[HubSource], wish: Wish, *, check: bool) -> _Found:
        """The first base, best guess first, that has what is wished for. Listings are asked for one by one.

        One that turns out to be neither GGUF nor MLX, which only its listing tells, is for want of anything else.
        """
        refused: list[ModelNotFound | ModelGated | HubError] = []
        plain: _Found | None = None
        answered = False
        labels: dict[str, int] = dict.fromkeys(stated_labels(sources, wish.prefer), 0)
        for candidate in in_order(sources, wish.quantization, wish.prefer, self._first)[:_MOST_LOOKUPS]:
            try:
                found = self._base(candidate.source, wish, labels)
                if found is not None and check:
                    self._check_access(found)
            except (ModelNotFound, ModelGated, HubError) as error:
                refused.append(error)
                continue
            if found is not None and (found.selection.format != "safetensors" or wish.prefer):
                return replace(found, warnings=tuple(error.message for error in refused))
            plain, answered = plain or found, True
        if plain is not None:
            return replace(plain, warnings=tuple(error.message for error in refused))
        # A base that failed may have what is wished for; one that is gone or closed has not, where others answered.
        broken = [error for error in refused if isinstance(error, HubError)]
        if broken or (refused and not answered):
            raise (broken or refused)[0]
        if not wish.quantization:
            raise ModelNotFound(f"{model.entry.id} names no base that can be fetched{_as(wish.prefer)}.")
        what = f"{model.entry.id} does not come in {wish.quantization}{_as(wish.prefer)}."
        raise QuantizationNotFound(f"{what} {offered(labels)}")

    def _base(self, source: HubSource, wish: Wish, labels: dict[str, int]) -> _Found | None:
        """What of one base is wished for; None, with what it does come in added to `labels`, if nothing."""
        listing = self._hub.listing(source.repo)
        part = replace(wish, path=source.path, path_kind="file") if source.path else wish
        try:
            return self._choose(listing, part)
        except QuantizationNotFound:
            labels.update(self._choose(listing, replace(part, quantization=None)).selection.alternatives)
            return None


def _as(prefer: Format | None) -> str:
    return f" as {prefer}" if prefer else ""


def _files(found: _Found) -> tuple[ManifestFile, ...]:
    listing = found.listing
    return tuple(
        ManifestFile(listing.repo, listing.commit, c.file.path, c.file.size, c.file.digest, c.role)
        for c in found.selection.files
    )


def _subset(ref: ModelRef) -> str | None:
    """The part that was asked for, written as git does: `path` on the main line, `revision:path` elsewhere.

    The revision belongs to it: without, a request for another revision would count as the same job.
    """
    if ref.revision in {None, "main"}:
        return ref.path
    return f"{ref.revision}:{ref.path or ''}"
