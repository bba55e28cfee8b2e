"""A private, temporary PostgreSQL server, for the demonstration, the tests and the benchmarks."""
