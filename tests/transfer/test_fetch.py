"""Bringing one file in over an invented network, in virtual time: what comes, what was kept, what is wrong."""

import asyncio
import hashlib
from dataclasses import replace
from pathlib import Path
from statistics import median

import pytest

from transfer.bringing import CONTENT, assert_right, bring, keep
from transfer.invented import (
    CDN,
    HUB,
    Server,
    answers,
    spoils,
    target_of,
    tools,
    wrong,
)
from transfer.virtual_time import run
from windlass.errors import (
    ChecksumMismatch,
    ModelNotFound,
    StorageUnavailable,
)
from windlass.transfer.fetch import fetch
from windlass.transfer.meter import Meter, Underway
from windlass.transfer.network import Receiver, Request
from windlass.transfer.partial import HELD, claimed, is_held, kept_bytes, open_partial
from windlass.transfer.target import Overtaken, Staged

pytestmark = pytest.mark.usefixtures("small_chunks")

# All goes well


def test_a_file_comes_in(tmp_path: Path) -> None:
    """Once over the wire, verified and sealed; the meter says so."""
    server = Server(CONTENT)
    staged, meter = bring(server, tmp_path, using=tools(server, connections=1))
    assert_right(staged, CONTENT)
    assert server.sent == len(CONTENT)
    assert (meter.kept, meter.checked, meter.fetched, meter.connections) == (1500, 1500, 1500, 0)
    assert (meter.retries, meter.thrown_away, meter.note) == (0, 0, "")


def test_each_connection_tells_where_it_stands_and_how_fast_it_is(tmp_path: Path) -> None:
    """While bytes come: four of them, each at the rate that the source gives it; nothing afterwards."""
    server, meter = Server(CONTENT, redirects=False, rate=50, block=5), Meter(len(CONTENT))
    seen: list[tuple[Underway, ...]] = []

    async def watch() -> None:
        task = asyncio.create_task(fetch(target_of(CONTENT), tmp_path, tools(server), meter))
        while not task.done():
            await asyncio.wait([task], timeout=0.3)
            seen.append(meter.segments)

    run(watch())
    assert max(map(len, seen)) == 4
    speeds = [one.bytes_per_second for segments in seen for one in segments if one.bytes_per_second]
    assert median(speeds) == pytest.approx(50, rel=0.2)  # its first block came in no time
    assert meter.segments == ()


def test_a_sealed_file_is_not_asked_for_again(tmp_path: Path) -> None:
    """Nor is the network touched, nor the bytes read."""
    bring(Server(CONTENT), tmp_path)
    idle = Server(CONTENT)
    staged, meter = bring(idle, tmp_path)
    assert_right(staged, CONTENT)
    assert idle.requests == []
    assert meter.kept == len(CONTENT)


def test_an_empty_file_needs_no_request(tmp_path: Path) -> None:
    """Size-0 files exist on the hub; their digest is known."""
    server = Server(b"")
    staged, _ = bring(server, tmp_path)
    assert staged.path.read_bytes() == b""
    assert server.requests == []


def test_an_empty_file_with_another_digest_is_wrong(tmp_path: Path) -> None:
    """Nothing to fetch does not mean nothing to check."""
    with pytest.raises(ChecksumMismatch):
        bring(Server(b""), tmp_path, replace(target_of(b""), digest="00" * 32))


def test_git_blobs_are_checked_by_their_own_hash(tmp_path: Path) -> None:
    """A file without a sha256 in the listing has git's hash."""
    digest = hashlib.sha1(b"blob %d\0" % len(CONTENT) + CONTENT).hexdigest()
    target = replace(target_of(CONTENT), algorithm="git-sha1", digest=digest)
    staged, _ = bring(Server(CONTENT), tmp_path, target)
    assert_right(staged, CONTENT)
    assert staged.seal.digest == digest


def test_the_first_goes_alone_and_then_all_help(tmp_path: Path) -> None:
    """Until the source has let one in, one asks; then as many as may, and never more."""
    server = Server(CONTENT, latency=0.05)
    bring(server, tmp_path, using=tools(server, connections=4))
    first_body = next(at for at, request in server.requests if request.url.startswith(CDN))
    assert all(request.first == 0 for at, request in server.requests if at <= first_body)
    assert server.peak == 4


def test_the_signed_address_is_asked_for_once(tmp_path: Path) -> None:
    """The hub is asked once a file, and the others of the crew go straight to where it led."""
    server = Server(CONTENT)
    bring(server, tmp_path)
    assert [request.url for _, request in server.requests].count(HUB) == 1


def test_the_token_goes_to_the_hub_alone(tmp_path: Path) -> None:
    """Never along a redirect to another origin."""
    server = Server(CONTENT, addresses=2)
    bring(server, tmp_path)
    for _, request in server.requests:
        assert bool(request.headers) == (request.url == HUB)
        assert request.trusted == (request.url == HUB)


def test_an_address_that_expires_in_mid_file_is_renewed(tmp_path: Path) -> None:
    """Back to the hub for a new one, without a failure being counted or a wait."""
    server = Server(CONTENT, addresses=3)
    staged, meter = bring(server, tmp_path)
    assert_right(staged, CONTENT)
    assert meter.retries == 0
    assert [request.url for _, request in server.requests].count(HUB) > 1


def test_a_whole_file_for_one_of_a_crew_is_not_read(tmp_path: Path) -> None:
    """One of several connections gets 200 and all of the file: it is left, as the others bring what it would skip."""
    content = CONTENT * 4
    server = Server(content)
    server.script = [None] * 6 + [lambda _: server.whole()]
    staged, meter = bring(server, tmp_path)
    assert_right(staged, content)
    assert meter.retries == 1
    assert server.sent <= len(content) + 64 * len(server.requests)
    assert server.peak == 4


@pytest.mark.parametrize("kept", [0, 100, 700])
def test_a_server_without_ranges(tmp_path: Path, kept: int) -> None:
    """It sends the whole file in one reply, and one reply is all that is needed, also to go on from the middle."""
    target = target_of(CONTENT)
    if kept:
        keep(tmp_path, target, kept)
    server = Server(CONTENT, ranges=False)
    staged, _ = bring(server, tmp_path, target)
    assert_right(staged, CONTENT)
    assert server.sent == len(CONTENT)
    assert server.peak == 1


def test_a_server_without_ranges_and_a_hole_behind(tmp_path: Path) -> None:
    """A kept piece that does not read back is brought by a second reply, as the first is past it."""
    target = target_of(CONTENT)
    keep(tmp_path, target, 64, 700)
    with (tmp_path / f"{target.partial_name}.part").open("r+b") as file:
        file.write(b"!")
    server = Server(CONTENT, ranges=False)
    staged, meter = bring(server, tmp_path, target)
    assert_right(staged, CONTENT)
    assert meter.thrown_away == 64
    assert server.sent <= 2 * len(CONTENT)


# What was kept


def test_only_what_is_missing_is_fetched(tmp_path: Path) -> None:
    """After a restart the kept pieces are checked, counted and not fetched."""
    target = target_of(CONTENT)
    keep(tmp_path, target, 64, 128, 600)
    server = Server(CONTENT)
    staged, meter = bring(server, tmp_path, target, tools(server, connections=1))
    assert_right(staged, CONTENT)
    assert server.sent == 900
    assert (meter.fetched, meter.kept) == (900, 1500)


def test_one_flipped_byte_costs_one_piece(tmp_path: Path) -> None:
    """Bytes that changed on disk after they had come are found, and fetched again alone."""
    target = target_of(CONTENT)
    keep(tmp_path, target, *range(64, 1473, 64))
    with (tmp_path / f"{target.partial_name}.part").open("r+b") as file:
        file.seek(300)
        file.write(bytes([CONTENT[300] ^ 1]))
    server = Server(CONTENT)
    staged, meter = bring(server, tmp_path, target, tools(server, connections=1))
    assert_right(staged, CONTENT)
    assert meter.thrown_away == 64
    assert server.sent == 64 + (1500 - 1472)


def test_a_piece_that_was_wrong_is_out_of_the_ledger_at_once(tmp_path: Path) -> None:
    """Found wrong, and then the source fails: what counts as kept does not have it any more."""
    target = target_of(CONTENT)
    keep(tmp_path, target, 64, 128, 192)
    with (tmp_path / f"{target.partial_name}.part").open("r+b") as file:
        file.write(b"!")
    denied = Server(CONTENT, [answers(404)], redirects=False)
    with pytest.raises(ModelNotFound):
        bring(denied, tmp_path, target)
    assert kept_bytes(tmp_path, target.partial_name, target.identity, target.size) == 128


def test_a_disk_that_forgets_is_given_up(tmp_path: Path) -> None:
    """Written well, read back otherwise, again and again: the disk is at fault, and the error says so."""

    async def spoil_and_fetch() -> None:
        target = target_of(CONTENT)
        path = tmp_path / f"{target.partial_name}.part"
        server = Server(CONTENT)

        async def network(request: Request, receiver: Receiver) -> None:
            try:
                await server(request, receiver)
            finally:
                with path.open("r+b") as file:
                    file.write(bytes(len(CONTENT)))

        await fetch(target, tmp_path, tools(network), Meter(target.size))

    with pytest.raises(StorageUnavailable, match="does not give back"):
        run(spoil_and_fetch())


# Wrong bytes


def test_wrong_bytes_once_mend_themselves(tmp_path: Path) -> None:
    """Right size, wrong bytes, as received: all is fetched once more, and then it is right."""
    server = Server(CONTENT, script=[None, wrong])
    staged, meter = bring(server, tmp_path, using=tools(server, connections=1))
    assert_right(staged, CONTENT)
    assert meter.thrown_away == len(CONTENT)
    assert "did not hash" in meter.note
    assert server.sent == 2 * len(CONTENT)


def test_wrong_bytes_always_end_and_leave_nothing(tmp_path: Path) -> None:
    """Two tries, then `checksum_mismatch`, and no partial that the next job would go on with."""
    server = Server(CONTENT, script=[None, *spoils([wrong], 500)])
    with pytest.raises(ChecksumMismatch) as caught:
        bring(server, tmp_path, using=tools(server, connections=1))
    assert target_of(CONTENT).digest in caught.value.message
    assert caught.value.hint
    assert list(tmp_path.iterdir()) == []
    assert server.sent <= 2 * len(CONTENT)


def test_a_listing_that_lies_ends_too(tmp_path: Path) -> None:
    """The promised hash is of something else."""
    with pytest.raises(ChecksumMismatch):
        bring(Server(CONTENT), tmp_path, replace(target_of(CONTENT), digest="ab" * 32))


# Two at one partial


def test_a_second_writer_waits_and_finds_it_done(tmp_path: Path) -> None:
    """Two jobs want the same file: one fetches, the other waits, and the bytes come once."""
    server = Server(CONTENT)

    async def both() -> list[Staged]:
        target = target_of(CONTENT)
        return await asyncio.gather(*(fetch(target, tmp_path, tools(server), Meter(target.size)) for _ in range(2)))

    for staged in run(both()):
        assert_right(staged, CONTENT)
    assert [request.url for _, request in server.requests].count(HUB) == 1


def test_what_is_whole_but_being_published_is_waited_for(tmp_path: Path) -> None:
    """Else whoever wants it as well comes back to it again and again while it has not got its name yet."""
    target = target_of(CONTENT)
    staged = run(fetch(target, tmp_path, tools(Server(CONTENT)), Meter(target.size)))
    meter = Meter(target.size)

    async def wait() -> None:
        with claimed(staged.path, staged.seal) as ours:
            assert ours
            waiting = asyncio.create_task(fetch(target, tmp_path, tools(Server(CONTENT)), meter))
            await asyncio.sleep(1)
            assert (meter.note, waiting.done()) == (HELD, False)
        assert (await waiting).path == staged.path

    run(wait())


def test_what_is_no_more_is_held_by_nobody(tmp_path: Path) -> None:
    """It has got its name in that moment."""
    assert not is_held(tmp_path / "f.part")


def test_a_second_writer_whose_partial_is_gone_is_told(tmp_path: Path) -> None:
    """The first one's file was published meanwhile: look again."""
    target = target_of(CONTENT)
    partial = open_partial(tmp_path, target.partial_name, target.identity, target.size)
    assert partial

    async def wait() -> None:
        waiting = asyncio.create_task(fetch(target, tmp_path, tools(Server(CONTENT)), Meter(target.size)))
        await asyncio.sleep(1)
        partial.path.rename(tmp_path / "published")
        with pytest.raises(Overtaken):
            await waiting

    run(wait())
    partial.close()
