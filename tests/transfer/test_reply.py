"""What is made of a reply's head: tables from RFC 9110, and distrust as properties."""

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from windlass.errors import ModelGated, ModelNotFound, WindlassError
from windlass.transfer.network import Head
from windlass.transfer.reply import Accept, Asked, Follow, Later, Refuse, Renew, exhausted, judge, wait_asked_for

ASKED = Asked(first=100, last=199, size=1000, redirected=False)
AT_CDN = Asked(first=100, last=199, size=1000, redirected=True)
NOW = 784_111_777.0  # Sun, 06 Nov 1994 08:49:37 GMT, the date of RFC 9110's examples


def verdict(status: int, headers: Mapping[str, str] | None = None, asked: Asked = ASKED) -> object:
    return judge(Head(status, headers or {}), asked, NOW)


@pytest.mark.parametrize(
    "stated",
    ["bytes 100-199/1000", "bytes 100-150/1000", "bytes 100-100/*", "BYTES 100-199/1000", " bytes  100-199/1000 "],
)
def test_a_206_that_begins_where_asked_is_accepted(stated: str) -> None:
    """A part that begins at the byte asked for, and goes no further than asked, is taken from there."""
    assert verdict(206, {"content-range": stated}) == Accept(100)


@pytest.mark.parametrize(
    "stated",
    [
        "bytes 99-199/1000",
        "bytes 101-199/1000",
        "bytes 100-200/1000",
        "bytes 100-99/1000",
        "bytes 100-199/999",
        "bytes 100-199/1001",
        "bytes */1000",
        "items 100-199/1000",
        "bytes 100-199",
        "bytes=100-199/1000",
        "bytes 100-199/1000, bytes 300-399/1000",
        "bytes -100-199/1000",
        "bytes 1²0-199/1000",
        "bytes 100-199/" + "9" * 5000,
        "bytes " + "1" * 5000 + "-199/1000",
        "",
    ],
)
def test_a_206_with_any_other_range_is_never_read(stated: str) -> None:
    """A part that is not the one asked for, of a file of the listed size, is asked for again."""
    assert isinstance(verdict(206, {"content-range": stated}), Later)


def test_a_206_without_a_content_range_is_never_read() -> None:
    """Without Content-Range (a multipart answer has none) nobody knows which bytes these are."""
    assert isinstance(verdict(206), Later)


@pytest.mark.parametrize("headers", [{"content-length": "1000"}, {"content-length": " 1000 "}, {}])
def test_a_200_is_the_file_from_its_first_byte(headers: dict[str, str]) -> None:
    """A server without ranges sends the whole file, whatever was asked (RFC 9110 §14.2)."""
    assert verdict(200, headers) == Accept(0)


@pytest.mark.parametrize("length", ["999", "1001", "0", "", "-1", "1000, 1000"])
def test_a_200_of_another_length_is_never_read(length: str) -> None:
    """A page of a captive portal has a length, and it is not the file's."""
    assert isinstance(verdict(200, {"content-length": length}), Later)


@pytest.mark.parametrize("status", [200, 206])
@pytest.mark.parametrize("encoding", ["gzip", "br", "zstd", "deflate, gzip", "GZIP"])
def test_encoded_bytes_are_never_read(status: int, encoding: str) -> None:
    """Content-Encoding other than identity means that the body is not the file's bytes."""
    headers = {"content-range": "bytes 100-199/1000", "content-encoding": encoding}
    assert isinstance(verdict(status, headers), Later)


@pytest.mark.parametrize("encoding", ["identity", "", "Identity"])
def test_plain_bytes_may_say_that_they_are_plain(encoding: str) -> None:
    """`Content-Encoding: identity` is no encoding."""
    headers = {"content-range": "bytes 100-199/1000", "content-encoding": encoding}
    assert verdict(206, headers) == Accept(100)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_followed(status: int) -> None:
    """The five statuses of RFC 9110 §15.4 that name another address."""
    assert verdict(status, {"location": "/elsewhere"}) == Follow("/elsewhere")


@pytest.mark.parametrize("status", [300, 304, 305, 306])
def test_other_3xx_are_not_redirects(status: int) -> None:
    """They name no address to go to by themselves."""
    assert isinstance(verdict(status, {"location": "/elsewhere"}), Later)


@pytest.mark.parametrize("status", [301, 302, 307])
def test_a_redirect_to_nowhere_is_trouble(status: int) -> None:
    """A redirect without a Location cannot be followed."""
    assert isinstance(verdict(status), Later)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410])
def test_a_redirected_address_that_denies_has_expired(status: int) -> None:
    """What the hub itself gave a moment ago is asked for anew, not believed to be gone."""
    assert isinstance(verdict(status, asked=AT_CDN), Renew)


@pytest.mark.parametrize(
    ("status", "error"), [(401, ModelGated), (403, ModelGated), (404, ModelNotFound), (410, ModelNotFound)]
)
def test_the_hubs_own_denial_is_final(status: int, error: type[WindlassError]) -> None:
    """The endpoint itself knows best who may have what; the error says what to do next."""
    refused = verdict(status)
    assert isinstance(refused, Refuse)
    assert type(refused.error) is error
    assert refused.error.hint


@pytest.mark.parametrize("status", [408, 416, 425, 429, 500, 502, 503, 504, 599, 204, 226, 418])
@pytest.mark.parametrize("asked", [ASKED, AT_CDN])
def test_anything_else_is_asked_again(status: int, asked: Asked) -> None:
    """What may pass is tried again; what means nothing is, too, as give-up is somebody else's decision."""
    later = verdict(status, asked=asked)
    assert isinstance(later, Later)
    assert str(status) in later.reason
    assert later.limited == (status in (429, 503))


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "120"}, 120.0),
        ({"retry-after": " 7 "}, 7.0),
        ({"retry-after": "0"}, 0.0),
        ({"retry-after": "Sun, 06 Nov 1994 08:50:37 GMT"}, 60.0),
        ({"retry-after": "Sunday, 06-Nov-94 08:50:37 GMT"}, 60.0),
        ({"retry-after": "Sun, 06 Nov 1994 08:00:00 GMT"}, 0.0),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "-5"}, None),
        ({"retry-after": "²"}, None),
        ({"retry-after": "9" * 400}, 31_536_000.0),
        ({"retry-after": "Fri, 31 Dec 9999 23:59:59 GMT"}, 31_536_000.0),
        ({"ratelimit": '"api";r=0;t=' + "9" * 400}, 31_536_000.0),
        ({"ratelimit": '"api";r=0;t=55'}, 55.0),
        ({"ratelimit": '"resolvers"; r = 0 ; t = 12'}, 12.0),
        ({"ratelimit": '"api";r=3;t=55'}, None),
        ({"ratelimit": "nonsense"}, None),
        ({"retry-after": "5", "ratelimit": '"api";r=0;t=55'}, 5.0),
        ({}, None),
    ],
)
def test_the_wait_that_is_asked_for(headers: dict[str, str], seconds: float | None) -> None:
    """`Retry-After` in seconds or as any HTTP date (RFC 9110 §5.6.7), else what a spent `RateLimit` says."""
    assert wait_asked_for(headers, NOW) == seconds


@given(
    st.sampled_from(["retry-after", "ratelimit"]), st.text(max_size=40) | st.from_regex(r"[0-9]{1,500}", fullmatch=True)
)
def test_a_wait_is_a_finite_number_or_none(name: str, text: str) -> None:
    """Whatever a server writes there, nothing is raised, and the wait is not negative and not for ever."""
    wait = wait_asked_for({name: text, "ratelimit": f"x;r=0;t={text}"}, NOW)
    assert wait is None or 0 <= wait < float("inf")


_NUMBERS = st.integers(0, 1100)


@given(_NUMBERS, _NUMBERS, _NUMBERS | st.just("*"), st.sampled_from([ASKED, AT_CDN]))
def test_only_the_range_asked_for_is_ever_accepted(first: int, last: int, size: int | str, asked: Asked) -> None:
    """Accepted means: begins where asked, ends no later than asked, in a file of the listed size."""
    judged = judge(Head(206, {"content-range": f"bytes {first}-{last}/{size}"}), asked, NOW)
    if isinstance(judged, Accept):
        assert judged.first == first == asked.first
        assert first <= last <= asked.last
        assert size in ("*", asked.size)
    else:
        assert (first, size) != (asked.first, asked.size) or not first <= last <= asked.last


@given(
    st.integers(200, 599),
    st.dictionaries(
        st.sampled_from(
            ["content-range", "content-length", "location", "retry-after", "ratelimit", "content-encoding"]
        ),
        st.text(max_size=60),
    ),
    st.booleans(),
)
def test_every_head_has_a_verdict(status: int, headers: dict[str, str], redirected: bool) -> None:
    """No status and no header, however wild, makes an exception."""
    judged = judge(Head(status, headers), Asked(100, 199, 1000, redirected), NOW)
    assert isinstance(judged, Accept | Follow | Renew | Later | Refuse)
    if isinstance(judged, Accept):
        assert status in (200, 206)


def test_a_source_that_failed_to_the_end_says_why_and_what_to_do() -> None:
    """The last word names the last reason, and that nothing is lost."""
    error = exhausted("the source answered 500")
    assert "500" in error.message
    assert "kept" in (error.hint or "")
