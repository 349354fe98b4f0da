"""Which files make this model, and where from? Knows the catalog and the hub; nothing of disk or jobs."""
