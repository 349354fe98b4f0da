"""Windlass brings models in: resumable, verified, behind the REST API that LM Studio's clients speak."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from windlass.client.asynchronous import AsyncClient
    from windlass.client.client import Client

__all__ = ["AsyncClient", "Client", "__version__"]

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """The clients, imported when they are asked for: they bring an HTTP library, which no command should wait for."""
    if name == "Client":
        from windlass.client.client import Client

        return Client
    if name == "AsyncClient":
        from windlass.client.asynchronous import AsyncClient

        return AsyncClient
    raise AttributeError(f"module 'windlass' has no attribute {name!r}")
