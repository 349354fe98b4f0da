"""Names: what a person may type for a model, and which paths a hub may send.

`parse` turns every accepted form into one value, `ModelRef`, and nothing else: no request is made, so it says what was
asked for, never whether it exists. Everything else is refused here, so no host, path or control character that we did
not choose gets any further.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from enum import Enum
from typing import Literal, NamedTuple
from urllib.parse import parse_qs, unquote, urlsplit

from windlass.errors import InvalidModel, InvalidRequest, QuantizationNotFound
from windlass.settings import HUGGING_FACE, LM_STUDIO_HUB

PathKind = Literal["file", "folder"]

FORMS = (
    "Write owner/name, owner/name@quantization, https://lmstudio.ai/models/owner/name or "
    "https://huggingface.co/owner/repo (also with /tree/REVISION or /blob/REVISION/FILE)."
)

_LONGEST = 2000
_HUB_HOSTS = frozenset({"huggingface.co", "hf.co"})
_CATALOG_HOSTS = frozenset({"lmstudio.ai"})
# First folders of the sites that are not owners.
_HUB_PAGES = frozenset(
    {"api", "blog", "chat", "collections", "datasets", "docs", "learn", "models", "new", "organizations", "papers"}
    | {"posts", "settings", "spaces", "tasks"}
)
_CATALOG_PAGES = frozenset({"api", "blog", "catalog", "docs", "download", "models", "work"})
_DEFAULT_PORTS = {"http": 80, "https": 443}
_OWNER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,95}")
_QUANTIZATION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,63}")
# A file's name may hold an @ ("icon@2x.gguf"), so behind a path only a tail without a dot counts as a quantization.
_PATH_TAIL = re.compile(r"(.*)@([A-Za-z0-9][A-Za-z0-9_-]{0,63}|\d\.\d{1,2}bit)")
_REVISION = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._/+@=-]{0,199}")
# modelyaml.org: what LM Studio Hub takes as owner and name.
_CATALOG_OWNER = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")
_CATALOG_NAME = re.compile(r"[a-z0-9]+(?:[-.][a-z0-9]+)*")
# Names that are devices in every folder on Windows, whatever their extension.
_DEVICE = re.compile(r"(?:con|prn|aux|nul|conin\$|conout\$|com[0-9¹²³]|lpt[0-9¹²³]) *(?:\..*)?", re.IGNORECASE)


class Site(Enum):
    """Where a name points: to the catalog, to the hub, or (`BARE`) to whichever of the two knows it, catalog first."""

    BARE = "bare"
    CATALOG = "catalog"
    HUB = "hub"


@dataclass(frozen=True, slots=True)
class ModelRef:
    """What was asked for.

    Attributes:
        owner: as typed; the catalog lowers it.
        revision: branch, tag, commit or `refs/pr/N`; None stands for the repository's main line.
        path: a file or a folder within the repository, with forward slashes; always `safe_path`.
        quantization: as typed; compared without regard to case.
    """

    site: Site
    owner: str
    name: str
    revision: str | None = None
    path: str | None = None
    path_kind: PathKind | None = None
    quantization: str | None = None

    @property
    def repo(self) -> str:
        """`owner/name`, as typed."""
        return f"{self.owner}/{self.name}"


class _Base(NamedTuple):
    """An address that counts as ours: its host and port, and the folders that its own path begins with."""

    site: Site
    host: str
    port: int | None
    prefix: tuple[str, ...]


def parse(
    model: str, quantization: str | None = None, *, hub_endpoint: str = HUGGING_FACE, catalog_url: str = LM_STUDIO_HUB
) -> ModelRef:
    """Read a model's name or address.

    Args:
        model: any form of `FORMS`; also `hf.co/owner/repo:Q4_K_M` as llama.cpp and Ollama users type it.
        quantization: what was asked for beside the name; empty counts as not given.
        hub_endpoint: Hugging Face or its mirror; addresses there count as Hugging Face's.
        catalog_url: LM Studio Hub, a stand-in, or a folder (which has no addresses).

    Raises:
        InvalidModel: no known form.
        QuantizationNotFound: `quantization` cannot be the name of one.
        InvalidRequest: the name and `quantization` ask for different ones.
    """
    text = model.strip()
    if not text or len(text) > _LONGEST or "\\" in text or not text.isprintable():
        raise _invalid(text, "is empty, too long, or holds characters that no model's name has")
    bases = _bases(hub_endpoint, catalog_url)
    ref = _parse_address(text, bases) or _parse_bare(text)
    return _with_quantization(ref, quantization)


def is_repository(owner: str, name: str) -> bool:
    """Whether these can be a repository's owner and name, and a folder's on any operating system.

    Wider than Hugging Face's own rule (which also refuses `--`): the hub knows better than we what it holds.
    """
    fits = all(_OWNER.fullmatch(part) and ".." not in part for part in (owner, name))
    return fits and safe_path(f"{owner}/{name}")


def catalog_name(owner: str, name: str) -> tuple[str, str] | None:
    """The catalog's spelling of a name (lower case), or None where the catalog cannot hold such a name."""
    owner, name = owner.lower(), name.lower()
    fits = _CATALOG_OWNER.fullmatch(owner) and _CATALOG_NAME.fullmatch(name) and max(len(owner), len(name)) <= 100
    return (owner, name) if fits and safe_path(f"{owner}/{name}") else None


def safe_path(path: str) -> bool:
    """Whether a path that a hub sent stays under its folder on any operating system, and means one file there."""
    parts = path.split("/")
    if len(path.encode("utf-8", "replace")) > 1024 or parts[0].casefold() == ".windlass":
        return False
    return all(_safe_part(part) for part in parts)


def _safe_part(part: str) -> bool:
    """250 bytes, where file systems take 255: a receipt's name is five longer."""
    if not part or part[-1] in ". " or not part.isprintable() or len(part.encode()) > 250:
        return False
    return "\\" not in part and ":" not in part and not _DEVICE.fullmatch(part)


def collision(paths: Iterable[str]) -> tuple[str, str] | None:
    """Two paths that are one on a disk that ignores case or Unicode form, or where one is a folder of the other."""
    seen: dict[str, str] = {}
    for path in paths:
        if (key := _folded(path)) in seen:
            return seen[key], path
        seen[key] = path
    for path in seen.values():
        for folder in _folders(_folded(path)):
            if folder in seen:
                return seen[folder], path
    return None


def _folded(path: str) -> str:
    return unicodedata.normalize("NFC", path).casefold()


def _folders(path: str) -> Iterator[str]:
    while "/" in path:
        path = path.rpartition("/")[0]
        yield path


def _invalid(text: str, why: str) -> InvalidModel:
    shown = text if len(text) <= 120 else text[:120] + "…"
    return InvalidModel(f"{shown!r} {why}.", hint=FORMS)


def _bases(hub_endpoint: str, catalog_url: str) -> list[_Base]:
    """Our addresses, longest prefix first, so that a catalog below a hub's address is told apart from it."""
    known = [_Base(Site.HUB, host, None, ()) for host in _HUB_HOSTS]
    known += [_Base(Site.CATALOG, host, None, ()) for host in _CATALOG_HOSTS]
    known += [_base(Site.HUB, hub_endpoint), _base(Site.CATALOG, catalog_url)]
    return sorted((base for base in known if base.host), key=lambda base: -len(base.prefix))


def _base(site: Site, address: str) -> _Base:
    parts = urlsplit(address)
    if parts.scheme not in _DEFAULT_PORTS or not parts.hostname:
        return _Base(site, "", None, ())
    port = parts.port or _DEFAULT_PORTS[parts.scheme]
    return _Base(site, parts.hostname.removeprefix("www."), port, tuple(part for part in parts.path.split("/") if part))


def _parse_address(text: str, bases: list[_Base]) -> ModelRef | None:
    """An address at one of `bases`, None for what has no scheme and no host of ours in front."""
    scheme, rest = _scheme(text)
    try:
        parts = urlsplit(f"{scheme or 'https'}://{rest}")
        host, port = (parts.hostname or "").removeprefix("www."), parts.port
    except ValueError:
        return None
    segments = [part for part in parts.path.split("/") if part]
    if not scheme and _more_like_a_name(host, port, segments, bases):
        return None
    port = port or (_DEFAULT_PORTS[scheme] if scheme else None)
    ours = [base for base in bases if base.host == host and _reaches(base, port, segments)]
    if not ours or "@" in parts.netloc:
        if scheme or ours:
            raise _invalid(text, "is not an address of LM Studio Hub, Hugging Face or the configured mirror")
        return None
    ref = _with_tail(text, _read_segments(text, ours, segments), parts.fragment or parts.query)
    return _with_shown_file(text, ref, parts.query)


def _with_tail(text: str, ref: ModelRef, end: str) -> ModelRef:
    """The quantization that was written behind an address as it was copied, with its query or fragment.

    To pass it over would bring another one than was asked for.
    """
    _, mark, tail = end.rpartition("@")
    if not mark:
        return ref
    if ref.quantization or not _QUANTIZATION.fullmatch(tail):
        raise _invalid(text, "has no readable quantization at its end")
    return replace(ref, quantization=tail)


def _with_shown_file(text: str, ref: ModelRef, query: str) -> ModelRef:
    """The file that huggingface.co names in the query when a quantization is clicked on; the rest of it says nothing.

    To pass it over would bring another quantization than the one that the copied address names.
    """
    shown = parse_qs(query.rpartition("@")[0] or query, errors="replace").get("show_file_info", [""])[0]
    if ref.site is not Site.HUB or ref.path is not None or not shown:
        return ref
    if not safe_path(shown):
        raise _invalid(text, "names a path that does not stay in its repository")
    return replace(ref, path=shown, path_kind="file")


def _more_like_a_name(host: str, port: int | None, segments: list[str], bases: list[_Base]) -> bool:
    """Whether a text without a scheme only looks like an address: `hub/model`, though a mirror be called hub."""
    if port is not None:
        return not any(base.port == port and base.host == host for base in bases)
    return len(segments) == 1 and "." not in host


def _scheme(text: str) -> tuple[str, str]:
    """The scheme, if one is written, and what follows it; `hf:` and `hf://` stand for Hugging Face's address."""
    match = re.match(r"(hf:(?://)?|[A-Za-z][A-Za-z0-9+.-]*://)", text, re.IGNORECASE)
    if match is None:
        return "", text
    scheme, rest = match[1].lower(), text[match.end() :]
    if scheme.startswith("hf:"):
        return "https", f"huggingface.co/{rest}"
    if scheme.removesuffix("://") not in _DEFAULT_PORTS:
        raise _invalid(text, "is not an http or https address")
    return scheme.removesuffix("://"), rest


def _reaches(base: _Base, port: int | None, segments: list[str]) -> bool:
    """Whether an address lies below a base; sites at a usual port (no port of their own, too) answer at both."""
    usual = {None, *_DEFAULT_PORTS.values()}
    right_port = port in usual if base.port in usual else port in {None, base.port}
    return right_port and tuple(segments[: len(base.prefix)]) == base.prefix


def _read_segments(text: str, ours: list[_Base], segments: list[str]) -> ModelRef:
    """One address may serve as both: there `/models/owner/name` is the catalog's page, all else the hub's."""
    sites = {base.site for base in ours if base.prefix == ours[0].prefix}
    segments = segments[len(ours[0].prefix) :]
    page = len(segments) == 3 and segments[0] == "models"
    if Site.CATALOG in sites and (page or Site.HUB not in sites):
        return _catalog_ref(text, segments[1:] if page else segments)
    return _hub_ref(text, segments)


def _catalog_ref(text: str, segments: list[str]) -> ModelRef:
    if len(segments) != 2 or segments[0] in _CATALOG_PAGES:
        raise _invalid(text, "does not name a model of LM Studio Hub")
    return _named(text, Site.CATALOG, *_decoded(text, segments))


def _hub_ref(text: str, segments: list[str]) -> ModelRef:
    if len(segments) < 2 or segments[0] in _HUB_PAGES:
        raise _invalid(text, "does not name a model's repository on Hugging Face")
    owner, name, *rest = segments
    rest, tail = _split_tail(rest)
    ref = _named(text, Site.HUB, *_decoded(text, [owner, name.removesuffix(".git")]))  # as `git clone` has it
    if tail and ref.quantization:
        raise _invalid(text, "names two quantizations")
    revision, path, kind = _place(text, rest)
    path, kind = (path, kind) if path else (ref.path, ref.path_kind)
    return replace(ref, revision=revision, path=path, path_kind=kind, quantization=ref.quantization or tail)


def _split_tail(rest: list[str]) -> tuple[list[str], str | None]:
    match = _PATH_TAIL.fullmatch(rest[-1]) if rest else None
    if match is None:
        return rest, None
    return [*rest[:-1], *([match[1]] if match[1] else [])], match[2]


def _place(text: str, rest: list[str]) -> tuple[str | None, str | None, PathKind | None]:
    """Revision, path and kind of path from what follows `owner/repo` in an address."""
    if not rest:
        return None, None, None
    verb, *tail = rest
    if verb not in {"tree", "blob", "resolve", "raw"} or not tail:
        raise _invalid(text, "is a page of that repository which names no files")
    parts = _decoded(text, tail)
    # huggingface.co takes `refs/pr/1` also with its slashes plain.
    length = 3 if parts[0] == "refs" and len(parts) >= 3 else 1
    revision, path = "/".join(parts[:length]), "/".join(parts[length:]) or None
    if not _REVISION.fullmatch(revision) or ".." in revision or "//" in revision or revision.endswith("/"):
        raise _invalid(text, "names a revision that no repository can have")
    if path is not None and not safe_path(path):
        raise _invalid(text, "names a path that does not stay in its repository")
    if path is None and verb != "tree":
        raise _invalid(text, "names no file behind its revision")
    kind: PathKind | None = None if path is None else "folder" if verb == "tree" else "file"
    return revision, path, kind


def _parse_bare(text: str) -> ModelRef:
    owner, slash, name = text.rstrip("/").partition("/")
    if not slash or "/" in name:
        raise _invalid(text, "is not a model's name")
    return _named(text, Site.BARE, owner, name)


def _named(text: str, site: Site, owner: str, name: str) -> ModelRef:
    """`owner`, and `name` with its quantization behind an `@`, or behind a `:` as llama.cpp and Ollama write it."""
    name, mark, quantization = name.replace("@", ":").partition(":")
    if not is_repository(owner, name):
        raise _invalid(text, "is not a model's name")
    if quantization.lower() == "latest":  # Ollama's word for whatever is usual
        return ModelRef(site, owner, name)
    if quantization.lower().endswith(".gguf") and safe_path(quantization):  # as Ollama takes a file's name
        return ModelRef(Site.HUB, owner, name, path=quantization, path_kind="file")
    if mark and not _QUANTIZATION.fullmatch(quantization):
        raise _invalid(text, f"has no readable quantization behind {name!r}")
    return ModelRef(site, owner, name, quantization=quantization or None)


def _decoded(text: str, segments: list[str]) -> list[str]:
    """Percent-decoding, once (RFC 3986 §2.4): what is still encoded afterwards is part of the name."""
    try:
        decoded = [unquote(segment, errors="strict") for segment in segments]
    except UnicodeDecodeError:
        raise _invalid(text, "is not percent-encoded UTF-8") from None
    if any("\\" in part or not part.isprintable() for part in decoded):
        raise _invalid(text, "holds characters that no model's name has")
    return decoded


def _with_quantization(ref: ModelRef, quantization: str | None) -> ModelRef:
    wanted = (quantization or "").strip()
    if not wanted:
        return ref
    if not _QUANTIZATION.fullmatch(wanted):
        raise QuantizationNotFound(
            f"{wanted[:80]!r} cannot be a quantization.", hint="It is a word such as Q4_K_M, UD-Q4_K_XL or 4bit."
        )
    if ref.quantization and ref.quantization.lower() != wanted.lower():
        raise InvalidRequest(
            f"The name asks for {ref.quantization} and `quantization` for {wanted}.",
            hint="Give one of the two.",
            param="quantization",
        )
    return replace(ref, quantization=ref.quantization or wanted)
