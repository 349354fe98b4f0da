"""The catalog: LM Studio Hub, a stand-in for it, or a folder of `owner/name/model.yaml`.

LM Studio Hub's addresses are not documented, they were observed, so no single one is relied on. In this order:

1. `/api/v1/artifacts/{owner}/{name}/revision/-1?manifest=true`: the manifest, as JSON;
2. `/models/{owner}/{name}`: the page, which carries the model.yaml;
3. `/{owner}/{name}/model.yaml`: plain, as stand-ins serve it.

A model is unknown only when each says 404. What the manifest alone gives is enough to download, so the second request
(for the metadata that LM Studio shows) may fail without harm, and a third is made only where the second gave nothing.
"""

import html
import json
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any
from urllib.parse import quote

from windlass.errors import HubError, HubFailure, HubUnreachable, ModelNotFound
from windlass.hub.model_yaml import (
    LIMIT,
    Base,
    ModelYaml,
    read_manifest,
    read_model_yaml,
    write_manifest,
    write_model_yaml,
)
from windlass.hub.offers import Offer, entry_offer, pick_offer
from windlass.hub.recent import Recent
from windlass.hub.web import MIB, Ask, Reply, Web
from windlass.manifest import CatalogEntry
from windlass.names import catalog_name

_PAGE_LIMIT = 8 * MIB
_MOST_KEPT = 16 * MIB  # of texts, together
_MOST_PICKS = 10_000  # as many as are read of a folder, too
# Of a page in which nothing is ever closed each is read once, not from each beginning to the page's end.
_PRE = re.compile(r"<pre\b[^<>]*>(.*?)(?:</pre>|\Z)", re.DOTALL | re.IGNORECASE)
_TAG = re.compile(r"<[^<>]{0,1000}>")
_MARK = "# model.yaml is an open standard"


@dataclass(frozen=True, slots=True)
class CatalogModel:
    """A model of the catalog.

    Attributes:
        entry: both texts as they are written to disk, fetched or made from one another.
        bases: where the weights are; any one of them is the model.
        overrides: `metadataOverrides` of the model.yaml.
    """

    entry: CatalogEntry
    bases: tuple[Base, ...]
    overrides: Mapping[str, Any] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


class Catalog:
    """The catalog at `address`: http, https, or a folder's path."""

    def __init__(self, web: Web, address: str, clock: Callable[[], float] = time.monotonic) -> None:
        self.address = address.rstrip("/")
        self._web = web
        # That a name is not known is not kept: whoever has just added it would wonder.
        self._found = Recent[CatalogModel | None](clock, _MOST_KEPT, lambda model: model.entry.size if model else 0)
        self._picks = Recent[tuple[Offer, ...]](clock, _MOST_PICKS, len)

    @property
    def is_folder(self) -> bool:
        """Whether it is read from disk."""
        return not self.address.startswith(("http://", "https://"))

    def page(self, owner: str, name: str) -> str:
        """The address of a model's page; LM Studio Hub's own for a folder, which has none."""
        site = "https://lmstudio.ai" if self.is_folder else self.address
        return f"{site}/models/{owner}/{name}"

    def forget(self) -> None:
        """Ask anew from now on."""
        self._found.forget()
        self._picks.forget()

    def find(self, owner: str, name: str) -> CatalogModel | None:
        """The model of that name (lower case), None if the catalog does not know it.

        Raises:
            HubFailure: the catalog cannot be reached, or its answers cannot be read.
            ModelNotFound: the name is that of something else, such as a preset.
        """
        if self.is_folder:
            return _find_in_folder(Path(self.address), owner, name)
        return self._found.get((owner, name), lambda: self._find_on_site(owner, name))

    def picks(self) -> list[Offer]:
        """What the catalog shows to who looks around: LM Studio's staff picks, or all models of a folder.

        Raises:
            HubFailure: the catalog cannot be reached, or its answer cannot be read.
        """
        if self.is_folder:
            return [self._entry_offer(model) for model in _all_in_folder(Path(self.address))]
        return list(self._picks.get("picks", self._ask_for_picks))

    def _entry_offer(self, model: CatalogModel) -> Offer:
        owner, name = model.entry.owner, model.entry.name
        return entry_offer(owner, name, model.overrides, self.page(owner, name))

    def _ask_for_picks(self) -> tuple[Offer, ...]:
        """Observed on LM Studio Hub; a stand-in that has no such page has nothing to show."""
        reply = self._web.get(f"{self.address}/api/v1/models?action=staff-picks", Ask(limit=_PAGE_LIMIT))
        if reply.status in {404, 410}:
            return ()
        if not reply.ok:
            raise HubError(f"{self.address} answered {reply.status} to a search of its catalog.")
        rows = reply.json()
        if not isinstance(rows, list):
            raise HubError(f"{self.address} did not answer with a list of its models.")
        offers = (pick_offer(row, f"{self.address}/models") for row in rows[:_MOST_PICKS])
        return tuple(offer for offer in offers if offer)

    def _find_on_site(self, owner: str, name: str) -> CatalogModel | None:
        base = f"{self.address}/api/v1/artifacts/{quote(owner)}/{quote(name)}"
        ways: tuple[tuple[str, Callable[[Reply], tuple[str, str]]], ...] = (
            (f"{base}/revision/-1?manifest=true", _manifest_in_answer),
            (f"{self.address}/models/{quote(owner)}/{quote(name)}", _yaml_in_page),
            (f"{self.address}/{quote(owner)}/{quote(name)}/model.yaml", _yaml_in_answer),
        )
        manifest, failures = "", []
        for url, read in ways:
            try:
                kind, text = self._ask(url, read, tries=1 if manifest else 3)
            except HubFailure as failure:
                if isinstance(failure, HubError) or manifest:
                    failures.append(failure)
                    continue
                raise
            if kind == "manifest":
                manifest = text
            elif kind == "yaml":
                return _model(owner, name, text, manifest)
        if manifest:
            return _model(owner, name, "", manifest)
        if failures:
            raise failures[0]
        return None

    def _ask(self, url: str, read: Callable[[Reply], tuple[str, str]], tries: int) -> tuple[str, str]:
        """("manifest" or "yaml", its text); ("", "") for a 404.

        Raises:
            HubError: any other answer that cannot be read. A 403 is not a 404: what is there but refused must not
                make us take the hub's model of the same name.
        """
        reply = self._web.get(url, Ask(limit=_PAGE_LIMIT, tries=tries))
        if reply.status in {404, 410}:
            return "", ""
        if not reply.ok:
            raise HubError(f"{self.address} answered {reply.status} for a model of its catalog.")
        return read(reply)


def _manifest_in_answer(reply: Reply) -> tuple[str, str]:
    answer = reply.json()
    manifest = answer.get("manifest") if isinstance(answer, dict) else None
    if not isinstance(manifest, dict):
        raise HubError("The catalog answered without a manifest.")
    text = json.dumps(manifest, indent=2)
    if len(text) > LIMIT:
        raise HubError(f"The catalog's manifest is larger than {LIMIT} bytes.")
    return "manifest", text


def _yaml_in_page(reply: Reply) -> tuple[str, str]:
    return _checked_yaml(yaml_of_page(_text(reply)))


def yaml_of_page(page: str) -> str:
    """The model.yaml that a page shows: escaped, in a `<pre>`, after its first line; colours are tags within it.

    Raises:
        HubError: it shows none.
    """
    for block in _PRE.findall(page):
        shown = html.unescape(_TAG.sub("", block))
        _, mark, after = shown.partition(_MARK)
        if mark:
            return after.partition("\n")[2].strip() + "\n"
    raise HubError("The catalog's page for the model does not show its model.yaml.")


def _yaml_in_answer(reply: Reply) -> tuple[str, str]:
    return _checked_yaml(_text(reply))


def _checked_yaml(text: str) -> tuple[str, str]:
    read_model_yaml(text)
    return "yaml", text


def _text(reply: Reply) -> str:
    try:
        return reply.body.decode()
    except UnicodeDecodeError:
        raise HubError("The catalog did not answer in UTF-8.") from None


def _model(owner: str, name: str, yaml_text: str, manifest_text: str) -> CatalogModel:
    """A model from either text or both; the model.yaml decides, being the one with metadata and every kind of base.

    A model.yaml that cannot be read does no harm where the manifest can.
    """
    warnings: tuple[str, ...] = ()
    stated = read_manifest(json.loads(manifest_text)) if manifest_text else None
    try:
        described = read_model_yaml(yaml_text) if yaml_text or stated is None else None
    except HubError as error:
        if stated is None:
            raise
        described, warnings = None, (error.message,)
    known = described or stated
    assert known is not None
    _must_be(known, owner, name)
    bases = known.bases or (stated.bases if stated else ())
    yaml_text = yaml_text if described else write_model_yaml(f"{owner}/{name}", bases)
    manifest_text = manifest_text or write_manifest(owner, name, bases)
    entry = CatalogEntry(owner, name, yaml_text, manifest_text)
    return CatalogModel(entry, bases, known.overrides, (*warnings, *known.warnings))


def _must_be(known: ModelYaml, owner: str, name: str) -> None:
    if known.model is not None and known.model.lower() != f"{owner}/{name}":
        raise HubError(f"The catalog answered with {known.model[:200]!r} when asked for {owner}/{name}.")


def _all_in_folder(folder: Path) -> Iterator[CatalogModel]:
    """Every model that can be read; what cannot is told to who asks for it by name."""
    _look_for(folder)
    for place in sorted(islice(folder.glob("*/*"), _MOST_PICKS)):
        name = catalog_name(place.parent.name, place.name)
        with suppress(HubFailure, ModelNotFound):
            if name == (place.parent.name, place.name) and (model := _find_in_folder(folder, *name)):
                yield model


def _look_for(folder: Path) -> None:
    if not folder.is_dir():
        raise HubUnreachable(f"The catalog's folder {folder} is not there.", hint="Look at WINDLASS_CATALOG_URL.")


def _find_in_folder(folder: Path, owner: str, name: str) -> CatalogModel | None:
    _look_for(folder)
    yaml_text = _read_file(folder / owner / name / "model.yaml")
    manifest_text = _read_file(folder / owner / name / "manifest.json")
    if not yaml_text and not manifest_text:
        return None
    try:
        return _model(owner, name, yaml_text, manifest_text)
    except (ValueError, RecursionError) as error:
        raise HubError(f"The manifest.json of {owner}/{name} is no JSON.") from error


def _read_file(path: Path) -> str:
    """A text of at most `LIMIT` bytes, empty where there is none."""
    try:
        with path.open("rb") as file:
            content = file.read(LIMIT + 1)
        if len(content) > LIMIT:
            raise HubError(f"{path} is larger than {LIMIT} bytes.")
        return content.decode()
    except (FileNotFoundError, NotADirectoryError):
        return ""
    except (OSError, UnicodeDecodeError) as error:
        raise HubError(f"{path} cannot be read: {error}.") from error
