"""Several models folders, from outside: where models go, and what becomes of a folder that is away or read-only."""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from e2e.conftest import MIB, gguf
from e2e.outside import Home, Server, eventually, sha256
from e2e.test_models import ask, flip, models
from standin import ALWAYS, Hub, faults

MODEL = 12 * MIB
NAME = "Thing-Q4_K_M.gguf"


@pytest.fixture
def thing(acme: Hub) -> str:
    acme.add("acme/Thing-GGUF", {NAME: gguf(MODEL, 3)})
    return f"{acme.url}/acme/Thing-GGUF"


@pytest.fixture
def second(home: Home, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The second of two models folders."""
    folder = tmp_path_factory.mktemp("second")
    home.more["WINDLASS_MORE_MODELS_DIRS"] = str(folder)
    return folder


@pytest.fixture
def small_first(home: Home, second: Path) -> Iterator[None]:
    """The first folder is a disk with too little room for the model."""
    home.models.mkdir(parents=True)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={MODEL // 2}", "tmpfs", str(home.models)]
    if os.getuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("only root may mount a small file system")
    yield
    subprocess.run(["umount", "-l", home.models], check=True)


@pytest.mark.usefixtures("small_first")
def test_what_does_not_fit_into_the_first_goes_to_the_second(acme: Hub, home: Home, second: Path, thing: str) -> None:
    """Planned so; goes on there after SIGKILL; listed, found, verified, mended and removed like any other."""
    acme.rate = 4_000_000
    with Server(home) as server:
        plan = server.ask("POST", "/api/windlass/v1/plan", {"model": thing}).json
        assert (plan["models_dir"], plan["fits_disk"]) == (str(second), True)
        job_id = server.download(thing)["job_id"]
        server.until(job_id, lambda job: job["downloaded_bytes"] > MODEL // 4)
        server.kill()
        assert list((second / ".windlass" / "partial").glob("*.part"))
        assert not (home.models / ".windlass").exists()
        server.restart()
        assert server.finished(job_id)["status"] == "completed"
        assert acme.sent(NAME) < MODEL + 4 * MIB
        path = second / "acme" / "Thing-GGUF" / NAME
        assert server.ask("GET", f"/api/windlass/v1/jobs/{job_id}").json["path"] == str(path)
        assert models(server) == ["thing"]
        assert ask(server, "GET", "thing").json["path"] == str(path)
        assert server.download(thing)["status"] == "already_downloaded"
        right = sha256(path)
        flip(path, MODEL // 2)
        job = ask(server, "POST", "thing", "/verify", {"repair": True}).json["job"]
        assert server.finished(job["job_id"])["status"] == "completed"
        assert sha256(path) == right
        assert home.run("path", "thing").stdout.strip() == str(path)
        assert ask(server, "DELETE", "thing").json["freed_bytes"] == MODEL
        assert not path.exists()


def test_the_folder_that_is_asked_for(acme: Hub, home: Home, second: Path, thing: str) -> None:
    """By the command and by the API; what is none of the folders is refused; a job under way is not sent elsewhere."""
    acme.misbehave("cdn", faults.stall(after=100), times=ALWAYS)
    body = {"model": thing, "to": str(second)}
    with Server(home) as server:
        for wrong in ("/somewhere/else", 7):
            answer = server.ask("POST", "/api/v1/models/download", {**body, "to": wrong})
            assert (answer.status, answer.error["param"]) == (400, "to")
        job_id = server.ask("POST", "/api/v1/models/download", body).json["job_id"]
        assert server.ask("POST", "/api/v1/models/download", body).json["job_id"] == job_id
        answer = server.ask("POST", "/api/v1/models/download", {**body, "to": str(home.models)})
        assert (answer.status, answer.error["param"]) == (400, "to")
        assert str(second) in answer.error["message"]
        eventually(lambda: [*(second / ".windlass" / "partial").glob("*.part")])
        server.ask("POST", f"/api/windlass/v1/jobs/{job_id}/cancel")
        assert not list((second / ".windlass" / "partial").glob("*"))
    acme.behave()
    brought = home.run("get", thing, "--to", str(second), "-y")
    assert (brought.returncode, brought.stdout.strip()) == (0, str(second / "acme" / "Thing-GGUF" / NAME))


def test_a_folder_that_is_away_is_passed_over_and_said_so(acme: Hub, home: Home, second: Path, thing: str) -> None:
    """Its models are not listed meanwhile, nothing is made in its place, others go on; it comes back as it was."""
    away = second.with_name("away")
    assert home.run("get", thing, "--to", str(second), "-y").returncode == 0
    second.rename(away)
    with Server(home) as server:
        assert models(server) == []
        lines = server.ask("GET", "/metrics").body.decode().splitlines()
        assert f'windlass_models_folder_up{{folder="{second}"}} 0.0' in lines
        assert str(second) in server.said
        answer = server.ask("POST", "/api/v1/models/download", {"model": "acme/rope-8b", "to": str(second)})
        assert "mounted" in answer.error["message"]
        assert server.finished(server.download("acme/rope-8b")["job_id"])["status"] == "completed"
        listed = home.run("ls", "--json")
        assert [row["key"] for row in json.loads(listed.stdout)] == ["acme/rope-8b"]
        assert f"{second} is not there" in listed.stderr
        assert not second.exists()
        away.rename(second)
        assert models(server) == ["acme/rope-8b", "thing"]


def test_a_folder_that_can_only_be_read_is_listed(acme: Hub, home: Home, second: Path, thing: str) -> None:
    """And verified, with nothing written there; what is there is not fetched again, what is new goes elsewhere."""
    assert home.run("get", thing, "--to", str(second), "-y").returncode == 0
    bind = [["mount", "--bind", str(second), str(second)], ["mount", "-o", "remount,bind,ro", str(second)]]
    if os.getuid() != 0 or subprocess.run(bind[0], capture_output=True, check=False).returncode != 0:
        pytest.skip("only root may mount a folder for reading only")
    try:
        subprocess.run(bind[1], check=True, capture_output=True)
        fetched = acme.sent(NAME)
        with Server(home) as server:
            assert models(server) == ["thing"]
            assert server.download(thing)["status"] == "already_downloaded"
            assert ask(server, "POST", "thing", "/verify").json["whole"]
            assert acme.sent(NAME) == fetched
            answer = ask(server, "DELETE", "thing")
            assert (answer.status, answer.error["code"]) == (503, "storage_error")
            answer = server.ask("POST", "/api/v1/models/download", {"model": "acme/rope-8b", "to": str(second)})
            assert "cannot be written to" in answer.error["message"]
            job = server.finished(server.download("acme/rope-8b")["job_id"])
            assert job["status"] == "completed"
            assert models(server) == ["acme/rope-8b", "thing"]
        checked = home.run("verify", "--all", "--json")
        assert (checked.returncode, [row["whole"] for row in json.loads(checked.stdout)]) == (0, [True, True])
    finally:
        subprocess.run(["umount", "-l", second], check=True)


def test_one_model_in_two_folders_is_listed_once(acme: Hub, home: Home, second: Path, thing: str) -> None:
    """The first folder's; when that is removed, the other's, from which it was taken without a byte from the hub."""
    assert home.run("get", thing, "--to", str(second), "-y").returncode == 0
    assert home.run("import", str(second / "acme" / "Thing-GGUF"), "--copy", "-y",
                    "--user-repo", "acme/Thing-GGUF").returncode == 0  # fmt: skip
    with Server(home) as server:
        assert models(server) == ["thing"]
        assert Path(ask(server, "GET", "thing").json["path"]).is_relative_to(home.models)
        assert ask(server, "DELETE", "thing").status == 200
        assert Path(ask(server, "GET", "thing").json["path"]).is_relative_to(second)


def test_a_mount_point_alone_is_no_models_folder(acme: Hub, home: Home, second: Path, thing: str) -> None:
    """Its disk is away and the empty folder stays: nothing goes there, and what was begun waits for its return."""
    away = second.with_name("away")
    assert home.run("get", "acme/rope-8b", "--to", str(second), "-y").returncode == 0
    acme.misbehave("cdn", faults.stall(after=2 * MIB), times=ALWAYS)
    with Server(home) as server:
        job_id = server.ask("POST", "/api/v1/models/download", {"model": thing, "to": str(second)}).json["job_id"]
        server.until(job_id, lambda job: job["downloaded_bytes"] > MIB)
        server.ask("POST", f"/api/windlass/v1/jobs/{job_id}/pause")
        kept = server.status(job_id)["downloaded_bytes"]
        second.rename(away)
        second.mkdir()
        acme.behave()
        assert models(server) == []
        answer = server.ask("POST", f"/api/windlass/v1/jobs/{job_id}/resume")
        assert answer.status == 503 or server.finished(job_id)["error_code"] == "storage_error"
        assert list(second.iterdir()) == []
        second.rmdir()
        away.rename(second)
        server.ask("POST", f"/api/windlass/v1/jobs/{job_id}/resume")
        assert server.finished(job_id)["status"] == "completed"
        [file] = server.ask("GET", f"/api/windlass/v1/jobs/{job_id}").json["files"]
        assert file["fetched_bytes"] <= MODEL - kept + MIB


def test_a_folder_that_is_named_no_more_keeps_its_job(acme: Hub, home: Home, second: Path, thing: str) -> None:
    """What has come to it is not fetched again into another one; named again, it is listed."""
    acme.rate = 3_000_000
    with Server(home) as server:
        job_id = server.ask("POST", "/api/v1/models/download", {"model": thing, "to": str(second)}).json["job_id"]
        server.until(job_id, lambda job: job["downloaded_bytes"] > MODEL // 3)
        server.kill()
        del home.more["WINDLASS_MORE_MODELS_DIRS"]
        server.restart()
        assert server.finished(job_id)["status"] == "completed"
        assert acme.sent(NAME) < MODEL + 4 * MIB
        assert models(server) == []
    assert (second / "acme" / "Thing-GGUF" / NAME).stat().st_size == MODEL
    home.more["WINDLASS_MORE_MODELS_DIRS"] = (
        f"{second}/{os.pathsep}{second.parent}/../{second.parent.name}/{second.name}"
    )
    assert [row["key"] for row in json.loads(home.run("ls", "--json").stdout)] == ["thing"]


def test_a_repair_that_is_refused_leaves_the_model(acme: Hub, home: Home, second: Path, thing: str) -> None:
    """A job brings the same model to the other folder: the damaged one stays under its name."""
    assert home.run("get", thing, "--to", str(second), "-y").returncode == 0
    path = second / "acme" / "Thing-GGUF" / NAME
    flip(path, MODEL // 2)
    acme.misbehave("cdn", faults.stall(after=MIB), times=ALWAYS)
    home.more["WINDLASS_HARD_LINKS"] = "no"
    with Server(home) as server:
        body = {"model": thing, "to": str(home.models)}
        job_id = server.ask("POST", "/api/v1/models/download", body).json["job_id"]
        server.ask("POST", f"/api/windlass/v1/jobs/{job_id}/pause")
        answer = ask(server, "POST", "thing", "/verify", {"repair": True})
        assert answer.status in {400, 409}
        assert path.stat().st_size == MODEL


def test_copies_in_two_folders_are_both_updated(acme: Hub, home: Home, second: Path, thing: str) -> None:
    """And what is said of each has the key that the list has."""
    for folder in (second, home.models):
        assert home.run("get", thing, "--to", str(folder), "-y").returncode == 0
    new = gguf(MODEL, 4)
    acme.repositories["acme/thing-gguf"].push({NAME: new})
    done = home.run("update", "--all", "--json")
    assert done.returncode == 0, done.stderr
    for folder in (second, home.models):
        assert (folder / "acme" / "Thing-GGUF" / NAME).read_bytes() == new
    assert json.loads(home.run("ls", "--outdated", "--json").stdout) == []


def test_namesakes_in_two_folders_are_told_apart(acme: Hub, home: Home, second: Path, thing: str) -> None:
    """What goes from folder to folder calls each as the list does."""
    acme.add("other/Thing-GGUF", {NAME: gguf(MIB, 9)})
    assert home.run("get", thing, "--to", str(home.models), "-y").returncode == 0
    assert home.run("get", f"{acme.url}/other/Thing-GGUF", "--to", str(second), "-y").returncode == 0
    keys = [row["key"] for row in json.loads(home.run("ls", "--json").stdout)]
    assert keys == ["acme/thing", "other/thing"]
    for words in (["verify", "--all", "--json"], ["update", "--all", "--json"]):
        assert sorted(row["key"] for row in json.loads(home.run(*words).stdout)) == keys
    for repository, seed in (("acme/thing-gguf", 10), ("other/thing-gguf", 11)):
        acme.repositories[repository].push({NAME: gguf(MIB, seed)})
    assert [row["key"] for row in json.loads(home.run("ls", "--outdated", "--json").stdout)] == keys


def test_of_two_copies_the_whole_one_is_handed_over(acme: Hub, home: Home, second: Path) -> None:
    """A shard of the first folder's is gone: what is here, whole, is the other's."""
    for folder in (home.models, second):
        assert home.run("get", f"{acme.url}/acme/Big-GGUF", "--to", str(folder), "-y").returncode == 0
    (home.models / "acme" / "Big-GGUF" / "Big-Q4_K_M-00002-of-00003.gguf").unlink()
    got = home.run("get", f"{acme.url}/acme/Big-GGUF", "-y")
    assert (got.returncode, got.stdout) == (0, home.run("path", "big").stdout)
    assert got.stdout.startswith(str(second))


def test_an_import_goes_where_it_is_told(home: Home, second: Path, tmp_path: Path) -> None:
    """A file, and what was exported; a folder that is none of them is refused, and the file stays where it was."""
    file = tmp_path / "Mine-Q4_K_M.gguf"
    file.write_bytes(gguf(MODEL, 8))
    command = ["import", str(file), "--user-repo", "me/Mine-GGUF", "-y", "--to"]
    assert home.run(*command, str(tmp_path)).returncode == 2
    assert file.is_file()
    assert home.run(*command, str(second)).returncode == 0
    place = second / "me" / "Mine-GGUF" / file.name
    assert home.run("path", "me/Mine-GGUF").stdout.strip() == str(place)
    assert home.run("export", "me/Mine-GGUF", "--to", str(tmp_path / "stick")).returncode == 0
    assert home.run("rm", "-y", "me/Mine-GGUF").returncode == 0
    assert home.run("import", str(tmp_path / "stick"), "-y", "--to", str(second)).returncode == 0
    assert place.is_file()
    assert not (home.models / "me").exists()
