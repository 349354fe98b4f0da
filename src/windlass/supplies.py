"""What pulls work with on this machine, made from the settings."""

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from windlass.folder import ModelsFolder
from windlass.library.elsewhere import Elsewhere, places
from windlass.library.shelf import Shelf
from windlass.pull import Means
from windlass.settings import Settings

if TYPE_CHECKING:
    from windlass.transfer.target import Tools


class Supplies:
    """Makes the network, and the means of a pull.

    Args:
        settings: what Windlass was told.
        shelf: where models stand.
        folder: the disk that they take up.
        clock: Unix time.
    """

    def __init__(self, settings: Settings, shelf: Shelf, folder: ModelsFolder, clock: Callable[[], float]) -> None:
        self._settings = settings
        self._shelf = shelf
        self._folder = folder
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
        lm_studio = settings.lmstudio_home / "models"
        more = () if lm_studio == settings.models_dir else (lm_studio,)
        return places(os.environ, Path.home(), (*settings.extra_dirs, *more, settings.models_dir))

    def means(self, tools: "Tools") -> Means:
        """What one pull works with. Raises StorageUnavailable where there is no models folder and none can be made."""
        self._folder.make()
        token = self.token()
        headers = {"User-Agent": "windlass", **({"Authorization": f"Bearer {token}"} if token else {})}
        settings = self._settings
        means = Means(self._shelf, tools, settings.hf_endpoint, self._clock, lambda: headers)
        return replace(means, elsewhere=self.elsewhere(), hard_links=settings.hard_links)
