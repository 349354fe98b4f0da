"""Where names are looked up: the hub and the catalog, as the settings have them, each made when it is first asked."""

import sys
from collections.abc import Callable
from contextlib import ExitStack, closing
from functools import cached_property
from platform import machine
from typing import TYPE_CHECKING

from windlass.fit import Memory, largest, memory_here
from windlass.settings import Settings

if TYPE_CHECKING:
    from windlass.hub.catalog import Catalog
    from windlass.hub.huggingface import HuggingFace
    from windlass.hub.resolve import Resolver
    from windlass.hub.web import Web
    from windlass.manifest import ManifestFile


class Sources:
    """The hub and the catalog.

    Args:
        settings: what Windlass was told.
        token: the hub's token, asked for anew each time.
    """

    def __init__(self, settings: Settings, token: Callable[[], str | None]) -> None:
        self._settings = settings
        self._token = token
        self._opened = ExitStack()

    def close(self) -> None:
        """Let the connections go."""
        self._opened.close()

    @cached_property
    def resolver(self) -> "Resolver":
        """What makes a manifest of a name."""
        from windlass.hub.resolve import Resolver

        return Resolver(self.hub, self.catalog, (sys.platform, machine()), lambda: largest(self.memory))

    @cached_property
    def memory(self) -> Memory:
        """Of the machine, not of the disk: what is the default here must not change with each download."""
        return memory_here((sys.platform, machine()))

    @cached_property
    def hub(self) -> "HuggingFace":
        """Hugging Face, or what speaks like it."""
        from windlass.hub.huggingface import HuggingFace

        return HuggingFace(self._web, self._settings.hf_endpoint, self._token)

    def listed(self, repo: str) -> "tuple[ManifestFile, ...]":
        """The files of a repository, if the hub tells them within a few seconds; none where it does not."""
        from windlass.hub.huggingface import HuggingFace
        from windlass.hub.recognition import listed
        from windlass.hub.web import HASTE, Web

        with closing(Web(patience=HASTE)) as web:
            return listed(HuggingFace(web, self._settings.hf_endpoint, self._token), repo)

    @cached_property
    def catalog(self) -> "Catalog":
        """LM Studio Hub, or what stands in for it."""
        from windlass.hub.catalog import Catalog

        return Catalog(self._web, self._settings.catalog_url)

    @cached_property
    def _web(self) -> "Web":
        from windlass.hub.web import Web

        return self._opened.enter_context(closing(Web()))
