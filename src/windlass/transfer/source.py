"""The conversation with the source of one file: which address to ask, what to make of an answer, when to give up."""

import asyncio
import math
from dataclasses import dataclass, replace
from typing import Protocol

from windlass.errors import HubRateLimited, HubUnreachable, TLSFailure, UnsafeRedirect, WindlassError
from windlass.transfer.network import Cause, Cut, Head, Receiver, Request
from windlass.transfer.reply import Accept, Asked, Follow, Later, Refuse, Renew, Verdict, exhausted, judge
from windlass.transfer.retry import backoff, give_up
from windlass.transfer.route import Address, next_address
from windlass.transfer.run import Enough, Unwelcome
from windlass.transfer.target import Target, Tools

_UNREACHABLE = (Cause.DNS, Cause.CONNECT, Cause.SILENT)
KINDS = ("answer", "refused", "rate_limited", *(str(cause) for cause in Cause))  # of trouble
_ASLEEP = 300.0  # seconds between two failures that only a machine explains that was asleep


class Asker(Receiver, Protocol):
    """A receiver that knows what to ask for."""

    @property
    def shared(self) -> bool:
        """Whether its connection may be shared; see `Request`."""

    def ask(self, *, redirected: bool) -> Asked:
        """What to ask for now."""

    def complete(self) -> bool:
        """The reply has ended: whether all has come that was asked for."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """An exchange that fell short: why, how long (s) the source wants peace, and the error if it is final.

    `begun_at` is when it began, by the loop's clock: of many that fail together one counts.
    """

    reason: str
    wait: float | None = None
    cause: Cause | None = None
    limited: bool = False
    refusal: WindlassError | None = None
    begun_at: float = math.inf

    @property
    def kind(self) -> str:
        """One word for those who count: one of `KINDS`."""
        if self.limited:
            return "rate_limited"
        return str(self.cause) if self.cause else "refused" if self.refusal else "answer"


class Source:
    """Where one file comes from.

    Attributes:
        met: whether it has let us in yet.
        ranges: whether its last good reply was a range (206), or the whole file (200).
        host: who was asked last.
    """

    def __init__(self, target: Target, tools: Tools) -> None:
        self.met = False
        self.ranges = True
        self.host = ""
        self._tools = tools
        self._origin = Address(target.url, target.headers)
        self._address = self._origin
        self._failures = 0
        self._progress_at = 0.0
        self._failed_at = -math.inf
        self._overslept = False  # whether a failure was put down to the machine's sleep, and nothing has come since
        self._fresh = False  # whether to ask over a new connection

    @property
    def wants_peace(self) -> bool:
        """Whether it has asked not to be asked for a while, and that is not over."""
        return self._tools.peace.left(self._address.url, _now()) > 0

    async def ask(self, run: Asker) -> Trouble | None:
        """One exchange, over as many redirects as it takes; None where the reply ended as it should."""
        begun_at = _now()
        trouble = await self._ask(run)
        return trouble and replace(trouble, begun_at=begun_at)

    async def _ask(self, run: Asker) -> Trouble | None:
        address, followed = self._address, False
        while True:
            try:
                await self._request(run, address)
            except Enough:
                return None
            except Cut as cut:
                return _cut_short(cut)
            except Unwelcome as unwelcome:
                verdict = unwelcome.verdict
                if isinstance(verdict, Follow):
                    address = next_address(self._origin, address, verdict.location, private=unwelcome.head.private)
                    # At once, not when the exchange is over: the crew that is hired as it begins goes there too. What
                    # it leads on to counts anew: a node that sends on now and then is not a redirect without an end.
                    self._address, followed = replace(address, hops=0), True
                    await self.peace()
                elif isinstance(verdict, Renew) and not followed:
                    address = self._instead_of(address)
                else:
                    return self._noted(_trouble(verdict), address)
            else:
                return None if run.complete() else Trouble("the source sent less than was asked for")

    def _instead_of(self, expired: Address) -> Address:
        """Where to ask when an address has expired: another connection may have a new one by now."""
        if self._address.url == expired.url:
            self._address = self._origin
        return self._address

    def judge(self, head: Head, asked: Asked, *, alone: bool) -> Verdict:
        """Decide about a reply. A whole file in place of a range can only be read by one that is alone at it."""
        verdict = judge(head, asked, self._tools.wall_clock())
        if isinstance(verdict, Accept):
            if head.status == 200 and not alone:
                return Later("the source ignored the range that was asked for")
            self.ranges = head.status == 206
            self.met = True
        return verdict

    def progressed(self) -> None:
        """Bytes have come that were missing: what failed before is forgiven."""
        self._failures = 0
        self._overslept = False
        self._fresh = False
        self._progress_at = _now()

    async def peace(self) -> None:
        """Wait as long as the source has asked for, whichever of its connections was told.

        Raises:
            HubRateLimited: that is longer than we wait.
        """
        left = self._tools.peace.left(self._address.url, _now())
        if left > self._tools.persistence.longest_wait:
            raise _limited(left)
        if left > 0:
            await asyncio.sleep(left)
            self._failed_at = min(self._failed_at + left, _now())

    async def endure(self, trouble: Trouble) -> None:
        """Wait before asking again, or give up: bounded in number, in time, and in what the source may ask for.

        Raises:
            WindlassError: it is of no use to go on; which one says why.
        """
        if _now() - self._failed_at > _ASLEEP and not self._overslept:
            # The first one; or the clock went on while nothing else could, and the connections died of that. Believed
            # once: a source that breaks off every six minutes at the same byte keeps the same distance.
            self.progressed()
            self._overslept = self._failed_at > -math.inf
        if trouble.begun_at >= self._failed_at:  # else it began before another one failed, and tells nothing new
            self._failures += 1
            self._failed_at = _now()
        self._fresh = trouble.cause is not None
        persistence = self._tools.persistence
        if trouble.refusal and (not self.met or self._failures >= persistence.failures):
            raise trouble.refusal
        await self.peace()
        self._address = self._origin  # where it led may be what is broken; the next redirect may lead elsewhere
        if give_up(self._failures, _now() - self._progress_at, persistence):
            raise _last_word(trouble)
        jitter = backoff(self._failures, self._tools.chance())
        await asyncio.sleep(jitter if trouble.wait is None else min(jitter, 1.0))

    def _noted(self, trouble: Trouble, address: Address) -> Trouble:
        self._tools.peace.keep(address.url, trouble.wait or 0.0, _now())
        return trouble

    async def _request(self, run: Asker, address: Address) -> None:
        self.host = address.host
        asked = run.ask(redirected=address.redirected)
        how = {"trusted": address.trusted, "shared": run.shared, "fresh": self._fresh}
        await self._tools.network(Request(address.url, asked.first, asked.last, address.headers, **how), run)


def _now() -> float:
    return asyncio.get_running_loop().time()


def _cut_short(cut: Cut) -> Trouble:
    if cut.cause is Cause.UNSAFE:
        raise UnsafeRedirect("The source redirects into a private network.", hint="Nothing was fetched from there.")
    if cut.cause is Cause.TLS:
        raise TLSFailure(
            f"The source's certificate is not to be trusted: {cut.detail}.",
            hint="Behind a proxy that opens TLS, name its authority's file in SSL_CERT_FILE.",
        )
    return Trouble(cut.detail, cause=cut.cause)


def _trouble(verdict: Verdict) -> Trouble:
    match verdict:
        case Later(reason, wait, limited):
            return Trouble(reason, wait=wait, limited=limited)
        case Refuse(error):
            return Trouble(error.message, refusal=error)
        case Renew(reason):
            return Trouble(reason)
    raise AssertionError(verdict)


def _limited(wait: float) -> HubRateLimited:
    return HubRateLimited(
        f"The source limits us for another {wait:.0f} s.",
        retry_after=wait,
        hint="Ask again then; a token raises the limit.",
    )


def _last_word(trouble: Trouble) -> WindlassError:
    if trouble.limited:
        return _limited(trouble.wait or 60.0)
    if trouble.cause in _UNREACHABLE:
        return HubUnreachable(
            f"The source cannot be reached: {trouble.reason}.", hint="What has come is kept; ask again."
        )
    return exhausted(trouble.reason)
