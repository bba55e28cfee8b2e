"""Run a private, temporary PostgreSQL server, for the demo, the tests and the benchmarks."""
