"""Plan an installation: what it would do in a database, and which obstacles it would meet."""
