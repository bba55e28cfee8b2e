"""Turn the events of a worker into something to see: a console, a log, metrics, health."""
