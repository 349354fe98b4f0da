"""The listing: what a repository holds at one commit. Values only; `huggingface` fills them, `select` reads them."""

from dataclasses import dataclass

from windlass.manifest import Digest


@dataclass(frozen=True, slots=True)
class HubFile:
    """One file of a repository: `path` as the hub spells it (not yet judged safe), `size` in bytes."""

    path: str
    size: int
    digest: Digest


@dataclass(frozen=True, slots=True)
class Listing:
    """A repository at one commit.

    Attributes:
        repo: `owner/repo` as the hub spells it: another case than was asked for, or after a renaming another name.
        commit: 40 or 64 hex digits; everything is asked for at this commit, so no push in between can mix versions.
        gated: whether the hub grants access per person. Such a listing is public, its bytes are not.
    """

    repo: str
    commit: str
    files: tuple[HubFile, ...]
    gated: bool = False
    tags: tuple[str, ...] = ()
    library_name: str | None = None
