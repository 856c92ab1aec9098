"""Videos: jobs that are created, asked for, and fetched."""
