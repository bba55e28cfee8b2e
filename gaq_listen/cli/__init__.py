"""Define the commands: each parses its options, calls, and ends with an exit code."""
