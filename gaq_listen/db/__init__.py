"""Connect to PostgreSQL, and classify what goes wrong."""
