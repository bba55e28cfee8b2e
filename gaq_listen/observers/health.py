"""Whether a worker is alive and whether it is ready. Pure; the clock is passed in, in monotonic seconds."""

from gaq_listen.observers.worker_state import WorkerState

SILENT = 60.0
"""Seconds after which a worker of which nothing was heard, not even a count, is not alive: more than it may rest."""


def alive(standing: WorkerState, heard: float, now: float) -> tuple[bool, str]:
    """Whether something was heard lately, ``heard`` being when; and that in a sentence."""
    silence = now - heard
    if silence > SILENT:
        return False, f"nothing heard of the worker for {silence:.0f} s"
    return True, f"alive, {standing.state(now)[0].lower()}"


def ready(standing: WorkerState, heard: float, now: float) -> tuple[bool, str]:
    """Whether it is alive, listens, and nothing is stale for longer than the objective; and what not."""
    living, said = alive(standing, heard, now)
    if not living:
        return False, said
    word, why = standing.state(now)
    if standing.paused or not standing.listening:
        return False, f"{word.lower()}: {why}"
    counted = standing.counted
    fresh = standing.fresh()
    if counted is None or fresh is None:
        return False, "what is stale could not be counted"
    stale = f"{counted.stale_pairs} stale pairs, the oldest for {counted.seconds_stale:.1f} s"
    objective = f"the objective is {standing.aims.objective:g} s"
    return fresh, f"{'listening' if fresh else 'not fresh'}: {stale}; {objective}"
