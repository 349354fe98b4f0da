"""Names and revisions become snapshots; a commit that was given out is remembered."""

import json
import logging

from windlass import words
from windlass.share.digests import Digests, StillHashing
from windlass.share.folder import Folder, Found
from windlass.share.snapshot import File, Json, Snapshot, summary

PATIENCE = 8.0  # seconds a request waits for hashes: less than the 10 that huggingface_hub gives a HEAD
_LARGEST_CONFIG = 1_000_000

log = logging.getLogger(__name__)


class Repositories:
    """The repositories of a folder.

    The last snapshot of each is kept. A request for its very commit needs no new scan, since every file is compared
    with the snapshot when it is opened; a request for `main` always looks at the folder. Of two looks at once the
    earlier may end later, so what is kept may be older than what somebody has seen.
    """

    def __init__(self, folder: Folder, digests: Digests, patience: float = PATIENCE) -> None:
        self._folder, self._digests, self._patience = folder, digests, patience
        self._last: dict[str, Snapshot] = {}

    def find(self, asked: str) -> str | None:
        """The repository's right name, which may differ from `asked` in case; the exact one wins."""
        if asked in self._last:
            return asked
        names = self._folder.repositories()
        return asked if asked in names else next((name for name in names if name.lower() == asked.lower()), None)

    def snapshot(self, name: str, revision: str | None) -> Snapshot:
        """The repository as it is now, or as it was when `revision` was last given out; without files if it is gone.

        Raises:
            StillHashing: it takes longer than a request should.
        """
        last = self._last.get(name)
        if last and last.commit == revision:
            return last
        return self._look(name, self._patience)

    def glance(self, name: str) -> Json:
        """The repository as a row of the search, with nothing hashed; its files are in `siblings`."""
        found = self._folder.files(name)
        siblings = [{"rfilename": one.path} for one in found]
        return {**summary(name, found, mlx=_is_mlx(name, found)), "siblings": siblings}

    def warm(self) -> None:
        """Hash every file there is, repository by repository, and say how far it is."""
        names = self._folder.repositories()
        for number, name in enumerate(names, 1):
            try:
                files = len(self._look(name, None).files)
            except (StillHashing, RuntimeError):  # the server ends
                return
            log.info("Ready %d of %d: %s (%s)", number, len(names), name, words.files(files))

    def _look(self, name: str, patience: float | None) -> Snapshot:
        found = self._folder.files(name)
        digests = self._digests.of(found, patience)
        files = [File(one, digests[one.path]) for one in found if one.path in digests]
        snapshot = Snapshot.of(name, files, mlx=_is_mlx(name, found))
        if files:
            self._last[name] = snapshot
        else:
            self._last.pop(name, None)
        return snapshot


def _is_mlx(name: str, files: list[Found]) -> bool:
    """By its name, or by the `quantization` that MLX writes into config.json."""
    if "mlx" in name.lower():
        return True
    config = next((found for found in files if found.path == "config.json"), None)
    file = config.open() if config and config.stamp.size <= _LARGEST_CONFIG else None
    if file is None:
        return False
    with file:
        try:
            return "quantization" in json.loads(file.read(_LARGEST_CONFIG))
        except (ValueError, TypeError):
            return False
