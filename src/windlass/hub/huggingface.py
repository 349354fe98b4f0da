"""Hugging Face, or what speaks like it: listings, small files, and what its refusals mean.

`huggingface_hub` lends the token that its `login` saved, nothing else. Its `HfApi` is not used: it bounds neither the
size of an answer nor the number of pages, and its import costs 0.2 s in every command.

Protocol: https://huggingface.co/docs/hub/api and what the Hub was seen to answer.
"""

import os
import re
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, quote, urlencode, urljoin, urlsplit

from windlass.errors import HubError, ModelGated, ModelNotFound, WindlassError
from windlass.hub.listing import HubFile, Listing
from windlass.hub.offers import Offer, repository_offer
from windlass.hub.recent import Recent
from windlass.hub.web import MIB, Ask, Reply, Web, origin
from windlass.manifest import Digest
from windlass.names import is_repository

MOST_FILES = 200_000

_MOST_PAGES = 2_000
_INFO_LIMIT = 32 * MIB  # `siblings` names every file
_PAGE_LIMIT = 64 * MIB  # a mirror may send all files at once
_COMMIT = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_SHA1 = re.compile(r"[0-9a-f]{40}")
_SHA256 = re.compile(r"(?:sha256:)?([0-9a-f]{64})")
_NEXT = re.compile(r'<([^<>]*)>\s*;[^,<]*\brel\s*=\s*"?next\b"?', re.IGNORECASE)
_TOKEN_VARIABLES = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_OIDC_RESOURCE")
_MOST_KEPT_FILES = 100_000  # of all listings that are kept together: some 50 MB
_MOST_KEPT_TEXT = 16 * MIB
_MOST_KEPT_OFFERS = 5_000
_ROWS = 50  # of a page of the search
_WHERE_TOKENS_GO = "set HF_TOKEN, or sign in with `hf auth login`"


def saved_token(given: str | None = None) -> str | None:
    """The token in force: the one handed in, else what `huggingface_hub` finds (`HF_TOKEN`, its saved login)."""
    if given:
        return given
    from huggingface_hub import constants

    told = any(os.environ.get(name) for name in _TOKEN_VARIABLES) or "google.colab" in sys.modules
    saved = os.path.exists(constants.HF_TOKEN_PATH)  # noqa: PTH110 - Path's own raises where a folder is closed to us
    if not (told or saved):  # `get_token` would find nothing either, and takes 0.05 s to import
        return None
    from huggingface_hub import get_token

    return get_token()


@dataclass(frozen=True, slots=True)
class Repositories:
    """A page of the hub's search; `cursor` is the hub's own word for the next one, empty after the last."""

    offers: tuple[Offer, ...]
    cursor: str = ""


@dataclass(frozen=True, slots=True)
class _Asked:
    """What a request was about, for the words of its refusal."""

    endpoint: str
    repo: str
    revision: str | None = None
    path: str | None = None
    signed_in: bool = False

    @property
    def page(self) -> str:
        return f"{self.endpoint}/{self.repo}"


class HuggingFace:
    """The hub at `endpoint`. `token` is called for each request, so that a login counts at once.

    What it tells is kept for a few seconds (`recent.py`), for each token apart.
    """

    def __init__(
        self,
        web: Web,
        endpoint: str,
        token: Callable[[], str | None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.endpoint = endpoint.rstrip("/")
        self._web = web
        self._token = token
        self._listings = Recent[Listing](clock, _MOST_KEPT_FILES, lambda listing: len(listing.files) + 1)
        self._texts = Recent[bytes](clock, _MOST_KEPT_TEXT, lambda text: len(text) + 1)
        self._searches = Recent[Repositories](clock, _MOST_KEPT_OFFERS, lambda page: len(page.offers) + 1)

    def forget(self) -> None:
        """Ask anew from now on."""
        self._listings.forget()
        self._texts.forget()
        self._searches.forget()

    def listing(self, repo: str, revision: str | None = None) -> Listing:
        """What `repo` holds at `revision`, pinned to the commit that it stands for now, or did a few seconds ago.

        Raises:
            ModelNotFound: no such repository or revision, or a private one that the token does not open.
            ModelGated: the hub denies the listing itself.
            HubFailure: it did not answer as it should.
        """
        return self._listings.get((repo, revision, self._token()), lambda: self._ask_for_listing(repo, revision))

    def _ask_for_listing(self, repo: str, revision: str | None) -> Listing:
        asked = _Asked(self.endpoint, repo, revision, signed_in=self._token() is not None)
        reply = self._info(asked)
        info = _object(reply, asked)
        if info.get("disabled") is True:
            raise _disabled(asked)
        canonical, commit = _canonical(repo, info, reply), _commit(info, asked)
        files = {file.path: file for file in self._files(canonical, commit, asked)}
        return Listing(
            canonical,
            commit,
            tuple(files.values()),
            gated=bool(info.get("gated")),
            tags=_texts(info.get("tags")),
            library_name=_text(info.get("library_name")),
        )

    def read(self, repo: str, commit: str, path: str, limit: int = 4 * MIB) -> bytes:
        """The content of a small file, at most `limit` bytes.

        Raises:
            ModelGated: access is not granted.
            ModelNotFound: it is not there.
            HubFailure: the hub did not answer as it should, or with more.
        """
        asked = _Asked(self.endpoint, repo, commit, path, signed_in=self._token() is not None)
        question, ask = (repo, commit, path, limit, self._token()), Ask(self._token(), limit)
        return self._texts.get(question, lambda: self._get(self._resolve(repo, commit, path), ask, asked).body)

    def check_access(self, repo: str, commit: str, path: str) -> None:
        """Ask for a file's first byte: a gated repository's listing is public, its bytes are not.

        No redirect is followed and no body is read: that the hub would send it is answer enough.

        Raises:
            ModelGated: access is not granted.
        """
        asked = _Asked(self.endpoint, repo, commit, path, signed_in=self._token() is not None)
        ask = Ask(self._token(), 0, {"Range": "bytes=0-0"}, follow=False)
        question = (repo, commit, path, "access", self._token())
        self._texts.get(question, lambda: self._get(self._resolve(repo, commit, path), ask, asked).body)

    def search(self, text: str, tag: str, cursor: str = "") -> Repositories:
        """Repositories whose name holds `text` and that have `tag`, the most downloaded first.

        `cursor` is that of the page before.

        Raises:
            HubFailure: the hub did not answer as it should.
        """
        question = (text, tag, cursor, self._token())
        return self._searches.get(question, lambda: self._ask_for_repositories(text, tag, cursor))

    def _ask_for_repositories(self, text: str, tag: str, cursor: str) -> Repositories:
        words = {"search": text, "filter": tag, "sort": "downloads", "direction": "-1", "limit": _ROWS}
        query = urlencode({name: value for name, value in {**words, "cursor": cursor}.items() if value})
        reply = self._web.get(f"{self.endpoint}/api/models?{query}", Ask(self._token(), _PAGE_LIMIT))
        if not reply.ok:
            raise HubError(f"{self.endpoint} answered {reply.status} to a search.", hint=_hint_for(reply.status))
        rows = _array(reply, _Asked(self.endpoint, "its models"))
        offers = (repository_offer(row, self.endpoint) for row in rows)
        # Of the next page's address only this is taken: what a client hands us back leads nowhere else.
        following = parse_qs(urlsplit(self._next(reply)).query).get("cursor", [""])
        return Repositories(tuple(offer for offer in offers if offer), following[0])

    def _info(self, asked: _Asked) -> Reply:
        """What the hub tells of a repository. With no revision given, `main` is asked for by name first.

        Mirrors such as olah know nothing of a repository without a revision; some hubs have no branch called main.
        """
        ask, address = Ask(self._token(), _INFO_LIMIT), f"{self.endpoint}/api/models/{asked.repo}"
        if asked.revision is None:
            reply = self._web.get(f"{address}/revision/main", ask)
            if reply.ok:
                return reply
            refused = refusal(reply, asked)
            if reply.status not in {401, 404} or isinstance(refused, ModelGated):
                raise refused
            return self._get(address, ask, asked)
        return self._get(f"{address}/revision/{quote(asked.revision, safe='')}", ask, asked)

    def _get(self, url: str, ask: Ask, asked: _Asked) -> Reply:
        """An answer that is a success, or with `follow=False` a redirect, which is one too."""
        reply = self._web.get(url, ask)
        if reply.ok or (not ask.follow and (300 <= reply.status < 400 or reply.status == 416)):
            return reply
        raise refusal(reply, asked)

    def _files(self, repo: str, commit: str, asked: _Asked) -> Iterator[HubFile]:
        """All files of a commit, page by page (`Link`, RFC 8288)."""
        url, seen, count = f"{self.endpoint}/api/models/{repo}/tree/{commit}?recursive=true&expand=false", set[str](), 0
        while url:
            if url in seen or len(seen) >= _MOST_PAGES:
                raise HubError(f"The list of files of {repo} has no end.", hint="Is it really a model hub?")
            seen.add(url)
            reply = self._get(url, Ask(self._token(), _PAGE_LIMIT), asked)
            for entry in _array(reply, asked):
                if (file := _file(entry, repo)) is not None:
                    count += 1
                    yield file
            if count > MOST_FILES:
                raise HubError(f"{repo} lists more than {MOST_FILES} files.")
            url = self._next(reply)

    def _next(self, reply: Reply) -> str:
        """The next page's address, which must be at the endpoint's own origin; empty if this was the last page."""
        match = _NEXT.search(reply.headers.get("link", ""))
        if match is None:
            return ""
        try:
            target = urljoin(reply.url, match[1])
            ours = origin(target) == origin(self.endpoint)
        except ValueError:
            ours = False
        if not ours:
            raise HubError(f"{self.endpoint} continues its list of files at {match[1][:100]!r}, where we do not go.")
        return str(target)

    def _resolve(self, repo: str, commit: str, path: str) -> str:
        return f"{self.endpoint}/{repo}/resolve/{commit}/{quote(path)}"


def _object(reply: Reply, asked: _Asked) -> Mapping[str, Any]:
    value = reply.json()
    if not isinstance(value, dict):
        raise _nonsense(asked, "an object was due")
    return value


def _array(reply: Reply, asked: _Asked) -> list[Any]:
    value = reply.json()
    if not isinstance(value, list):
        raise _nonsense(asked, "a list of files was due")
    return value


def _nonsense(asked: _Asked, why: str) -> HubError:
    return HubError(f"{asked.endpoint} answered about {asked.repo} with what it should not: {why}.")


def _commit(info: Mapping[str, Any], asked: _Asked) -> str:
    sha = info.get("sha")
    if not isinstance(sha, str) or not _COMMIT.fullmatch(sha):
        raise _nonsense(asked, "it names no commit (`sha`)")
    return sha


def _canonical(repo: str, info: Mapping[str, Any], reply: Reply) -> str:
    """The repository as the hub spells it: its `id`, where that differs in case only or a redirect led there.

    Any other `id` is not believed: it would put one model's files under another's name.
    """
    name = info.get("id") or info.get("modelId")
    if not isinstance(name, str) or name.count("/") != 1 or not is_repository(*name.split("/")):
        return repo
    moved = f"/models/{repo}" not in urlsplit(reply.url).path
    return name if moved or name.lower() == repo.lower() else repo


def _file(entry: object, repo: str) -> HubFile | None:
    """One entry of a tree; None for a folder or a submodule.

    Raises:
        HubError: a file without path, size or hash: left out silently it would change what is chosen.
    """
    if isinstance(entry, dict) and entry.get("type", "file") != "file":
        return None
    fields = entry if isinstance(entry, dict) else {}
    lfs = fields.get("lfs")
    lfs = lfs if isinstance(lfs, dict) else {}
    path, size = fields.get("path"), lfs.get("size", fields.get("size"))
    digest = _digest(lfs.get("oid") or lfs.get("sha256"), fields.get("oid"), bool(lfs))
    if not isinstance(path, str) or not path or type(size) is not int or not 0 <= size < 2**60 or digest is None:
        raise HubError(f"{repo} lists a file without a usable path, size or hash: {str(path)[:200]!r}.")
    return HubFile(path, size, digest)


def _digest(sha256: object, oid: object, is_lfs: bool) -> Digest | None:
    """The sha256 of a large file's content, else git's hash. A large file's own `oid` is that of its pointer."""
    if is_lfs:
        match = _SHA256.fullmatch(sha256.lower()) if isinstance(sha256, str) else None
        return Digest("sha256", match[1]) if match else None
    return Digest("git-sha1", oid) if isinstance(oid, str) and _SHA1.fullmatch(oid) else None


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _texts(value: object) -> tuple[str, ...]:
    return tuple(item for item in value if isinstance(item, str)) if isinstance(value, list) else ()


def _hint_for(status: int) -> str:
    if status in {401, 403}:
        return f"Is the token in use a good one? To use another, {_WHERE_TOKENS_GO}."
    return "It may offer no search; a model whose name you know can be fetched all the same."


def refusal(reply: Reply, asked: _Asked) -> WindlassError:
    """What an answer that is no success means, told apart as far as the hub lets one.

    A missing and a private repository look alike without a token that opens it (401, no `X-Error-Code`): both are
    "not found", as the Hub itself says once signed in, and the hint names the other possibility.
    """
    code, said = reply.headers.get("x-error-code", ""), _printable(reply.headers.get("x-error-message", ""))
    if code == "GatedRepo":
        return _gated(asked, said)
    if reply.status == 401 and asked.signed_in and "credentials" in said.lower():
        return _token_refused(asked)
    if code == "RepoNotFound" or (reply.status == 401 and not code):
        return _no_repository(asked)
    if reply.status in {403, 451} and "disabled" in said.lower():
        return _disabled(asked)
    if reply.status == 403:
        return ModelGated(
            f"{asked.endpoint} denies access to {asked.repo}{': ' + said if said else '.'}",
            hint=f"Look at {asked.page}, and whether your token may read it: {_WHERE_TOKENS_GO}.",
        )
    if reply.status in {404, 410} or code in {"RevisionNotFound", "EntryNotFound"}:
        return _not_there(asked, code)
    return HubError(f"{asked.endpoint} answered {reply.status} about {asked.repo}{': ' + said if said else '.'}")


def _token_refused(asked: _Asked) -> ModelGated:
    """The hub lets nobody in who shows a token that is none, not even to what is public."""
    return ModelGated(
        f"The token in use is not accepted, so nothing is shown of {asked.page}.",
        hint=f"It may have expired. Remove it, or use another: {_WHERE_TOKENS_GO}.",
    )


def _gated(asked: _Asked, said: str) -> ModelGated:
    waits = " Your request is being looked at." if "awaiting" in said.lower() else ""
    then = "the token in use has not been granted it" if asked.signed_in else f"then {_WHERE_TOKENS_GO}"
    return ModelGated(
        f"Access to {asked.repo} is granted per person.{waits}", hint=f"Ask for it at {asked.page}; {then}."
    )


def _no_repository(asked: _Asked) -> ModelNotFound:
    if asked.signed_in:
        hint = "Look at its spelling. If it is private, the token in use is wrong or may not read it."
    else:
        hint = f"Look at its spelling. If it is private, {_WHERE_TOKENS_GO}."
    return ModelNotFound(f"{asked.endpoint} knows no model {asked.repo}.", hint=hint)


def _disabled(asked: _Asked) -> ModelNotFound:
    """Not `ModelGated`: nobody can be asked for access, the model is gone for everyone."""
    return ModelNotFound(f"{asked.repo} has been disabled by the hub.", hint=f"{asked.page} may say why.")


def _not_there(asked: _Asked, code: str) -> ModelNotFound:
    if asked.path is not None and code != "RevisionNotFound":
        return ModelNotFound(f"{asked.repo} has no file {asked.path!r}.", hint=f"See {asked.page}/tree/main.")
    if asked.revision is not None:
        hint = f"See the branches and tags at {asked.page}."
        return ModelNotFound(f"{asked.repo} is not there, or has no revision {asked.revision!r}.", hint=hint)
    return _no_repository(asked)


def _printable(text: str) -> str:
    return "".join(char for char in text[:300] if char.isprintable())
