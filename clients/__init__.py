"""Clients in many languages, written as people write them there. `make clients` runs them."""
