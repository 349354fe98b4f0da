"""How what is shown is held against what was said."""

import pytest

from docs.outputs import differs


@pytest.mark.parametrize(
    ("shown", "said"),
    [
        ("a\nb", "a\n\nb\n"),
        ("2.50 GB of 3 GB", "102 kB of 1.5 MB"),
        ("job_493c7c9ded paused", "job_0123456789 paused"),
        ("a   b", "a b"),
        ("…\nlast", "one\ntwo\nlast"),
        ("first\n…", "first"),
        ("path …/x", "path http://127.0.0.1:4711/x"),
        ("sk-lm-aaaaaaaa:bbbbbbbbbbbbbbbbbbbb", "sk-lm-AAAAAAAA:cccccccccccccccccccc"),
    ],
)
def test_what_may_vary(shown: str, said: str) -> None:
    """Sizes, ids, times, spaces, and what `…` stands for."""
    assert differs(shown, said) is None


@pytest.mark.parametrize(
    ("shown", "said", "line"),
    [
        ("a", "b", "a"),
        ("a\nb", "a", "b"),
        ("a", "a\nb", "(more was said)"),
        ("paused", "failed", "paused"),
        ("…\nlast", "one\ntwo", "last"),
        ("a.b", "axb", "a.b"),
    ],
)
def test_what_may_not(shown: str, said: str, line: str) -> None:
    """Words."""
    assert differs(shown, said) == line
