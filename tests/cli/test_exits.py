"""Exit codes: each error of the tree has the one that the contract gives it."""

from collections.abc import Iterator

import pytest

from windlass import errors as e
from windlass.cli import exits
from windlass.cli.exits import exit_code, exit_code_of

# The contract's table (§4): every class of the tree stands here once.
CODES: dict[type[e.WindlassError], int] = {
    e.WindlassError: 1,
    e.InvalidRequest: 2,
    e.InvalidModel: 2,
    e.QuantizationNotFound: 3,
    e.IllegalMove: 1,
    e.ModelInUse: 1,
    e.NotRepairable: 1,
    e.Refused: 1,
    e.UnsupportedMediaType: 1,
    e.BodyTooLarge: 1,
    e.RequestTimeout: 1,
    e.TooManyConnections: 1,
    e.HostNotAllowed: 1,
    e.OriginNotAllowed: 1,
    e.InvalidApiKey: 4,
    e.InsufficientScope: 4,
    e.UnknownEndpoint: 1,
    e.NotOffered: 1,
    e.NotFound: 1,  # a group: what is raised is one of the classes below it
    e.ModelNotFound: 3,
    e.NoModelFiles: 3,
    e.JobNotFound: 3,
    e.TokenNotFound: 3,
    e.ModelGated: 4,
    e.HubFailure: 1,
    e.HubError: 1,
    e.HubUnreachable: 6,
    e.HubRateLimited: 6,
    e.TransferFailure: 1,
    e.ChecksumMismatch: 1,
    e.TLSFailure: 6,
    e.UnsafeRedirect: 1,
    e.SourceFailure: 1,
    e.StorageFailure: 1,
    e.InsufficientStorage: 5,
    e.StorageUnavailable: 1,
    e.StateFailure: 1,
    e.StateInUse: 1,
    e.DatabaseTooNew: 1,
    e.DatabaseUnreadable: 1,
    e.ServerFailure: 1,
    e.ServerUnreachable: 1,
    e.Cancelled: 1,
    e.Stopped: 1,
}


def classes(root: type[e.WindlassError] = e.WindlassError) -> Iterator[type[e.WindlassError]]:
    yield root
    for child in root.__subclasses__():
        yield from classes(child)


def made(cls: type[e.WindlassError]) -> e.WindlassError:
    if issubclass(cls, e.HubRateLimited):
        return cls("What happened.", retry_after=3)
    if issubclass(cls, e.InsufficientStorage):
        return cls("What happened.", needed=2, free=1)
    if cls is e.ServerFailure:
        return e.ServerFailure("What happened.", status=500, remote_code=None)
    return cls("What happened.")


def ours() -> set[type[e.WindlassError]]:
    return {cls for cls in classes() if cls.__module__ == "windlass.errors"}


def test_every_class_of_the_tree_is_in_the_table() -> None:
    """A class that is added must be given an exit code, and the drawing in the docstring its line."""
    assert ours() == set(CODES)
    assert e.__doc__
    assert all(f" {cls.__name__}" in e.__doc__ or cls is e.WindlassError for cls in CODES)


@pytest.mark.parametrize("cls", CODES, ids=lambda cls: cls.__name__)
def test_each_class_has_its_exit_code(cls: type[e.WindlassError]) -> None:
    """By its stable code, so that a job's `error_code` gives the same as the error itself."""
    error = made(cls)
    assert exit_code(error) == CODES[cls] == exit_code_of(error.code)
    assert cls.__doc__


@pytest.mark.parametrize(
    ("remote", "code"),
    [("model_not_found", 3), ("invalid_api_key", 4), ("insufficient_storage", 5), ("hub_unreachable", 6), ("?", 1)],
)
def test_a_servers_error_counts_as_if_it_were_ours(remote: str, code: int) -> None:
    """The same command ends the same way, whoever did the work."""
    assert exit_code(e.ServerFailure("x", status=400, remote_code=remote)) == code


def test_what_is_not_known_has_failed() -> None:
    """A code of a newer server, none at all, and a cancelled job."""
    assert {exit_code_of(code) for code in ("brand_new", None, "", "cancelled")} == {exits.FAILED}


def test_codes_are_stable_words() -> None:
    """As the API shows them: lower case, no spaces."""
    for cls in CODES:
        assert cls.code == cls.code.lower().replace(" ", "_")
