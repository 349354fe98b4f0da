"""Windlass brings models in: resumable, verified, behind the REST API that LM Studio's clients speak."""

__version__ = "0.1.0"
