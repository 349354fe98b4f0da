"""What is done with models that are here, from outside: told of, checked, mended with the least, deleted."""

import json
import os
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from e2e.conftest import MIB, gguf
from e2e.outside import Home, Server, sha256
from standin import ALWAYS, Hub, faults

CHUNK = 16 * MIB
BIG = "Long-Q4_K_M.gguf"


@pytest.fixture
def long(acme: Hub) -> str:
    """A model of three chunks and a bit."""
    acme.add("acme/Long-GGUF", {BIG: gguf(3 * CHUNK + MIB, 7), "Long-Q8_0.gguf": gguf(MIB, 8)})
    return f"{acme.url}/acme/Long-GGUF"


def flip(path: Path, offset: int) -> None:
    with path.open("r+b") as file:
        file.seek(offset)
        byte = file.read(1)
        file.seek(offset)
        file.write(bytes([byte[0] ^ 1]))


def models(server: Server) -> list[str]:
    return [row["key"] for row in server.ask("GET", "/api/v1/models").json["models"]]


def ask(server: Server, method: str, key: str, verb: str = "", body: Any = None) -> Any:
    return server.ask(method, f"/api/windlass/v1/models/{key}{verb}", body)


@pytest.mark.parametrize("key", ["acme/rope-8b", "acme%2Frope-8b", "acme/rope-8b@q4_k_m", "acme%2Frope-8b%40Q4_K_M"])
def test_one_model_with_its_files(server: Server, home: Home, key: str) -> None:
    """By its key, plain or encoded: where it stands, what it hashed to, and from where it came."""
    server.finished(server.download("acme/rope-8b")["job_id"])
    answer = ask(server, "GET", key)
    assert answer.status == 200
    assert (answer.json["key"], answer.json["verified"]) == ("acme/rope-8b", True)
    [file] = answer.json["files"]
    place = home.models / file["path"]
    assert answer.json["path"] == str(place)
    assert file["digest"] == f"sha256:{sha256(place)}"
    assert (file["size_bytes"], file["source"]) == (place.stat().st_size, home.hub)


def test_what_is_not_here_is_not_found(server: Server) -> None:
    """With the contract's error, whatever is asked of it."""
    for method, verb in (("GET", ""), ("DELETE", ""), ("POST", "/verify")):
        answer = ask(server, method, "acme/nothing", verb)
        assert (answer.status, answer.error["type"], answer.error["code"]) == (404, *["model_not_found"] * 2)


@pytest.mark.parametrize(("offset", "chunk"), [(0, 0), (CHUNK, 1), (3 * CHUNK + 5, 3)])
def test_one_flipped_byte_costs_a_chunk(acme: Hub, home: Home, long: str, offset: int, chunk: int) -> None:
    """It is found and said where; mending fetches two chunks at most, and the file is right again."""
    with Server(home) as server:
        server.finished(server.download(long, "Q4_K_M")["job_id"])
        path = home.models / "acme" / "Long-GGUF" / BIG
        right = sha256(path)
        assert ask(server, "POST", "long", "/verify").json["whole"] is True
        flip(path, offset)
        found = ask(server, "POST", "long", "/verify", {}).json
        assert found == {
            "key": "long",
            "whole": False,
            "files": [
                {"path": f"acme/Long-GGUF/{BIG}", "size_bytes": 3 * CHUNK + MIB, "verdict": "damaged",
                 "damaged_chunks": [chunk]}
            ],
        }  # fmt: skip
        before = acme.sent(BIG)
        mending = ask(server, "POST", "long", "/verify", {"repair": True}).json
        done = server.finished(mending["job"]["job_id"])
        assert done["status"] == "completed"
        assert acme.sent(BIG) - before <= 2 * CHUNK
        assert sha256(path) == right
        whole = ask(server, "POST", "long", "/verify", {"repair": True}).json
        assert (whole["whole"], "job" in whole, acme.sent(BIG) - before <= 2 * CHUNK) == (True, False, True)


def test_what_was_found_damaged_is_fetched_by_who_asks_for_it(acme: Hub, home: Home, long: str) -> None:
    """Though neither size nor time tell of it, and nobody has asked for a repair: it is no model until it is right."""
    path = home.models / "acme" / "Long-GGUF" / BIG
    with Server(home) as server:
        server.finished(server.download(long, "Q4_K_M")["job_id"])
        right, at = sha256(path), path.stat()
        flip(path, CHUNK + 3)
        os.utime(path, ns=(at.st_atime_ns, at.st_mtime_ns))
        assert ask(server, "POST", "long", "/verify").json["whole"] is False
        assert models(server) == []
        job = server.download(long, "Q4_K_M")
        assert job["status"] == "downloading"
        server.finished(job["job_id"])
        assert (sha256(path), models(server)) == (right, ["long"])


def test_while_it_is_mended_it_is_no_model(acme: Hub, home: Home, long: str) -> None:
    """Nothing that is not whole is listed; another repair meanwhile, or a deletion, is refused."""
    with Server(home) as server:
        server.finished(server.download(long, "Q4_K_M")["job_id"])
        flip(home.models / "acme" / "Long-GGUF" / BIG, 5)
        acme.misbehave("cdn", faults.stall(after=1000), times=ALWAYS)
        job = ask(server, "POST", "long", "/verify", {"repair": True}).json["job"]
        assert models(server) == []
        assert home.visible() == set()
        acme.behave()
        server.kill()
        server.restart()
        assert server.finished(job["job_id"])["status"] == "completed"
        assert models(server) == ["long"]


def test_a_missing_file_is_fetched_again(acme: Hub, home: Home) -> None:
    """One of three shards: found missing is no model, so it is asked for again, and only that one comes."""
    with Server(home) as server:
        server.finished(server.download("acme/Big-GGUF")["job_id"])
        shards = sorted((home.models / "acme" / "Big-GGUF").iterdir())
        sent = acme.sent(shards[1].name), acme.sent(shards[0].name)
        shards[1].unlink()
        assert models(server) == []
        server.finished(server.download("acme/Big-GGUF")["job_id"])
        assert acme.sent(shards[1].name) > sent[0]
        assert acme.sent(shards[0].name) == sent[1]


def test_deleted_with_what_it_frees(acme: Hub, home: Home, long: str) -> None:
    """The other quantization stays; a second time it is not found; asked for again it comes again."""
    with Server(home) as server:
        for quantization in ("Q4_K_M", "Q8_0"):
            server.finished(server.download(long, quantization)["job_id"])
        gone = ask(server, "DELETE", quote("long@q8_0", safe=""))
        assert gone.json == {
            "key": "long@q8_0",
            "removed": ["acme/Long-GGUF/Long-Q8_0.gguf"],
            "kept": [],
            "freed_bytes": MIB,
        }
        assert home.visible() == {f"acme/Long-GGUF/{BIG}"}
        assert ask(server, "DELETE", "long@q8_0").status == 404
        again = server.download(long, "Q8_0")
        assert again["status"] == "downloading"
        assert server.finished(again["job_id"])["status"] == "completed"


def test_what_a_job_is_at_work_on_is_not_deleted(acme: Hub, home: Home) -> None:
    """A projector that it shares with one that is on its way: 409 names the job, and all is as it was."""
    acme.add("acme/Eye-GGUF", {"Eye-Q4_K_M.gguf": gguf(MIB, 20), "Eye-Q8_0.gguf": gguf(MIB, 22),
                               "mmproj-Eye-F16.gguf": gguf(MIB // 2, 21)})  # fmt: skip
    with Server(home) as server:
        server.finished(server.download("acme/Eye-GGUF", "Q4_K_M")["job_id"])
        acme.misbehave("cdn", faults.stall(after=1000), times=ALWAYS)
        job_id = server.download("acme/Eye-GGUF", "Q8_0")["job_id"]
        seen = home.visible()
        refused = ask(server, "DELETE", "eye")
        assert (refused.status, refused.error["code"]) == (409, "model_in_use")
        assert job_id in refused.error["message"]
        assert home.visible() == seen
        server.ask("POST", f"/api/windlass/v1/jobs/{job_id}/cancel")
        assert ask(server, "DELETE", "eye").status == 200
    assert home.visible() == set()


@pytest.mark.parametrize("harm", ["shorter", "gone", "folder"])
def test_what_is_left_of_a_model_is_mended_or_removed(acme: Hub, home: Home, harm: str) -> None:
    """It is not listed, and yet checked, by name and with all; mended with what is missing, or deleted."""
    with Server(home) as server:
        server.finished(server.download("acme/Big-GGUF")["job_id"])
        shard = sorted((home.models / "acme" / "Big-GGUF").iterdir())[1]
        right = sha256(shard)
        if harm == "shorter":
            os.truncate(shard, MIB)
        else:
            shard.unlink()
        if harm == "folder":
            shard.mkdir()
        assert models(server) == []
        assert home.run("verify", "--all").returncode == 1
        said = home.run("path", "acme/Big-GGUF")
        assert (said.returncode, said.stdout) == (3, "")
        how = "has 1,048,576 of 2,097,152 bytes" if harm == "shorter" else "is missing"
        assert f"big is on this disk, but not whole: acme/Big-GGUF/{shard.name} {how}.\n" in said.stderr
        assert "windlass verify big --repair\n" in said.stderr
        assert home.run("export", "big", "--to", str(home.root / "out")).returncode == 1
        found = ask(server, "POST", "big", "/verify").json
        assert [file["verdict"] for file in found["files"]] == [
            "whole", "damaged" if harm == "shorter" else "missing", "whole"
        ]  # fmt: skip
        if harm == "folder":
            shard.rmdir()
            assert home.run("rm", "big", "-y").returncode == 0
            assert home.visible() == set()
            return
        job = ask(server, "POST", "big", "/verify", {"repair": True}).json["job"]
        assert server.finished(job["job_id"])["status"] == "completed"
        assert models(server) == ["big"]
        assert sha256(shard) == right


# On the command line


def test_verify_and_rm_without_a_server(acme: Hub, home: Home, long: str) -> None:
    """Found, mended by this very command, deleted: the exit code and stdout say how it went."""
    assert home.run("get", f"{long}@Q4_K_M").returncode == 0
    path = home.models / "acme" / "Long-GGUF" / BIG
    right = sha256(path)
    good = home.run("verify", "long")
    assert (good.returncode, good.stdout) == (0, "long\n")
    flip(path, CHUNK + 3)
    bad = home.run("verify", "--all")
    assert (bad.returncode, bad.stdout) == (1, "")
    assert f"acme/Long-GGUF/{BIG}: damaged, chunks 1" in bad.stderr
    mended = home.run("verify", "long", "--repair", "--json")
    assert mended.returncode == 0, mended.stderr
    [body] = json.loads(mended.stdout)
    assert body["job"]["status"] == "completed"
    assert sha256(path) == right
    kept = home.run("rm", "long")
    assert (kept.returncode, kept.stdout) == (130, "")
    assert path.exists()
    gone = home.run("rm", "long", "-y")
    assert (gone.returncode, gone.stdout) == (0, "long (Q4_K_M) is deleted: 51.4 MB freed\n")
    assert home.visible() == set()
    assert home.run("rm", "long", "-y").returncode == 3
    assert home.run("verify").returncode == 2
    assert home.run("verify", "--all").returncode == 0


def test_what_is_linked_elsewhere_frees_nothing(home: Home, tmp_path: Path) -> None:
    """That is said, for who deletes wants the room."""
    source = tmp_path / "Other-Q4_K_M.gguf"
    source.write_bytes(gguf(MIB, 5))
    home.run("import", str(source), "--user-repo", "me/other", "--hardlink", "-y")
    assert home.run("rm", "other", "-y").stdout == "other (Q4_K_M) is deleted: 0 B freed: it is linked elsewhere\n"


def test_one_that_cannot_be_mended_does_not_stop_the_others(acme: Hub, home: Home, tmp_path: Path) -> None:
    """It is said of which, and why; the next one is mended, and all of it is told."""
    (tmp_path / "Away-Q4_K_M.gguf").write_bytes(gguf(MIB, 5))
    assert home.run("import", str(tmp_path / "Away-Q4_K_M.gguf"), "--user-repo", "me/away", "-y").returncode == 0
    assert home.run("get", "acme/rope-8b").returncode == 0
    for path in home.models.glob("*/*/*.gguf"):
        flip(path, MIB // 2)
    ended = home.run("verify", "--all", "--repair", "--json")
    assert ended.returncode == 1
    rows = {row["key"]: row for row in json.loads(ended.stdout)}
    assert rows["acme/rope-8b"]["job"]["status"] == "completed"
    assert rows["away"]["error_code"] == "not_repairable"
    assert "error: away: " in ended.stderr


def test_what_another_program_has_put_there_is_no_failure(home: Home) -> None:
    """Nobody knows what it should be: that is said, and `verify --all` may still be a check of the rest."""
    stranger = home.models / "lmstudio" / "Stranger-GGUF" / "Stranger-Q4_K_M.gguf"
    stranger.parent.mkdir(parents=True)
    stranger.write_bytes(gguf(MIB, 77))
    asked = home.run("get", "stranger")
    assert asked.returncode == 2
    assert "On this disk it is lmstudio/Stranger-GGUF: windlass get lmstudio/Stranger-GGUF@Q4_K_M." in asked.stderr
    assert "windlass search stranger" in asked.stderr
    for more in ([], ["--repair"]):
        passed = home.run("verify", "--all", *more)
        assert (passed.returncode, passed.stdout) == (0, "")
        assert "Stranger-Q4_K_M.gguf: unknown, for another program has put it there" in passed.stderr
    assert home.run("verify", "stranger").returncode == 1
    assert home.run("update", "no-such-model").returncode == 3
    assert stranger.read_bytes() == gguf(MIB, 77)


def test_a_name_that_passes_on_deletes_nothing(home: Home) -> None:
    """Of two quantizations of a catalog model one has the plain name: said twice, it would mean the other."""
    for quantization in ("q8_0", "q4_k_m"):
        assert home.run("get", f"acme/rope-8b@{quantization}").returncode == 0
    assert home.run("path", "acme/rope-8b").stdout.endswith("rope-8b-Q4_K_M.gguf\n")
    refused = home.run("rm", "acme/rope-8b", "-y")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "Say which: acme/rope-8b@q4_k_m, acme/rope-8b@q8_0." in refused.stderr
    assert home.run("rm", "acme/rope-8b@q8_0", "-y").returncode == 0
    assert home.run("rm", "acme/rope-8b", "-y").returncode == 0
    assert home.visible() == set()
