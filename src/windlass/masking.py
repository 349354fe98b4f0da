"""Secrets taken out of what people and logs are told: tokens, passwords, and the signatures of signed addresses.

Every error's words go through here as it is made (`errors.py`), every line of a log as it is written (`logs.py`).
Messages quote what hubs, proxies and people send, so no list of places where a secret may come from would be complete.
"""

import re

_SIGNED = "signature|sig|token|credential|policy|secret|password|passwd|auth|api[-_]?key|key-pair-id|access[-_]?key"
_NAME = r"[^?&;=\s'\"]*"  # of a parameter
# Each takes time in proportion to the text, whatever that is: people may send 64 KiB before anybody asks who they are.
_SHAPES: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"\b(sk-lm-[A-Za-z0-9]{1,8})[A-Za-z0-9]*:[A-Za-z0-9]+"), r"\1:…"),
    (re.compile(r"\b(hf_(?!endpoint\b)|whsec_)[A-Za-z0-9+/=_-]{8,}"), r"\1…"),  # a setting is called hf_endpoint
    (re.compile(r"(?i)\b(bearer|basic)\s+[A-Za-z0-9+/=._~:-]{6,}"), r"\1 …"),
    (re.compile(r"(//)[^/\s'\"]+@"), r"\1…@"),
    (re.compile(r"(?i)\b(password|passwd|pwd|secret)=[^\s&'\"…]+"), r"\1=…"),
    (re.compile(rf"(?i)([?&;](?={_NAME}(?:{_SIGNED})){_NAME}+=)[^&\s'\"]+"), r"\1…"),
)


def without_password(address: str) -> str:
    """An address, of a proxy or a database, from its last @ on: before it stands what is nobody's business.

    Also where it has a slash or an @ in its password, as no address may have them, or no scheme.
    """
    return re.sub(r"^(\w[\w+.-]*://)?.*@", r"\1…@", address, flags=re.DOTALL)


def mask(text: str) -> str:
    """The text without secrets; what looks like none stays as it is, and masking twice changes nothing more."""
    for shape, instead in _SHAPES:
        text = shape.sub(instead, text)
    return text
