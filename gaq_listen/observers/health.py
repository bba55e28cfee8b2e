"""Judge whether a worker is alive and whether it is ready. The clock is passed in, in monotonic seconds."""

from gaq_listen.observers.worker_state import WorkerState

SILENT = 60.0
"""Seconds without any event, not even a count, after which a worker is not alive. No worker rests that long."""


def alive(state: WorkerState, last_event: float, now: float) -> tuple[bool, str]:
    """Return whether the worker has emitted an event lately, and a sentence that says it."""
    silence = now - last_event
    if silence > SILENT:
        return False, f"the worker has reported nothing for {silence:.0f} s"
    return True, f"alive, {state.summary(now)[0].lower()}"


def ready(state: WorkerState, last_event: float, now: float) -> tuple[bool, str]:
    """Return whether the worker is alive, listens, and meets the objective, and a sentence that says why or why not."""
    is_alive, sentence = alive(state, last_event, now)
    if not is_alive:
        return False, sentence
    word, explanation = state.summary(now)
    if state.paused or not state.listening:
        return False, f"{word.lower()}: {explanation}"
    counted, fresh = state.counted, state.fresh()
    if counted is None or fresh is None:
        return False, "the stale pairs could not be counted"
    stale = f"{counted.message()}, the oldest for {counted.seconds_stale:.1f} s"
    return fresh, f"{'listening' if fresh else 'not fresh'}: {stale}; the objective is {state.objective:g} s"
