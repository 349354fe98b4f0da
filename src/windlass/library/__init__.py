"""Which models are on this disk, and are they whole? Knows no network and no jobs."""
