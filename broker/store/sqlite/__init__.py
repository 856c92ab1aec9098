"""Jobs in one SQLite file. The only place that knows SQL, sqlite3 and aiosqlite."""
