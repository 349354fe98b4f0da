"""Searching: the catalog's picks, then the hub's repositories, most downloaded first, page by page.

The hub's search knows one tag at a time. So there is a stream of repositories for each format that is wanted, and the
streams are merged. The cursor says how far each of them has been read; nothing is kept here between two pages.
"""

import base64
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from windlass.errors import HubError, HubFailure, InvalidRequest
from windlass.hub.catalog import Catalog
from windlass.hub.huggingface import HuggingFace, Repositories
from windlass.hub.offers import Offer, Page, Query
from windlass.manifest import FORMATS, Format

_MOST_PAGES = 50  # of one stream, read for one page of ours
_LONGEST_CURSOR = 4000


@dataclass(slots=True)
class _Stream:
    """The hub's repositories of one format, from a place on: a page of theirs (`cursor`), and a row in it.

    `without` are formats that others are the streams of: what comes in those too is found there.
    """

    hub: HuggingFace
    text: str
    format: Format
    without: frozenset[Format]
    cursor: str = ""
    row: int = 0
    _page: Repositories | None = None
    _read: int = 0

    def head(self) -> Offer | None:
        """The next offer, None after the last. Raises HubFailure."""
        while True:
            page = self._page = self._page or self._next_page()
            offers = [offer for offer in page.offers if not self.without & {*offer.formats}]
            if self.row < len(offers):
                return offers[self.row]
            if not page.cursor:
                return None
            self.cursor, self.row, self._page = page.cursor, 0, None

    def take(self) -> Offer | None:
        """The next offer, which is passed by that."""
        offer = self.head()
        self.row += 1
        return offer

    def _next_page(self) -> Repositories:
        self._read += 1
        if self._read > _MOST_PAGES:
            raise HubError(f"{self.hub.endpoint} goes on without an end and finds nothing.")
        return self.hub.search(self.text, self.format, self.cursor)


@dataclass(frozen=True, slots=True)
class _Place:
    """How far everything has been read: picks of the catalog, and for each format a page's cursor and a row in it."""

    picks: int = 0
    streams: Mapping[Format, tuple[str, int]] = field(default_factory=dict)

    @classmethod
    def of(cls, cursor: str | None) -> "_Place":
        """What a cursor says, or the beginning.

        Raises:
            InvalidRequest: it is none of ours.
        """
        if not cursor:
            return cls()
        try:
            raw = json.loads(base64.urlsafe_b64decode(cursor[:_LONGEST_CURSOR].encode("ascii")))
            streams = {kind: (raw[kind][0], raw[kind][1]) for kind in FORMATS if kind in raw}
            place = cls(raw["picks"], streams)
        except (ValueError, TypeError, KeyError, IndexError, RecursionError):
            raise _no_cursor() from None
        numbers = [place.picks, *(row for _, row in streams.values())]
        if any(type(number) is not int or number < 0 for number in numbers):
            raise _no_cursor()
        if not all(isinstance(cursor, str) for cursor, _ in streams.values()):
            raise _no_cursor()
        return place

    def text(self) -> str:
        """The cursor."""
        raw = json.dumps({"picks": self.picks, **self.streams}, separators=(",", ":"))
        return base64.urlsafe_b64encode(raw.encode()).decode("ascii")


def search(hub: HuggingFace, catalog: Catalog, query: Query, cursor: str | None = None) -> Page:
    """One page of what catalog and hub have. Of two sources one may fail: then it is passed over, with a warning.

    Args:
        hub: where repositories are.
        catalog: whose picks come first.
        query: what is looked for.
        cursor: of the page before.

    Raises:
        InvalidRequest: the cursor is none.
        HubFailure: the hub failed, and the catalog has nothing either.
    """
    place, warnings = _Place.of(cursor), list[str]()
    picks = _picks(catalog, query, warnings)
    offers = picks[place.picks : place.picks + query.limit]
    streams = list(_streams(hub, query, place))
    try:
        offers += _merged(streams, query.limit - len(offers))
    except HubFailure as failure:
        if not offers:
            raise
        return Page(tuple(offers), None, (*warnings, f"The hub was passed over: {failure.message}"))
    reached = _Place(min(len(picks), place.picks + query.limit), {s.format: (s.cursor, s.row) for s in streams})
    more = len(offers) == query.limit and (reached.picks < len(picks) or _any_left(streams))
    return Page(tuple(offers), reached.text() if more else None, tuple(warnings))


def _picks(catalog: Catalog, query: Query, warnings: list[str]) -> list[Offer]:
    try:
        picks = catalog.picks()
    except HubFailure as failure:
        warnings.append(f"The catalog was passed over: {failure.message}")
        return []
    words = query.text.split()
    return [offer for offer in picks if offer.is_about(words) and offer.may_come_in(query.formats)]


def _streams(hub: HuggingFace, query: Query, place: _Place) -> Iterator[_Stream]:
    before = frozenset[Format]()
    for kind in query.formats:
        yield _Stream(hub, query.text, kind, before, *place.streams.get(kind, ("", 0)))
        before |= {kind}


def _merged(streams: Iterable[_Stream], limit: int) -> list[Offer]:
    """The next `limit` offers of all streams: always the one that was downloaded most. Raises HubFailure."""
    offers: list[Offer] = []
    while len(offers) < limit:
        heads = [(stream, head) for stream in streams if (head := stream.head())]
        if not heads:
            break
        stream, head = max(heads, key=_downloads)
        stream.take()
        offers.append(head)
    return offers


def _downloads(head: tuple[_Stream, Offer]) -> int:
    return head[1].downloads or 0


def _any_left(streams: Iterable[_Stream]) -> bool:
    try:
        return any(stream.head() for stream in streams)
    except HubFailure:
        return True  # the next page will say so


def _no_cursor() -> InvalidRequest:
    return InvalidRequest("The cursor is none of ours: take the one that the page before came with.", param="cursor")
