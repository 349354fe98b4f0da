"""Whatever others send, reading it takes time in proportion to its length: nobody can stop the server with a text.

An expression that goes back over the text for each place in it would take hours for these; then the alarm rings.
"""

import signal
from collections.abc import Iterator

import pytest

from windlass.errors import HubError
from windlass.hub.catalog import yaml_of_page
from windlass.masking import mask

LENGTH = 60_000  # less than a request may hold; a page may hold 8 MiB
SECONDS = 20


@pytest.fixture
def alarm() -> Iterator[None]:
    """Breaks off a test that does not end."""

    def ring(*_: object) -> None:
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, ring)
    signal.alarm(SECONDS)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize(
    "piece", ["?sig", "?", ";sig", "sig", "?a=", "//", "//a@", "basic ", "sk-lm-a", "hf_-", "secret="]
)
@pytest.mark.parametrize("before", ["", "?", "//", "?sig=", "bearer "])
@pytest.mark.usefixtures("alarm")
def test_words_are_masked(before: str, piece: str) -> None:
    """Also those that quote a request's path or its headers, before it is known who asks."""
    assert mask(before + piece * (LENGTH // len(piece)))


@pytest.mark.parametrize("piece", ["<pre>", "<pre ", "<", "<pre><", "</pre>", "<pre></pre", "&lt;pre&gt;"])
@pytest.mark.usefixtures("alarm")
def test_a_page_of_the_catalog_is_read(piece: str) -> None:
    """Though it closes nothing that it opens."""
    with pytest.raises(HubError):
        yaml_of_page(piece * (10 * LENGTH // len(piece)))
