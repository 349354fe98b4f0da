"""Tests of `windlass hub`."""
