"""Webhooks: each end is told to each address, signed, in order, until it is taken or old; nothing waits for that."""

import json
import threading
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook

from windlass.errors import InvalidRequest, JobNotFound, StateFailure
from windlass.jobs.job import End
from windlass.jobs.states import State
from windlass.webhooks import (
    BEAT,
    LONGEST_WAIT,
    MOST_REFUSALS,
    PATIENCE,
    Receiver,
    Webhooks,
    judge,
    kept_secret,
    key_at,
    key_of,
    sign,
    wait,
)

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
URL = "http://127.0.0.1:9/services/T0/B0/secret"


class Jobs:
    """A source whose ends a test writes down."""

    def __init__(self, *ends: End) -> None:
        self.ends = list(ends)
        self.moves = 0
        self.forgotten: set[str] = set()

    def last_move(self) -> int:
        return self.moves

    def next_end(self, after: int) -> End | None:
        return next((end for end in self.ends if end.number > after), None)

    def show(self, job_id: str) -> dict[str, Any]:
        if job_id in self.forgotten:
            raise JobNotFound(job_id)
        return {"job_id": job_id, "status": "completed"}


class Net:
    """Takes what is sent, and answers as it is told to: the last answer for ever."""

    def __init__(self, *answers: int | None) -> None:
        self.answers = list(answers)
        self.taken: list[tuple[str, Mapping[str, str], bytes]] = []

    def __call__(self, url: str, headers: Mapping[str, str], body: bytes) -> int | None:
        self.taken.append((url, headers, body))
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]

    @property
    def ids(self) -> list[str]:
        return [headers["webhook-id"] for _, headers, _ in self.taken]


def completed(number: int, at: float = 0.0) -> End:
    return End(number, f"job_{number:010}", State.COMPLETED, at)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "webhooks" / "one"


def receiver(jobs: Jobs, net: Net, place: Path) -> Receiver:
    return Receiver(URL, key_of(SECRET), jobs, place, net)


@pytest.mark.parametrize(
    ("status", "refusals", "age", "verdict"),
    [
        (200, 1, 0.0, "told"),
        (204, 9, PATIENCE, "told"),
        (None, 0, 0.0, "again"),
        (None, 0, PATIENCE, "over"),
        (500, 0, PATIENCE - 1, "again"),
        (503, 99, PATIENCE, "over"),
        (400, MOST_REFUSALS - 1, 0.0, "again"),
        (400, MOST_REFUSALS, 0.0, "over"),
        (302, MOST_REFUSALS, 0.0, "over"),
        (429, 99, 0.0, "again"),
        (408, 99, 0.0, "again"),
        (410, 1, 0.0, "over"),
    ],
)
def test_what_an_answer_means(status: int | None, refusals: int, age: float, verdict: str) -> None:
    """Taken, to be tried again, or given up."""
    assert judge(status, refusals, age) == verdict


@given(st.integers(1, 10_000), st.floats(0, 1, exclude_max=True))
def test_waits_grow_and_are_bounded(failures: int, chance: float) -> None:
    """Never at once, never longer than the longest."""
    assert 1.0 <= wait(failures, chance) <= LONGEST_WAIT
    assert wait(failures, chance) <= wait(failures + 1, chance)


def test_what_is_sent_is_signed_as_the_standard_has_it(place: Path) -> None:
    """Its own library makes the same signature, with the secret as people copy it."""
    net, jobs = Net(204), Jobs()
    told = receiver(jobs, net, place)
    jobs.ends.append(completed(7, at=1.5))
    assert told.step(1000.0, 0.5) == 0.0
    [(url, headers, body)] = net.taken
    assert url == URL
    assert headers["webhook-signature"] == sign(key_of(SECRET), "job_0000000007-7", 1000, body)
    theirs = Webhook(SECRET).sign("job_0000000007-7", datetime.fromtimestamp(1000, UTC), body.decode())
    assert headers["webhook-signature"] == theirs
    assert json.loads(body) == {
        "type": "job.completed",
        "timestamp": "1970-01-01T00:00:01.500Z",
        "data": {"job_id": "job_0000000007", "status": "completed"},
    }


def test_each_end_is_told_once_and_in_order(place: Path) -> None:
    """Also one that was away for a while, and over a start anew; what was before the address was given is not told."""
    jobs, net = Jobs(completed(1)), Net(None, 500, 200)
    jobs.moves = 1
    first = receiver(jobs, net, place)
    assert first.step(0.0, 0.0) == BEAT
    jobs.ends += [completed(2), End(5, "job_x", State.FAILED, 0.0)]
    assert [first.step(0.0, 0.0) for _ in range(3)] == [1.0, 2.0, 0.0]
    second = receiver(jobs, net, place)
    assert [second.step(0.0, 0.0) for _ in range(2)] == [0.0, BEAT]
    assert net.ids == ["job_0000000002-2"] * 3 + ["job_x-5"]
    assert json.loads(net.taken[-1][2])["type"] == "job.failed"


def test_one_that_is_not_wanted_does_not_hold_up_the_next(place: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Three tries, then the next one; the log says so, without the path, which may be a secret."""
    jobs, net = Jobs(), Net(*[400] * MOST_REFUSALS, 200)
    told = receiver(jobs, net, place)
    jobs.ends += [completed(1), completed(2)]
    for _ in range(MOST_REFUSALS + 1):
        told.step(0.0, 0.0)
    assert net.ids == ["job_0000000001-1"] * MOST_REFUSALS + ["job_0000000002-2"]
    assert "127.0.0.1:9 is not told that job_0000000001 has ended: it answered 400" in caplog.text
    assert "secret" not in caplog.text


def test_old_news_is_not_told(place: Path) -> None:
    """A receiver that was away for days is tried once for each end, and hears of the newer ones."""
    jobs, net = Jobs(), Net(None, None, 200)
    told = receiver(jobs, net, place)
    jobs.ends += [completed(1), completed(2), completed(3, at=PATIENCE)]
    assert [told.step(PATIENCE, 0.0) for _ in range(3)] == [0.0, 0.0, 0.0]
    assert told.step(PATIENCE, 0.0) == BEAT


def test_a_job_that_was_forgotten_is_told_by_its_id(place: Path) -> None:
    """It did end; there is no more to tell."""
    jobs, net = Jobs(), Net(200)
    told = receiver(jobs, net, place)
    jobs.ends.append(completed(1))
    jobs.forgotten.add("job_0000000001")
    told.step(0.0, 0.0)
    assert json.loads(net.taken[0][2])["data"] == {"job_id": "job_0000000001"}


def test_a_place_that_cannot_be_read_is_told(place: Path) -> None:
    """Nothing is told twice by guessing."""
    place.parent.mkdir()
    place.write_text("here")
    with pytest.raises(StateFailure, match="cannot be read"):
        receiver(Jobs(), Net(200), place)


def test_secrets(tmp_path: Path) -> None:
    """One is made where none is given, for its owner only, and stays; what is none is refused with how to make one."""
    path = tmp_path / "webhook-secret"
    made = kept_secret(path)
    assert kept_secret(path) == made
    assert len(key_of(made)) == 32
    assert path.stat().st_mode & 0o777 == 0o600
    for wrong in ("whsec_", "hush", "whsec_c2hvcnQ=", "whsec_" + "A" * 100):
        with pytest.raises(InvalidRequest, match="WINDLASS_WEBHOOK_SECRET"):
            key_of(wrong)
    with pytest.raises(StateFailure, match="cannot be used"):
        kept_secret(tmp_path / "absent" / "secret")


def test_a_secret_that_is_kept_but_none_is_made_anew_or_named(tmp_path: Path) -> None:
    """An empty file, which a crash or a full disk has left, gets one; of another text it is said where it stands."""
    path = tmp_path / "webhook-secret"
    path.touch()
    assert len(key_at(tmp_path, None)) == 32
    assert key_at(tmp_path, None) == key_of(path.read_text().strip())
    assert key_at(tmp_path, SECRET) == key_of(SECRET)
    path.write_text("hush")
    with pytest.raises(InvalidRequest, match=str(path)):
        key_at(tmp_path, None)


def test_a_step_that_fails_is_not_the_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The records may be away for a while; the thread goes on, and ends when it is told to."""
    went = threading.Semaphore(0)

    def fail(*_: object) -> float:
        went.release()
        raise StateFailure("database or disk is full")

    monkeypatch.setattr("windlass.webhooks.wait", lambda *_: 0.0)
    monkeypatch.setattr(Receiver, "step", fail)
    webhooks = Webhooks([URL], key_of(SECRET), Jobs(), tmp_path)
    webhooks.start()
    for _ in range(3):
        assert went.acquire(timeout=20)
    webhooks.close()
