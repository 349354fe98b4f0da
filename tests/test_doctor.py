"""`windlass doctor`: each thing that can be wrong is found and comes with advice; what is right is not blamed."""

import json
import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from standin import ALWAYS, Hub, faults
from windlass.cli.doctor import doctor
from windlass.doctor import Look, examine
from windlass.fit import Memory
from windlass.presence import Presence
from windlass.service import Service
from windlass.settings import load

Capture = pytest.CaptureFixture[str]
GB = 10**9


@pytest.fixture
def environ(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """A machine on which all is well."""
    for name in ("HF_TOKEN", "SSL_CERT_FILE", *("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", str(tmp_path / "no-token"))
    hub.add("unsloth/Qwen3-8B-GGUF", {"Qwen3-8B-Q4_K_M.gguf": b"GGUF" + bytes(100)})
    return {
        "WINDLASS_HOME": str(tmp_path / "home"),
        "WINDLASS_LMSTUDIO_HOME": str(tmp_path / "lmstudio"),
        "WINDLASS_HF_ENDPOINT": hub.url,
        "WINDLASS_CATALOG_URL": hub.url,
    }


def looks(environ: dict[str, str], memory: Memory | None = None) -> list[Look]:
    """What the doctor says."""
    with Service(load(environ=environ)) as service:
        examined = service.examined
        return [*examine(replace(examined, memory=lambda: memory) if memory else examined)]


def found(environ: dict[str, str], memory: Memory | None = None) -> dict[str, Look]:
    """The same by what it is about; the last where there are several."""
    return {look.about: look for look in looks(environ, memory)}


def test_where_all_is_well_nothing_is_blamed(environ: dict[str, str], tmp_path: Path) -> None:
    """And nothing is written: neither a database nor a folder."""
    checks = found(environ)
    assert {check.state for check in checks.values()} <= {"good", "note"}
    good = {"versions", "state", "jobs", "disk", "hub", "bytes", "catalog"}
    assert {about for about, check in checks.items() if check.state == "good"} == good
    assert [*tmp_path.iterdir()] == []


def not_mounted(environ: dict[str, str], tmp_path: Path, _: Hub) -> None:
    environ["WINDLASS_MORE_MODELS_DIRS"] = str(tmp_path / "stick")


def nearly_full(environ: dict[str, str], tmp_path: Path, _: Hub) -> None:
    disk = os.statvfs(tmp_path)
    environ["WINDLASS_MIN_FREE"] = str(disk.f_bavail * disk.f_frsize - GB)


def no_hub(environ: dict[str, str], _: Path, __: Hub) -> None:
    environ["WINDLASS_HF_ENDPOINT"] = "http://127.0.0.1:9"


def another_site(_: dict[str, str], __: Path, hub: Hub) -> None:
    hub.misbehave("search", faults.json_value({"error": "none of ours"}), times=ALWAYS)


def no_catalog(environ: dict[str, str], _: Path, __: Hub) -> None:
    environ["WINDLASS_CATALOG_URL"] = "http://127.0.0.1:9"


def no_catalog_folder(environ: dict[str, str], tmp_path: Path, _: Hub) -> None:
    environ["WINDLASS_CATALOG_URL"] = str(tmp_path / "catalog")


def no_certificates(environ: dict[str, str], tmp_path: Path, _: Hub) -> None:
    environ["SSL_CERT_FILE"] = str(tmp_path / "ours.pem")


def torn_database(environ: dict[str, str], tmp_path: Path, _: Hub) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "windlass.db").write_bytes(b"no database, but as long as one " * 200)


def other_time(_: dict[str, str], __: Path, hub: Hub) -> None:
    hub.misbehave("search", faults.headers(date="Thu, 01 Jan 2015 00:00:00 GMT"), times=ALWAYS)


def refused_token(environ: dict[str, str], _: Path, hub: Hub) -> None:
    environ["HF_TOKEN"] = "hf_revoked_long_ago"
    hub.misbehave("whoami", faults.status(401), times=ALWAYS)


@pytest.mark.parametrize(
    ("ill", "about", "state", "said", "advice"),
    [
        (not_mounted, "disk", "bad", "stick is not there", "mounted"),
        (nearly_full, "disk", "warning", "free, of which", "windlass rm"),
        (no_hub, "hub", "bad", "127.0.0.1:9 cannot be reached", "HTTPS_PROXY"),
        (another_site, "hub", "bad", "not as a hub does", "WINDLASS_HF_ENDPOINT"),
        (no_catalog, "catalog", "bad", "127.0.0.1:9 cannot be reached", "HTTPS_PROXY"),
        (no_catalog_folder, "catalog", "bad", "catalog is not there", "WINDLASS_CATALOG_URL"),
        (no_certificates, "certificates", "bad", "ours.pem, of which no certificates can be read", "PEM"),
        (torn_database, "jobs", "bad", "windlass.db", ""),
        (other_time, "clock", "warning", "ahead of the hub's", "certificates"),
        (refused_token, "access", "bad", "does not take the token", "hf auth login"),
    ],
    ids=lambda value: value.__name__ if callable(value) else "",
)
def test_each_ill_is_found(
    ill: Callable[[dict[str, str], Path, Hub], None],
    about: str, state: str, said: str, advice: str,
    environ: dict[str, str], hub: Hub, tmp_path: Path,
) -> None:  # fmt: skip
    """By its name, in words, with advice; the others are looked at all the same."""
    ill(environ, tmp_path, hub)
    checks = found(environ)
    check = checks[about]
    assert check.state == state
    assert said in check.said
    assert advice in check.advice
    assert {"versions", "memory", "catalog"} <= checks.keys()
    assert [one for one in checks.values() if one.state == "bad" and one.about != about] == []


def test_a_folder_that_cannot_be_written_to(environ: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Of models or of the state. Whoever runs these tests may write everywhere, so the system's word is made up."""
    monkeypatch.setattr("windlass.folder.os.access", lambda *_: False)
    checks = found(environ)
    for look in (checks["disk"], checks["state"]):
        assert (look.state, look.said.endswith("cannot be written to.")) == ("bad", True)
        assert "owner" in look.advice


def test_bytes_go_another_way_than_questions(environ: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy that only one of both libraries takes: it is said which of them does not get through."""
    monkeypatch.setattr("windlass.transfer.environment.getproxies", lambda: {"http": "http://127.0.0.1:9"})
    monkeypatch.setattr("windlass.transfer.environment.proxy_bypass", lambda _: False)
    checks = found(environ)
    assert checks["hub"].state == "good"
    assert checks["bytes"].state == "bad"
    assert "firewall" in checks["bytes"].advice


def test_a_server_is_named(environ: dict[str, str], tmp_path: Path) -> None:
    """With the address to reach it at."""
    with Presence(tmp_path / "home") as presence:
        presence.serve("http://127.0.0.1:4321")
        assert "http://127.0.0.1:4321" in found(environ)["server"].said


@pytest.mark.parametrize(
    ("proxy", "said"),
    [
        ("http://proxy.example:3128", "http://proxy.example:3128"),
        ("http://me:S3CR3T@proxy.example:3128", "http://…@proxy.example:3128"),
        ("me:S3CR3T@proxy.example:3128", "…@proxy.example:3128"),
        ("http://me:S3/CR3T@h@proxy.example:3128", "http://…@proxy.example:3128"),
        ("socks5h://me:S3CR3T@10.0.0.1", "socks5h://…@10.0.0.1"),
    ],
)
def test_a_proxy_is_named_without_its_password(
    proxy: str, said: str, environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """However it is written: what the doctor says is what people paste where others read it."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("HTTPS_PROXY", proxy)
    told = looks(environ)
    assert [look.said for look in told if look.about == "proxy"] == [f"HTTPS_PROXY is {said}", "NO_PROXY is 127.0.0.1"]
    assert "S3" not in str(told)


def test_a_database_of_an_older_program_stays_as_it_is(environ: dict[str, str], tmp_path: Path) -> None:
    """It is said, and left to the next command that needs the jobs."""
    home = tmp_path / "home"
    home.mkdir()
    with closing(sqlite3.connect(home / "windlass.db")) as connection:
        connection.executescript((Path(__file__).parent / "jobs/schemas/0004.sql").read_text())
    assert found(environ)["jobs"].state == "note"
    with closing(sqlite3.connect(home / "windlass.db")) as connection:
        assert connection.execute("SELECT version_num FROM alembic_version").fetchall() == [("0004",)]


def test_what_a_mirror_may_answer_is_no_illness(environ: dict[str, str], hub: Hub) -> None:
    """A time without a zone, and no JSON where it should say whose the token is."""
    environ["HF_TOKEN"] = "hf_of_a_person_here"
    hub.tokens.add(environ["HF_TOKEN"])
    date = datetime.now(UTC).strftime("%a, %d %b %Y %H:%M:%S -0000")
    hub.misbehave("search", faults.headers(date=date), times=ALWAYS)
    hub.misbehave("whoami", faults.garbage_json(), times=ALWAYS)
    checks = found(environ)
    assert {checks[about].state for about in ("hub", "bytes", "access", "catalog")} == {"good"}
    assert "clock" not in checks


@pytest.mark.parametrize(
    ("memory", "said"),
    [
        (Memory(), "does not tell"),
        (Memory(64 * GB), "64.0 GB"),
        (Memory(64 * GB, 24 * GB), "64.0 GB, graphics cards 24.0 GB"),
        (Memory(64 * GB, None, shared=True), "64.0 GB, shared with the graphics"),
    ],
)
def test_memory_is_told(memory: Memory, said: str, environ: dict[str, str]) -> None:
    """By it the default quantization is chosen."""
    assert said in found(environ, memory)["memory"].said


def test_a_token_that_the_hub_knows(environ: dict[str, str], hub: Hub) -> None:
    """Whose it is; a mirror that does not tell is not blamed."""
    environ["HF_TOKEN"] = "hf_of_a_person_here"
    hub.tokens.add(environ["HF_TOKEN"])
    assert found(environ)["access"].said == "The hub knows the token as tester's."
    hub.misbehave("whoami", faults.status(404), times=ALWAYS)
    assert found(environ)["access"] == Look("access", "good", "There is a token.")


def test_it_is_shown_with_the_settings(environ: dict[str, str], capsys: Capture) -> None:
    """What is set otherwise than it comes, and where; 0 where nothing is wrong, else 1; as JSON all of it."""
    assert doctor(load(environ=environ), as_json=False) == 0
    out = capsys.readouterr().out
    assert f"home is {environ['WINDLASS_HOME']} (from WINDLASS_HOME)" in out
    assert "max_jobs" not in out
    ill = load(environ={**environ, "WINDLASS_HF_ENDPOINT": "http://127.0.0.1:9"})
    assert doctor(ill, as_json=True) == 1
    body = json.loads(capsys.readouterr().out)
    assert body["settings"]["max_jobs"] == {"value": 3, "from": "default"}
    assert [check["about"] for check in body["looks"] if check["state"] == "bad"] == ["hub"]
