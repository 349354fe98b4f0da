"""The stand-in: a hub, its CDN on another port, and a catalog, all on 127.0.0.1. It does right unless told otherwise.

    with Hub() as hub:
        hub.add("owner/repo", {"model-Q4_K_M.gguf": b"…"})
        hub.misbehave("cdn", faults.rst(after=1000))
        …                                       # drive the code under test against hub.url
        assert hub.sent("model-Q4_K_M.gguf") == …

Every answer passes through `Hub.misbehave`'s rules just before it is sent. A rule names the kind of request:

    info tree search whoami            Hugging Face's API
    resolve                            /{repo}/resolve/{revision}/{path}: answered by a redirect
    small cdn                          the bytes: of small files from the hub, of large ones from the CDN
    artifact page picks yaml           the catalog
"""

import hashlib
import html
import itertools
import math
import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Self
from urllib.parse import quote, urlencode

import trustme

from standin.answers import (
    classified,
    error,
    file_reply,
    has_tag,
    json_reply,
    missing,
    policy_of,
    refused,
    renamed,
    small_reply,
)
from standin.content import Bytes
from standin.repository import File, Files, Repository
from standin.wire import Exchange, Manner, Reply, Request, Server

Fault = Callable[[Request, Reply], Reply]
ALWAYS = math.inf

_PAGE = """<html><body><pre># model.yaml is an open standard for defining cross-platform, composable AI models
{}</pre></body></html>"""


@dataclass
class Rule:
    """A fault, for requests of a kind and maybe a file, `times` times. One that changes nothing is not used up."""

    kind: str
    fault: Fault
    path: str | None
    times: float

    def fits(self, request: Request) -> bool:
        return self.times > 0 and self.kind == request.kind and self.path in {None, request.file}


@dataclass
class Address:
    """A signed address of the CDN: good for `uses` requests, and not after `Hub.expire_addresses`."""

    request: Request
    file: File
    uses: float


@dataclass
class Hub:
    """See the module. `url` is both the Hugging Face endpoint and the catalog's address.

    Attributes:
        tokens: tokens that somebody has; what each may see is the repository's `granted`.
        page_size: entries on a page of `/tree`.
        left: requests left in the window, counted down; at 0 the hub answers 429.
        address_uses: how many requests a signed address is good for.
        rate: bytes a second that each connection's body gets.
        xet: whether listings and redirects name Xet hashes.
        decide: asked first of all for a fault, with every request.
    """

    tls: bool = False
    cdn_tls: bool | None = None
    tokens: set[str] = field(default_factory=set)
    page_size: int = 1000
    left: dict[str, int] = field(default_factory=lambda: {"api": 500, "resolvers": 3000})
    address_uses: float = ALWAYS
    rate: int | None = None
    xet: bool = True
    decide: Callable[[Request], Fault | None] | None = None

    def __post_init__(self) -> None:
        self._authority = trustme.CA()
        self._lock = threading.RLock()  # a fault may act on the hub: `faults.do(hub.expire_addresses)`
        self._rules: list[Rule] = []
        self._addresses: dict[str, Address] = {}
        self._serials = itertools.count(1)
        self.repositories: dict[str, Repository] = {}
        self.moved: dict[str, str] = {}
        self.catalog: dict[str, tuple[str, dict[str, Any]]] = {}
        self.server = Server(self._answer_hub, self._context(self.tls))
        cdn_tls = self.tls if self.cdn_tls is None else self.cdn_tls
        self.cdn = Server(self._answer_cdn, self._context(cdn_tls))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self.server.close()
        self.cdn.close()

    # What there is

    @property
    def url(self) -> str:
        return self.server.url

    def ca_pem(self) -> bytes:
        """The certificate authority to trust, for `SSL_CERT_FILE`."""
        return self._authority.cert_pem.bytes()

    def add(self, name: str, files: Files, **about: Any) -> Repository:
        """A repository with one commit. `about`: the fields of `Repository`."""
        repository = Repository(name, **about)
        repository.push(files)
        self.repositories[name.lower()] = repository
        return repository

    def rename(self, old: str, new: str) -> None:
        """The repository is called `new` now; the old name redirects."""
        repository = self.repositories.pop(old.lower())
        repository.name = new
        self.repositories[new.lower()] = repository
        self.moved[old.lower()] = new

    def add_model(self, model_yaml: str, owner: str, name: str, *repositories: str) -> None:
        """A catalog model whose weights are in any one of `repositories`."""
        users = [repository.split("/") for repository in repositories]
        sources = [{"type": "huggingface", "user": user, "repo": repo} for user, repo in users]
        keys = [repository.lower() for repository in repositories]
        dependency = {"type": "model", "purpose": "baseModel", "modelKeys": keys, "sources": sources}
        manifest = {"type": "model", "owner": owner, "name": name, "revision": 1, "dependencies": [dependency]}
        self.catalog[f"{owner}/{name}"] = (model_yaml, manifest)

    # What goes wrong

    def misbehave(self, kind: str, *faults: Fault, path: str | None = None, times: float = 1) -> None:
        """Requests of `kind` (for the file `path`) get these faults, one after the other, each `times` times."""
        with self._lock:
            self._rules += [Rule(kind, fault, path, times) for fault in faults]

    @property
    def to_come(self) -> list[str]:
        """The kinds of requests whose faults have not all happened yet; a test that expects none proves that they did.

        Those that happen always are not waited for.
        """
        with self._lock:
            return [rule.kind for rule in self._rules if 0 < rule.times < ALWAYS]

    def behave(self) -> None:
        """Forget every rule."""
        with self._lock:
            self._rules.clear()

    def expire_addresses(self) -> None:
        """Every signed address given out so far answers 403 from now on."""
        with self._lock:
            for address in self._addresses.values():
                address.uses = 0

    @property
    def signatures(self) -> list[str]:
        """What signed the addresses given out so far: secrets, for whoever has one may fetch."""
        return list(self._addresses)

    # What happened

    @property
    def exchanges(self) -> list[Exchange]:
        return [*self.server.exchanges, *self.cdn.exchanges]

    def asked(self, kind: str, path: str | None = None) -> list[Request]:
        """The requests of a kind, in the order they came."""
        requests = [exchange.request for exchange in self.exchanges]
        return [request for request in requests if request.kind == kind and path in {None, request.file}]

    def sent(self, path: str) -> int:
        """Bytes of the file handed to the network so far, over all answers."""
        bodies = [e for e in self.exchanges if e.request.kind in {"cdn", "small"} and e.request.file == path]
        return sum(exchange.sent for exchange in bodies if exchange.status in {200, 206})

    # How it answers

    def _context(self, tls: bool) -> ssl.SSLContext | None:
        if not tls:
            return None
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._authority.issue_cert("127.0.0.1", "localhost").configure_cert(context)
        return context

    def _answer_hub(self, request: Request) -> tuple[Request, Reply]:
        request = classified(request)
        return request, self._spoilt(request, self._limited(request) or self._route(request))

    def _answer_cdn(self, request: Request) -> tuple[Request, Reply]:
        with self._lock:
            address = self._addresses.get(request.query.get("Signature", ""))
            if address:
                address.uses -= 1
        denied = Reply(403, body=Bytes(b"<Error><Code>AccessDenied</Code></Error>"))
        if address is None:
            return replace(request, kind="cdn"), denied
        request = replace(request, kind="cdn", repo=address.request.repo, file=address.request.file)
        if address.uses < 0:
            return request, denied
        headers = {"ETag": f'"{address.file.xet_hash}"', "Content-Type": "application/octet-stream"}
        return request, self._spoilt(request, file_reply(request, address.file.content, headers))

    def _spoilt(self, request: Request, reply: Reply) -> Reply:
        if self.rate:
            reply = replace(reply, manner=Manner(rate=self.rate))
        fault = self.decide(request) if self.decide else None
        if fault:
            return fault(request, reply)
        with self._lock:
            rules = [rule for rule in self._rules if rule.fits(request)]
            for rule in rules:
                spoilt = rule.fault(request, reply)
                if spoilt is not reply:
                    rule.times -= 1
                    return spoilt
        return reply

    def _limited(self, request: Request) -> Reply | None:
        policy = policy_of(request)
        with self._lock:
            self.left[policy] -= 1
            if self.left[policy] >= 0:
                return None
            self.left[policy] = 0
        return Reply(429, {"RateLimit": f'"{policy}";r=0;t=55'}, Bytes(b'{"error":"Too many requests"}'))

    def _route(self, request: Request) -> Reply:
        reply = self._catalog_reply(request) or self._hub_reply(request)
        policy = policy_of(request)
        return replace(reply, headers={"RateLimit": f'"{policy}";r={self.left[policy]};t=299', **reply.headers})

    def _hub_reply(self, request: Request) -> Reply:
        if request.kind == "whoami":
            known = request.token in self.tokens
            return json_reply({"type": "user", "name": "tester"}) if known else missing(signed_in=False)
        if request.kind == "search":
            return self._search(request)
        repository = self.repositories.get(request.repo.lower())
        if repository is None and request.repo.lower() in self.moved:
            return renamed(request, self.moved[request.repo.lower()])
        signed_in = request.token in self.tokens
        refusal = refused(repository, request, signed_in)
        if repository is None or refusal:
            return refusal or missing(signed_in)
        if repository.name != request.repo:
            return renamed(request, repository.name)
        return self._repository_reply(repository, request)

    def _repository_reply(self, repository: Repository, request: Request) -> Reply:
        commit = repository.resolve(request.revision)
        if commit is None:
            return error(404, f"Invalid rev id: {request.revision}", "RevisionNotFound")
        if request.kind == "info":
            return json_reply(repository.info(commit, request.query.get("blobs") in {"true", "True", "1"}))
        if request.kind == "tree":
            return self._tree(repository, commit, request)
        file = repository.commits[commit].get(request.file)
        if file is None:
            reply = error(404, "Entry not found", "EntryNotFound")
            return replace(reply, headers={**reply.headers, "X-Repo-Commit": commit})
        return self._file_answer(repository, commit, file, request)

    def _tree(self, repository: Repository, commit: str, request: Request) -> Reply:
        recursive = request.query.get("recursive", "").lower() in {"true", "1"}
        rows = repository.listing(commit, request.file, recursive, self.xet)
        if request.file and not rows:
            return error(404, f"{request.file} does not exist on {commit}", "EntryNotFound")
        start = int(request.query.get("cursor", 0))
        end = start + min(self.page_size, int(request.query.get("limit", self.page_size)))
        return self._page(rows, start, end, request)

    def _page(self, rows: list[dict[str, Any]], start: int, end: int, request: Request) -> Reply:
        reply = json_reply(rows[start:end])
        if end >= len(rows):
            return reply
        following = f"{self.url}{request.path}?{urlencode({**request.query, 'cursor': end})}"
        return replace(reply, headers={**reply.headers, "Link": f'<{following}>; rel="next"'})

    def _file_answer(self, repository: Repository, commit: str, file: File, request: Request) -> Reply:
        etag = file.sha256 if file.lfs else file.oid
        headers = {"X-Repo-Commit": commit, "ETag": f'"{etag}"', "Accept-Ranges": "bytes"}
        if request.kind == "small" or (repository.private and not file.lfs):
            return small_reply(request, file, headers)
        if not file.lfs:
            location = f"/api/resolve-cache/models/{quote(repository.name)}/{commit}/{quote(file.path)}"
            return Reply(307, {**headers, "Location": location})
        linked = {"X-Linked-Size": str(file.size), "X-Linked-ETag": f'"{file.listed_sha256 or file.sha256}"'}
        if self.xet:
            linked["X-Xet-Hash"] = file.xet_hash
        headers = {"X-Repo-Commit": commit, "Cache-Control": "no-store", "Accept-Ranges": "bytes", **linked}
        return Reply(302, {**headers, "Location": self._sign(request, file)}, Bytes(b"Found. Redirecting"))

    def _sign(self, request: Request, file: File) -> str:
        with self._lock:
            signature = hashlib.sha256(b"%d" % next(self._serials)).hexdigest()[:20]
            self._addresses[signature] = Address(request, file, self.address_uses)
        return f"{self.cdn.url}/repos/{file.xet_hash}?X-Amz-Expires=3600&Signature={signature}"

    def _search(self, request: Request) -> Reply:
        wanted = request.query.get("search", "").lower()
        tag = request.query.get("filter", "")
        found = [repo for name, repo in self.repositories.items() if wanted in name and not repo.private]
        rows = [repo.info(repo.refs["main"], blobs=False) for repo in found]
        rows = sorted((row for row in rows if has_tag(row, tag)), key=lambda row: -row.get("downloads", 0))
        start = int(request.query.get("cursor", 0))
        end = start + min(self.page_size, int(request.query.get("limit", 1000)))
        return self._page(rows, start, end, request)

    def _catalog_reply(self, request: Request) -> Reply | None:
        if request.kind == "picks":
            rows = [{"owner": key.split("/")[0], "name": key.split("/")[1], "description": ""} for key in self.catalog]
            return json_reply(rows)
        if request.kind not in {"artifact", "page", "yaml"}:
            return None
        if request.repo not in self.catalog:
            return Reply(404, {"Content-Type": "application/json"}, Bytes(b'{"error":"Artifact not found"}'))
        text, manifest = self.catalog[request.repo]
        if request.kind == "artifact":
            about = {"revisionNumber": 1, "artifactUrl": f"{self.url}/models/{request.repo}", "downloadCount": 1}
            return json_reply({**about, "manifest": manifest})
        body = _PAGE.format(html.escape(text)) if request.kind == "page" else text
        return Reply(200, {"Content-Type": "text/html; charset=utf-8"}, Bytes(body.encode()))
