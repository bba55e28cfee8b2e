"""Serves the numbers and the health of a worker over HTTP, in threads of its own."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socket import AF_INET6
from socketserver import TCPServer

from gaq_listen.errors import BadSetting
from gaq_listen.observers import health
from gaq_listen.observers.worker_state import Goals, WorkerState
from gaq_listen.settings import Address
from gaq_listen.worker import events

Page = Callable[[], tuple[int, str, bytes]]
"""Status, content type, body."""

TEXT = "text/plain; charset=utf-8"


@contextmanager
def serve_http(address: Address, aims: Goals) -> Iterator[events.Observer]:
    """Serves ``/metrics``, ``/healthz`` and ``/readyz`` at this host and port, until the end of the context.

    Raises:
        BadSetting: prometheus-client is not installed, or the address cannot be had.
    """
    try:
        from prometheus_client import CONTENT_TYPE_LATEST

        from gaq_listen.observers.metrics import Metrics
    except ImportError as error:
        raise BadSetting("--metrics-listen needs prometheus-client: pip install 'gaq-listen[metrics]'") from error

    standing = WorkerState(time.monotonic(), aims)
    metrics = Metrics(standing)
    heard = time.monotonic()
    lock = threading.Lock()

    def observe(event: events.Event) -> None:
        nonlocal heard
        with lock:
            heard = time.monotonic()
            standing.apply(event, heard)
            metrics.observe(event)

    def numbers() -> tuple[int, str, bytes]:
        with lock:
            return 200, CONTENT_TYPE_LATEST, metrics.text()

    def verdict(judge: Callable[[WorkerState, float, float], tuple[bool, str]]) -> Page:
        def page() -> tuple[int, str, bytes]:
            with lock:
                good, said = judge(standing, heard, time.monotonic())
            return 200 if good else 503, TEXT, f"{said}\n".encode()

        return page

    pages = {"/metrics": numbers, "/healthz": verdict(health.alive), "/readyz": verdict(health.ready)}
    try:
        server = _Server(address, pages)
    except OSError as error:
        raise BadSetting(f"--metrics-listen cannot have {address[0]}:{address[1]}: {error.strerror}") from error
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), name="gaq-listen metrics", daemon=True)
    thread.start()
    try:
        yield observe
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, address: Address, pages: dict[str, Page]) -> None:
        if ":" in address[0]:
            self.address_family = AF_INET6
        self.pages = pages
        super().__init__(address, _Handler)

    def server_bind(self) -> None:
        """Without asking a name server what this machine is called, as HTTPServer would."""
        TCPServer.server_bind(self)


class _Handler(BaseHTTPRequestHandler):
    timeout = 10  # a client that says nothing
    server: _Server

    def do_GET(self) -> None:
        page = self.server.pages.get(self.path.partition("?")[0])
        if page is None:
            known = ", ".join(self.server.pages)
            self._answer(404, TEXT, f"there is only: {known}\n".encode())
        else:
            self._answer(*page())

    def _answer(self, status: int, kind: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Says nothing: who scrapes is no news."""
