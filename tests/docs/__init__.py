"""The docs are run: every command as it is written, every output compared, every other block read by its parser."""
