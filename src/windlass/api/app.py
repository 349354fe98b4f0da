"""Puts the REST face together."""

from collections.abc import Collection
from typing import Any

from fastapi import FastAPI, Request
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import JSONResponse, Response

from windlass import __version__
from windlass.api import errors, lmstudio, metrics, models, own, page, reference, schemas, stream
from windlass.api.guard import Guard, Trust
from windlass.errors import NotOffered, UnknownEndpoint, WindlassError
from windlass.service import Service

_ROUTERS = (lmstudio.router, own.router, models.router, stream.router, metrics.router, reference.router, page.router)


class App(FastAPI):
    """FastAPI's, whose description tells of no answer that is never given."""

    def openapi(self) -> dict[str, Any]:
        """As FastAPI makes it, without the 422 that it adds to each call with a parameter: ours are read by us."""
        description = super().openapi()
        for operation in (one for path in description["paths"].values() for one in path.values()):
            operation["responses"].pop("422", None)
        for shape in ("HTTPValidationError", "ValidationError"):
            description["components"]["schemas"].pop(shape, None)
        return description


def create_app(
    service: Service, hosts: Collection[str] = (), origins: Collection[str] = (), *, closed: bool = False
) -> FastAPI:
    """The app over a service, whose runner somebody else starts.

    Args:
        service: what does the work.
        hosts: names that we are known by.
        origins: pages of other sites that may use it (CORS).
        closed: whether nobody is let in without a token, also where none was made.
    """
    app = App(
        title="Windlass",
        version=__version__,
        redirect_slashes=False,
        docs_url=None,  # its pages fetch their scripts from elsewhere
        redoc_url=None,
        responses=schemas.errors(400, 401, 403, 408, 500, 503),
    )
    app.state.service = service
    for router in _ROUTERS:
        app.include_router(router)
    app.add_exception_handler(WindlassError, _windlass_error)
    app.add_exception_handler(HTTPException, _unknown)
    app.add_exception_handler(Exception, _bug)
    app.add_middleware(Guard, trust=Trust(service.tokens, hosts, origins, closed))
    if origins:
        app.add_middleware(CORSMiddleware, allow_origins=origins, allow_methods=["*"], allow_headers=["*"])
    return app


def _windlass_error(_request: Request, error: Exception) -> Response:
    assert isinstance(error, WindlassError)
    return errors.answer(error)


def _unknown(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if request.headers.get("upgrade", "").lower() == "websocket":
        # What LM Studio's own libraries ask first. They show the status and nothing else, and 404 sends people looking
        # for a typing error in the address.
        return errors.answer(NotOffered(f"Windlass speaks LM Studio's REST API, not WebSockets ({request.url.path})."))
    message = f"There is no {request.method} {request.url.path} here; GET /docs shows what there is."
    response = errors.answer(UnknownEndpoint(message))
    response.status_code = error.status_code  # 405 where the path is right and the method is not
    if error.status_code == 405:
        response.headers["Allow"] = ", ".join(_methods_at(request.scope["path"]))
    return response


def _methods_at(path: str) -> list[str]:
    """All that may be done there; what Starlette says of it is that of the first route alone."""
    routes = [route for router in _ROUTERS for route in router.routes if isinstance(route, APIRoute)]
    return sorted({method for route in routes if route.path_regex.match(path) for method in route.methods or ()})


def _bug(_request: Request, error: Exception) -> JSONResponse:
    message = f"Something went wrong inside Windlass ({type(error).__name__}). The log has the details."
    return errors.answer(WindlassError(message))
