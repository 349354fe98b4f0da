"""Several files at once, in virtual time; and the values that a transfer is asked with."""

import asyncio
import hashlib
from pathlib import Path

import pytest

from transfer.invented import target_of, tools
from transfer.many import Many
from transfer.virtual_time import run
from windlass.errors import ModelGated
from windlass.transfer.batch import fetch_all
from windlass.transfer.fetch import first_error


def test_all_come_in_the_order_asked_for(tmp_path: Path) -> None:
    """Small files many at a time, and the answers in order, the empty and the twins among them."""
    contents = [b"%d" % n * (n % 7) * 40 for n in range(40)]
    many = Many(contents)
    staged = run(fetch_all(many.targets(), tmp_path, tools(many)))
    assert [one.path.read_bytes() for one in staged if one] == contents
    assert many.peak == 16


def test_large_files_come_two_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One's end overlaps the next one's start, and no more than that."""
    monkeypatch.setattr("windlass.transfer.batch.CHUNK", 100)  # in place of 16 MiB
    many = Many([bytes([n]) * 1000 for n in range(6)])
    run(fetch_all(many.targets(), tmp_path, tools(many, connections=1)))
    assert many.peak == 2


def test_the_first_failure_ends_all_and_keeps_what_came(tmp_path: Path) -> None:
    """A file that is denied: its own error comes out, not a group of them, and the others' bytes stay."""
    many = Many([b"x" * 3000, b"y" * 100, b"z" * 3000], refused="https://hub.test/1")
    targets = many.targets()
    with pytest.raises(ModelGated):
        run(fetch_all(targets, tmp_path, tools(many)))
    many.refused = ""
    again = many.targets()
    staged = run(fetch_all(again, tmp_path, tools(many)))
    assert [len(one.path.read_bytes()) for one in staged if one] == [3000, 100, 3000]


def test_what_is_not_wanted_any_more_is_not_fetched(tmp_path: Path) -> None:
    """Asked when its turn comes: another job has brought it in by then, and that counts as kept."""
    many = Many([b"x" * 300, b"y" * 300])
    targets = many.targets()
    staged = run(fetch_all(targets, tmp_path, tools(many), wanted=lambda target: target.url.endswith("0")))
    assert [one is None for one in staged] == [False, True]
    assert [server.sent for server in many.servers.values()] == [300, 0]
    assert targets[1][1].kept == 300


def test_stopping_a_batch_stops_its_files(tmp_path: Path) -> None:
    """Cancelled: `CancelledError` comes out, and no task stays."""
    many = Many([b"x" * 30_000] * 3)

    async def stop() -> None:
        task = asyncio.create_task(fetch_all(many.targets(), tmp_path, tools(many)))
        await asyncio.sleep(1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert len(asyncio.all_tasks()) == 1

    run(stop())


def test_the_first_of_a_group_within_a_group() -> None:
    """Groups nest as tasks do; the innermost first error is the reason."""
    group = BaseExceptionGroup("x", [ExceptionGroup("y", [ModelGated("no"), ValueError()]), KeyError()])
    assert isinstance(first_error(group), ModelGated)


def test_a_partial_has_a_name_of_its_content_and_its_place() -> None:
    """The same content for the same place is one partial, anything else another; the token plays no part in it."""
    target = target_of(b"x")
    assert target.partial_name == target_of(b"x", url="https://mirror.test/", headers={}).partial_name
    others = [target_of(b"y"), target_of(b"x", name="elsewhere"), target_of(b"x", algorithm="git-sha1")]
    assert len({target.partial_name, *(other.partial_name for other in others)}) == 4
    assert target.partial_name.isalnum()
    assert target.identity == f"sha256:{hashlib.sha256(b'x').hexdigest()}"


def test_secrets_are_not_shown() -> None:
    """A target in a log line or a traceback has no token in it."""
    assert "hf_secret" not in repr(target_of(b"x"))
