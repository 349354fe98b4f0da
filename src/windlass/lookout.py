"""The lookout: whether the repositories of models that are here have moved on, asked of hub and catalog.

`look` asks and waits. `glance` is for those who show a model and only would like to know: what was told is kept, the
wait is short, and whoever cannot be asked is not asked again for a while.
"""

import logging
import threading
import time
from collections.abc import Callable, Hashable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from windlass.errors import HubFailure, WindlassError
from windlass.manifest import Manifest
from windlass.update import Update, compare

KEPT = 600.0  # seconds; what is asked for on purpose does not come from here
PATIENCE = 1.0  # seconds from the question on that somebody waits who only glances
QUIET = 30.0  # seconds without questions after a failure: a hundred models must not wait a second each
AT_ONCE = 4  # questions

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Question:
    future: "Future[Update | None]"
    asked_at: float


class Lookout:
    """Threads may share it.

    Args:
        newest: what the request for a manifest means now; raises WindlassError.
        clock: seconds that only go forward.
        patience: seconds that a glance may take.
    """

    def __init__(
        self,
        newest: Callable[[Manifest], Manifest],
        clock: Callable[[], float] = time.monotonic,
        patience: float = PATIENCE,
    ) -> None:
        self._newest = newest
        self._clock = clock
        self._patience = patience
        self._questions: dict[Hashable, _Question] = {}
        self._quiet_until = 0.0
        self._lock = threading.Lock()

    def look(self, manifest: Manifest) -> Update | None:
        """What is newer about a model that came by this manifest, asked now; raises as `newest` does."""
        return compare(manifest, self._newest(manifest))

    def look_at_all(self, manifests: Sequence[Manifest]) -> Iterator[Update | WindlassError | None]:
        """`look` at each, a few at a time, in their order; what would have been raised is handed over."""
        with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="windlass-lookout") as threads:
            try:
                yield from threads.map(self._tried, manifests)
            finally:
                threads.shutdown(wait=False, cancel_futures=True)

    def glance(self, manifest: Manifest) -> Update | None:
        """What is newer, as far as that is known or found out soon; None too where nobody knows. Raises nothing."""
        question = self._question(manifest)
        if question is None:
            return None
        left = question.asked_at + self._patience - self._clock()
        try:
            return question.future.result(max(0.0, left))
        except TimeoutError:
            self._keep_quiet()
        except WindlassError:
            pass  # whoever brings the model up to date is told
        except Exception:
            _log.exception("Looking for something newer than %s failed.", manifest.id)
        return None

    def _tried(self, manifest: Manifest) -> Update | WindlassError | None:
        try:
            return self.look(manifest)
        except WindlassError as error:
            return error

    def _question(self, manifest: Manifest) -> _Question | None:
        """The question that was asked a while ago, or is asked just now; None where it is none of the time to ask."""
        # By what is here: once that has changed, what was told of it before means nothing.
        name = (manifest.key, manifest.files[0].commit, manifest.catalog)
        with self._lock:
            now = self._clock()
            self._forget_old(now)
            if name in self._questions:
                return self._questions[name]
            under_way = sum(not question.future.done() for question in self._questions.values())
            if now < self._quiet_until or under_way >= AT_ONCE:
                return None
            question = self._questions[name] = _Question(Future(), now)
        # Not a pool's thread: the interpreter would wait for that one, and for a silent hub, before it ends.
        threading.Thread(target=self._ask, args=(manifest, name, question), daemon=True).start()
        return question

    def _ask(self, manifest: Manifest, name: Hashable, question: _Question) -> None:
        try:
            question.future.set_result(self.look(manifest))
        except HubFailure as error:
            self._keep_quiet()
            with self._lock:
                self._questions.pop(name, None)
            question.future.set_exception(error)
        except Exception as error:  # that it is gone, say, is an answer, and kept as one
            question.future.set_exception(error)

    def _keep_quiet(self) -> None:
        with self._lock:
            self._quiet_until = self._clock() + QUIET

    def _forget_old(self, now: float) -> None:
        self._questions = {
            name: question
            for name, question in self._questions.items()
            if now - question.asked_at <= KEPT or not question.future.done()
        }
