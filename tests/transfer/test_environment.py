"""What the environment says about the way out."""

import ssl
from pathlib import Path

import certifi
import pytest

from windlass.transfer.environment import authorities, proxy_for

_NAMES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in _NAMES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.mark.parametrize(
    ("variables", "url", "proxy"),
    [
        ({}, "https://hub.test/x", None),
        ({"HTTPS_PROXY": "http://p:1"}, "https://hub.test/x", "http://p:1"),
        ({"HTTPS_PROXY": "http://p:1"}, "http://hub.test/x", None),
        ({"HTTP_PROXY": "http://p:2"}, "http://hub.test/x", "http://p:2"),
        ({"ALL_PROXY": "socks5://p:3"}, "https://hub.test/x", "socks5://p:3"),
        ({"ALL_PROXY": "http://p:3", "HTTPS_PROXY": "http://p:1"}, "https://hub.test/x", "http://p:1"),
        ({"HTTPS_PROXY": "http://p:1", "NO_PROXY": "hub.test"}, "https://hub.test/x", None),
        ({"HTTPS_PROXY": "http://p:1", "NO_PROXY": "hub.test"}, "https://hub.test:8443/x", None),
        ({"HTTPS_PROXY": "http://p:1", "NO_PROXY": ".test"}, "https://cdn.hub.test/x", None),
        ({"HTTPS_PROXY": "http://p:1", "NO_PROXY": "*"}, "https://hub.test/x", None),
        ({"HTTPS_PROXY": "http://p:1", "NO_PROXY": "other.test"}, "https://hub.test/x", "http://p:1"),
    ],
)
def test_the_proxy_for_an_address(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], url: str, proxy: str | None
) -> None:
    """By scheme, then for all, and not where NO_PROXY names the host."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert proxy_for(url) == proxy


def test_the_authorities_that_are_named(tmp_path: Path) -> None:
    """SSL_CERT_FILE is the last word, even where it is wrong: falling back in silence would trust others."""
    assert authorities(str(tmp_path / "mine.pem")) == str(tmp_path / "mine.pem")


def test_the_systems_authorities_or_certifis(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The system's file where there is one, else the one that comes with us."""
    system = ssl.get_default_verify_paths()
    (tmp_path / "system.pem").write_text("")
    for path, expected in ((tmp_path / "system.pem", str(tmp_path / "system.pem")), (tmp_path / "no", certifi.where())):
        monkeypatch.setattr(ssl, "get_default_verify_paths", lambda at=path: system._replace(cafile=str(at)))
        assert authorities(None) == expected
