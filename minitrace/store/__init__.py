"""The SQLite file: a list of verbs. Knows no HTTP."""
