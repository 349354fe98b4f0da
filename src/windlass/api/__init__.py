"""The REST face: LM Studio's API, and Windlass's own beside it."""
