"""The composition root: what Windlass is made of, each part made when it is first asked for.

So a verb that needs no jobs does not wait for a database, and what is heavy is imported by those who use it.
"""

import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Self

from windlass.admission import Admission
from windlass.errors import InvalidRequest
from windlass.folder import ModelsFolder
from windlass.jobs.database import file_of, has_database
from windlass.library.elsewhere import Elsewhere
from windlass.library.importing import Importing
from windlass.library.shelf import Shelf
from windlass.library.unpacking import Unpacking
from windlass.places import Place, Places
from windlass.presence import Presence
from windlass.rules import Rules
from windlass.settings import Settings
from windlass.sources import Sources
from windlass.supplies import Supplies
from windlass.tokens import Tokens

if TYPE_CHECKING:
    from windlass.doctor import Examined
    from windlass.inspection import Inspection
    from windlass.jobs.store import Store
    from windlass.keeping import Keeping
    from windlass.lookout import Lookout
    from windlass.manifest import Manifest
    from windlass.runner import Runner
    from windlass.space import Reserve
    from windlass.updating import Updating


class Parts:
    """All parts of one Windlass.

    Args:
        settings: what Windlass was told.
        clock: Unix time.
    """

    def __init__(self, settings: Settings, clock: Callable[[], float] = time.time) -> None:
        self.settings = settings
        self.places = Places(list(_places(settings)), partial(_place, settings))
        self.rules = Rules(settings)
        self.tokens = Tokens(settings.home)
        self._clock = clock
        self._opened = ExitStack()

    def close(self) -> None:
        """Checkpoint what runs, and let go of everything."""
        self._opened.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @cached_property
    def presence(self) -> Presence:
        """This process's sign of life."""
        return self._opened.enter_context(Presence(self.settings.home))

    @cached_property
    def store(self) -> "Store":
        """The jobs on disk."""
        from windlass.records import open_store

        store = open_store(self.settings.database_url, self._clock, self._reserve, lambda: self.presence)
        return self._opened.enter_context(store)

    @cached_property
    def runner(self) -> "Runner":
        """What runs them."""
        from windlass.runner import Runner, Workshop
        from windlass.space import Waiting

        workshop = Workshop(lambda job: self.places.of(job).shelf, self.supplies.network, self.supplies.means)
        waiting = Waiting(self.store, self.places, self._reserve, self._clock)
        runner = Runner(self.store, self.presence, workshop, waiting, self.rules.read())
        return self._opened.enter_context(closing(runner))

    @cached_property
    def admission(self) -> Admission:
        """What lets models in."""
        return Admission(self.store, self.places)

    @cached_property
    def keeping(self) -> "Keeping":
        """What is done with models that are here."""
        from windlass.keeping import Keeping

        has_jobs = partial(has_database, self.settings.database_url)
        return Keeping(self.places, lambda: self.admission, has_jobs, self._clock)

    @cached_property
    def inspection(self) -> "Inspection":
        """What finds out whether records and disk agree."""
        from windlass.inspection import Inspection, Records

        url = self.settings.database_url
        records = Records(
            there=partial(has_database, url),
            open_store=self._store_as_it_is,
            presence=lambda: self.presence,
            runner=lambda: self.runner,
            name=str(file_of(url) or "the database"),
        )
        catalog_dir = self.settings.lmstudio_home / "hub" / "models"
        folders = [(place.shelf, place.folder.check) for place in self.places]
        return Inspection(folders, catalog_dir, records, self._clock)

    def _store_as_it_is(self) -> "Store":
        """The jobs, for those who only look: what cannot be read stays where it is."""
        from windlass.jobs.store import Store

        return self._opened.enter_context(Store(self.settings.database_url, self._clock))

    @property
    def examined(self) -> "Examined":
        """What a doctor looks at."""
        from windlass.doctor import Examined
        from windlass.jobs.glance import is_current

        supplies, url = self.supplies, self.settings.database_url
        database = partial(is_current, url) if has_database(url) else None
        return Examined(
            self.settings, self.places, supplies.token, supplies.network, database, lambda: self.sources.memory
        )

    @cached_property
    def lookout(self) -> "Lookout":
        """What asks whether there is something newer."""
        from windlass.lookout import Lookout

        return Lookout(self._newest)

    def _newest(self, manifest: "Manifest") -> "Manifest":
        from windlass.hub.again import newest

        return newest(manifest, self.sources.resolver)

    def updating(self, place: Place) -> "Updating":
        """What brings the models of a folder up to date."""
        from windlass.updating import Updating

        has_jobs = partial(has_database, self.settings.database_url)
        return Updating(place.shelf, self.lookout, lambda: self.admission, has_jobs)

    def importing(self, place: Place) -> Importing:
        """What brings files into a folder that are on this machine."""
        return Importing(place.shelf.receipts, self._clock)

    def unpacking(self, place: Place) -> Unpacking:
        """What brings exported models into a folder. Jobs are not asked what they are promised."""
        return Unpacking(place.shelf, partial(place.folder.usable, 0), self._clock)

    @property
    def elsewhere(self) -> Elsewhere:
        """Where else on this machine models may be."""
        return self.supplies.elsewhere()

    @cached_property
    def background(self) -> ThreadPoolExecutor:
        """Where slow work goes that nobody else is to wait for."""
        threads = ThreadPoolExecutor(1, thread_name_prefix="windlass-background")
        self._opened.callback(threads.shutdown, wait=False, cancel_futures=True)
        return threads

    @cached_property
    def _reserve(self) -> "Reserve":
        from windlass.space import Reserve

        return Reserve(self.settings.home / "reserve")

    @cached_property
    def supplies(self) -> Supplies:
        """What pulls work with."""
        return Supplies(self.settings, self.places, self._clock)

    @cached_property
    def sources(self) -> Sources:
        """The hub and the catalog, and how they are asked."""
        return self._opened.enter_context(closing(Sources(self.settings, self.supplies.token)))


def _places(settings: Settings) -> Iterator[Place]:
    """Each folder once, however often and by whatever names it is given. Raises InvalidRequest for one in another."""
    seen: list[str] = []
    for path in (settings.models_dir, *settings.more_models_dirs):
        real = os.path.realpath(path)
        if real in seen:
            continue
        if other := next((one for one in seen if os.path.commonpath([one, real]) in {one, real}), None):
            raise InvalidRequest(
                f"The models folders {other} and {real} lie one within the other: models would be listed twice.",
                hint="Take one out of WINDLASS_MORE_MODELS_DIRS.",
            )
        seen.append(real)
        yield _place(settings, path)


def _place(settings: Settings, path: Path) -> Place:
    folder = ModelsFolder(path, settings.home / "models-folders", settings.min_free)
    folder = replace(folder, may_be_made=path == settings.models_dir)
    return Place(Shelf(path, settings.lmstudio_home), folder)
