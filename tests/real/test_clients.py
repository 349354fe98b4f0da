"""Other people's clients of LM Studio's API, unchanged, against a server of ours: what they need, they get.

Each is the package as its author published it, of a fixed version, in an environment of its own under `.make/real`; the
few lines here call it as its own documentation does. docs/clients.md has them all, also those that are run by hand.
"""

import fcntl
import json
import os
import shutil
import subprocess
import venv
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from e2e.conftest import PLAIN, add_plain, fill
from e2e.outside import Home, Server
from real.fixtures import CACHE, run_pip
from standin import Hub

pytestmark = pytest.mark.real

PYTHON_CLIENTS = (
    "lmstd==0.2.0",
    "lm-tuio==0.1.0",
    "openai==3.57.0",
    "llm==0.36",
    "llm-lmstudio==0.3.1",
    "lmstudio==1.5.0",
)
NODE_CLIENTS = ("openai@6.49.0", "axios@1.21.1", "@lmstudio/sdk@1.5.0", "@houtini/lm@3.2.4")

_Run = Callable[..., Any]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One that has two models: a plain folder of safetensors, and one whose context nobody knows."""
    with Hub() as hub:
        add_plain(fill(hub))
        with Server(Home(tmp_path_factory.mktemp("home"), hub.url).real) as server:
            for name in (PLAIN, "acme/Eye-GGUF"):
                server.finished(server.download(name)["job_id"])
            yield server


@pytest.fixture(scope="module")
def python(server: Server) -> _Run:
    """Runs a program with the Python clients and the server's address, and reads the JSON that it prints last."""
    folder = CACHE / "clients-python"

    def install() -> None:
        venv.create(folder, with_pip=True, clear=True)
        run_pip(str(folder / "bin" / "python"), "install", *PYTHON_CLIENTS)

    _installed(folder, PYTHON_CLIENTS, install)
    return lambda code: _printed([str(folder / "bin" / "python"), "-c", code, server.url])


@pytest.fixture(scope="module")
def node(server: Server) -> _Run:
    """The same with Node.js."""
    if shutil.which("npm") is None:
        pytest.skip("Node.js and npm are not installed")
    folder = CACHE / "clients-node"

    def install() -> None:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        (folder / "package.json").write_text("{}")
        command = ["npm", "install", "--ignore-scripts", "--no-audit", "--no-fund", *NODE_CLIENTS]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=600, check=False)
        if done.returncode:
            pytest.skip(f"npm could not get the packages: {done.stderr.strip()[-300:]}")

    _installed(folder, NODE_CLIENTS, install)
    return lambda code: _printed(["node", "--input-type=module", "-e", code, server.url], folder)


def _installed(folder: Path, packages: tuple[str, ...], install: Callable[[], None]) -> None:
    """Anew where other versions are wanted, or where the last try was cut off; by one process of pytest at a time."""
    ready = folder / "ready"
    wanted = json.dumps(packages)
    CACHE.mkdir(parents=True, exist_ok=True)
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not ready.exists() or ready.read_text() != wanted:
            install()
            ready.write_text(wanted)


def _printed(command: list[str], folder: Path | None = None) -> Any:
    own = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "LANG")}
    done = subprocess.run(command, cwd=folder, env=own, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_lmstd_brings_a_model_in(python: _Run, server: Server) -> None:
    """A Python library for the REST API: download, status until it is over, list, the same again, and errors."""
    told = python("""
import json, sys, time
from lmstd import LMStd, LMStdError
client = LMStd(base_url=sys.argv[1])
job = first = client.download_model("https://huggingface.co/acme/Big-GGUF", quantization="Q4_K_M")
while job["status"] == "downloading":
    time.sleep(0.05)
    job = client.get_download_status(job["job_id"])
keys = [model["key"] for model in client.list_models()["models"]]
again = client.download_model("https://huggingface.co/acme/Big-GGUF", quantization="Q4_K_M")
errors = []
for call in (lambda: client.download_model("no/such"), lambda: client.load_model("big")):
    try:
        call()
    except LMStdError as error:
        errors.append(str(error))
print(json.dumps([first["status"], job, keys, again["status"], errors]))
""")
    first, job, keys, again, (unknown, load) = told
    assert (first, job["status"], again) == ("downloading", "completed", "already_downloaded")
    assert job["downloaded_bytes"] == job["total_size_bytes"]
    assert {"big", "eye", "plain-transformer"} <= set(keys)
    assert "404" in unknown
    assert "no/such" in unknown
    assert "501" in load
    assert "windlass path" in load


def test_lm_tuio_shows_every_model(python: _Run) -> None:
    """A manager for the terminal. It asks by HEAD whether a server is there, and checks each row's fields and types."""
    told = python("""
import asyncio, json, sys
from lm_tuio import api
host, port = sys.argv[1].removeprefix("http://").split(":")
async def main():
    there = await api.check_server_status(host, int(port))
    models, problem = await api.fetch_available_models(host, int(port))
    assert problem is None, problem
    job, status, problem = await api.start_download(host, int(port), "acme/rope-8b")
    assert problem is None, problem
    progress, problem = await api.check_download_progress(host, int(port), job)
    assert problem is None, problem
    return there, [[model.key, model.format] for model in models], status, progress["job_id"] == job
print(json.dumps(asyncio.run(main())))
""")
    there, models, status, same = told
    assert there
    assert ["plain-transformer", "mlx"] in models
    assert ["eye", "gguf"] in models
    assert status == "downloading"
    assert same


def test_openai_for_python_lists_and_is_told_at_once_that_nothing_runs(python: _Run) -> None:
    """Models as objects of its own; a chat is asked for once, not three times, and its error says why."""
    told = python("""
import json, sys, openai
asked = []
client = openai.OpenAI(
    base_url=f"{sys.argv[1]}/v1",
    api_key="lm-studio",
    http_client=openai.DefaultHttpxClient(event_hooks={"request": [lambda request: asked.append(str(request.url))]}),
)
keys = [model.id for model in client.models.list()]
one = client.models.retrieve("eye")
try:
    client.models.retrieve("nobody")
except openai.NotFoundError as error:
    missing = error.code
asked.clear()
try:
    client.chat.completions.create(model="eye", messages=[{"role": "user", "content": "hello"}])
except openai.APIStatusError as error:
    print(json.dumps([keys, one.id, missing, error.status_code, error.code, len(asked)]))
""")
    keys, one, *rest = told
    assert {"eye", "plain-transformer"} <= set(keys)
    assert one == "eye"
    assert rest == ["model_not_found", 501, "not_implemented", 1]


def test_llm_finds_the_models(python: _Run) -> None:
    """The `llm` command's plugin for LM Studio, by the older list."""
    told = python("""
import json, os, sys, tempfile
os.environ |= {"LMSTUDIO_API_BASE": sys.argv[1], "LLM_USER_PATH": tempfile.mkdtemp()}
import llm
print(json.dumps([model.model_id for model in llm.get_models()]))
""")
    assert {"lmstudio/eye", "lmstudio/plain-transformer"} <= set(told)


def test_lmstudio_for_python_ends_at_once(python: _Run) -> None:
    """LM Studio's own library knows us by the greeting; it speaks WebSockets then, which it is told are not here."""
    told = python("""
import json, sys, lmstudio
host = sys.argv[1].removeprefix("http://")
known = lmstudio.Client.is_valid_api_host(host)
try:
    with lmstudio.Client(host) as client:
        client.list_downloaded_models()
except lmstudio.LMStudioWebsocketError as error:
    print(json.dumps([known, str(error)]))
""")
    known, error = told
    assert known
    assert "501" in error


def test_axios_brings_a_model_in(node: _Run) -> None:
    """As scripts for Node.js do it: an answer that is no 2xx is thrown, with the error's body."""
    told = node("""
import axios from "axios";
const api = axios.create({ baseURL: `${process.argv[1]}/api/v1` });
let { data: job } = await api.post("/models/download", { model: "acme/rope-8b", quantization: "Q8_0" });
while (job.status === "downloading") {
  await new Promise((done) => setTimeout(done, 50));
  ({ data: job } = await api.get(`/models/download/status/${job.job_id}`));
}
const thrown = await api.get("/models/download/status/job_none").catch((error) => error.response);
console.log(JSON.stringify([job, thrown.status, thrown.data.error.message]));
""")
    job, *thrown = told
    assert job["status"] == "completed"
    assert job["downloaded_bytes"] == job["total_size_bytes"]
    assert thrown == [404, "Download job with id 'job_none' not found"]


def test_openai_for_node_lists_and_is_told_at_once_that_nothing_runs(node: _Run) -> None:
    """The same as for Python."""
    told = node("""
import OpenAI from "openai";
let asked = 0;
const counting = (url, init) => (asked++, fetch(url, init));
const client = new OpenAI({ baseURL: `${process.argv[1]}/v1`, apiKey: "lm-studio", fetch: counting });
const keys = [];
for await (const model of client.models.list()) keys.push(model.id);
asked = 0;
const messages = [{ role: "user", content: "hello" }];
const thrown = await client.chat.completions.create({ model: "eye", messages }).catch((error) => error);
console.log(JSON.stringify([keys, thrown.status, thrown.code, asked]));
""")
    keys, *rest = told
    assert {"eye", "plain-transformer"} <= set(keys)
    assert rest == [501, "not_implemented", 1]


def test_lmstudio_for_node_ends_at_once(node: _Run) -> None:
    """LM Studio's own library for JavaScript."""
    told = node("""
import { LMStudioClient } from "@lmstudio/sdk";
const client = new LMStudioClient({ baseUrl: process.argv[1].replace("http", "ws"), verboseErrorMessages: false });
const thrown = await client.system.listDownloadedModels().catch((error) => error);
console.log(JSON.stringify(thrown.message));
process.exit(0);
""")
    assert "501" in told


def test_an_mcp_server_finds_the_models(node: _Run) -> None:
    """Houtini's, through which other assistants use LM Studio: it knows what we are, and that nothing is loaded."""
    told = node("""
import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
const env = { ...process.env, HOUTINI_LM_ENDPOINT_URL: process.argv[1] };
const server = spawn("node", ["node_modules/@houtini/lm/dist/index.js"], { env, stdio: ["pipe", "pipe", "ignore"] });
const lines = createInterface({ input: server.stdout })[Symbol.asyncIterator]();
const call = async (id, method, params) => {
  server.stdin.write(JSON.stringify({ jsonrpc: "2.0", id, method, params }) + "\\n");
  for (;;) {
    const answer = JSON.parse((await lines.next()).value);
    if (answer.id === id) return answer.result;
  }
};
const clientInfo = { name: "test", version: "1" };
await call(1, "initialize", { protocolVersion: "2024-11-05", capabilities: {}, clientInfo });
const found = await call(2, "tools/call", { name: "list_models", arguments: {} });
server.kill();
console.log(JSON.stringify(found.content[0].text));
process.exit(0);
""")
    assert "downloaded, not loaded" in told
    assert "plain-transformer" in told
