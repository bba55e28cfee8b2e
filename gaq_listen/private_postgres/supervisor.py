"""Run a private server as its parent process, and clean up after the owner has ended.

The owner starts ``python -m gaq_listen.private_postgres.supervisor JOB`` with a pipe as standard input. When the pipe
closes, however the owner ended, or on a signal, the supervisor stops the server and removes every directory that it
created. The supervisor writes lines of JSON to stdout: what it started, why the server did not start, or how it ended.

The supervisor has a session of its own, so Ctrl-C in the owner's terminal does not reach it. If SIGKILL ends the
supervisor, Linux stops the server, and the owner removes the directories when it leaves its block. On other systems,
the user has to stop such a server by hand.
"""

import contextlib
import ctypes
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from types import FrameType
from typing import Any

from gaq_listen.errors import PrivateServerError
from gaq_listen.private_postgres import cluster
from gaq_listen.private_postgres.binaries import Binaries, usable_binaries
from gaq_listen.private_postgres.os_user import OsUser, server_user

OWNER = 0
"""File descriptor of standard input: the pipe that closes when the owner ends."""
REPORT = 1
"""File descriptor of standard output, from which the owner reads."""
START_SECONDS = 60.0
"""Seconds in which the server must accept connections."""
STOP_SECONDS = 5.0
"""Seconds that a child has to end after each signal."""
PR_SET_PDEATHSIG = 1


class StopRequested(Exception):
    """The owner has ended, or a signal asked the supervisor to stop."""


class ChildWatch:
    """Wait for a child process, or for a reason to stop.

    A signal only sets a flag and wakes the wait. If a signal handler raised an exception, the exception could arrive
    between the start of a child and the line that stores it.
    """

    def __init__(self) -> None:
        """Install handlers for SIGCHLD and for the signals that stop the supervisor."""
        self._stop = False
        self._wake, wakeup = os.pipe()
        os.set_blocking(self._wake, False)
        os.set_blocking(wakeup, False)
        signal.set_wakeup_fd(wakeup, warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._ask_to_stop)
        signal.signal(signal.SIGCHLD, lambda number, frame: None)

    def _ask_to_stop(self, number: int, frame: FrameType | None) -> None:
        self._stop = True

    def wait(self, child: subprocess.Popen[bytes]) -> int:
        """Wait until the child ends, and return its exit code.

        Raises:
            StopRequested: The supervisor should stop, and the child still runs.
        """
        while (code := child.poll()) is None:
            self.pause(None)
        return code

    def pause(self, seconds: float | None) -> None:
        """Wait for some seconds, or less if a child ends. None waits without a limit.

        Raises:
            StopRequested: The supervisor should stop.
        """
        # The flag is read before select: a signal that comes in between has made the pipe readable.
        if self._stop:
            raise StopRequested
        readable, _, _ = select.select([OWNER, self._wake], [], [], seconds)
        if self._wake in readable:
            os.read(self._wake, 4096)
        if OWNER in readable and not os.read(OWNER, 4096):
            self._stop = True


def parent_death_signal(number: signal.Signals) -> Callable[[], None] | None:
    """Return a function by which a child asks Linux for this signal at its parent's death. None on other systems."""
    if sys.platform != "linux":
        return None
    prctl = ctypes.CDLL(None).prctl
    parent = os.getpid()

    def request_signal() -> None:
        prctl(PR_SET_PDEATHSIG, number)
        if os.getppid() != parent:
            os._exit(1)

    return request_signal


def start(command: list[str], user: OsUser, log: Path, at_parent_death: signal.Signals) -> subprocess.Popen[bytes]:
    """Start a program as ``user``, in a process group of its own, with its output in the log."""
    with log.open("ab") as output:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd="/",
            env=cluster.environment(),
            process_group=0,
            preexec_fn=parent_death_signal(at_parent_death),
            **user.identity(),
        )


def stop(child: subprocess.Popen[bytes], *signals: signal.Signals) -> None:
    """End a child with one signal after the other, and at last kill its process group."""
    for number in signals:
        child.send_signal(number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(STOP_SECONDS)
            return
    os.killpg(child.pid, signal.SIGKILL)
    child.wait()


def report(**facts: Any) -> None:
    """Write a line of JSON to the owner. If the owner has ended, write nothing."""
    with contextlib.suppress(OSError):
        os.write(REPORT, json.dumps(facts).encode() + b"\n")


def failure(what: str, code: int, log: Path) -> PrivateServerError:
    """Return the error for a program that ended with this exit code, with the end of the log."""
    how = f"exit code {code}" if code >= 0 else signal.Signals(-code).name
    return PrivateServerError(f"{what} ({how}); its log ends with:\n{cluster.last_lines(log)}")


def serve(job: dict[str, Any], watch: ChildWatch, cleanup: ExitStack) -> None:
    """Create the cluster and run the server until it or the owner ends.

    Raises:
        StopRequested: The owner has ended, or a signal asked the supervisor to stop.
        PrivateServerError: The server did not start, or ended by itself.
    """
    user = server_user()
    home = cluster.make_home(cluster.temp_base(user))
    cleanup.callback(cluster.remove_directory, home)
    storage = cluster.make_home(Path(job["storage"]) if job["storage"] else cluster.data_base(home))
    cleanup.callback(cluster.remove_directory, storage)
    log = home / "log"
    sockets = cluster.make_private(home / cluster.SOCKETS, user)
    data = cluster.make_private(storage / "data", user)
    package = Path(job["package"]) if job["package"] else None
    binaries, version = usable_binaries(Binaries(Path(job["directory"]), package), user, home)

    command = cluster.initdb_command(binaries, data)
    # initdb gets SIGTERM rather than SIGKILL, because a killed bootstrap server would leave shared memory behind.
    initdb = start(command, user, log, signal.SIGTERM)
    cleanup.callback(stop, initdb, signal.SIGTERM)
    if code := watch.wait(initdb):
        raise failure("initdb failed", code, log)

    command = cluster.postgres_command(binaries, data, sockets, job["settings"])
    # SIGINT asks for a fast shutdown, which notifies clients. SIGQUIT asks for an immediate one.
    server = start(command, user, log, signal.SIGQUIT)
    cleanup.callback(stop, server, signal.SIGINT, signal.SIGQUIT)
    deadline = time.monotonic() + START_SECONDS
    while not cluster.is_ready(data):
        if (ended := server.poll()) is not None:
            raise failure("PostgreSQL did not start", ended, log)
        if time.monotonic() > deadline:
            raise PrivateServerError(
                f"PostgreSQL was not ready after {START_SECONDS:.0f} s; its log ends with:\n{cluster.last_lines(log)}"
            )
        watch.pause(0.01)
    report(pid=server.pid, version=version, host=str(sockets), directory=str(home), storage=str(storage))
    raise failure("PostgreSQL ended by itself", watch.wait(server), log)


def main() -> int:
    """Run the job that the only argument describes, and return the exit code."""
    watch = ChildWatch()
    os.umask(0o077)  # the log contains statements
    try:
        with ExitStack() as cleanup:
            serve(json.loads(sys.argv[1]), watch, cleanup)
    except StopRequested:
        return 0
    except PrivateServerError as error:
        report(error=str(error))
    except (OSError, subprocess.SubprocessError) as error:
        report(error=f"the private PostgreSQL could not be prepared: {error}")
    return 1


if __name__ == "__main__":
    sys.exit(main())
