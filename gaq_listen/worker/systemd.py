"""Tells a service manager how it goes: systemd's protocol, a datagram to a socket that the environment names.

Does nothing when nobody asked for it, and never makes anybody wait.
"""

import os
import socket
import time
from collections.abc import Callable, Mapping
from contextlib import suppress

from gaq_listen.worker import events


class SystemdNotifier:
    """Of ``Type=notify``: it learns when the worker is ready, what it does, and that it is alive.

    ``watchdog``: seconds within which it wants to hear that; None: it does not. ``clock`` gives monotonic seconds.
    """

    def __init__(
        self, environment: Mapping[str, str] = os.environ, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._address = environment.get("NOTIFY_SOCKET", "")
        self._clock = clock
        self._ready = False
        self._next_ping = 0.0
        microseconds = environment.get("WATCHDOG_USEC", "")
        ours = environment.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        self.watchdog = int(microseconds) / 1e6 if self._address and ours and microseconds.isdecimal() else None

    def observe(self, event: events.Event) -> None:
        """Tells what an event means to it."""
        match event:
            case events.Listening() | events.Polling():
                status = "listening" if isinstance(event, events.Listening) else f"polling: {event.reason}"
                self._tell(*([] if self._ready else ["READY=1"]), f"STATUS={status}")
                self._ready = True
            case events.Disconnected(reason):
                self._tell(f"STATUS=disconnected: {reason}")
                # It has tried: that nobody can be reached is no reason to start it afresh.
                self.alive()
            case events.Broken(reason):
                self._tell(f"STATUS=broken: {reason}")
            case events.Repaired():
                self._tell("STATUS=repaired")
            case events.Blocked(reason):
                self._tell(f"STATUS=gives way: {reason}")
            case events.Unblocked():
                self._tell("STATUS=goes on")
            case events.SourcesChanged(what, fix):
                self._tell(f"STATUS=alarm: {what[0]}; run: {fix}")
            case events.SourcesRestored():
                self._tell("STATUS=source tables are as they should be")
            case events.Paused(by):
                self._tell(f"STATUS=paused by {by}")
            case events.Resumed():
                self._tell("STATUS=resumed")
            case events.Stopping(reason):
                self._tell("STOPPING=1", f"STATUS=stopping: {reason}")
            case _:
                pass

    def alive(self) -> None:
        """To be called when something has been done that only a living worker does, such as a round trip."""
        if self.watchdog is not None and self._clock() >= self._next_ping:
            self._next_ping = self._clock() + self.watchdog / 4
            self._tell("WATCHDOG=1")

    def _tell(self, *lines: str) -> None:
        if not self._address:
            return
        # A leading @ stands for the null byte of an abstract socket.
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        message = "\n".join(line.replace("\n", " ") for line in lines)
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
            channel.setblocking(False)
            channel.sendto(message.encode(), address)
