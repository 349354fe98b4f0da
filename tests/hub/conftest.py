"""Fixtures of the hub's tests: web sites whose answers a test writes down, a clock that does not wait, a client."""

import ssl
from collections.abc import Iterator

import httpx2
import pytest

from hub.hubsite import Clock, Site, serve
from windlass.hub.web import Web


@pytest.fixture
def site() -> Iterator[Site]:
    """A site on its own port."""
    site = Site()
    with serve(site) as server:
        yield site
        server.shutdown()


@pytest.fixture
def other_site() -> Iterator[Site]:
    """A site of another origin."""
    site = Site()
    with serve(site) as server:
        yield site
        server.shutdown()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(scope="session")
def certificates() -> ssl.SSLContext:
    """Loading them takes longer than most tests."""
    return ssl.create_default_context()


@pytest.fixture
def web(clock: Clock, certificates: ssl.SSLContext) -> Iterator[Web]:
    """A client that goes straight to the site, whatever proxies this machine has."""
    web = Web(clock.timing, lambda _: httpx2.Client(verify=certificates, trust_env=False))
    yield web
    web.close()


@pytest.fixture
def heeding_web(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> Iterator[Web]:
    """A client that heeds the environment, in one that says nothing yet."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    web = Web(clock.timing)
    yield web
    web.close()
