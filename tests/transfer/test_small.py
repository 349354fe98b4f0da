"""Small files: whole in memory, checked there, written once. Over an invented network, in virtual time."""

import asyncio
import errno
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transfer.bringing import CONTENT, assert_right, bring, often, whole
from transfer.invented import (
    CDN,
    HUB,
    RECOVERABLE,
    Fault,
    Server,
    answers,
    cut,
    lengthened,
    spoils,
    target_of,
    tools,
    wrong,
)
from transfer.many import Many
from transfer.virtual_time import run
from windlass.errors import ChecksumMismatch, InsufficientStorage, StorageUnavailable, WindlassError
from windlass.transfer import partial as partials
from windlass.transfer.batch import fetch_all
from windlass.transfer.fetch import fetch
from windlass.transfer.gate import Gate
from windlass.transfer.meter import Meter
from windlass.transfer.partial import kept_bytes, open_locked
from windlass.transfer.retry import Persistence
from windlass.transfer.small import fetch_small
from windlass.transfer.target import Overtaken, Staged, Target
from windlass.transfer.throttle import Throttle

pytestmark = pytest.mark.usefixtures("small_chunks")


def place_of(folder: Path, target: Target) -> Path:
    return folder / f"{target.partial_name}.part"


# All goes well


def test_a_small_file_comes_in(tmp_path: Path) -> None:
    """Once over the wire, verified; what is left is the file alone, without ledger or seal. The meter says so."""
    server = Server(CONTENT)
    staged, meter = bring(server, tmp_path, way=whole)
    assert_right(staged, CONTENT)
    assert list(tmp_path.iterdir()) == [staged.path]
    assert (server.sent, server.peak) == (len(CONTENT), 1)
    assert (meter.kept, meter.checked, meter.fetched, meter.connections) == (1500, 1500, 1500, 0)
    assert (meter.retries, meter.thrown_away, meter.note) == (0, 0, "")


def test_the_seal_fits_the_file(tmp_path: Path) -> None:
    """By size and mtime, as a publish knows it again."""
    staged, _ = bring(Server(CONTENT), tmp_path, way=whole)
    stat = staged.path.stat()
    assert (staged.seal.size, staged.seal.mtime_ns) == (stat.st_size, stat.st_mtime_ns)
    assert staged.seal.digest == staged.seal.sha256


def test_git_blobs_are_checked_by_their_own_hash(tmp_path: Path) -> None:
    """Most small files have no sha256 in the listing; the seal has both digests."""
    digest = hashlib.sha1(b"blob %d\0" % len(CONTENT) + CONTENT).hexdigest()
    target = replace(target_of(CONTENT), algorithm="git-sha1", digest=digest)
    staged, _ = bring(Server(CONTENT), tmp_path, target, way=whole)
    assert_right(staged, CONTENT)
    assert staged.seal.digest == digest


def test_an_empty_file_needs_no_request(tmp_path: Path) -> None:
    """It is made, checked, and as right as any other."""
    server = Server(b"")
    staged, _ = bring(server, tmp_path, way=whole)
    assert_right(staged, b"")
    assert server.requests == []


def test_an_empty_file_with_another_digest_is_wrong(tmp_path: Path) -> None:
    """Nothing to fetch does not mean nothing to check; and nothing stays."""
    with pytest.raises(ChecksumMismatch):
        bring(Server(b""), tmp_path, replace(target_of(b""), digest="00" * 32), way=whole)
    assert list(tmp_path.iterdir()) == []


def test_its_connection_may_be_shared_and_a_large_files_may_not(tmp_path: Path) -> None:
    """Many small ones fit through one connection; the segments of a large one would share its one window."""
    small, large = Server(CONTENT), Server(CONTENT)
    bring(small, tmp_path / "small", way=whole)
    bring(large, tmp_path / "large", way=fetch)
    assert [request.shared for _, request in small.requests] == [True, True]
    assert not any(request.shared for _, request in large.requests)


def test_the_token_goes_to_the_hub_alone(tmp_path: Path) -> None:
    """Never along a redirect to another origin, over cuts and addresses that expire."""
    server = Server(CONTENT, [None, cut(100), None, cut(300)], addresses=1)
    staged, _ = bring(server, tmp_path, way=whole)
    assert_right(staged, CONTENT)
    for _, request in server.requests:
        assert bool(request.headers) == (request.url == HUB)
        assert request.trusted == (request.url == HUB)


# Replies


@pytest.mark.parametrize("after", [0, 1, 700, 1499])
def test_after_a_cut_it_goes_on_from_there(tmp_path: Path, after: int) -> None:
    """Nothing comes twice, and what is asked for is what is missing."""
    server = Server(CONTENT, [cut(after)], redirects=False)
    staged, meter = bring(server, tmp_path, way=whole)
    assert_right(staged, CONTENT)
    assert server.sent == len(CONTENT)
    assert [(request.first, request.last) for _, request in server.requests] == [(0, 1499), (after, 1499)]
    assert (meter.retries, meter.fetched) == (1, 1500)


@pytest.mark.parametrize("after", [0, 700])
def test_a_whole_file_in_place_of_the_rest(tmp_path: Path, after: int) -> None:
    """A server without ranges begins at 0 again, and so do we."""
    server = Server(CONTENT, [cut(after)] if after else [], redirects=False, ranges=False)
    staged, meter = bring(server, tmp_path, way=whole)
    assert_right(staged, CONTENT)
    assert meter.fetched == len(CONTENT) + after


def test_ranges_that_end_in_mid_file(tmp_path: Path) -> None:
    """A server that knew ranges and does not any more, or the other way round: each reply is read as what it is."""
    server = Server(CONTENT, [cut(700)], redirects=False)
    server.script += [lambda _: replace(server.whole(), cut=(300, cut(0)(server.whole()).cut[1])), None]  # type: ignore[index]
    staged, meter = bring(server, tmp_path, way=whole)
    assert_right(staged, CONTENT)
    assert [request.first for _, request in server.requests] == [0, 700, 300]
    assert meter.fetched == 700 + 300 + 1200


@pytest.mark.parametrize("ranges", [True, False])
def test_a_body_that_is_too_long_is_cut_off(tmp_path: Path, ranges: bool) -> None:
    """What was asked for is taken, and the rest is not even read."""
    server = Server(CONTENT, [lengthened], redirects=False, ranges=ranges, block=10)
    staged, meter = bring(server, tmp_path, way=whole)
    assert_right(staged, CONTENT)
    assert meter.fetched <= len(CONTENT) + 10
    assert len(server.requests) == 1


def test_wrong_bytes_once_mend_themselves(tmp_path: Path) -> None:
    """Right size, wrong bytes: it is fetched once more from the start."""
    server = Server(CONTENT, [wrong], redirects=False)
    staged, meter = bring(server, tmp_path, way=whole)
    assert_right(staged, CONTENT)
    assert meter.thrown_away == len(CONTENT)
    assert "did not hash" in meter.note
    assert server.sent == 2 * len(CONTENT)


def test_wrong_bytes_always_end_and_leave_nothing(tmp_path: Path) -> None:
    """Two tries, then `checksum_mismatch`; not even an empty file stays."""
    server = Server(CONTENT, spoils([wrong], 500), redirects=False)
    with pytest.raises(ChecksumMismatch) as caught:
        bring(server, tmp_path, way=whole)
    assert target_of(CONTENT).digest in caught.value.message
    assert caught.value.hint
    assert list(tmp_path.iterdir()) == []
    assert server.sent == 2 * len(CONTENT)


def test_wrong_bytes_over_a_right_leftover_of_another_size(tmp_path: Path) -> None:
    """What stood there is gone as well: it was wrong too."""
    target = target_of(CONTENT)
    place_of(tmp_path, target).write_bytes(CONTENT + b"!")
    with pytest.raises(ChecksumMismatch):
        bring(Server(CONTENT, spoils([wrong], 500), redirects=False), tmp_path, target, way=whole)
    assert list(tmp_path.iterdir()) == []


def test_an_address_that_expires_between_two_replies_is_renewed(tmp_path: Path) -> None:
    """Back to the hub for a new one; what came stays."""
    server = Server(CONTENT, [None, cut(400), None], addresses=1)
    staged, meter = bring(server, tmp_path, way=whole)
    assert_right(staged, CONTENT)
    assert meter.fetched == len(CONTENT)
    assert [request.url for _, request in server.requests] == [HUB, f"{CDN}0", HUB, f"{CDN}1"]


# What stands there already


def test_a_whole_leftover_is_hashed_and_not_fetched(tmp_path: Path) -> None:
    """A process wrote it and was killed before it could say so."""
    target = target_of(CONTENT)
    place_of(tmp_path, target).write_bytes(CONTENT)
    server = Server(CONTENT)
    staged, meter = bring(server, tmp_path, target, way=whole)
    assert_right(staged, CONTENT)
    assert (server.requests, meter.kept, meter.fetched) == ([], len(CONTENT), 0)


@pytest.mark.parametrize(
    "leftover",
    [b"", CONTENT[:1], CONTENT[:700], CONTENT[:-1], CONTENT + b"!", bytes(1500), CONTENT[:-1] + b"!", CONTENT * 2],
    ids=["empty", "one byte", "half", "all but one", "one more", "zeros", "last byte wrong", "twice"],
)
def test_a_torn_or_wrong_leftover_is_fetched_anew(tmp_path: Path, leftover: bytes) -> None:
    """None of it is believed, and none of it shows in the end."""
    target = target_of(CONTENT)
    place_of(tmp_path, target).write_bytes(leftover)
    server = Server(CONTENT, redirects=False)
    staged, meter = bring(server, tmp_path, target, way=whole)
    assert_right(staged, CONTENT)
    assert server.sent == meter.fetched == len(CONTENT)


@often
@given(at=st.integers(0, 1499), flip=st.integers(1, 255))
def test_one_flipped_bit_is_enough(at: int, flip: int) -> None:
    """A leftover of the right size with anything wrong in it is fetched anew."""
    target = target_of(CONTENT)
    with tempfile.TemporaryDirectory() as name:
        damaged = bytearray(CONTENT)
        damaged[at] ^= flip
        place_of(Path(name), target).write_bytes(damaged)
        staged, meter = bring(Server(CONTENT, redirects=False), Path(name), target, way=whole)
        assert_right(staged, CONTENT)
        assert meter.fetched == len(CONTENT)


# Several at once


def test_429_narrows_the_gate_and_all_wait_for_the_peace(tmp_path: Path) -> None:
    """One of sixteen is told to wait: nobody asks before that, then half as many go at once, and in the end all."""
    many = Many([b"%d" % n * 50 for n in range(120)])
    many.servers["https://hub.test/20"].script = [answers(429, {"retry-after": "55"})]
    staged = run(fetch_all(many.targets(), tmp_path, tools(many)))
    assert [one.path.read_bytes() for one in staged if one] == [b"%d" % n * 50 for n in range(120)]
    told = next(at for at, _ in many.servers["https://hub.test/20"].requests) + 0.01
    times = sorted(at for server in many.servers.values() for at, _ in server.requests)
    assert not [at for at in times if told < at < told + 55]
    assert [at for at in times if at >= told + 55]
    assert max(open_ for at, open_ in many.seen if told + 55 <= at <= told + 55.1) <= 8
    assert max(open_ for at, open_ in many.seen if told + 55 <= at) == 16


@pytest.mark.parametrize("told", [1, 16])
def test_429_of_many_narrows_it_once(tmp_path: Path, told: int) -> None:
    """All that were under way are told the same: that is one message, and the gate does not close."""
    many = Many([b"%d" % n * 50 for n in range(40)])
    for server in list(many.servers.values())[:told]:
        server.script = [answers(429, {"retry-after": "5"})]
    staged = run(fetch_all(many.targets(), tmp_path, tools(many)))
    assert len([one for one in staged if one]) == 40
    assert max(open_ for at, open_ in many.seen if at > 5) >= 8


# Two at one place


def test_a_second_writer_waits_and_finds_it_done(tmp_path: Path) -> None:
    """Two jobs want the same file: one fetches, the other waits and hashes, and the bytes come once."""
    server, target = Server(CONTENT), target_of(CONTENT)

    async def both() -> list[Staged]:
        ways = (whole(target, tmp_path, tools(server), Meter(target.size)) for _ in range(3))
        return await asyncio.gather(*ways)

    for staged in run(both()):
        assert_right(staged, CONTENT)
    assert server.sent == len(CONTENT)


def test_a_second_writer_whose_place_is_gone_is_told(tmp_path: Path) -> None:
    """The first one's file was published meanwhile: look again."""
    target = target_of(CONTENT)
    path = place_of(tmp_path, target)

    async def wait() -> None:
        fd = open_locked(path)
        waiting = asyncio.create_task(whole(target, tmp_path, tools(Server(CONTENT)), Meter(target.size)))
        await asyncio.sleep(1)
        assert not waiting.done()
        path.rename(tmp_path / "published")
        with pytest.raises(Overtaken):
            await waiting
        os.close(fd)

    run(wait())


def test_a_second_writer_takes_over_from_a_first_that_failed(tmp_path: Path) -> None:
    """The lock is let go with the error, and the next one begins."""
    denied, server, target = Server(CONTENT, [answers(404)], redirects=False), Server(CONTENT), target_of(CONTENT)

    async def both() -> list[Staged | BaseException]:
        ways = (whole(target, tmp_path, tools(network), Meter(target.size)) for network in (denied, server))
        return await asyncio.gather(*ways, return_exceptions=True)

    first, second = run(both())
    assert isinstance(first, WindlassError)
    assert isinstance(second, Staged)
    assert_right(second, CONTENT)


# The disk


def _fails_with(number: int) -> Callable[..., int]:
    def fail(*_: object) -> int:
        raise OSError(number, os.strerror(number))

    return fail


_FULL: list[tuple[str, Callable[..., int]]] = [
    ("ftruncate", _fails_with(errno.ENOSPC)),
    ("pwrite", _fails_with(errno.EDQUOT)),
    ("pwrite", lambda fd, content, _: os.write(fd, content[:100])),
]


@pytest.mark.parametrize(("call", "does"), _FULL, ids=["at the start", "over the quota", "in the middle"])
def test_a_disk_that_is_full_while_it_is_kept(
    tmp_path: Path, call: str, does: Callable[..., int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """`insufficient_storage`; what is written by then is not believed, and with room the file comes."""
    with monkeypatch.context() as patch:
        patch.setattr(f"windlass.transfer.small.os.{call}", does)
        with pytest.raises(InsufficientStorage):
            bring(Server(CONTENT), tmp_path, way=whole)
    staged, _ = bring(Server(CONTENT), tmp_path, way=whole)
    assert_right(staged, CONTENT)


def test_a_place_that_is_removed_meanwhile(tmp_path: Path) -> None:
    """Somebody wipes the folder while the bytes come: said, and not written to a file that nobody finds."""
    target = target_of(CONTENT)

    async def wipe() -> None:
        task = asyncio.create_task(whole(target, tmp_path / "x", tools(Server(CONTENT)), Meter(target.size)))
        await asyncio.sleep(0.5)
        shutil.rmtree(tmp_path / "x")
        with pytest.raises(StorageUnavailable):
            await task

    run(wipe())


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    """A file stands where the folder should be; nothing is asked of the source."""
    (tmp_path / "taken").write_text("")
    server = Server(CONTENT)
    with pytest.raises(StorageUnavailable):
        bring(server, tmp_path / "taken", way=whole)
    assert server.requests == []


# Limits


@pytest.mark.parametrize("rate", [200, 1000])
def test_a_limit_holds_over_all_of_them(tmp_path: Path, rate: int) -> None:
    """Many at once, and replies that break: the slower of two limits counts; the time says so."""
    many = Many([bytes([n]) * 300 for n in range(20)], rate=100_000)
    for server in list(many.servers.values())[::3]:
        server.script = [cut(100)]

    async def timed() -> float:
        using = tools(many, lane=Throttle(rate * 5).lane(rate))
        await fetch_all(many.targets(), tmp_path, using)
        return asyncio.get_running_loop().time()

    assert run(timed(), within=1e6) == pytest.approx(20 * 300 / rate, rel=0.1)


# Everything at once


async def _killed_at(moment: float, fetching: "asyncio.Task[Staged]", folder: Path) -> Path | None:
    """The disk as a SIGKILL at that moment leaves it, as a new folder; None if the fetch was over by then."""
    await asyncio.wait([fetching], timeout=moment)
    if fetching.done():
        return None
    after = Path(tempfile.mkdtemp(dir=folder.parent))
    shutil.copytree(folder, after, dirs_exist_ok=True)
    fetching.cancel()
    await asyncio.wait([fetching])
    return after


@often
@given(
    content=st.binary(max_size=1500),
    script=st.lists(st.none() | st.sampled_from(RECOVERABLE), max_size=12),
    moments=st.lists(st.floats(0.0, 6.0), max_size=3),
    ranges=st.booleans(),
    addresses=st.sampled_from([1, 2, 1 << 30]),
    limit=st.sampled_from([None, 300, 100_000]),
    spoilt=st.booleans(),
)
def test_any_faults_that_end_and_any_kills_end_right(
    content: bytes,
    script: list[Fault | None],
    moments: list[float],
    ranges: bool,
    addresses: int,
    limit: int | None,
    spoilt: bool,
) -> None:
    """Faults in any order, wrong bytes among them, kills at any moment, limits, addresses that expire."""
    server = Server(content, script[:5] + [wrong] * spoilt + script[5:], ranges=ranges, addresses=addresses)
    using = tools(server, lane=Throttle(limit).lane(), persistence=Persistence(40, 120.0))
    target = target_of(content)

    async def through(folder: Path) -> Staged:
        for moment in moments:
            fetching = asyncio.create_task(whole(target, folder, using, Meter(target.size)))
            after = await _killed_at(moment, fetching, folder)
            if after is None:
                return await fetching
            folder = after
        return await whole(target, folder, using, Meter(target.size))

    with tempfile.TemporaryDirectory() as name:
        first = Path(name) / "0"
        first.mkdir()
        assert_right(run(through(first)), content)


def test_a_kill_costs_the_file_that_was_under_way(tmp_path: Path) -> None:
    """What came of it was in memory; those that stood there are not fetched again."""
    contents = [bytes([n]) * 400 for n in range(30)]
    many = Many(contents)

    async def killed() -> int:
        task = asyncio.create_task(fetch_all(many.targets(), tmp_path, tools(many)))
        await asyncio.sleep(0.6)
        there = sum(path.stat().st_size for path in tmp_path.iterdir())
        shutil.copytree(tmp_path, tmp_path.with_name("after"))
        task.cancel()
        await asyncio.wait([task])
        return there

    there = run(killed())
    again = Many(contents)
    staged = run(fetch_all(again.targets(), tmp_path.with_name("after"), tools(again)))
    assert [one.path.read_bytes() for one in staged if one] == contents
    assert 0 < there == 30 * 400 - sum(server.sent for server in again.servers.values())


def test_a_gate_is_told_of_limits_alone(tmp_path: Path) -> None:
    """A cut or an error of the server says nothing about how many we are."""

    class Told(Gate):
        times = 0

        def narrow(self) -> None:
            self.times += 1

    async def bring_in(*script: Fault) -> int:
        gate, server = Told(4), Server(CONTENT, list(script), redirects=False)
        target, folder = target_of(CONTENT), Path(tempfile.mkdtemp(dir=tmp_path))
        await fetch_small(target, folder, tools(server), Meter(target.size), gate)
        return gate.times

    assert run(bring_in(cut(10), answers(500), answers(416))) == 0
    assert run(bring_in(answers(429), answers(503))) == 2


def test_partials_of_small_files_are_known_by_their_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What counts as kept before it is opened: all of it or nothing."""
    monkeypatch.setattr(partials, "SMALL", 1500)
    target = target_of(CONTENT)
    kept: list[Any] = []
    for leftover in (b"", CONTENT[:-1], CONTENT, CONTENT + b"!"):
        place_of(tmp_path, target).write_bytes(leftover)
        kept.append(kept_bytes(tmp_path, target.partial_name, target.identity, target.size))
    place_of(tmp_path, target).unlink()
    kept.append(kept_bytes(tmp_path, target.partial_name, target.identity, target.size))
    assert kept == [0, 0, 1500, 0, 0]
