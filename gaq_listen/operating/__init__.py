"""What operators do: pause, mark, retry, verify."""
