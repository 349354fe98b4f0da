"""Settings: flag > environment > `config.toml` > default, each with where it came from.

A table and a few parsers instead of pydantic-settings: that costs 0.18 s of import in every command (measured), and it
does not say which source won, which `windlass config` must.
"""

import json
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, NamedTuple

from windlass.errors import InvalidRequest

HUGGING_FACE = "https://huggingface.co"
LM_STUDIO_HUB = "https://lmstudio.ai"

_SIZE = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([kmgt]?)(i?)(?:b(?:/s)?)?\s*", re.IGNORECASE)
_POWERS = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4}


def parse_size(text: str | int) -> int:
    """Bytes of `20M`, `1.5G`, `512KiB` or plain digits. Units are of 1000, as in `lms`; `Ki`, `Mi` … of 1024."""
    match = _SIZE.fullmatch(str(text))
    if match is None:
        raise ValueError("a size is digits with an optional unit, such as 20M, 1.5G or 512KiB")
    number, unit, binary = match.groups()
    whole, _, part = number.partition(".")
    # In whole numbers: a float would round from 2^53 on, and overflow on what is only far too large.
    factor: int = (1024 if binary else 1000) ** _POWERS[unit.lower()]
    return int(whole + part) * factor // int(10 ** len(part))


def _rate(text: str | int) -> int | None:
    return parse_size(text) or None if str(text).strip().lower() not in {"", "none", "0"} else None


def _path(text: str) -> Path:
    return Path(os.path.expanduser(text)).absolute()  # noqa: PTH111 - Path's own raises for a user that is not known


def _address(text: str) -> str:
    if not re.match(r"https?://[^/]+", text):
        raise ValueError("an address starts with http:// or https://")
    if "@" in text.partition("//")[2].partition("/")[0]:
        raise ValueError("an address is without user and password; a token goes into HF_TOKEN")
    if not re.fullmatch(r"https?://(?:\[[^]]+\]|[^:/]+)(?::\d{1,5})?(?:/.*)?", text):
        raise ValueError("a host or port in it cannot be read")
    return text.rstrip("/")


def _addresses(text: str) -> tuple[str, ...]:
    """Several, with spaces between them."""
    return tuple(_address(one) for one in text.split())


def _paths(text: str) -> tuple[Path, ...]:
    """Several, with the system's mark between them: a colon."""
    return tuple(_path(one) for one in text.split(os.pathsep) if one.strip())


def _yes_or_no(text: str) -> bool:
    if text.strip().lower() not in {"yes", "no"}:
        raise ValueError("yes or no is wanted")
    return text.strip().lower() == "yes"


def _catalog(text: str) -> str:
    """An HTTP address, or a folder of `owner/name/model.yaml` (as a path or a file: address)."""
    text = text.removeprefix("file://")
    return _address(text) if re.match(r"https?://[^/]+", text) else str(_path(text))


def _natural(text: str | int) -> int:
    if not str(text).isdecimal() or int(text) < 1:
        raise ValueError("a whole number from 1 up is wanted")
    return int(text)


def _port(text: str | int) -> int:
    if not str(text).isdecimal() or int(text) > 65535:
        raise ValueError("a port is a number from 0 to 65535")
    return int(text)


def _names(text: str) -> tuple[str, ...]:
    """Names of hosts, with spaces between them."""
    for name in text.split():
        if not re.fullmatch(r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]*[A-Za-z0-9_])?", name):
            raise ValueError("a host is named without scheme and port, as in models.lan")
    return tuple(text.lower().split())


def _log_format(text: str) -> str:
    if text not in {"text", "json"}:
        raise ValueError("a log is text or json")
    return text


@dataclass(frozen=True, slots=True)
class Settings:
    """What Windlass was told, resolved. `origin` maps each name to where its value came from."""

    home: Path
    lmstudio_home: Path
    models_dir: Path
    host: str = "127.0.0.1"
    port: int = 1234
    allow_host: tuple[str, ...] = ()
    hf_endpoint: str = HUGGING_FACE
    catalog_url: str = LM_STUDIO_HUB
    url: str = "http://127.0.0.1:1234"
    max_jobs: int = 3
    connections: int = 8
    limit_rate: int | None = None
    min_free: int = 1_000_000_000
    database_url: str = field(default="", repr=False)  # may hold a password
    hf_token: str | None = field(default=None, repr=False)
    api_token: str | None = field(default=None, repr=False)
    ca_file: str | None = None
    log_format: Literal["text", "json"] = "text"
    webhooks: tuple[str, ...] = field(default=(), repr=False)  # with many services the path is the secret
    webhook_secret: str | None = field(default=None, repr=False)
    extra_dirs: tuple[Path, ...] = ()
    more_models_dirs: tuple[Path, ...] = ()
    hard_links: bool = True
    origin: Mapping[str, str] = field(default_factory=dict, compare=False, repr=False)


class Setting(NamedTuple):
    """What is known of one setting. The words are the ones of `docs/settings.md`, which is made from them.

    Attributes:
        variables: the environment variables that set it, most specific first.
        read: makes its value of what was given.
        meaning: what it does, with its unit (Markdown).
        unset: what holds where nobody sets it, in words; "" where that is the default of `Settings` itself.
    """

    variables: tuple[str, ...]
    read: Callable[[Any], Any]
    meaning: str
    unset: str = ""


_SIZE_MEANT = "a size as `20M`, `1.5G` or `512KiB`"

TABLE: dict[str, Setting] = {
    "home": Setting(
        ("WINDLASS_HOME",), _path, "The folder of jobs, tokens, limits and `config.toml`.", "`~/.windlass`"
    ),
    "lmstudio_home": Setting(
        ("WINDLASS_LMSTUDIO_HOME",),
        _path,
        "LM Studio's folder: it holds `models/` and `hub/`.",
        "what `~/.lmstudio-home-pointer` names, else `~/.cache/lm-studio` if it is there, else `~/.lmstudio`",
    ),
    "models_dir": Setting(
        ("WINDLASS_MODELS_DIR",),
        _path,
        "Where weights go.",
        "what LM Studio is set to (`downloadsFolder`), else `models/` in its folder",
    ),
    "more_models_dirs": Setting(
        ("WINDLASS_MORE_MODELS_DIRS",),
        _paths,
        "More models folders, such as other disks, with `:` between them. A new model goes to the first with room, or "
        "to the one named with `--to`. Windlass does not make them. One that is not mounted is passed over; one that "
        "is read-only is listed.",
    ),
    "extra_dirs": Setting(
        ("WINDLASS_EXTRA_DIRS",),
        _paths,
        "More folders, with `:` between them, where the same content may be already. They are only read.",
    ),
    "hard_links": Setting(
        ("WINDLASS_HARD_LINKS",),
        _yes_or_no,
        "`yes` or `no`: whether what another program has may become the same file under a second name. `no` copies it.",
    ),
    "min_free": Setting(
        ("WINDLASS_MIN_FREE",), parse_size, f"Room on the disk that no job may take: {_SIZE_MEANT}.", "`1G`"
    ),
    "host": Setting(
        ("WINDLASS_HOST", "LMS_SERVER_HOST"),
        str,
        "The address that `serve` listens at, and the name that it is known by. Beyond this machine it needs a token.",
    ),
    "port": Setting(("WINDLASS_PORT",), _port, "The port that `serve` listens at; `0` is any free one."),
    "allow_host": Setting(
        ("WINDLASS_ALLOW_HOST",),
        _names,
        "More names that `serve` answers to, with spaces between them: of a reverse proxy before it, or "
        "`host.docker.internal`. A request to another name is refused; an address of numbers never is.",
    ),
    "url": Setting(("WINDLASS_URL",), _address, "The server that the command line talks to."),
    "api_token": Setting(
        ("LM_API_TOKEN",), str, "What the command line and the Python client send to a server that asks for a token."
    ),
    "hf_endpoint": Setting(
        ("WINDLASS_HF_ENDPOINT", "HF_ENDPOINT"), _address, "Hugging Face, or a mirror that speaks like it."
    ),
    "catalog_url": Setting(
        ("WINDLASS_CATALOG_URL",),
        _catalog,
        "LM Studio Hub, or an address or a folder that holds `owner/name/model.yaml`.",
    ),
    "hf_token": Setting(
        ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"),
        str,
        "The token for gated and private repositories. It is sent to the hub alone.",
        "what `hf auth login` saved",
    ),
    "ca_file": Setting(
        ("SSL_CERT_FILE",), str, "A PEM file with the certificate authorities to trust.", "the system's, else certifi's"
    ),
    "max_jobs": Setting(("WINDLASS_MAX_JOBS",), _natural, "Jobs that transfer at once; the others queue."),
    "connections": Setting(("WINDLASS_CONNECTIONS",), _natural, "The most connections that one file may use."),
    "limit_rate": Setting(
        ("WINDLASS_LIMIT_RATE",), _rate, f"Bytes per second over all jobs: {_SIZE_MEANT}; `none` for no limit."
    ),
    "database_url": Setting(
        ("WINDLASS_DATABASE_URL",),
        str,
        "Where the jobs are kept: `postgresql://…` for a database server (it needs the extra `postgresql`).",
        "SQLite, `windlass.db` in `WINDLASS_HOME`",
    ),
    "log_format": Setting(("WINDLASS_LOG_FORMAT",), _log_format, "What `serve` says on stderr: `text` or `json`."),
    "webhooks": Setting(
        ("WINDLASS_WEBHOOKS",),
        _addresses,
        "Addresses that are told when a job completes or fails, with spaces between them.",
    ),
    "webhook_secret": Setting(
        ("WINDLASS_WEBHOOK_SECRET",),
        str,
        "What webhooks are signed with: `whsec_` and base64.",
        "made at the first start",
    ),
}
NOT_IN_FILE = {"home", "hf_token", "api_token", "ca_file", "webhook_secret"}  # secret or shared: not in config.toml


_HIDDEN = {"hf_token", "api_token", "database_url", "webhooks", "webhook_secret"}  # not told in errors


def load(
    flags: Mapping[str, Any] | None = None, environ: Mapping[str, str] | None = None, user_home: Path | None = None
) -> Settings:
    """The settings in force.

    Args:
        flags: values from the command line by setting name; None means not given.
        environ: the environment; the process's own if not handed in.
        user_home: the user's home folder; `~` if not handed in.

    Raises:
        InvalidRequest: a value cannot be read; the message names it and where it came from.
    """
    environ = os.environ if environ is None else environ
    user_home = Path.home() if user_home is None else user_home
    given = {name: ("flag", value) for name, value in (flags or {}).items() if value is not None}
    given = {**_from_environment(environ), **given}
    home = _read("home", *given.get("home", ("default", str(user_home / ".windlass"))))
    given = {**_from_config(home / "config.toml"), **given}
    values = {name: _read(name, source, raw) for name, (source, raw) in given.items()}
    origin = {name: source for name, (source, _) in given.items()}
    values["home"] = home
    lmstudio_home = values.setdefault("lmstudio_home", _lmstudio_home(user_home))
    values.setdefault("models_dir", _downloads_folder(lmstudio_home) or lmstudio_home / "models")
    values["database_url"] = values.get("database_url") or f"sqlite:///{home / 'windlass.db'}"
    return Settings(**values, origin={f.name: origin.get(f.name, "default") for f in fields(Settings)})


def _from_environment(environ: Mapping[str, str]) -> dict[str, tuple[str, Any]]:
    found = {}
    for name, setting in TABLE.items():
        variable = next((v for v in setting.variables if environ.get(v, "").strip()), None)
        if variable:
            found[name] = (variable, environ[variable].strip())
    return found


def _from_config(path: Path) -> dict[str, tuple[str, Any]]:
    try:
        text = path.read_text(encoding="utf-8")
        import tomllib  # late: most have no such file

        raw = tomllib.loads(text)
    except FileNotFoundError:
        return {}
    except (ValueError, OSError) as error:  # what is no TOML, or no UTF-8, is a ValueError
        raise InvalidRequest(f"{path} cannot be read: {error}.", hint="Mend the file, or move it away.") from error
    unknown = sorted(raw.keys() - TABLE.keys() | raw.keys() & NOT_IN_FILE)
    if unknown:
        known = ", ".join(sorted(TABLE.keys() - NOT_IN_FILE))
        raise InvalidRequest(f"{path} sets {', '.join(unknown)}, which is no setting there.", hint=f"Known: {known}.")
    return {name: (str(path), value) for name, value in raw.items()}


def _read(name: str, source: str, raw: Any) -> Any:
    try:
        if isinstance(raw, bool) or not isinstance(raw, str | int | float | Path):
            raise TypeError("text or a number is wanted")  # noqa: TRY301 - said where the other misfits are said
        return TABLE[name].read(raw if isinstance(raw, int) else str(raw))
    except (ValueError, TypeError) as error:
        where = f"--{name.replace('_', '-')}" if source == "flag" else source
        shown = "what it says" if name in _HIDDEN else repr(raw)
        raise InvalidRequest(f"{where}: {shown} does not fit {name}: {error}.") from error


def _lmstudio_home(user_home: Path) -> Path:
    """LM Studio's own rule: the pointer file, else the old cache folder if it is there, else `~/.lmstudio`."""
    pointer = user_home / ".lmstudio-home-pointer"
    try:
        pointed = pointer.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        pointed = ""
    if pointed:
        return _path(pointed)
    old = user_home / ".cache" / "lm-studio"
    return old if old.is_dir() else user_home / ".lmstudio"


def _downloads_folder(lmstudio_home: Path) -> Path | None:
    """`downloadsFolder` of LM Studio's settings.json; a file that cannot be read counts as one that does not set it."""
    try:
        folder = json.loads((lmstudio_home / "settings.json").read_text(encoding="utf-8-sig"))["downloadsFolder"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return _path(folder) if isinstance(folder, str) and folder.strip() else None
