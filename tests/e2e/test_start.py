"""What a start costs: which packages a command imports, each of which is paid for by everybody who waits."""

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from e2e.outside import PATIENCE, Home, Server

CODE = """
import sys
from windlass.cli.main import main
try:
    main()
finally:
    print(*sys.modules)
"""
OF_THE_SERVER = {"fastapi", "starlette", "uvicorn"}
OF_THE_SHARE = {"gguf", "numpy"}
OF_THE_WORK = {"sqlalchemy", "pycurl", "asyncio", "windlass.service"}
OF_OTHER_DATABASES = {"sqlalchemy.dialects.postgresql", "sqlalchemy.dialects.mysql", "sqlalchemy.orm", "alembic"}
OF_A_LOGIN = {"huggingface_hub.utils", "huggingface_hub.hf_api"}
OF_A_TERMINAL = {"rich.progress", "rich.table"}


def imported(home: Home, *arguments: str, **more: str) -> set[str]:
    """All that a command, which must succeed, has imported by its end."""
    command = [sys.executable, "-c", CODE, *arguments]
    environment = {**home.environment, **more}
    run = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert run.returncode == 0, run.stderr
    return set(run.stdout.splitlines()[-1].split())


def test_get_imports_what_it_uses(home: Home) -> None:
    """From a name to a file: no migration, no other database, no login, no server, and nothing to draw bars with."""
    names = imported(home, "get", f"{home.hub}/acme/Rope-8B-GGUF")
    assert names >= {"sqlalchemy", "httpx2", "pycurl", "windlass.runner"}
    assert not names & {*OF_THE_SERVER, *OF_THE_SHARE, *OF_OTHER_DATABASES, *OF_A_LOGIN, *OF_A_TERMINAL}
    assert not names & {"pydantic", "yaml"}  # what these read is not there: a request's body, a model.yaml


def test_with_a_server_the_work_is_the_servers(home: Home, server: Server) -> None:
    """The command needs an HTTP client, and nothing that the work is done with."""
    names = imported(home, "get", "acme/rope-8b", WINDLASS_URL=server.url)
    assert not names & {*OF_THE_SERVER, *OF_THE_SHARE, *(OF_THE_WORK - {"asyncio"}), *OF_A_LOGIN, *OF_A_TERMINAL}


@pytest.mark.parametrize("arguments", [("--help",), ("get", "--help"), ("config",)])
def test_what_only_tells_imports_next_to_nothing(home: Home, arguments: tuple[str, ...]) -> None:
    """Neither an HTTP client nor a database."""
    names = imported(home, *arguments)
    assert not names & {*OF_THE_SERVER, *OF_THE_SHARE, *OF_THE_WORK, *OF_OTHER_DATABASES, *OF_A_LOGIN, "rich.progress"}
    assert not names & {"httpx2", "pydantic"}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_server_that_is_asked_to_end_before_it_is_ready(home: Home, number: signal.Signals) -> None:
    """Ends cleanly: a service manager that stops it in its first second sees no failure."""
    config = Path(home.environment["WINDLASS_HOME"]) / "config.toml"
    config.parent.mkdir()
    os.mkfifo(config)
    with tempfile.TemporaryFile() as out:
        process = home.real.start(["serve"], out, out)
        with config.open("wb"):  # it reads its settings now, and waits for them
            process.send_signal(number)
            assert process.wait(PATIENCE) == 0
        out.seek(0)
        assert out.read() == b""
