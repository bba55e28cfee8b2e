"""A demonstration that needs nothing installed: a private PostgreSQL and simulated activity."""
