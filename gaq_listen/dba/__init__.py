"""What a DBA does: read the SQL, install it, look at it, remove it."""
