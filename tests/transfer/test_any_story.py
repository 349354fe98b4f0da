"""Jobs that begin, stop, die and go wrong in any order, on a disk that is damaged meanwhile: the files end right.

In virtual time over an invented network. A kill is a copy of the folder, as it is at that moment, with which all goes
on; the processes that had the old one are no more.
"""

import asyncio
import os
import shutil
import tempfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from transfer.invented import RECOVERABLE, Fault, tools, wrong
from transfer.many import Many
from transfer.virtual_time import Inline, Later, VirtualLoop
from windlass.errors import WindlassError
from windlass.transfer import batch, partial
from windlass.transfer.batch import fetch_all
from windlass.transfer.ledger import MAGIC, VERSION
from windlass.transfer.partial import open_locked
from windlass.transfer.retry import Persistence
from windlass.transfer.target import Staged
from windlass.transfer.throttle import Throttle

pytestmark = pytest.mark.usefixtures("small_chunks", "small_files")

SMALL = 100
SIZES = (900, 500, 101, 100, 40, 0)
CONTENTS = [bytes((n * step + n // 64) % 251 for n in range(size)) for step, size in enumerate(SIZES, start=3)]
ALL = list(range(len(CONTENTS)))
WHICH = st.just(ALL) | st.lists(st.sampled_from(ALL), min_size=1, max_size=4, unique=True)
RATES = st.sampled_from([None, 300, 2000])
MOMENTS = st.floats(0.0, 1.0) | st.sampled_from([3.0, 10.0])


@pytest.fixture(scope="module")
def small_files() -> Any:
    """A file of up to 100 bytes is a small one, in place of 512 KiB."""
    with pytest.MonkeyPatch.context() as patch:
        for module in (partial, batch):
            patch.setattr(module, "SMALL", SMALL)
        patch.setattr(batch, "CHUNK", 200)
        yield


def _cut_off(path: Path, at: int) -> None:
    os.truncate(path, at * path.stat().st_size // 100)


def _flip(path: Path, at: int) -> None:
    data = bytearray(path.read_bytes())
    if data:
        data[at * (len(data) - 1) // 100] ^= 0x10
    path.write_bytes(data)


def _other_version(path: Path, _: int) -> None:
    path.write_bytes(path.read_bytes().replace(b"%s %d" % (MAGIC.encode(), VERSION), b"%s 9" % MAGIC.encode()))


def _noise(path: Path, at: int) -> None:
    path.write_bytes(bytes(at * n % 256 for n in range(50)))


def _remove(path: Path, _: int) -> None:
    path.unlink()


Damage = Callable[[Path, int], None]
AT_ANY_TIME: list[Damage] = [_cut_off, _other_version, _noise]
WHILE_NOBODY_LOOKS: list[Damage] = [_flip, _flip, _cut_off, _other_version, _noise, _remove]
NUMBER = st.integers(0, len(CONTENTS) - 1)
DAMAGES = st.lists(st.tuples(st.integers(0, 19), st.sampled_from(WHILE_NOBODY_LOOKS), st.integers(0, 100)), max_size=3)


class Story(RuleBasedStateMachine):
    """See the module."""

    loop_factory = VirtualLoop

    @initialize(connections=st.integers(1, 4), threads=st.sampled_from([Inline, Later]))
    def begin(self, connections: int, threads: type[Inline] | type[Later]) -> None:
        self._begin(connections, threads)

    def _begin(self, connections: int, threads: type[Inline] | type[Later]) -> None:
        self.root = Path(tempfile.mkdtemp())
        self.folder = self.root / "0"
        self.folder.mkdir()
        self.loop = asyncio.Runner(loop_factory=self.loop_factory)
        self.server = self._server()
        self.throttle = Throttle()
        self.using = tools(
            self.server, connections=connections, threads=threads(), persistence=Persistence(failures=6, seconds=20.0)
        )
        self.jobs: list[tuple[list[int], asyncio.Task[Any]]] = []

    def _server(self) -> Many:
        return Many(CONTENTS)

    @property
    def partials(self) -> Path:
        """The folder of what is not whole yet."""
        return self.folder

    # What people do

    @precondition(lambda self: len(self.jobs) < 3)
    @rule(which=WHICH, rate=RATES)
    def ask(self, which: list[int], rate: int | None) -> None:
        self._do(self._ask, which, rate)

    async def _ask(self, which: list[int], rate: int | None) -> None:
        targets = self.server.targets()
        wanted, using = [targets[number] for number in which], replace(self.using, lane=self.throttle.lane(rate))
        self.jobs.append((which, asyncio.create_task(fetch_all(wanted, self.folder, using))))

    @precondition(lambda self: self.jobs)
    @rule(number=st.integers(0, 2))
    def stop(self, number: int) -> None:
        self._do(self._stop, [self.jobs.pop(number % len(self.jobs))])

    async def _stop(self, jobs: list[tuple[list[int], "asyncio.Task[Any]"]]) -> None:
        for _, job in jobs:
            job.cancel()
        for _, job in jobs:
            with suppress(asyncio.CancelledError):
                await job

    @rule(rate=RATES)
    def limit(self, rate: int | None) -> None:
        self.throttle.bucket.rate = rate

    @rule(seconds=MOMENTS)
    def wait(self, seconds: float) -> None:
        self._do(asyncio.sleep, seconds)

    # What happens to them

    @rule(faults=st.lists(st.tuples(NUMBER, st.sampled_from(RECOVERABLE) | st.just(wrong)), min_size=1, max_size=6))
    def go_wrong(self, faults: list[tuple[int, Fault]]) -> None:
        for number, fault in faults:
            [*self.server.servers.values()][number].script.append(fault)

    @precondition(lambda self: self.jobs)
    @rule(damages=DAMAGES)
    def kill(self, damages: list[tuple[int, Damage, int]]) -> None:
        after = Path(tempfile.mkdtemp(dir=self.root))
        shutil.copytree(self.folder, after, dirs_exist_ok=True)
        jobs, self.jobs = self.jobs, []
        self._do(self._stop, jobs)
        self.folder = after
        self.damage(damages)

    @precondition(lambda self: self.jobs and any(self.partials.glob("*.ledger")))
    @rule(which=NUMBER, how=st.sampled_from(AT_ANY_TIME), at=st.integers(0, 100))
    def damage_a_ledger(self, which: int, how: Damage, at: int) -> None:
        found = sorted(self.partials.glob("*.ledger"))
        how(found[which % len(found)], at)

    @precondition(lambda self: not self.jobs and any(self.partials.glob("*")))
    @rule(damages=DAMAGES)
    def damage(self, damages: list[tuple[int, Damage, int]]) -> None:
        for which, how, at in damages:
            found = sorted(self.partials.glob("*"))
            if not found:
                return
            path = found[which % len(found)]
            before = path.stat().st_mtime_ns
            how(path, at)
            if path.exists():  # whoever writes a file changes its time; a test may be too quick for the clock to show
                os.utime(path, ns=(before + 1_000_000_000, before + 1_000_000_000))

    # What must hold

    def _do(self, work: Callable[..., Any], *args: Any) -> None:
        async def act() -> None:
            await work(*args)
            for which, job in [*self.jobs]:
                if job.done():
                    self.jobs.remove((which, job))
                    self._look_at(which, job)

        self.loop.run(act())

    def _look_at(self, which: list[int], job: "asyncio.Task[Any]") -> None:
        error = job.exception()
        if error:
            assert isinstance(error, WindlassError), error
        else:
            self._look_at_result(which, job.result())

    def _look_at_result(self, which: list[int], result: list[Staged | None]) -> None:
        for number, staged in zip(which, result, strict=True):
            assert staged
            assert staged.path.read_bytes() == CONTENTS[number]

    def teardown(self) -> None:
        """The network is well again: all that was asked for ends, and whatever is asked for comes right."""
        if not hasattr(self, "loop"):
            return
        try:
            with self.loop:
                self._end_well()
        finally:
            shutil.rmtree(self.root)

    def _end_well(self) -> None:
        self.throttle.bucket.rate = None
        for server in self.server.servers.values():
            server.script.clear()
        self._do(self._ask, ALL, None)
        last = self.jobs[-1][1]
        self._do(asyncio.sleep, 4000)
        assert self.jobs == []
        assert last.exception() is None
        self._look_at_the_end()
        assert not asyncio.all_tasks(self.loop.get_loop())

    def _look_at_the_end(self) -> None:
        names = {target.partial_name for target, _ in self.server.targets()}
        assert {path.stem for path in self.folder.iterdir()} == names
        assert {path.suffix for path in self.folder.iterdir()} <= {".part", ".ledger", ".whole"}
        for path in self.folder.glob("*.part"):
            fd = open_locked(path)
            assert fd >= 0
            os.close(fd)


TestStory = Story.TestCase
# Shortening a story that ends badly takes minutes: who wants that takes `phases` out.
TestStory.settings = settings(
    max_examples=50, stateful_step_count=30, deadline=None, phases=[Phase.explicit, Phase.reuse, Phase.generate]
)
