"""What was asked for, and how far it is. Knows nothing of network or disk layout."""
