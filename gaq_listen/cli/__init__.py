"""Define the commands. A command parses its options, calls a module of another package, and sets the exit code."""
