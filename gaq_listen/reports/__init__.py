"""What a command prints: a query, then pure rendering."""
