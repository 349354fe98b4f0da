"""`windlass serve`: the server, until it is told to end."""

import ipaddress
import logging
import os
import socket
import sys
import threading
from collections.abc import Sequence

from windlass import __version__
from windlass.api.app import create_app
from windlass.cli import collector
from windlass.errors import InvalidRequest
from windlass.listening import Listening
from windlass.logs import keep_a_log
from windlass.service import Service
from windlass.settings import Settings

_log = logging.getLogger(__name__)


def serve(settings: Settings, origins: Sequence[str] = (), *, insecure: bool = False) -> None:
    """Answer requests and run jobs until SIGINT or SIGTERM.

    Args:
        settings: what Windlass was told.
        origins: pages of other sites that may use it.
        insecure: whether others may reach it without a token.

    Raises:
        StateInUse: a server runs on this state already.
        StateFailure: the port cannot be had, or the state cannot be used.
        InvalidRequest: others could reach it and no token has been made.
    """
    keep_a_log(settings.log_format)
    with Service(settings) as service:
        service.presence.be_the_only_server()  # before the port is tried, which the other one has
        closed = not (insecure or _is_loopback(settings.host))
        if closed and not service.tokens.all():
            raise InvalidRequest(
                f"Others could reach this server at {settings.host}, and no token has been made.",
                hint="Make one: windlass token create. Or let everybody in: windlass serve --insecure",
            )
        service.runner.start()  # before anybody can ask: what is wrong with the state is said here
        app = create_app(service, hosts=(settings.host, *settings.allow_host), origins=origins, closed=closed)
        listening = Listening(app, settings.host, settings.port, grace=1)
        service.presence.serve(listening.url)
        service.webhooks.start()
        collector.carry_on()
        for folder in service.places.offline():
            _log.warning("The models folder %s is not there, and is passed over until it is", folder)
        _log.info("Windlass %s at %s; models in %s", __version__, listening.url, settings.models_dir)
        with listening:
            listening.until_ended()
            _log.info("Asked to end; what runs is put down where it is")
            service.events.close()  # else those who follow them hold up the end
    if service.runner.alive:
        # A disk that does not answer holds its threads, and the interpreter would wait for them at its end. What was
        # kept is kept: the ledgers are written as bytes come.
        _log.warning("A disk does not answer, so what it was to do is left undone; the jobs go on at the next start")
    if service.runner.alive or _is_held_up():
        sys.stderr.flush()
        os._exit(0)


def _is_held_up() -> bool:
    """Whether somebody still waits for a disk, or a hub that says nothing: the interpreter would wait for that."""
    others = (thread for thread in threading.enumerate() if thread is not threading.main_thread())
    return any(not thread.daemon for thread in others)


def _is_loopback(host: str) -> bool:
    """Whether only this machine reaches it; of a name, whether all its addresses are such."""
    try:
        found = {str(info[4][0]).partition("%")[0] for info in socket.getaddrinfo(host, None)}
    except OSError:
        return True  # nothing can listen there, which is said in a moment
    return all(ipaddress.ip_address(address).is_loopback for address in found)
