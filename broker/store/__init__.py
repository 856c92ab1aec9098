"""Where jobs are kept: SQLite here, any engine that passes `tests/contract/test_store.py` beside it."""
