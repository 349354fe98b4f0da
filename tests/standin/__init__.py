"""A stand-in for Hugging Face, its CDN and LM Studio Hub that misbehaves on request. Begin at `standin.hub`."""

from standin import faults
from standin.content import Bytes, Content, OnDisk, Repeated, Slice
from standin.hub import ALWAYS, Fault, Hub
from standin.repository import File, Repository, files_of
from standin.wire import Exchange, Manner, Reply, Request, Server

__all__ = [
    "ALWAYS",
    "Bytes",
    "Content",
    "Exchange",
    "Fault",
    "File",
    "Hub",
    "Manner",
    "OnDisk",
    "Repeated",
    "Reply",
    "Repository",
    "Request",
    "Server",
    "Slice",
    "faults",
    "files_of",
]
