"""`windlass serve`: the server, until it is told to end."""

from windlass.api.app import create_app
from windlass.cli import collector
from windlass.listening import Listening
from windlass.service import Service
from windlass.settings import Settings


def serve(settings: Settings) -> None:
    """Answer requests and run jobs until SIGINT or SIGTERM.

    Raises:
        StateInUse: a server runs on this state already.
        InvalidRequest: the port cannot be had.
    """
    with Service(settings) as service:
        service.runner.start()  # before anybody can ask: what is wrong with the state is said here
        app = create_app(service, hosts=(settings.host,))
        listening = Listening(app, settings.host, settings.port)
        service.presence.serve(listening.url)
        collector.carry_on()
        with listening:
            listening.until_ended()
            service.events.close()  # else those who follow them hold up the end
