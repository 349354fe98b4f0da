"""Tokens: made once, kept hashed, checked, revoked; by several processes at a time."""

import re
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from windlass.errors import InvalidRequest, StateFailure, TokenNotFound
from windlass.tokens import SCOPES, Tokens


@pytest.fixture
def tokens(tmp_path: Path) -> Tokens:
    return Tokens(tmp_path / "home", lambda: 1_760_000_000.0)


def test_a_token_is_made_and_known(tokens: Tokens, tmp_path: Path) -> None:
    """In LM Studio's form; only its hash is kept, in a file for nobody else; another `Tokens` knows it at once."""
    assert tokens.all() == ()
    text = tokens.create("laptop", ["download", "read"])
    assert re.fullmatch(r"sk-lm-[A-Za-z0-9]{8}:[A-Za-z0-9]{20}", text)
    path = tmp_path / "home" / "tokens"
    assert text.partition(":")[2] not in path.read_text()
    assert path.stat().st_mode & 0o777 == 0o600
    token = Tokens(tmp_path / "home").check(text)
    assert token is not None
    assert (token.name, token.scopes, token.created_at) == ("laptop", ("read", "download"), 1_760_000_000.0)


def test_names_and_scopes(tokens: Tokens) -> None:
    """Without a name it is numbered, without scopes it is for everything; what cannot be is refused."""
    for name in ("token-1", "token-2"):
        token = tokens.check(tokens.create())
        assert token is not None
        assert (token.name, token.scopes) == (name, SCOPES)
    for name, scopes, param in (
        ("token-1", [], "name"),
        ("", [], "name"),
        ("a\nb", [], "name"),
        ("x", ["all"], "scope"),
    ):
        with pytest.raises(InvalidRequest) as caught:
            tokens.create(name, scopes)
        assert caught.value.param == param
    assert len(tokens.all()) == 2


def test_revoked(tokens: Tokens) -> None:
    """It counts for nothing any more; the others do; one that is not there is said."""
    first, second = tokens.create("a"), tokens.create("b")
    tokens.revoke("a")
    assert tokens.check(first) is None
    assert tokens.check(second)
    with pytest.raises(TokenNotFound):
        tokens.revoke("a")


def test_wrong_ones(tokens: Tokens) -> None:
    """The right name with another secret, another's secret, and what has no such form."""
    first, second = tokens.create(), tokens.create()
    name, _, secret = first.partition(":")
    other = second.partition(":")[2]
    for text in (f"{name}:{other}", f"{name}:{secret[:-1]}", f"{name}:{secret}x", name, secret, "", f" {first}"):
        assert tokens.check(text) is None


@given(st.text())
def test_anything(text: str) -> None:
    """Whatever is sent, it is none."""
    assert Tokens(Path("/nonexistent")).check(text) is None


def test_many_at_a_time(tokens: Tokens, tmp_path: Path) -> None:
    """Made by many at the same moment, all are there."""
    threads = [threading.Thread(target=Tokens(tmp_path / "home").create) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {token.name for token in tokens.all()} == {f"token-{number}" for number in range(1, 13)}


@pytest.mark.parametrize(
    "text",
    ["", "[", "{}x", "[1]", '[{"name": "x"}]', '[{"name": "x", "what": 1}]', "null", "{}", '""', "0", "[" * 100_000],
)
def test_a_file_that_cannot_be_read_lets_nobody_in(tokens: Tokens, tmp_path: Path, text: str) -> None:
    """And is not written over."""
    good = tokens.create()
    path = tmp_path / "home" / "tokens"
    path.write_text(text)
    for verb in (tokens.all, lambda: tokens.check(good), tokens.create, lambda: tokens.revoke("token-1")):
        with pytest.raises(StateFailure):
            verb()
    assert path.read_text() == text


def test_what_has_no_end_is_not_read_to_it(tokens: Tokens, tmp_path: Path) -> None:
    """Whatever stands in the file's place, a request must not fill the memory."""
    (tmp_path / "home").mkdir(exist_ok=True)
    (tmp_path / "home" / "tokens").symlink_to("/dev/zero")
    with pytest.raises(StateFailure, match="too large"):
        tokens.all()


def test_a_home_that_cannot_be_written(tmp_path: Path) -> None:
    """An error for people."""
    (tmp_path / "file").write_text("")
    for verb in (Tokens(tmp_path / "file").create, Tokens(tmp_path / "file" / "home").all):
        with pytest.raises(StateFailure):
            verb()
