"""Models whose repository has moved on, from outside: told of, brought up to date with what has changed alone."""

import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from e2e.conftest import MIB, YAML, gguf
from e2e.outside import PATIENCE, Home, Server, eventually, sha256
from standin import ALWAYS, Hub, faults

SHARDS = [f"Big-Q4_K_M-0000{number}-of-00003.gguf" for number in (1, 2, 3)]


def push(hub: Hub, repo: str, files: dict[str, bytes], without: tuple[str, ...] = ()) -> str:
    """A new commit of a repository."""
    return hub.repositories[repo.lower()].push(files, without=without)


@dataclass
class Place:
    """A machine, and who does the work there: a server that runs, or each command by itself."""

    home: Home
    server: Server | None

    def run(self, *arguments: str, code: int = 0) -> "subprocess.CompletedProcess[str]":
        ended = self.home.run(*arguments)
        assert ended.returncode == code, ended.stderr
        assert "Traceback" not in ended.stderr
        return ended

    def outdated(self, code: int = 0) -> dict[str, Any]:
        """What `ls --outdated` tells, by key."""
        return {
            row["key"]: row["update"] for row in json.loads(self.run("ls", "--outdated", "--json", code=code).stdout)
        }

    def update(self, *arguments: str, code: int = 0) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = json.loads(self.run("update", *arguments, "--json", code=code).stdout)
        return rows


@pytest.fixture(params=["server", "alone"])
def place(request: pytest.FixtureRequest, home: Home) -> Iterator[Place]:
    """Both ways of doing the work."""
    with Server(home) if request.param == "server" else nullcontext() as server:
        yield Place(home, server)


@pytest.fixture
def two(acme: Hub) -> str:
    """Two quantizations that share a projector."""
    weights = {"Two-Q4_K_M.gguf": gguf(MIB, 1), "Two-Q8_0.gguf": gguf(MIB, 2)}
    acme.add("acme/Two-GGUF", {**weights, "mmproj-Two-F16.gguf": gguf(MIB, 3)})
    return "acme/Two-GGUF"


def whole(home: Home, hub: Hub, repo: str) -> None:
    """Each file of the repository's folder is the one of its last commit."""
    files = hub.repositories[repo.lower()]
    for path in (home.models / repo).iterdir():
        assert sha256(path) == files.file(path.name).sha256, path


def test_only_what_has_changed_is_fetched(acme: Hub, place: Place) -> None:
    """Of three shards one: counted at the hub; told before, done, and told no more; a second time there is nothing."""
    place.run("get", "acme/Big-GGUF")
    old = acme.repositories["acme/big-gguf"].refs["main"]
    assert place.outdated() == {}
    new = push(acme, "acme/Big-GGUF", {SHARDS[1]: gguf(MIB, 77)})
    path = f"acme/Big-GGUF/{SHARDS[1]}"
    update = {"commit": old, "newest_commit": new, "files": [path], "bytes_to_fetch": MIB}
    assert place.outdated() == {"big": update}
    shown = place.run("ls", "--outdated").stdout.splitlines()
    assert shown[1].split() == ["big", "Q4_K_M", "1", "1.05", "MB", old[:7], "→", new[:7]]
    sent = [acme.sent(name) for name in SHARDS]
    [row] = place.update("big")
    assert (row["key"], row["status"], row["update"], row["removed"]) == ("big", "updated", update, [])
    assert row["job"]["status"] == "completed"
    assert [acme.sent(name) for name in SHARDS] == [sent[0], sent[1] + MIB, sent[2]]
    whole(place.home, acme, "acme/Big-GGUF")
    assert place.outdated() == {}
    again = place.run("update", "--all")
    assert (again.stdout, "big is up to date" in again.stderr) == ("", True)


def test_who_does_the_work(acme: Hub, home: Home, server: Server) -> None:
    """A server that runs, by a job like any other; it goes by nothing that the hub has told it a moment ago."""
    home.run("get", "acme/Big-GGUF")
    push(acme, "acme/Big-GGUF", {SHARDS[0]: gguf(MIB, 78)})
    row = json.loads(home.run("update", "big", "--json").stdout)[0]
    assert server.status(row["job"]["job_id"])["status"] == "completed"


def test_a_new_readme_is_no_update(acme: Hub, place: Place) -> None:
    """Nor is a quantization that came besides."""
    place.run("get", "acme/rope-8b")
    push(acme, "acme/Rope-8B-GGUF", {"README.md": b"# New", "rope-8b-Q6_K.gguf": gguf(MIB, 79)})
    assert place.outdated() == {}
    assert [row["status"] for row in place.update("--all")] == ["up_to_date"]


def test_a_changed_text_of_the_catalog_is_an_update(acme: Hub, place: Place) -> None:
    """The texts are written again, the lists tell what they say, and nothing is fetched."""
    place.run("get", "acme/rope-8b")
    text, manifest = acme.catalog["acme/rope-8b"]
    acme.catalog["acme/rope-8b"] = text.replace("contextLengths: [8192]", "contextLengths: [16384]"), manifest
    told = place.outdated()["acme/rope-8b"]
    assert (told["files"], told["bytes_to_fetch"]) == (["acme/rope-8b/model.yaml"], 0)
    sent = acme.sent("rope-8b-Q4_K_M.gguf")
    assert place.run("update", "--all").stdout == "acme/rope-8b\n"
    assert acme.sent("rope-8b-Q4_K_M.gguf") == sent
    assert "16384" in (place.home.catalog / "acme" / "rope-8b" / "model.yaml").read_text()
    assert json.loads(place.run("ls", "--json").stdout)[0]["max_context_length"] == 16384
    assert place.outdated() == {}


def test_files_that_are_no_part_of_it_any_more_go(acme: Hub, two: str, place: Place) -> None:
    """Afterwards, but for those that another model needs; new ones come."""
    place.run("get", f"{two}@Q4_K_M")
    place.run("get", "acme/Rope-8B-MLX-4bit")
    renamed = {"Two-renamed-Q4_K_M.gguf": gguf(MIB, 4), "mmproj-Two-BF16.gguf": gguf(MIB, 5)}
    push(acme, two, renamed, without=("Two-Q4_K_M.gguf", "mmproj-Two-F16.gguf"))
    push(acme, "acme/Rope-8B-MLX-4bit", {"tokenizer_config.json": b"{}"}, without=("tokenizer.json",))
    rows = {row["key"]: row for row in place.update("--all")}
    assert set(rows["two"]["removed"]) == {f"{two}/Two-Q4_K_M.gguf", f"{two}/mmproj-Two-F16.gguf"}
    assert rows["rope-8b-mlx-4bit"]["removed"] == ["acme/Rope-8B-MLX-4bit/tokenizer.json"]
    names = {name.rpartition("/")[2] for name in place.home.visible()}
    assert names == {*renamed, "config.json", "tokenizer_config.json", "model.safetensors"}
    for repo in (two, "acme/Rope-8B-MLX-4bit"):
        whole(place.home, acme, repo)
    assert len(json.loads(place.run("ls", "--json").stdout)) == 2


def test_models_that_share_a_file_are_updated_together(acme: Hub, two: str, place: Place) -> None:
    """Were only one, the other would not be whole any more; the projector is fetched once."""
    for quantization in ("Q4_K_M", "Q8_0"):
        place.run("get", f"{two}@{quantization}")
    push(acme, two, {"mmproj-Two-F16.gguf": gguf(MIB // 2, 6)})
    sent = acme.sent("mmproj-Two-F16.gguf")
    [row] = place.update("two@q8_0")
    assert row["status"] == "updated"
    assert acme.sent("mmproj-Two-F16.gguf") == sent + MIB // 2
    listed = {row["key"] for row in json.loads(place.run("ls", "--json").stdout)}
    assert len(listed) == 2
    assert place.outdated() == {}
    whole(place.home, acme, two)


def test_one_by_two_names_is_one_model(acme: Hub, place: Place) -> None:
    """The catalog's and the repository's: both are brought up to date, and the file is fetched once."""
    place.run("get", "acme/rope-8b")
    place.run("get", "hf.co/acme/Rope-8B-GGUF")
    push(acme, "acme/Rope-8B-GGUF", {"rope-8b-Q4_K_M.gguf": gguf(MIB, 7)})
    sent = acme.sent("rope-8b-Q4_K_M.gguf")
    assert [row["status"] for row in place.update("--all")] == ["updated"]
    assert acme.sent("rope-8b-Q4_K_M.gguf") == sent + MIB
    assert place.outdated() == {}
    assert not place.run("update", "--all").stdout


def test_one_at_a_commit_stays_and_one_of_a_branch_moves(acme: Hub, home: Home) -> None:
    """A commit is what it was; one that shares its files cannot be updated, and says so, with both as they were."""
    place = Place(home, None)
    commit = acme.repositories["acme/eye-gguf"].refs["main"]
    place.run("get", f"{acme.url}/acme/Eye-GGUF/tree/{commit}")
    push(acme, "acme/Eye-GGUF", {"mmproj-Eye-F16.gguf": gguf(MIB, 8), "Eye-Q8_0.gguf": gguf(MIB, 9)})
    assert place.outdated() == {}
    assert [row["status"] for row in place.update("--all")] == ["up_to_date"]
    acme.repositories["acme/rope-8b-gguf"].push({}, ref="next")
    acme.repositories["acme/rope-8b-gguf"].push({"rope-8b-Q4_K_M.gguf": gguf(MIB, 10)}, ref="next")
    place.run("get", f"{acme.url}/acme/Rope-8B-GGUF/tree/next")
    acme.repositories["acme/rope-8b-gguf"].push({"rope-8b-Q4_K_M.gguf": gguf(MIB, 11)}, ref="next")
    assert [row["status"] for row in place.update("rope-8b")] == ["updated"]


def test_a_model_at_a_commit_is_not_harmed_by_another(acme: Hub, two: str, home: Home) -> None:
    """The two want different files under one name: refused, with both as they were."""
    place = Place(home, None)
    commit = acme.repositories["acme/two-gguf"].refs["main"]
    place.run("get", f"{acme.url}/acme/Two-GGUF/tree/{commit}@Q8_0")
    place.run("get", f"{two}@Q4_K_M")
    before = home.files()
    push(acme, two, {"mmproj-Two-F16.gguf": gguf(MIB, 6)})
    [row] = place.update("two@q4_k_m", code=1)
    assert (row["status"], row["error_code"]) == ("failed", "model_in_use")
    assert commit in row["error_message"]
    assert home.files() == before


def test_what_somebody_else_put_there_is_unknown(home: Home) -> None:
    """Not outdated, and said to be unknown; named, it is a failure that says what to do."""
    place = Place(home, None)
    stranger = home.models / "acme" / "Rope-8B-GGUF" / "rope-8b-Q4_K_M.gguf"
    stranger.parent.mkdir(parents=True)
    stranger.write_bytes(real_gguf())
    assert place.outdated() == {}
    ended = place.run("update", "--all")
    assert (ended.stdout, "1 model was not brought by Windlass" in ended.stderr) == ("", True)
    [row] = place.update("acme/Rope-8B-GGUF", code=1)
    assert row["error_code"] == "not_repairable"


def real_gguf() -> bytes:
    """A head that says that it is a model."""
    key, value = b"general.architecture", b"llama"
    pair = len(key).to_bytes(8, "little") + key + (8).to_bytes(4, "little") + len(value).to_bytes(8, "little") + value
    tensor = (1).to_bytes(8, "little") + b"a" + (1).to_bytes(4, "little") + (8).to_bytes(8, "little") + bytes(4 + 8)
    head = b"GGUF" + (3).to_bytes(4, "little") + (1).to_bytes(8, "little") + (1).to_bytes(8, "little") + pair + tensor
    return head + bytes(-len(head) % 32) + bytes(32)


def test_a_model_that_another_download_has_overtaken_is_found(acme: Hub, two: str, place: Place) -> None:
    """A new projector came with the other quantization, so this one is not whole: told of, and mended."""
    for quantization in ("Q4_K_M", "Q8_0"):
        place.run("get", f"{two}@{quantization}")
    push(acme, two, {"mmproj-Two-F16.gguf": gguf(MIB, 6)})
    if place.server:  # it has been told of the old commit a moment ago
        place.server.ask("POST", "/api/v1/models/download", {"model": "acme/none"}, {"Cache-Control": "no-cache"})
    place.run("get", f"{two}@Q4_K_M")
    assert len(json.loads(place.run("ls", "--json").stdout)) == 1
    [told] = place.outdated().values()
    assert told["files"] == [f"{two}/mmproj-Two-F16.gguf"]
    place.update("--all")
    assert len(json.loads(place.run("ls", "--json").stdout)) == 2
    assert place.outdated() == {}


def test_what_a_person_has_taken_apart_is_not_brought_back(acme: Hub, home: Home) -> None:
    """A model of which a file was deleted is not whole, and not outdated."""
    place = Place(home, None)
    place.run("get", "acme/Eye-GGUF")
    (home.models / "acme" / "Eye-GGUF" / "mmproj-Eye-F16.gguf").unlink()
    push(acme, "acme/Eye-GGUF", {"Eye-Q4_K_M.gguf": gguf(MIB, 15)})
    assert place.outdated() == {}
    assert place.update("--all") == []


# When it goes wrong


def test_what_a_job_needs_stays(acme: Hub, two: str, home: Home, server: Server) -> None:
    """A projector that went stays for the job that counts on it, and goes when nobody does."""
    place = Place(home, server)
    place.run("get", f"{two}@Q4_K_M")
    with held(acme, "Two-Q8_0.gguf") as go_on:
        job_id = server.download(two, "Q8_0")["job_id"]
        push(acme, two, {"Two-Q4_K_M.gguf": gguf(MIB, 4)}, without=("mmproj-Two-F16.gguf",))
        [row] = place.update("two")
        assert (row["status"], row["removed"]) == ("updated", [])
        go_on()
    assert server.finished(job_id)["status"] == "completed"
    assert len(json.loads(place.run("ls", "--json").stdout)) == 2
    rows = place.update("--all")
    assert [path for row in rows for path in row.get("removed", [])] == [f"{two}/mmproj-Two-F16.gguf"]


def test_what_a_job_counts_on_is_not_changed(acme: Hub, two: str, home: Home, server: Server) -> None:
    """The update is refused, with the job's id, and all is as it was."""
    place = Place(home, server)
    place.run("get", f"{two}@Q4_K_M")
    with held(acme, "Two-Q8_0.gguf"):
        job_id = server.download(two, "Q8_0")["job_id"]
        push(acme, two, {"mmproj-Two-F16.gguf": gguf(MIB, 4)})
        before = home.files()
        [row] = place.update("two", code=1)
        assert row["error_code"] == "model_in_use"
        assert job_id in row["error_message"]
        assert home.files() == before


def test_a_server_with_another_folder_is_no_help(acme: Hub, home: Home, tmp_path: Path) -> None:
    """It brings the model in where it has its own: said, and the one here is as it was."""
    place = Place(home, None)
    place.run("get", "acme/Big-GGUF")
    before = home.files()
    push(acme, "acme/Big-GGUF", {SHARDS[0]: gguf(MIB, 17)})
    (tmp_path / "other").mkdir()
    with Server(Home(tmp_path / "other", acme.url)) as other:
        ended = home.run("update", "big", WINDLASS_URL=other.url)
    assert (ended.returncode, other.url in ended.stderr) == (1, True)
    assert home.files() == before
    assert set(place.outdated()) == {"big"}


def test_the_old_file_stands_until_the_new_one_is_verified(acme: Hub, home: Home) -> None:
    """Under its name, whole, however much of the new one has come; after Ctrl-C too, and then it goes on from there."""
    place = Place(home, None)
    place.run("get", "acme/Big-GGUF")
    before = home.files()
    push(acme, "acme/Big-GGUF", {SHARDS[0]: gguf(3 * MIB, 12), SHARDS[2]: gguf(MIB, 13)})
    acme.misbehave("cdn", faults.stall(after=MIB + MIB // 2), path=SHARDS[0], times=ALWAYS)
    sent = acme.sent(SHARDS[0])
    command = [sys.executable, "-m", "windlass", "update", "--all"]
    with subprocess.Popen(command, env=home.environment, stderr=subprocess.PIPE, text=True) as process:
        eventually(lambda: acme.sent(SHARDS[0]) > sent + MIB)
        assert home.files() == before
        assert len(json.loads(place.run("ls", "--json").stdout)) == 1
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=PATIENCE)
    assert (process.returncode, "goes on from there" in said) == (130, True)
    assert home.files() == before
    assert set(place.outdated()) == {"big"}
    acme.behave()
    place.update("--all")
    whole(home, acme, "acme/Big-GGUF")
    assert acme.sent(SHARDS[0]) - sent < 5 * MIB


def test_what_a_server_ended_alone_is_tidied_up_later(acme: Hub, home: Home, server: Server) -> None:
    """Ctrl-C leaves the job to the server; the next update removes what it left behind."""
    place = Place(home, server)
    acme.add("acme/Solo-GGUF", {"Solo-Q4_K_M.gguf": gguf(MIB, 1)})
    place.run("get", "acme/Solo-GGUF")
    push(acme, "acme/Solo-GGUF", {"Solo-new-Q4_K_M.gguf": gguf(MIB, 2)}, without=("Solo-Q4_K_M.gguf",))
    with held(acme) as go_on:
        command = [sys.executable, "-m", "windlass", "update", "solo"]
        with subprocess.Popen(command, env=home.environment, stderr=subprocess.PIPE, text=True) as process:
            eventually(lambda: len(acme.asked("cdn", "Solo-new-Q4_K_M.gguf")) > 0)
            process.send_signal(signal.SIGINT)
            _, said = process.communicate(timeout=PATIENCE)
        assert "The server goes on" in said
        go_on()
    jobs = server.ask("GET", "/api/windlass/v1/jobs").json["jobs"]
    assert server.finished(jobs[0]["job_id"])["status"] == "completed"
    assert {Path(name).name for name in home.visible()} == {"Solo-Q4_K_M.gguf", "Solo-new-Q4_K_M.gguf"}
    ended = place.run("update", "--all")
    assert "Solo-Q4_K_M.gguf" in ended.stderr
    assert {Path(name).name for name in home.visible()} == {"Solo-new-Q4_K_M.gguf"}


def test_one_failure_does_not_stop_the_others(acme: Hub, place: Place) -> None:
    """A repository that is gone, and one whose new file is not what it should be: 1; what fails alike has its own."""
    for name in ("acme/Big-GGUF", "acme/Eye-GGUF", "acme/rope-8b"):
        place.run("get", name)
    before = place.home.files()
    push(acme, "acme/Rope-8B-GGUF", {"rope-8b-Q4_K_M.gguf": gguf(MIB, 14)})
    push(acme, "acme/Eye-GGUF", {"Eye-Q4_K_M.gguf": gguf(MIB, 15)})
    acme.repositories["acme/eye-gguf"].file("Eye-Q4_K_M.gguf").listed_sha256 = "0" * 64
    del acme.repositories["acme/big-gguf"]
    rows = {row["key"]: row for row in place.update("--all", code=1)}
    assert {key: row["status"] for key, row in rows.items()} == {
        "acme/rope-8b": "updated", "big": "failed", "eye": "failed"
    }  # fmt: skip
    assert (rows["big"]["error_code"], rows["eye"]["error_code"]) == ("model_not_found", "checksum_mismatch")
    after = place.home.files()
    assert {path for path in before if before[path] != after[path]} == {"acme/Rope-8B-GGUF/rope-8b-Q4_K_M.gguf"}
    named = place.run("update", "acme/none", "acme/rope-8b", code=3)
    assert "acme/none" in named.stderr
    assert "acme/rope-8b is up to date" in named.stderr


def test_who_cannot_be_asked_is_said_by_the_exit_code(acme: Hub, home: Home) -> None:
    """One repository that is gone: 3, and the others are told all the same; a hub that is down: 6."""
    place = Place(home, None)
    for name in ("acme/Big-GGUF", "acme/Eye-GGUF"):
        place.run("get", name)
    push(acme, "acme/Eye-GGUF", {"Eye-Q4_K_M.gguf": gguf(MIB, 15)})
    del acme.repositories["acme/big-gguf"]
    ended = place.run("ls", "--outdated", "--json", code=3)
    assert [row["key"] for row in json.loads(ended.stdout)] == ["eye"]
    assert "big: " in ended.stderr
    down = home.run("ls", "--outdated", WINDLASS_HF_ENDPOINT="http://127.0.0.1:9")
    assert (down.returncode, down.stdout) == (6, "")


def test_a_model_that_is_not_offered_any_more_is_not_harmed(acme: Hub, two: str, home: Home) -> None:
    """It needs the old projector, and would never get the weights that go with a new one: both stay as they were."""
    place = Place(home, None)
    for quantization in ("Q4_K_M", "Q8_0"):
        place.run("get", f"{two}@{quantization}")
    push(acme, two, {"mmproj-Two-F16.gguf": gguf(MIB, 6)}, without=("Two-Q8_0.gguf",))
    before = home.files()
    codes = {row["key"]: row["error_code"] for row in place.update("--all", code=1)}
    assert sorted(codes.values()) == ["model_in_use", "quantization_not_found"]
    assert home.files() == before
    place.run("rm", "two@q8_0", "-y")
    assert [row["status"] for row in place.update("--all")] == ["updated"]


@pytest.mark.parametrize("arguments", [(), ("big", "--all")])
def test_names_or_all(home: Home, arguments: tuple[str, ...]) -> None:
    """One of the two."""
    ended = home.run("update", *arguments)
    assert (ended.returncode, "--all" in ended.stderr) == (2, True)


# What a server tells of a model


def told(server: Server, key: str) -> Any:
    """The `update` of a model, which is answered with 200 whatever goes wrong, and soon."""
    begun = time.monotonic()
    answer = server.ask("GET", f"/api/windlass/v1/models/{key}")
    assert answer.status == 200
    assert time.monotonic() - begun < 5
    return answer.json.get("update")


def test_a_model_tells_that_its_repository_has_moved_on(acme: Hub, home: Home, server: Server) -> None:
    """With both commits, the files and their bytes; not once it is up to date again."""
    home.run("get", "acme/rope-8b")
    old = acme.repositories["acme/rope-8b-gguf"].refs["main"]
    text, manifest = acme.catalog["acme/rope-8b"]
    acme.catalog["acme/rope-8b"] = text.replace("8192", "4096"), manifest
    new = push(acme, "acme/Rope-8B-GGUF", {"rope-8b-Q4_K_M.gguf": gguf(MIB, 16)})
    server.ask("POST", "/api/v1/models/download", {"model": "acme/none"}, {"Cache-Control": "no-cache"})
    assert told(server, "acme/rope-8b") == {
        "commit": old,
        "newest_commit": new,
        "files": ["acme/Rope-8B-GGUF/rope-8b-Q4_K_M.gguf", "acme/rope-8b/model.yaml"],
        "bytes_to_fetch": MIB,
    }
    asked = len(acme.exchanges)
    assert told(server, "acme/rope-8b")["newest_commit"] == new
    assert len(acme.exchanges) == asked
    home.run("update", "acme/rope-8b")
    assert told(server, "acme/rope-8b") is None


def test_a_hub_in_trouble_is_no_trouble_of_the_models(acme: Hub, home: Home) -> None:
    """Down, silent, refusing or talking nonsense: the answer comes soon, without the field."""
    home.run("get", "acme/Big-GGUF")
    push(acme, "acme/Big-GGUF", {SHARDS[0]: gguf(MIB, 17)})
    for fault in (faults.silence(), faults.status(403), faults.status(500), faults.status(404)):
        acme.behave()
        acme.misbehave("info", fault, times=ALWAYS)
        with Server(home) as server:
            assert [told(server, "big") for _ in range(3)] == [None] * 3
    acme.close()
    with Server(home) as server:
        assert told(server, "big") is None


@contextmanager
def held(hub: Hub, path: str | None = None) -> Iterator[Callable[[], None]]:
    """The CDN does not answer, for that file or for any, until it is told to."""
    gate = threading.Event()
    hub.misbehave("cdn", faults.hold(gate), path=path, times=ALWAYS)
    try:
        yield gate.set
    finally:
        gate.set()


def test_the_catalog_yaml_of_the_tests_has_what_they_change() -> None:
    """Or they would change nothing, and see nothing."""
    assert "contextLengths: [8192]" in YAML
