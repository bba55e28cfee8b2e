"""Writes in a thread of its own, so that an output nobody takes never holds up the worker.

A terminal after Ctrl-S, a pager that is not read on, a log collector that hangs: a write to any of them blocks, and
meanwhile summaries would stay stale.
"""

import errno
import os
import threading
from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import IO, Generic, Self, TypeVar

Item = TypeVar("Item")

KEPT = 1000
"""Items that wait at most; beyond, the oldest are left out and counted."""

_READER_GONE = (errno.EPIPE, errno.EIO)


class BackgroundWriter(Generic[Item]):
    """Hands items over to ``write(items, left_out)``, called in one thread, in order.

    ``every``: seconds after which it is called even with no items. When the reader of ``stdout`` has gone, nothing
    more is written, ``stdout`` leads to nowhere, and ``on_closed`` is called, once, in that thread and never after
    the ``last`` item was put. Leaving the context waits until everything is written.
    """

    def __init__(
        self,
        write: Callable[[list[Item], int], None],
        stdout: IO[str],
        on_closed: Callable[[], None],
        every: float | None = None,
    ) -> None:
        self._write = write
        self._stdout = stdout
        self._on_closed = on_closed
        self._every = every
        self._waiting: deque[Item] = deque(maxlen=KEPT)
        self._left_out = 0
        self._last = False
        self._ending = False
        # Its lock can be taken again by the thread that has it: on_closed may lead back to put.
        self._news = threading.Condition(threading.RLock())
        self._thread = threading.Thread(target=self._run, name="gaq-listen output")

    def put(self, item: Item, last: bool = False) -> None:
        """Never waits and never fails."""
        with self._news:
            self._left_out += len(self._waiting) == KEPT
            self._waiting.append(item)
            self._last = self._last or last
            self._news.notify()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with self._news:
            self._ending = True
            self._news.notify()
        self._thread.join()
        try:
            self._stdout.flush()
        except OSError:
            # What a full disk did not take would fail again at our end, and that would be our exit code.
            divert(self._stdout)

    def _run(self) -> None:
        while True:
            with self._news:
                self._news.wait_for(lambda: self._waiting or self._ending, self._every)
                items, left_out, ending = list(self._waiting), self._left_out, self._ending
                self._waiting.clear()
                self._left_out = 0
            try:
                self._write(items, left_out)
            except OSError as error:
                # Another error, such as a full disk, costs lines, not freshness.
                if error.errno in _READER_GONE:
                    self._close()
                    return
            if ending:
                return

    def _close(self) -> None:
        divert(self._stdout)
        with self._news:
            if not self._last:
                self._on_closed()


def divert(stdout: IO[str]) -> None:
    """Makes ``stdout`` lead to nowhere, with what is still in its buffer, which else fails again at our end."""
    try:
        descriptor = stdout.fileno()
    except OSError:  # a stream in memory
        return
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, descriptor)
    os.close(nowhere)
