"""What pulls work with on this machine, made from the settings."""

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from windlass.jobs.job import Job
from windlass.library.elsewhere import Elsewhere, places
from windlass.places import Places
from windlass.pull import Means
from windlass.settings import Settings

if TYPE_CHECKING:
    from windlass.transfer.target import Tools


class Supplies:
    """Makes the network, and the means of a pull.

    Args:
        settings: what Windlass was told.
        places: where models stand.
        clock: Unix time.
    """

    def __init__(self, settings: Settings, places: Places, clock: Callable[[], float]) -> None:
        self._settings = settings
        self._places = places
        self._clock = clock

    def token(self) -> str | None:
        """The hub's token, asked for anew each time: somebody may have signed in since."""
        from windlass.hub.huggingface import saved_token

        return saved_token(self._settings.hf_token)

    def network(self) -> Any:
        """How bytes come in."""
        from windlass.transfer.environment import authorities, proxy_for
        from windlass.transfer.network import Patience
        from windlass.transfer.wire import Wire

        return Wire(authorities(self._settings.ca_file), proxy_for, Patience())

    def elsewhere(self) -> Elsewhere:
        """Where else on this machine models may be; LM Studio's own folder too, where models go to another one."""
        settings = self._settings
        folders = [place.folder.path for place in self._places]
        lm_studio = settings.lmstudio_home / "models"
        more = () if lm_studio in folders else (lm_studio,)
        return places(os.environ, Path.home(), (*settings.extra_dirs, *more, *folders))

    def means(self, job: Job, tools: "Tools") -> Means:
        """What a job's pull works with. Raises StorageUnavailable where its folder is not there and cannot be made."""
        place = self._places.of(job)
        place.folder.make()
        token = self.token()
        headers = {"User-Agent": "windlass", **({"Authorization": f"Bearer {token}"} if token else {})}
        settings = self._settings
        means = Means(place.shelf, tools, settings.hf_endpoint, self._clock, lambda: headers)
        return replace(means, elsewhere=self.elsewhere(), hard_links=settings.hard_links)
