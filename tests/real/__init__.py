"""Tests with real models and real servers from a package registry."""
