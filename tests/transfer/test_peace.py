"""Who wants to be left alone, and until when. Pure."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from windlass.transfer.peace import Peace

HUB, CDN = "https://hub.test/owner/repo/resolve/c0ffee/model.gguf", "https://cdn.test/signed/1?x=y"


def test_what_one_was_told_holds_for_every_file_of_the_host() -> None:
    """Other paths and queries too; other hosts, ports and names do not know of it."""
    peace = Peace()
    peace.keep(HUB, 55.0, now=100.0)
    assert peace.left("https://hub.test/other?a=b", 110.0) == 45.0
    for other in (CDN, "https://hub.test:8443/x", "https://www.hub.test/x", "", "nonsense"):
        assert peace.left(other, 110.0) == 0.0


def test_it_is_over_when_it_is_over() -> None:
    """Not before, and it is never less than nothing."""
    peace = Peace()
    peace.keep(HUB, 55.0, now=100.0)
    assert [peace.left(HUB, now) for now in (100.0, 154.0, 155.0, 1e9)] == [55.0, 1.0, 0.0, 0.0]


@pytest.mark.parametrize("seconds", [0.0, -5.0])
def test_no_wish_is_no_peace(seconds: float) -> None:
    """And it does not end the one that there is."""
    peace = Peace()
    peace.keep(HUB, seconds, now=100.0)
    assert peace.left(HUB, 100.0) == 0.0
    peace.keep(HUB, 10.0, now=100.0)
    peace.keep(HUB, seconds, now=101.0)
    assert peace.left(HUB, 101.0) == 9.0


@given(st.lists(st.tuples(st.sampled_from([HUB, CDN]), st.floats(0, 400), st.floats(0, 100)), max_size=20))
def test_the_longest_wish_counts(wishes: list[tuple[str, float, float]]) -> None:
    """Whatever was asked for in any order, of several hosts; and hosts whose peace is over are forgotten."""
    peace, now = Peace(), 0.0
    until = {HUB: 0.0, CDN: 0.0}
    for url, seconds, passed in wishes:
        now += passed
        peace.keep(url, seconds, now)
        until[url] = max(until[url], now + seconds)
        for other, end in until.items():
            assert peace.left(other, now) == pytest.approx(max(0.0, end - now))
    peace.keep("https://third.test/", 0.0, now=1e9)
    assert peace._until == {}
