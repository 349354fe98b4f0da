"""Whether hub and catalog answer, and whether the hub takes the token. For those who look for what is wrong."""

from contextlib import suppress
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import NamedTuple

from windlass.errors import HubError
from windlass.hub.web import Ask, Reply, Web

_NO_HUB = "Look at WINDLASS_HF_ENDPOINT. If this network wants you to sign in, do so in a browser first."


class Answered(NamedTuple):
    """How the hub answered.

    Attributes:
        clock: what its clock showed; None where it did not say.
        signed_in: whom the token belongs to, as the hub has it; None without a token, or where the hub does not tell.
        refused: whether the hub does not take the token.
    """

    clock: datetime | None
    signed_in: str | None = None
    refused: bool = False


def hub_answers(web: Web, endpoint: str, token: str | None) -> Answered:
    """Ask for the shortest list of models, and for whom the token belongs to.

    Raises:
        HubFailure: it cannot be reached, or is no hub.
    """
    reply = web.get(f"{endpoint}/api/models?limit=1")
    if not (reply.ok and _is_list(reply)):
        raise HubError(f"{endpoint} answers {reply.status}, but not as a hub does.", hint=_NO_HUB)
    if token is None:
        return Answered(_clock(reply))
    who = web.get(f"{endpoint}/api/whoami-v2", Ask(token=token))  # as huggingface_hub's `whoami` asks
    if who.status in {401, 403}:
        return Answered(_clock(reply), refused=True)
    name = None
    with suppress(HubError, AttributeError):  # a mirror may answer anything there
        name = who.json().get("name") if who.ok else None
    return Answered(_clock(reply), str(name) if name else None)


def catalog_answers(web: Web, address: str) -> None:
    """Any answer will do: what is asked of it later is not documented, and this may be a stand-in.

    Raises:
        HubFailure: it cannot be reached.
    """
    web.get(address, Ask(limit=0))


def _is_list(reply: Reply) -> bool:
    try:
        return isinstance(reply.json(), list)
    except HubError:
        return False


def _clock(reply: Reply) -> datetime | None:
    try:
        told = parsedate_to_datetime(reply.headers["date"])
    except (KeyError, ValueError):
        return None
    return told if told.tzinfo else told.replace(tzinfo=UTC)  # `-0000` is UTC, too (RFC 5322 §3.3)
