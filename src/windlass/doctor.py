"""What a download needs, looked at piece by piece, with advice where something is wrong.

Each look is a function that answers what it saw and lets no error out. Nothing is written: who has a sick machine wants
to know, not to have it changed.
"""

import os
import sqlite3
import ssl
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from platform import platform
from typing import TYPE_CHECKING, Any, Literal

from windlass import __version__
from windlass.errors import WindlassError
from windlass.fit import Memory
from windlass.folder import Condition
from windlass.masking import without_password
from windlass.places import Place, Places
from windlass.presence import server_of
from windlass.settings import Settings
from windlass.words import size

if TYPE_CHECKING:
    from windlass.hub.web import Web

State = Literal["good", "note", "warning", "bad"]

_OFF = 300  # seconds by which a clock may be wrong; from some minutes on certificates and signed addresses fail
_LITTLE = 5_000_000_000  # bytes of disk that no model of interest fits into
_PROXIES = ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "NO_PROXY")


@dataclass(frozen=True, slots=True)
class Look:
    """What was looked at, how it is, what was seen, and what to do if it is not good."""

    about: str
    state: State
    said: str
    advice: str = ""


@dataclass(frozen=True, slots=True)
class Examined:
    """What is looked at.

    Attributes:
        settings: what Windlass was told.
        places: the models folders.
        token: answers the hub's token, or None.
        network: makes what bytes of models come through, on the running loop.
        database: answers whether the jobs are of this program's schema, and raises where they cannot be read; None
            where there are none yet.
        memory: answers what models could run in.
    """

    settings: Settings
    places: Places
    token: Callable[[], str | None]
    network: Callable[[], Any]
    database: Callable[[], bool] | None
    memory: Callable[[], Memory]


def examine(examined: Examined) -> Iterator[Look]:
    """All looks, those that take a moment last."""
    yield versions()
    yield server(examined.settings)
    yield state(examined.settings.home)
    yield database(examined)
    yield from (folder(place) for place in examined.places)
    yield memory(examined.memory())
    yield from way_out(examined.settings)
    yield from hub(examined)
    yield catalog(examined.settings)


def versions() -> Look:
    """Of what counts for a download."""
    from windlass.transfer.probe import library

    python = ".".join(str(part) for part in sys.version_info[:3])
    said = f"Windlass {__version__}, Python {python}, {library()}, SQLite {sqlite3.sqlite_version}, {platform()}"
    return Look("versions", "good", said)


def server(settings: Settings) -> Look:
    """Whether one runs on this state."""
    found = server_of(settings.home)
    if found is None:
        return Look("server", "note", f"None runs on {settings.home}; commands do their work themselves.")
    return Look("server", "good", f"Runs at {found.get('address')}, process {found.get('pid')}.")


def state(home: Path) -> Look:
    """Whether jobs and settings can be kept."""
    there = next(one for one in (home, *home.parents) if os.path.exists(one))  # noqa: PTH110 - Path's own raises
    writable = os.access(there, os.W_OK) and not os.statvfs(there).f_flag & os.ST_RDONLY
    if not writable:
        return Look(
            "state", "bad", f"{home} cannot be written to.", "Look at its owner and its disk, or set WINDLASS_HOME."
        )
    return Look("state", "good", f"Jobs and settings are kept in {home}.")


def database(examined: Examined) -> Look:
    """Whether the jobs can be read."""
    if examined.database is None:
        return Look("jobs", "good", "No jobs yet.")
    try:
        current = examined.database()
    except WindlassError as error:
        return _bad("jobs", error)
    older = "An older Windlass has written the database; the next command that needs the jobs brings it up to date."
    return Look("jobs", "good", "The database can be read.") if current else Look("jobs", "note", older)


def folder(place: Place) -> Look:
    """Whether models can go there, and how much."""
    kept, path, condition = place.folder, place.folder.path, place.folder.condition()
    if condition is Condition.OFFLINE:
        return Look("disk", "bad", f"{path} is not there.", "Is its disk plugged in and mounted? Else make the folder.")
    if condition is Condition.READ_ONLY:
        return Look(
            "disk", "bad", f"{path} cannot be written to.", "Look at its owner, and at how its disk is mounted."
        )
    usable = kept.usable(0)
    said = f"{path}: {size(kept.free())} free, of which {size(kept.min_free)} is left alone."
    if usable < _LITTLE:
        return Look("disk", "warning", said, "Make room: windlass rm; or add a folder: WINDLASS_MORE_MODELS_DIRS.")
    return Look("disk", "good", said)


def memory(found: Memory) -> Look:
    """What models could run in; by this the default quantization is chosen."""
    if found.ram is None:
        return Look("memory", "note", "This system does not tell how much there is.")
    card = f", graphics cards {size(found.gpu)}" if found.gpu else ", shared with the graphics" if found.shared else ""
    return Look("memory", "note", f"{size(found.ram)}{card}")


def way_out(settings: Settings) -> Iterator[Look]:
    """Proxies and certificates, as the environment names them."""
    for name in _PROXIES:
        if told := os.environ.get(name) or os.environ.get(name.lower()):
            yield Look("proxy", "note", f"{name} is {without_password(told)}")
    if settings.ca_file:
        yield _certificates(settings.ca_file)


def _certificates(path: str) -> Look:
    try:
        ssl.create_default_context(cafile=path)
    except (OSError, ValueError):  # ssl's own error is an OSError
        said = f"SSL_CERT_FILE is {path}, of which no certificates can be read."
        return Look("certificates", "bad", said, "Have it name a file in PEM form, or unset it.")
    return Look("certificates", "note", f"SSL_CERT_FILE is {path}")


def hub(examined: Examined) -> Iterator[Look]:
    """Whether it answers, to questions and with bytes, which go by different libraries; its clock; the token."""
    from windlass.hub.reach import hub_answers
    from windlass.transfer.probe import probe

    endpoint = examined.settings.hf_endpoint
    began = time.monotonic()
    try:
        with closing(_web()) as web:
            answered = hub_answers(web, endpoint, token := examined.token())
    except WindlassError as error:
        yield _bad("hub", error)
        return
    yield Look("hub", "good", f"{endpoint} answers in {time.monotonic() - began:.2f} s.")
    wrong, advice = probe(examined.network, f"{endpoint}/api/models?limit=1")
    if wrong:
        yield Look(
            "bytes", "bad", f"Questions are answered, but what brings the bytes cannot get there: {wrong}.", advice
        )
    else:
        yield Look("bytes", "good", "The library that brings bytes reaches it, too. They may come from other hosts.")
    yield from _clock(answered.clock, datetime.now(UTC))
    yield _token(token, answered.signed_in, refused=answered.refused)


def _clock(theirs: datetime | None, ours: datetime) -> Iterator[Look]:
    if theirs is None:
        return
    off = (ours - theirs).total_seconds()
    if abs(off) > _OFF:
        said = f"This machine's clock is {abs(off) / 60:.0f} minutes {'ahead of' if off > 0 else 'behind'} the hub's."
        yield Look("clock", "warning", said, "Set it: certificates and signed addresses are refused by their time.")


def _token(token: str | None, name: str | None, *, refused: bool) -> Look:
    if token is None:
        said = "None, which is enough for models that are open to all."
        return Look("access", "note", said, "For gated ones set HF_TOKEN, or sign in with `hf auth login`.")
    if refused:
        advice = "Make a new one at the hub, and set HF_TOKEN or sign in with `hf auth login`."
        return Look("access", "bad", "The hub does not take the token.", advice)
    return Look("access", "good", f"The hub knows the token as {name}'s." if name else "There is a token.")


def catalog(settings: Settings) -> Look:
    """Whether it answers, or its folder is there."""
    from windlass.hub.reach import catalog_answers

    address = settings.catalog_url
    if "://" not in address:
        there = Path(address).is_dir()
        said = f"The folder {address} {'is there' if there else 'is not there'}."
        return Look("catalog", "good" if there else "bad", said, "" if there else "Look at WINDLASS_CATALOG_URL.")
    began = time.monotonic()
    try:
        with closing(_web()) as web:
            catalog_answers(web, address)
    except WindlassError as error:
        return _bad("catalog", error)
    return Look("catalog", "good", f"{address} answers in {time.monotonic() - began:.2f} s.")


def _web() -> "Web":
    """With the patience of a download: who is slow is not wrong. Once, for who looks is waited for."""
    from windlass.hub.web import Patience, Web

    return Web(patience=Patience(tries=1))


def _bad(about: str, error: WindlassError) -> Look:
    return Look(about, "bad", error.message, error.hint or "")
