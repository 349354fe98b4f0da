"""What nginx is told: its configuration, and the hub's answers that it serves as files.

What a hub answers follows Hugging Face: https://huggingface.co/docs/hub/api and what the Hub was seen to send. Of the
machine's own nginx nothing is read or written.
"""

import json
import os
from dataclasses import dataclass
from pathlib import Path

from benchmarks.content import COMMIT, Repository

MODULES = Path("/usr/lib/nginx/modules")

_PAGE = 1_000  # files of a listing that the Hub answers with at once


@dataclass(frozen=True, slots=True)
class Network:
    """What lies between.

    `delay` is in seconds, before each answer; `rate` in bytes per second, for each of the CDN's connections.
    """

    delay: float = 0.0
    rate: int = 0
    tls: bool = False

    @property
    def scheme(self) -> str:
        """Of every address."""
        return "https" if self.tls else "http"


@dataclass(frozen=True, slots=True)
class Site:
    """What is served, from where (`folder`), and at which places (`host:port`)."""

    folder: Path
    repository: Repository
    network: Network
    hub: str
    cdn: str

    @property
    def url(self) -> str:
        """The hub's address, what `HF_ENDPOINT` is set to."""
        return f"{self.network.scheme}://{self.hub}"


def write_site(site: Site) -> None:
    """Write `nginx.conf` and what it refers to. `content/<owner>/<repo>/…` is there already, and the certificates."""
    api = site.folder / "api" / site.repository.name
    for folder in (api, site.folder / "logs", site.folder / "temporary"):
        folder.mkdir(parents=True, exist_ok=True)
    (api / "info.json").write_text(json.dumps(_info(site.repository)))
    for number, page in enumerate(_pages(site.repository)):
        (api / f"tree{number or ''}.json").write_text(json.dumps(page))
    (site.folder / "nginx.conf").write_text(_configuration(site))


def _configuration(site: Site) -> str:
    network, name, files = site.network, site.repository.name, site.repository.files
    pages = range(len(_pages(site.repository)) - 1)
    return _CONFIGURATION.format(
        modules=_load_modules(network),
        user="user root;" if os.geteuid() == 0 else "",
        workers=os.cpu_count(),
        folder=site.folder,
        digests=_map({f"{name}/{file.path}": file.digest for file in files}),
        sizes=_map({f"{name}/{file.path}": str(file.size) for file in files if file.large}),
        links=_map({str(number or ""): _link(site, number + 1) for number in pages}),
        certificate=_CERTIFICATE.format(folder=site.folder) if network.tls else "",
        hub=f"{site.hub}{' ssl' if network.tls else ''}",
        cdn=f"{site.cdn}{' ssl' if network.tls else ''}",
        cdn_url=f"{network.scheme}://{site.cdn}",
        commit=COMMIT,
        delay=f"access_by_lua_block {{ ngx.sleep({network.delay}) }}" if network.delay else "",
    )


def _info(repository: Repository) -> dict[str, object]:
    told = {"id": repository.name, "sha": COMMIT, "private": False, "gated": False, "disabled": False}
    counts = {"tags": [], "downloads": 0, "likes": 0}
    return {**told, **counts, "siblings": [{"rfilename": file.path} for file in repository.files]}


def _pages(repository: Repository) -> list[list[dict[str, object]]]:
    entries: list[dict[str, object]] = []
    for file in repository.files:
        entry: dict[str, object] = {"type": "file", "oid": file.git_sha1, "size": file.size, "path": file.path}
        lfs = {"oid": file.sha256, "size": file.size, "pointerSize": 135}
        entries.append({**entry, "lfs": lfs} if file.large else entry)
    return [entries[at : at + _PAGE] for at in range(0, len(entries), _PAGE)]


def _link(site: Site, page: int) -> str:
    """RFC 8288, as the Hub's listings have it."""
    address = f"{site.url}/api/models/{site.repository.name}/tree/{COMMIT}"
    return f'<{address}?recursive=true&expand=false&cursor={page}>; rel="next"'


def _map(entries: dict[str, str]) -> str:
    return "\n".join(f"    '{key}' '{value}';" for key, value in entries.items())


def _load_modules(network: Network) -> str:
    names = ("ndk_http_module.so", "ngx_http_lua_module.so") if network.delay else ()
    return "\n".join(f"load_module {MODULES / name};" for name in names)


_CERTIFICATE = "ssl_certificate {folder}/server.pem; ssl_certificate_key {folder}/server.key;"

# A redirect is made in two steps, because `return` in a location would come before its delay: `try_files` comes after
# it and finds nothing. It also changes $uri, and all that is made of it, to the file that it finds: the digest is taken
# before. The ETag of the CDN is nginx's own and says nothing about the content, as that of the Hub's CDN.
_CONFIGURATION = """\
{modules}
{user}
daemon off;
pid {folder}/nginx.pid;
worker_processes {workers};
worker_shutdown_timeout 2s;
events {{ worker_connections 1024; }}
http {{
  client_body_temp_path {folder}/temporary/body;
  proxy_temp_path {folder}/temporary/proxy;
  fastcgi_temp_path {folder}/temporary/fastcgi;
  uwsgi_temp_path {folder}/temporary/uwsgi;
  scgi_temp_path {folder}/temporary/scgi;
  default_type application/octet-stream;
  sendfile on;
  tcp_nopush on;
  map_hash_max_size 16384;
  map_hash_bucket_size 512;
  {certificate}
  log_format kinds '$kind $status $body_bytes_sent';
  access_log {folder}/logs/access.log kinds;

  map $uri $file {{
    '~^/(?<to_repo>[^/]+/[^/]+)/resolve/[^/]+/(?<to_path>.+)$' '$to_repo/$to_path';
    '~^/api/resolve-cache/models/(?<in_repo>[^/]+/[^/]+)/[^/]+/(?<in_path>.+)$' '$in_repo/$in_path';
  }}
  map $file $digest {{
{digests}
  }}
  map $file $large_size {{
{sizes}
  }}
  map $arg_cursor $next_page {{
{links}
  }}
  map $large_size $large_digest {{
    default '"$digest"';
    '' '';
  }}

  server {{
    listen {hub};
    set $kind talk;
    location = /ready {{
      access_log off;
      return 204;
    }}
    location ~ '^/api/models/(?<named>[^/]+/[^/]+)(/revision/[^/]+)?$' {{
      {delay}
      default_type application/json;
      root {folder}/api;
      try_files /$named/info.json =404;
    }}
    location ~ '^/api/models/(?<listed>[^/]+/[^/]+)/tree/[^/]+$' {{
      {delay}
      default_type application/json;
      root {folder}/api;
      add_header Link $next_page;
      try_files /$listed/tree$arg_cursor.json =404;
    }}
    location ~ '^/[^/]+/[^/]+/resolve/[^/]+/' {{
      {delay}
      try_files /nothing-has-this-name @redirect;
    }}
    location @redirect {{
      add_header X-Repo-Commit {commit} always;
      add_header X-Linked-Size $large_size always;
      add_header X-Linked-ETag $large_digest always;
      add_header Cache-Control no-store always;
      if ($digest = '') {{ return 404; }}
      if ($large_size = '') {{ return 307 /api/resolve-cache/models/$to_repo/{commit}/$to_path; }}
      return 302 {cdn_url}/$file?Expires=3600&Signature=none;
    }}
    location ~ '^/api/resolve-cache/models/(?<own_repo>[^/]+/[^/]+)/[^/]+/(?<own_path>.+)$' {{
      {delay}
      set $kind file;
      set $etag $digest;
      root {folder}/content;
      etag off;
      add_header ETag '"$etag"';
      add_header X-Repo-Commit {commit};
      try_files /$own_repo/$own_path =404;
    }}
    location / {{ return 404; }}
  }}

  server {{
    listen {cdn};
    set $kind file;
    location / {{
      {delay}
      root {folder}/content;
    }}
  }}
}}
"""
