"""Tokens: who may use the server, and for what. Kept hashed; a token is shown once, when it is made.

Form: `sk-lm-` and 8 characters, which say which token it is, `:` and 20 more, which are the secret. They are drawn from
62 characters each, so the secret has 119 bits: nobody guesses it, and one round of sha256 keeps it as well as many.
"""

import hashlib
import hmac
import json
import os
import re
import secrets
import string
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from fcntl import LOCK_EX, flock
from pathlib import Path
from typing import Literal, get_args

from windlass import atomic
from windlass.errors import InvalidRequest, StateFailure, TokenNotFound

Scope = Literal["read", "download", "admin"]
SCOPES: tuple[Scope, ...] = get_args(Scope)

_SIGNS = string.ascii_letters + string.digits
_FORM = re.compile(r"sk-lm-([A-Za-z0-9]{8}):([A-Za-z0-9]{20})")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._ -]{0,63}")
_LARGEST = 1024 * 1024  # bytes; thousands of tokens fit
_HINT = "Mend the file, or remove it and make new tokens."


@dataclass(frozen=True, slots=True)
class Token:
    """A token as it is kept: `id` is the part that is no secret, `sha256` that of the one that is, in hex.

    Attributes:
        name: what people call it.
        scopes: what it may be used for.
        created_at: Unix time.
    """

    name: str
    id: str
    sha256: str
    scopes: tuple[Scope, ...]
    created_at: float


class Tokens:
    """The tokens in the file `tokens` of `home`. Threads and processes may share it: what one does all see at once.

    Raises:
        StateFailure: from every verb, where the file cannot be read or written: then nobody is let in.
    """

    def __init__(self, home: Path, clock: Callable[[], float] = time.time) -> None:
        self._path = home / "tokens"
        self._clock = clock
        self._read: tuple[object, tuple[Token, ...]] = (None, ())

    def all(self) -> tuple[Token, ...]:
        """The tokens, oldest first."""
        stamp = self._stamp()
        if self._read[0] != stamp:
            self._read = stamp, self._load()
        return self._read[1]

    def create(self, name: str | None = None, scopes: Collection[str] = ()) -> str:
        """Make a token; its text, which is known to nobody afterwards. No scope named: all of them.

        Raises:
            InvalidRequest: the name is taken or cannot be one, or a scope is none.
        """
        unknown = [scope for scope in scopes if scope not in SCOPES]
        if unknown:
            raise InvalidRequest(f"{unknown[0]!r} is no scope; they are {', '.join(SCOPES)}.", param="scope")
        chosen = tuple(scope for scope in SCOPES if scope in scopes or not scopes)
        with self._changing() as tokens:
            token_id, secret = _drawn(8), _drawn(20)
            token = Token(_name(name, tokens), token_id, _hash(secret), chosen, self._clock())
            tokens.append(token)
        return f"sk-lm-{token_id}:{secret}"

    def revoke(self, name: str) -> None:
        """Have a token count for nothing from now on. Raises TokenNotFound."""
        with self._changing() as tokens:
            kept = [token for token in tokens if token.name != name]
            if len(kept) == len(tokens):
                raise TokenNotFound(f"No token is called {name!r}.", hint="windlass token list shows those there are.")
            tokens[:] = kept

    def check(self, text: str) -> Token | None:
        """The token that `text` is, None if it is none. Takes as long for a wrong secret as for the right one."""
        match = _FORM.fullmatch(text)
        if match is None:
            return None
        found = [token for token in self.all() if token.id == match[1]]
        given = _hash(match[2])
        return next((token for token in found if hmac.compare_digest(token.sha256, given)), None)

    @contextmanager
    def _changing(self) -> Iterator[list[Token]]:
        """The tokens, for one process at a time to change; written when that is done."""
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            lock = os.open(self._path.with_name("tokens.lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StateFailure(f"{self._path} cannot be written: {error.strerror}.") from error
        try:
            flock(lock, LOCK_EX)
            tokens = list(self._load())
            yield tokens
            self._save(tokens)
        finally:
            os.close(lock)

    def _stamp(self) -> object:
        try:
            stat = self._path.stat()
        except FileNotFoundError:
            return "none"
        except OSError as error:
            raise StateFailure(f"{self._path} cannot be read: {error.strerror}.", hint=_HINT) from error
        return stat.st_ino, stat.st_mtime_ns, stat.st_size

    def _load(self) -> tuple[Token, ...]:
        try:
            with self._path.open("rb") as file:
                text = file.read(_LARGEST + 1)  # whatever stands there: it is read with each request
            if len(text) > _LARGEST:
                raise ValueError("it is too large to be one of tokens")  # noqa: TRY301 - said as the others are
            raw = json.loads(text)
            if not isinstance(raw, list):
                raise TypeError("it is no list of tokens")  # noqa: TRY301 - said as the others are
            return tuple(replace(Token(**token), scopes=tuple(token["scopes"])) for token in raw)
        except FileNotFoundError:
            return ()
        except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise StateFailure(f"{self._path} cannot be read: {error}.", hint=_HINT) from error

    def _save(self, tokens: Collection[Token]) -> None:
        try:
            atomic.write(self._path, json.dumps([asdict(token) for token in tokens], indent=2), 0o600)
        except OSError as error:
            raise StateFailure(f"{self._path} cannot be written: {error.strerror}.") from error


def _name(name: str | None, tokens: Collection[Token]) -> str:
    taken = {token.name for token in tokens}
    if name is None:
        return next(free for number in range(1, len(taken) + 2) if (free := f"token-{number}") not in taken)
    if not _NAME.fullmatch(name):
        raise InvalidRequest(
            f"{name[:80]!r} cannot be a token's name: letters, digits, '.', '_' and '-'.", param="name"
        )
    if name in taken:
        raise InvalidRequest(f"A token is called {name!r} already.", hint="Revoke that one first.", param="name")
    return name


def _drawn(count: int) -> str:
    return "".join(secrets.choice(_SIGNS) for _ in range(count))


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
