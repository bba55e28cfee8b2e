"""Serve the metrics and the health of a worker over HTTP, in threads of its own."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socket import AF_INET6, SHUT_RDWR
from socketserver import TCPServer
from typing import TypeAlias

from gaq_listen.errors import BadSetting
from gaq_listen.observers import health
from gaq_listen.observers.worker_state import WorkerState
from gaq_listen.settings import Address
from gaq_listen.worker import events

Page: TypeAlias = Callable[[], tuple[int, str, bytes]]
"""Return the status, the content type and the body of an answer."""

TEXT = "text/plain; charset=utf-8"


@contextmanager
def serve_http(address: Address, objective: float) -> Iterator[events.Observer]:
    """Serve ``/metrics``, ``/healthz`` and ``/readyz`` until the context ends. Yield the observer that feeds them.

    ``objective`` is how many seconds a pair may be stale.

    Raises:
        BadSetting: prometheus-client is not installed, or the server cannot listen at the address.
    """
    try:
        from prometheus_client import CONTENT_TYPE_LATEST

        from gaq_listen.observers.metrics import Metrics
    except ImportError as error:
        raise BadSetting("--metrics-listen needs prometheus-client: pip install 'gaq-listen[metrics]'") from error

    state = WorkerState(time.monotonic(), objective)
    metrics = Metrics(state)
    last_event = time.monotonic()
    lock = threading.Lock()

    def observe(event: events.Event) -> None:
        nonlocal last_event
        with lock:
            last_event = time.monotonic()
            state.apply(event, last_event)
            metrics.observe(event)

    def metrics_page() -> tuple[int, str, bytes]:
        with lock:
            return 200, CONTENT_TYPE_LATEST, metrics.text()

    def health_page(judge: Callable[[WorkerState, float, float], tuple[bool, str]]) -> Page:
        def page() -> tuple[int, str, bytes]:
            with lock:
                good, sentence = judge(state, last_event, time.monotonic())
            return 200 if good else 503, TEXT, f"{sentence}\n".encode()

        return page

    pages = {"/metrics": metrics_page, "/healthz": health_page(health.alive), "/readyz": health_page(health.ready)}
    try:
        server = _Server(address, pages)
    except OSError as error:
        host, port = address
        raise BadSetting(f"--metrics-listen cannot listen at {host}:{port}: {error.strerror}") from error
    thread = threading.Thread(target=server.serve_forever, name="gaq-listen metrics", daemon=True)
    thread.start()
    try:
        yield observe
    finally:
        with suppress(OSError):  # wake the thread up; where the system cannot, it wakes up after half a second
            server.socket.shutdown(SHUT_RDWR)
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
        """Bind the socket without a query to a name server, which ``HTTPServer.server_bind`` would make."""
        TCPServer.server_bind(self)


class _Handler(BaseHTTPRequestHandler):
    timeout = 10  # seconds for a client that sends nothing
    server: _Server

    def handle(self) -> None:
        """Answer the requests of a client, which may leave at any time."""
        with suppress(ConnectionError):
            super().handle()

    def do_GET(self) -> None:
        page = self.server.pages.get(self.path.partition("?")[0])
        if page is None:
            known = ", ".join(self.server.pages)
            self._answer(404, TEXT, f"there is only: {known}\n".encode())
        else:
            self._answer(*page())

    def _answer(self, status: int, content_type: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Log no requests."""
