"""What a repository lists, for whoever wants to know which of its files one is. Nothing depends on an answer."""

from windlass.errors import WindlassError
from windlass.hub.huggingface import HuggingFace
from windlass.manifest import ManifestFile
from windlass.names import safe_path


def listed(hub: HuggingFace, repo: str) -> tuple[ManifestFile, ...]:
    """The files of a repository as it stands now; none where the hub does not tell: it is not there, or we are offline.

    Their roles are not told: only a selection knows them.
    """
    try:
        listing = hub.listing(repo)
    except WindlassError:
        return ()
    files = (ManifestFile(listing.repo, listing.commit, one.path, one.size, one.digest) for one in listing.files)
    return tuple(file for file in files if safe_path(file.shelf_path))
