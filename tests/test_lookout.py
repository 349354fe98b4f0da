"""Looking for something newer: what is told is kept, nobody waits long, and nothing that goes wrong gets out."""

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import pytest

from sample import entry, file_of, manifest_of, numbered
from windlass.errors import HubUnreachable, ModelNotFound
from windlass.lookout import AT_ONCE, KEPT, QUIET, Lookout
from windlass.manifest import Manifest

HERE = manifest_of()
NEWER = manifest_of(file_of(b"newer weights", commit="d" * 40))


@dataclass
class Hub:
    """Answers with `answer`, or raises it; `asked` counts."""

    answer: Manifest | Exception = NEWER
    asked: int = 0
    now: float = 1000.0
    gate: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.gate.set()

    def newest(self, _: Manifest) -> Manifest:
        self.asked += 1
        self.gate.wait(60)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    def lookout(self, patience: float = 60.0) -> Lookout:
        return Lookout(self.newest, lambda: self.now, patience)


def test_what_was_told_is_kept_for_a_while() -> None:
    """Asked once; again when it is old, and when what is here has changed."""
    hub = Hub()
    lookout = hub.lookout()
    found = [lookout.glance(HERE) for _ in range(3)]
    assert found[0] is not None
    assert found[0].now == NEWER
    assert (found, hub.asked) == ([found[0]] * 3, 1)
    assert lookout.glance(NEWER) is None
    assert hub.asked == 2
    hub.now += KEPT + 1
    lookout.glance(HERE)
    assert hub.asked == 3


def test_a_new_text_here_is_another_question() -> None:
    """The commit is the same then; what was told of the old text does not count."""
    hub = Hub()
    here = manifest_of(catalog=entry())
    hub.answer = newer = replace(here, catalog=replace(entry(), model_yaml="model: qwen/qwen3-8b\n"))
    lookout = hub.lookout()
    assert lookout.glance(here) is not None
    assert lookout.glance(newer) is None


@pytest.mark.parametrize("error", [HubUnreachable("Nobody answers."), OSError("boom"), ModelNotFound("It is gone.")])
def test_an_error_is_that_nobody_knows(error: Exception, caplog: pytest.LogCaptureFixture) -> None:
    """It never gets out; what is no answer but a bug is in the log."""
    with caplog.at_level(logging.ERROR):
        assert Hub(error).lookout().glance(HERE) is None
    assert bool(caplog.records) is isinstance(error, OSError)


def test_a_hub_that_is_down_is_left_alone_for_a_while() -> None:
    """No model asks it, not even another one; after that it is asked again."""
    hub = Hub(HubUnreachable("Nobody answers."))
    lookout = hub.lookout()
    assert [lookout.glance(numbered(number)) for number in range(5)] == [None] * 5
    assert hub.asked == 1
    hub.now += QUIET
    hub.answer = NEWER
    assert lookout.glance(HERE) is not None


def test_that_it_is_gone_is_an_answer() -> None:
    """Kept like any other, and no reason to ask about others no more."""
    hub = Hub(ModelNotFound("It is gone."))
    lookout = hub.lookout()
    assert [lookout.glance(HERE), lookout.glance(HERE), lookout.glance(numbered(1))] == [None] * 3
    assert hub.asked == 2


def test_a_slow_hub_holds_up_one_glance_and_for_a_moment() -> None:
    """Not the next one, nor one for another model; what it says in the end is told to who comes after."""
    hub = Hub()
    hub.gate.clear()
    lookout = hub.lookout(patience=0.05)
    assert lookout.glance(HERE) is None
    hub.now += 0.05
    assert lookout.glance(HERE) is None
    assert lookout.glance(numbered(1)) is None
    assert hub.asked == 1
    hub.gate.set()
    assert eventually(lambda: lookout.glance(HERE))


def test_only_a_few_questions_are_under_way() -> None:
    """However many models are looked at: the others are not known."""
    hub = Hub()
    hub.gate.clear()
    lookout = hub.lookout()
    threads = [threading.Thread(target=lookout.glance, args=(numbered(number),)) for number in range(AT_ONCE)]
    for thread in threads:
        thread.start()
    assert eventually(lambda: hub.asked == AT_ONCE)
    assert lookout.glance(HERE) is None
    hub.gate.set()
    for thread in threads:
        thread.join()
    assert hub.asked == AT_ONCE


def test_all_are_looked_at_and_errors_are_handed_over() -> None:
    """In their order, whatever becomes of one."""

    def newest(manifest: Manifest) -> Manifest:
        if manifest.id == "owner/model-1":
            raise ModelNotFound("It is gone.")
        return replace(NEWER, id=manifest.id) if manifest.id == "owner/model-2" else manifest

    told = list(Lookout(newest).look_at_all([numbered(number) for number in range(4)]))
    assert [type(one).__name__ for one in told] == ["NoneType", "ModelNotFound", "Update", "NoneType"]


def test_who_asks_on_purpose_is_told_all() -> None:
    """`look` raises, and asks each time."""
    hub = Hub()
    lookout = hub.lookout()
    lookout.glance(HERE)
    assert lookout.look(HERE) is not None
    hub.answer = HubUnreachable("Nobody answers.")
    with pytest.raises(HubUnreachable):
        lookout.look(HERE)
    assert hub.asked == 3


def eventually(holds: Callable[[], object]) -> bool:
    """Whether it holds before patience ends; what it waits for is another thread's next step."""
    waiting = threading.Event()
    return any(holds() or waiting.wait(0.01) for _ in range(1000))
