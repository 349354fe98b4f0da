"""Addresses that are told when a job completes or fails, as Standard Webhooks has it (https://www.standardwebhooks.com).

Each address has a place of its own in the history of moves, kept on disk, and is told of one end after the other. So a
receiver that was away is told when it is back, over restarts of ours too, and none holds up another, nor any job. Told
twice is possible (we may be killed between the answer and the note of it), so each end has an id: `webhook-id`.
"""

import base64
import hashlib
import hmac
import json
import logging
import random
import secrets
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Protocol, get_args
from urllib.parse import urlsplit

from windlass import atomic, words
from windlass.errors import InvalidRequest, StateFailure, WindlassError
from windlass.jobs.job import End
from windlass.jobs.states import State
from windlass.library.disk import storage_errors

BEAT = 1.0  # seconds between looks
PATIENCE = 24 * 3600.0  # seconds after which an end is old news
MOST_REFUSALS = 3  # of one message, by a receiver that is there and does not want it
LONGEST_WAIT = 600.0  # seconds between two tries
_SECONDS = 10.0  # for one try
_TRY_AGAIN = frozenset({408, 425, 429})

_log = logging.getLogger(__name__)

Post = Callable[[str, Mapping[str, str], bytes], int | None]
"""Sends; answers with the HTTP status, None where nobody was reached."""


class Source(Protocol):
    """Where ends are read."""

    def last_move(self) -> int:
        """The number of the last move of any job, 0 where there was none."""

    def next_end(self, after: int) -> End | None:
        """The first end after a move."""

    def show(self, job_id: str) -> dict[str, Any]:
        """A job as JSON, as it stands now. Raises JobNotFound."""


Verdict = Literal["told", "again", "over"]
VERDICTS: tuple[Verdict, ...] = get_args(Verdict)


def judge(status: int | None, refusals: int, age: float) -> Verdict:
    """What to make of a try: `refusals` counts this one, `age` is in seconds since the job's end."""
    if status is not None and 200 <= status < 300:
        return "told"
    if age >= PATIENCE or status == 410:
        return "over"
    refused = status is not None and 300 <= status < 500 and status not in _TRY_AGAIN
    return "over" if refused and refusals >= MOST_REFUSALS else "again"


def wait(failures: int, chance: float) -> float:
    """Seconds until the next try: twice as long each time, with jitter; `chance` is uniform in [0, 1)."""
    return min(LONGEST_WAIT, 2.0 ** min(failures, 16)) * (0.5 + chance / 2)


def sign(key: bytes, message_id: str, at: int, body: bytes) -> str:
    """The header `webhook-signature`; `at` is Unix time."""
    signed = hmac.new(key, f"{message_id}.{at}.".encode() + body, hashlib.sha256)
    return f"v1,{base64.b64encode(signed.digest()).decode()}"


def key_of(secret: str, source: str = "WINDLASS_WEBHOOK_SECRET") -> bytes:
    """The key in a secret of the form `whsec_` and base64; `source` is where it stands, for the message.

    Raises:
        InvalidRequest: it has another form.
    """
    try:
        key = base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    except ValueError:
        key = b""
    if not 24 <= len(key) <= 64:
        hint = "It is whsec_ and 24 to 64 bytes in base64: echo whsec_$(openssl rand -base64 32)"
        raise InvalidRequest(f"{source} holds no secret of webhooks.", hint=hint)
    return key


def key_at(home: Path, secret: str | None) -> bytes:
    """The key: of the secret that was given, else of one that is kept in `home`. Raises as the two below do."""
    path = home / "webhook-secret"
    return key_of(secret) if secret else key_of(kept_secret(path), str(path))


def kept_secret(path: Path) -> str:
    """The secret in a file, which is made when it is not there yet, for its owner only.

    Raises:
        StateFailure: it can be neither read nor made.
    """
    try:
        return atomic.keep(path, f"whsec_{base64.b64encode(secrets.token_bytes(32)).decode()}\n")
    except (OSError, ValueError) as error:
        raise StateFailure(f"{path} cannot be used: {error}.", hint="Or set WINDLASS_WEBHOOK_SECRET.") from error


class Receiver:
    """One address, and how far it has been told. For one thread.

    Args:
        url: where to send to.
        key: what to sign with.
        source: the ends.
        path: where its place is kept.
        post: sends.
    """

    def __init__(self, url: str, key: bytes, source: Source, path: Path, post: Post | None = None) -> None:
        self._url = url
        self._key = key
        self._source = source
        self._path = path
        self._post = post or _post
        self._failures = 0
        self._refusals = 0
        self._place = self._read()
        self.counts: Counter[Verdict] = Counter()

    def step(self, now: float, chance: float) -> float:
        """Tell the next end, if there is one; seconds until there is something to do again.

        Raises:
            WindlassError: the records could not be read or written; the place is as it was.
        """
        end = self._source.next_end(self._place)
        if end is None:
            return BEAT
        status = self._send(end, now)
        refused = status is not None and status < 500
        self._failures, self._refusals = self._failures + 1, self._refusals + refused
        verdict = judge(status, self._refusals, now - end.at)
        self.counts[verdict] += 1
        if verdict == "again":
            return wait(self._failures, chance)
        if verdict == "over":
            said = f"it answered {status}" if status else "it cannot be reached"
            _log.warning("%s is not told that %s has ended: %s", self._name, end.job_id, said)
        self._failures = self._refusals = 0
        self._keep(end.number)
        return 0.0

    def _send(self, end: End, now: float) -> int | None:
        """A job that was forgotten meanwhile is told of by its id."""
        try:
            data = self._source.show(end.job_id)
        except WindlassError:
            data = {"job_id": end.job_id}
        kind = "job.completed" if end.state is State.COMPLETED else "job.failed"
        body = json.dumps({"type": kind, "timestamp": words.timestamp(end.at), "data": data}).encode()
        message_id = f"{end.job_id}-{end.number}"
        headers = {
            "Content-Type": "application/json",
            "webhook-id": message_id,
            "webhook-timestamp": str(int(now)),
            "webhook-signature": sign(self._key, message_id, int(now), body),
        }
        return self._post(self._url, headers, body)

    @property
    def _name(self) -> str:
        """Without its path: with many services that is the secret."""
        return urlsplit(self._url).netloc

    def _read(self) -> int:
        """Whoever is new is not told what was before."""
        try:
            return int(self._path.read_text(encoding="ascii"))
        except FileNotFoundError:
            self._keep(self._source.last_move())
            return self._place
        except (OSError, ValueError) as error:
            raise StateFailure(f"{self._path} cannot be read: {error}.", hint="Remove it to begin anew.") from error

    def _keep(self, place: int) -> None:
        with storage_errors("noting what a webhook was told", self._path.parent):
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            atomic.write(self._path, f"{place}\n")
        self._place = place


class Webhooks:
    """Tells all addresses, each on a thread of its own.

    Args:
        urls: the addresses.
        key: what to sign with.
        source: the ends.
        folder: where the places are kept.
    """

    def __init__(self, urls: Sequence[str], key: bytes, source: Source, folder: Path) -> None:
        self._receivers = [Receiver(url, key, source, folder / _short(url)) for url in urls]
        self._chance = random.random
        self._closed = threading.Event()

    @property
    def counts(self) -> Mapping[Verdict, int]:
        """How many tries there were, by what became of them."""
        return {verdict: sum(receiver.counts[verdict] for receiver in self._receivers) for verdict in VERDICTS}

    def start(self) -> None:
        """Begin."""
        for receiver in self._receivers:
            threading.Thread(target=self._tell, args=(receiver,), name="windlass-webhook", daemon=True).start()

    def close(self) -> None:
        """End, without waiting for an answer that is under way: it is asked for again at the next start."""
        self._closed.set()

    def _tell(self, receiver: Receiver) -> None:
        pause = 0.0
        while not self._closed.wait(pause):
            try:
                pause = receiver.step(time.time(), self._chance())
            except Exception:
                _log.exception("A webhook could not be told; the next try comes soon.")
                pause = wait(5, self._chance())


def _short(url: str) -> str:
    return hashlib.sha256(url.encode()).hexdigest()[:16]


def _post(url: str, headers: Mapping[str, str], body: bytes) -> int | None:
    """Redirects are not followed: whoever is given the address decides who gets what is sent there."""
    import httpx2

    try:
        with (
            httpx2.Client(timeout=_SECONDS, follow_redirects=False) as client,
            client.stream("POST", url, headers=headers, content=body) as answer,
        ):
            return answer.status_code  # what else it says is not read
    except (httpx2.HTTPError, httpx2.InvalidURL, OSError, ValueError):
        return None
