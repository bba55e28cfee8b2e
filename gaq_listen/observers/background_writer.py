"""Write in a thread of its own, so that a blocked output never delays the worker.

A write blocks, for example, after Ctrl-S on a terminal, in a pager that nobody scrolls, or if a log collector hangs.
"""

import errno
import os
import threading
from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import IO, Generic, Self, TypeVar

Item = TypeVar("Item")

QUEUED = 1000
"""Largest number of items that wait to be written. When more come, the oldest are left out and counted."""

_READER_GONE = (errno.EPIPE, errno.EIO)


class BackgroundWriter(Generic[Item]):
    """Call ``write(items, left_out)`` in one thread, with items in their order and the number of those left out.

    ``every`` is the number of seconds after which ``write`` is called even without items. None: it never is. When the
    reader of ``stdout`` has gone, the writer writes nothing more, diverts ``stdout`` to nowhere, and calls
    ``on_closed`` once in that thread, unless the ``last`` item was put before. Leaving the context waits until
    everything is written.
    """

    def __init__(
        self,
        write: Callable[[list[Item], int], None],
        stdout: IO[str],
        on_closed: Callable[[], object],
        every: float | None = None,
    ) -> None:
        self._write = write
        self._stdout = stdout
        self._on_closed = on_closed
        self._every = every
        self._queue: deque[Item] = deque(maxlen=QUEUED)
        self._left_out = 0
        self._last = False
        self._ending = False
        # on_closed may call put in the thread that holds the lock, so the lock must be reentrant.
        self._changed = threading.Condition(threading.RLock())
        self._thread = threading.Thread(target=self._run, name="gaq-listen output")

    def put(self, item: Item, last: bool = False) -> None:
        """Queue an item. This never waits and never fails."""
        with self._changed:
            self._left_out += len(self._queue) == QUEUED
            self._queue.append(item)
            self._last = self._last or last
            self._changed.notify()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with self._changed:
            self._ending = True
            self._changed.notify()
        self._thread.join()
        try:
            self._stdout.flush()
        except OSError:
            # Python flushes stdout at its exit. What a full disk did not take would fail again and set the exit code.
            divert(self._stdout)

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._queue or self._ending, self._every)
                items, left_out, ending = list(self._queue), self._left_out, self._ending
                self._queue.clear()
                self._left_out = 0
            try:
                self._write(items, left_out)
            except OSError as error:
                # After another error, such as a full disk, these items are lost, and the writer goes on.
                if error.errno in _READER_GONE:
                    self._close()
                    return
            if ending:
                return

    def _close(self) -> None:
        divert(self._stdout)
        with self._changed:
            if not self._last:
                self._on_closed()


def divert(stdout: IO[str]) -> None:
    """Redirect ``stdout`` and its unwritten buffer to nowhere. Else Python's flush at its exit would fail again."""
    try:
        descriptor = stdout.fileno()
    except OSError:  # a stream in memory
        return
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, descriptor)
    os.close(nowhere)
