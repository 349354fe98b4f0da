"""What a server tells of itself to the outside: webhooks, a log, and no secret anywhere."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
from standardwebhooks import Webhook

from e2e.listener import listening
from e2e.outside import Home, Server
from standin import ALWAYS, Hub, faults

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
HF_TOKEN = "hf_AbCdEfGhIjKlMnOpQrStUvWxYz"


def verified(secret: str, came: tuple[dict[str, str], bytes]) -> Any:
    """As a receiver's own library reads it, which refuses what is not signed."""
    headers, body = came
    return Webhook(secret).verify(body, headers)


def test_ends_are_told_signed_and_over_a_restart(acme: Hub, home: Home) -> None:
    """Completed and failed, as the job is then; a receiver that was away hears of what it missed, once and in order."""
    with listening() as listener:
        home.more["WINDLASS_WEBHOOKS"] = listener.url
        with Server(home) as server:
            done = server.finished(server.download("acme/rope-8b")["job_id"])
            listener.until(1)
            listener.status = 503
            acme.misbehave("cdn", faults.corrupt(at=100), path="Eye-Q4_K_M.gguf", times=ALWAYS)
            failed = server.finished(server.download("acme/Eye-GGUF")["job_id"])
            assert failed["status"] == "failed"
            listener.until(2)
            server.kill()
            listener.status = 204
            before = len(listener.came)
            server.restart()
            server.finished(server.download("acme/Big-GGUF")["job_id"])
            listener.until(before + 2)
        secret = (home.root / "state" / "webhook-secret").read_text().strip()
    told = [verified(secret, came) for came in listener.came]
    assert told[0]["type"] == "job.completed"
    assert told[0]["data"]["job_id"] == done["job_id"]
    assert told[0]["data"]["downloaded_bytes"] == done["total_size_bytes"]
    assert {(one["type"], one["data"]["error_code"]) for one in told[1:-1]} == {("job.failed", "checksum_mismatch")}
    assert told[-1]["type"] == "job.completed"
    ids = [headers["webhook-id"] for headers, _ in listener.came]
    assert len(set(ids)) == 3
    assert oct((home.root / "state" / "webhook-secret").stat().st_mode & 0o777) == "0o600"


def test_webhooks_do_not_follow_redirects(acme: Hub, home: Home) -> None:
    """Whoever is given an address decides who gets what is sent there: another one is a refusal, and told nothing."""
    with listening() as listener, listening() as elsewhere:
        home.more["WINDLASS_WEBHOOKS"] = listener.url
        listener.status, listener.location = 307, elsewhere.url
        with Server(home) as server:
            server.finished(server.download("acme/rope-8b")["job_id"])
            listener.until(2)
        assert elsewhere.came == []


def test_a_secret_that_is_none_ends_serve(home: Home) -> None:
    """With what one looks like, and without what was given."""
    ended = home.run("serve", WINDLASS_WEBHOOKS="http://127.0.0.1:9", WINDLASS_WEBHOOK_SECRET="hush-hush")
    assert (ended.returncode, ended.stdout) == (2, "")
    assert "whsec_" in ended.stderr
    assert "hush-hush" not in ended.stderr


@pytest.mark.parametrize("flag", [True, False])
def test_a_log_for_programs(acme: Hub, home: Home, flag: bool) -> None:
    """An object a line on stderr: what happened to which job, and where the server listens."""
    if not flag:
        home.more["WINDLASS_LOG_FORMAT"] = "json"
    with Server(home, *(["--log-format", "json"] if flag else [])) as server:
        job_id = server.download("acme/rope-8b")["job_id"]
        server.finished(job_id)
        server.end()
        lines = [json.loads(line) for line in server.said.splitlines()]
        url = server.url
    assert [line["edge"] for line in lines if line.get("job") == job_id] == ["add", "start", "finish"]
    assert {line["level"] for line in lines} == {"info"}
    assert url in lines[0]["message"]
    assert home.run("serve", "--log-format", "xml").returncode == 2


def all_bytes(folder: Path) -> bytes:
    """Of every file below a folder, names included."""
    found = []
    for place, _, names in os.walk(folder):
        for name in names:
            found += [name.encode(), (Path(place) / name).read_bytes()]
    return b"\n".join(found)


def test_no_secret_is_told_or_kept(acme: Hub, home: Home) -> None:
    """Not the hub's token, nor ours, nor what signs webhooks or addresses: in no answer, event, log line or file."""
    acme.tokens.add(HF_TOKEN)
    home.more |= {"HF_TOKEN": HF_TOKEN, "WINDLASS_WEBHOOK_SECRET": SECRET, "WINDLASS_LOG_FORMAT": "json"}
    token = home.run("token", "create").stdout.strip()
    with listening() as listener:
        home.more["WINDLASS_WEBHOOKS"] = listener.url
        acme.misbehave("cdn", faults.status(403), times=3)
        acme.misbehave("cdn", faults.corrupt(at=100), path="Eye-Q4_K_M.gguf", times=ALWAYS)
        acme.misbehave("info", faults.status(500), path=None, times=1)
        with Server(home) as server:
            told = []

            def ask(method: str, path: str, body: Any = None) -> Any:
                answer = server.ask(method, path, body, {"Authorization": f"Bearer {token}"})
                told.append(answer.body + str(answer.headers).encode())
                return answer

            ids = [
                ask("POST", "/api/v1/models/download", {"model": model}).json.get("job_id")
                for model in ("acme/Gated-GGUF", "acme/rope-8b", "acme/Eye-GGUF", f"x/y?token={HF_TOKEN}", HF_TOKEN)
            ]
            listener.until(1)
            for job_id in filter(None, ids):
                ask("POST", f"/api/windlass/v1/jobs/{job_id}/pause")
                ask("GET", f"/api/windlass/v1/jobs/{job_id}")
            for path in ("/api/windlass/v1/jobs", "/metrics", "/api/v1/models", "/api/windlass/v1/health"):
                ask("GET", path)
            told.append(server.ask("GET", "/api/windlass/v1/jobs", headers={"Authorization": f"Bearer {token}x"}).body)
            server.end()
            told.append(server.said.encode())
        told += [home.run(*command).stdout.encode() for command in (("config",), ("config", "--json"))]
        told += [body for _, body in listener.came]
    everything = b"\n".join([*told, all_bytes(home.root)])
    secrets = {"the hub's": HF_TOKEN, "ours": token.partition(":")[2], "the webhooks'": SECRET}
    secrets["the webhook's path"] = "path-that-is-a-secret"
    secrets |= {f"address {number}": signature for number, signature in enumerate(acme.signatures)}
    assert len(secrets) > 4
    assert [name for name, secret in secrets.items() if secret.encode() in everything] == []
