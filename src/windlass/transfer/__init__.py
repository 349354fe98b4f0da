"""How bytes at an address become a verified file. Knows nothing of models, jobs or hubs."""
