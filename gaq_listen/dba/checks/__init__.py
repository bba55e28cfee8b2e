"""Check a database. Each module has the checks of one subject, and each check returns findings."""
