"""Notify systemd of the state of a worker: a datagram to the socket that ``NOTIFY_SOCKET`` names.

Without that variable, nothing is sent. Sending never blocks.
"""

import os
import socket
import time
from collections.abc import Callable, Mapping
from contextlib import suppress

from gaq_listen.worker import events


class SystemdNotifier:
    """Notify a service of ``Type=notify``: when the worker is ready, what it does, and that it is alive.

    ``clock`` returns monotonic seconds.
    """

    def __init__(
        self, environment: Mapping[str, str] = os.environ, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._address = environment.get("NOTIFY_SOCKET", "")
        self._clock = clock
        self._ready = False
        self._next_ping = 0.0
        microseconds = environment.get("WATCHDOG_USEC", "")
        for_us = environment.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        self.watchdog = int(microseconds) / 1e6 if self._address and for_us and microseconds.isdecimal() else None
        """The interval in seconds within which systemd expects a sign of life. None: it expects none."""

    def observe(self, event: events.Event) -> None:
        """Notify systemd of an event that changes the state of the worker."""
        match event:
            case events.Listening() | events.Polling():
                self._send(*([] if self._ready else ["READY=1"]), f"STATUS={event.message()}")
                self._ready = True
            case events.Stopping():
                self._send("STOPPING=1", f"STATUS={event.message()}")
            case _ if event.lasting or event.ends:
                self._send(f"STATUS={event.message()}")
        if isinstance(event, events.Disconnected):
            # The worker is alive: a restart would not help it to connect.
            self.alive()

    def alive(self) -> None:
        """Send a sign of life, if one is due. The worker calls this after each answer of the server."""
        if self.watchdog is not None and self._clock() >= self._next_ping:
            self._next_ping = self._clock() + self.watchdog / 4
            self._send("WATCHDOG=1")

    def _send(self, *lines: str) -> None:
        if not self._address:
            return
        # A leading @ means the null byte of an abstract socket.
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        message = "\n".join(line.replace("\n", " ") for line in lines)
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
            channel.setblocking(False)
            channel.sendto(message.encode(), address)
