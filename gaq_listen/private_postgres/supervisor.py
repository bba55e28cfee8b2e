"""The parent of a private server, which outlives its owner by just long enough to clean up.

``python -m gaq_listen.private_postgres.supervisor JOB`` reads a pipe from its owner. When that closes, however
the owner ended, or on a signal, it stops the server and removes every directory it made. On stdout
it tells the owner in a line of JSON what it started, or why it could not or no longer runs.

It has a session of its own, where the terminal's Ctrl-C does not reach it. Should somebody kill it
with SIGKILL, Linux stops the server too, and the owner removes the directories when it leaves its
block; on other systems that server has to be stopped by hand.
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

OWNER = 0  # standard input: the pipe that closes when the owner ends
REPORT = 1  # standard output: where the owner reads
START_SECONDS = 60.0
STOP_SECONDS = 5.0
PR_SET_PDEATHSIG = 1


class Stopped(Exception):
    """The owner is gone, or somebody asked us to stop."""


class Watch:
    """Waits for a child process while listening for reasons to stop.

    Signals only wake the wait up and set a flag: an exception out of a signal handler could hit
    between a child's start and the line that remembers it.
    """

    def __init__(self) -> None:
        """Take over the signals that end us, and SIGCHLD."""
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
        """The child's exit code, when it ends.

        Raises:
            Stopped: there is reason to stop before that.
        """
        while (code := child.poll()) is None:
            self.pause(None)
        return code

    def pause(self, seconds: float | None) -> None:
        """Let some time pass, less if a child ends.

        Raises:
            Stopped: there is reason to stop.
        """
        # Asked before, not after: a signal that comes in between has made the pipe readable.
        if self._stop:
            raise Stopped
        readable, _, _ = select.select([OWNER, self._wake], [], [], seconds)
        if self._wake in readable:
            os.read(self._wake, 4096)
        if OWNER in readable and not os.read(OWNER, 4096):
            self._stop = True


def tied_to_us(number: signal.Signals) -> Callable[[], None] | None:
    """What a child must call before it executes, for Linux to send it a signal when we end."""
    if sys.platform != "linux":
        return None
    prctl = ctypes.CDLL(None).prctl
    us = os.getpid()

    def tie() -> None:
        prctl(PR_SET_PDEATHSIG, number)
        if os.getppid() != us:
            os._exit(1)

    return tie


def start(command: list[str], account: OsUser, log: Path, at_our_end: signal.Signals) -> subprocess.Popen[bytes]:
    """Start a program as the account, in a process group of its own, with its output in the log."""
    with log.open("ab") as output:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd="/",
            env=cluster.environment(),
            process_group=0,
            preexec_fn=tied_to_us(at_our_end),
            **account.identity(),
        )


def stop(child: subprocess.Popen[bytes], *signals: signal.Signals) -> None:
    """End a child that still runs: with one signal after the other, at last with its whole group."""
    for number in signals:
        child.send_signal(number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(STOP_SECONDS)
            return
    os.killpg(child.pid, signal.SIGKILL)
    child.wait()


def say(**facts: Any) -> None:
    """Tell the owner, if it is still there."""
    with contextlib.suppress(OSError):
        os.write(REPORT, json.dumps(facts).encode() + b"\n")


def failure(what: str, code: int, log: Path) -> PrivateServerError:
    """The error that tells how a program ended, with the end of its log."""
    how = f"exit code {code}" if code >= 0 else signal.Signals(-code).name
    return PrivateServerError(f"{what} ({how}); its log ends with:\n{cluster.last_lines(log)}")


def serve(job: dict[str, Any], watch: Watch, cleanup: ExitStack) -> None:
    """Create the cluster and run the server until it or the owner ends."""
    account = server_user()
    home = cluster.make_home(cluster.temp_base(account))
    cleanup.callback(cluster.remove_directory, home)
    storage = cluster.make_home(Path(job["storage"]) if job["storage"] else cluster.data_base(home))
    cleanup.callback(cluster.remove_directory, storage)
    log = home / "log"
    sockets = cluster.make_private(home / cluster.SOCKETS, account)
    data = cluster.make_private(storage / "data", account)
    package = Path(job["package"]) if job["package"] else None
    binaries, version = usable_binaries(Binaries(Path(job["directory"]), package), account, home)

    command = cluster.initdb_command(binaries, data)
    # Not killed at once: the bootstrap server it runs would leave shared memory behind.
    initdb = start(command, account, log, signal.SIGTERM)
    cleanup.callback(stop, initdb, signal.SIGTERM)
    if code := watch.wait(initdb):
        raise failure("initdb failed", code, log)

    command = cluster.postgres_command(binaries, data, sockets, job["settings"])
    # SIGINT is a fast shutdown, where clients are told; SIGQUIT an immediate one.
    server = start(command, account, log, signal.SIGQUIT)
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
    say(
        pid=server.pid,
        version=version,
        host=str(sockets),
        directory=str(home),
        storage=str(storage),
    )
    raise failure("PostgreSQL ended by itself", watch.wait(server), log)


def main() -> int:
    """Do the job given as the only argument."""
    watch = Watch()
    os.umask(0o077)  # the log shows statements
    try:
        with ExitStack() as cleanup:
            serve(json.loads(sys.argv[1]), watch, cleanup)
    except Stopped:
        return 0
    except PrivateServerError as error:
        say(error=str(error))
    except (OSError, subprocess.SubprocessError) as error:
        say(error=f"the private PostgreSQL could not be prepared: {error}")
    return 1


if __name__ == "__main__":
    sys.exit(main())
