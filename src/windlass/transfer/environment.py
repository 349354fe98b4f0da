"""What the environment says about the way out: which authorities to trust, which proxy to take."""

import ssl
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass


def authorities(named: str | None) -> str:
    """PEM file of the authorities to trust: the one named (SSL_CERT_FILE), else the system's, else certifi's."""
    system = ssl.get_default_verify_paths().cafile
    if named or (system and Path(system).is_file()):
        return named or str(system)
    import certifi

    return certifi.where()


def proxy_for(url: str) -> str | None:
    """The proxy that the environment names for an address (HTTPS_PROXY, HTTP_PROXY, ALL_PROXY, NO_PROXY)."""
    parts = urlsplit(url)
    if proxy_bypass(parts.netloc.rpartition("@")[2]):
        return None
    proxies = getproxies()
    return proxies.get(parts.scheme) or proxies.get("all")
