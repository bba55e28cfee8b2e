"""The proxy closes every connection, so that the tests that use it leave none behind."""

import gc
import socket
from pathlib import Path

from tests.faults.proxy import network

CONNECTIONS = 8


def test_connections_that_end_while_the_proxy_stops_are_closed(tmp_path: Path) -> None:
    """pytest reports each connection that the garbage collector finds open."""
    path = tmp_path / "server"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()
        for _ in range(10):
            with network(path) as proxy:
                clients = [socket.create_connection(("127.0.0.1", proxy.port)) for _ in range(CONNECTIONS)]
                accepted = [server.accept()[0] for _ in range(CONNECTIONS)]
                for client in clients:
                    client.close()
            for connection in accepted:
                connection.close()
    gc.collect()
