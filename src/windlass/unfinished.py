"""What programs call a file while they bring it: for the room that lists models and the one that serves them."""

_ENDS = (".part", ".partial", ".incomplete", ".tmp", ".temp", ".download", ".crdownload", ".aria2", "~")
_LM_STUDIO = "downloading_"


def is_unfinished(name: str) -> bool:
    """Whether the name is one that LM Studio, browsers and others give to what they are still bringing."""
    return name.startswith(_LM_STUDIO) or name.lower().endswith(_ENDS)
