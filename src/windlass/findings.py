"""What a check of records and disk may find: what is wrong, where, and what mends it. Values and their words."""

from collections.abc import Hashable
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple


class Kind(StrEnum):
    """What is wrong, as a word that stays the same for programs."""

    DATABASE_UNUSABLE = "database_unusable"
    JOB_ABANDONED = "job_abandoned"  # it is said to run, and its process is dead
    MODELS_FOLDER_GONE = "models_folder_gone"
    RECEIPT_WITHOUT_FILE = "receipt_without_file"
    RECEIPT_UNREADABLE = "receipt_unreadable"
    FILE_CHANGED = "file_changed"
    FILE_OUT_OF_REACH = "file_out_of_reach"  # behind a link that leads to nothing: a disk that is not mounted
    FILES_UNFINISHED = "files_unfinished"  # fetched for a model that was never finished
    MODEL_RECEIPT_UNREADABLE = "model_receipt_unreadable"
    MODEL_GONE = "model_gone"
    MODEL_NOT_WHOLE = "model_not_whole"
    PARTIAL_UNWANTED = "partial_unwanted"
    PARTIAL_WITHOUT_BYTES = "partial_without_bytes"  # a ledger or a seal alone
    TEMPORARY_FILE = "temporary_file"
    CATALOG_ENTRY_BROKEN = "catalog_entry_broken"


class Fix(NamedTuple):
    """What mends a finding: what `--fix` does, and what was done by it."""

    does: str
    did: str


DROP = Fix("drops it", "it was dropped")
REMOVE = Fix("removes it", "it was removed")
REQUEUE = Fix("puts it back into the queue", "it is back in the queue")


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong. Two looks that see the same have equal findings.

    Attributes:
        where: a path, or the id of a job.
        message: what is wrong, in words that follow a colon.
        fix: what mends it safely; None where a person has to.
        hint: what that person does.
        frees: bytes that come free by the fix.
        sight: what was seen there, by which two looks know that it is the same.
    """

    kind: Kind
    where: str
    message: str
    fix: Fix | None = None
    hint: str = ""
    frees: int = 0
    sight: Hashable = None
