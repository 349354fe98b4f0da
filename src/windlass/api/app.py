"""Puts the REST face together."""

from collections.abc import Collection

from fastapi import FastAPI, Request
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response

from windlass import __version__
from windlass.api import errors, lmstudio, own, stream
from windlass.api.guard import Guard
from windlass.errors import UnknownEndpoint, WindlassError
from windlass.service import Service


def create_app(service: Service, hosts: Collection[str] = ()) -> FastAPI:
    """The app over a service, whose runner somebody else starts; `hosts` are names that we are known by."""
    app = FastAPI(title="Windlass", version=__version__, redirect_slashes=False)
    app.state.service = service
    app.include_router(lmstudio.router)
    app.include_router(own.router)
    app.include_router(stream.router)
    app.add_exception_handler(WindlassError, _windlass_error)
    app.add_exception_handler(HTTPException, _unknown)
    app.add_exception_handler(Exception, _bug)
    app.add_middleware(Guard, hosts=hosts)
    return app


def _windlass_error(_request: Request, error: Exception) -> Response:
    assert isinstance(error, WindlassError)
    return errors.answer(error)


def _unknown(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    message = f"There is no {request.method} {request.url.path} here; GET /docs shows what there is."
    response = errors.answer(UnknownEndpoint(message))
    response.status_code = error.status_code  # 405 where the path is right and the method is not
    response.headers.update(error.headers or {})
    return response


def _bug(_request: Request, error: Exception) -> JSONResponse:
    message = f"Something went wrong inside Windlass ({type(error).__name__}). The log has the details."
    return errors.answer(WindlassError(message))
