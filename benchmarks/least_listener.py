"""Run the least that a listener can do: ``python -m benchmarks.least_listener DSN``.

For each notification the listener updates a row of the pair and notifies of it, in one message, which is a transaction.
The listener computes nothing. Like a refresh, its commit does not wait for the disk.
"""

import json
import sys

import psycopg

_UPDATE = """
select set_config('synchronous_commit', 'off', true);
update least_listener.summaries set updated_at = clock_timestamp() where data_pass_id = %s and run_number = %s;
select pg_notify('gaq_refreshed', %s)
"""


def run(dsn: str) -> None:
    """Serve until the process is ended."""
    with psycopg.connect(dsn, autocommit=True, cursor_factory=psycopg.ClientCursor) as connection:
        connection.execute("listen least_listener")
        while True:
            # The generator keeps the connection to itself until it ends.
            for notification in list(connection.notifies(stop_after=1)):
                data_pass_id, run_number = json.loads(notification.payload)
                connection.execute(_UPDATE, (data_pass_id, run_number, json.dumps([[data_pass_id, run_number]])))


if __name__ == "__main__":
    run(sys.argv[1])
