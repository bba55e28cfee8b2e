"""Draw an explanation for people, in words and signs. Colours only repeat what these say."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from gaq_listen.reports.changes import reason
from gaq_listen.reports.explain.explanation import ExplainedFlag, Explanation
from gaq_listen.reports.explain.sums import Sum, add_up, not_computable_because
from gaq_listen.reports.explain.timeline import timeline
from gaq_listen.reports.quality import Quality
from gaq_listen.reports.quality_style import STYLES
from gaq_listen.reports.summary_values import SummaryValues
from gaq_listen.wording import count, duration, listed, sanitize

NAMED = 8
"""Most flags or periods to name in a sentence. It counts the others."""


def render(pair: Explanation, width: int) -> RenderableType:
    """Draw the whole explanation on a terminal of ``width`` columns."""
    total = add_up(pair)
    parts: list[RenderableType] = [_head(pair)]
    if lines := timeline(pair, width):
        parts += [Text(), *lines, Text("  A column shows the worst that is in it.", style="dim")]
    parts += [Text(), _title("Flags"), *_flags(pair)]
    parts += [Text(), _title("How it adds up"), *(_sum(pair, total) if total else _nothing(pair))]
    parts += [Text(), _title("What is stored"), *_stored(pair)]
    if pair.changes:
        parts += [Text(), _title("What changed last"), *_changes(pair)]
    return Group(*parts)


def _title(words: str) -> Text:
    return Text(words, style="bold")


def _indented(*lines: Text | str, by: int = 2) -> RenderableType:
    texts = [line if isinstance(line, Text) else Text(line) for line in lines]
    return Padding(Group(*texts), (0, 0, 0, by), expand=False)


def _head(pair: Explanation) -> Text:
    head = Text.assemble((f"{sanitize(pair.data_pass)} / {pair.run_number}", "bold"), f"   as of {second(pair.at)} UTC")
    if not pair.in_data_pass:
        head.append("\nThe run has left this data pass. A worker will remove its summary.", style="yellow")
    start = moment(pair.qc_time_start) if pair.qc_time_start else "unknown"
    end = moment(pair.qc_time_end) if pair.qc_time_end else "unknown"
    long = f", {clock(pair.window[1] - pair.window[0])} long" if pair.window else ""
    names = ", ".join(sanitize(name) for _, name in pair.detectors) or "none"
    head.append(f"\nQC time {start} to {end}{long}\nDetectors that matter: {names}")
    return head


# Flags -------------------------------------------------------------------------------------------------------------


def _flags(pair: Explanation) -> Iterator[RenderableType]:
    counting = [flag for flag in pair.flags if pair.counts(flag)]
    if not counting:
        yield _indented("none on a detector that matters")
    for flag in counting:
        bounds = f"{_bound(pair, flag.starts, 'start')} to {_bound(pair, flag.ends, 'end')}"
        whole = flag.starts is None and flag.ends is None
        head = Text.assemble(
            (f"#{flag.flag_id}  {sanitize(flag.detector)}  ", "bold"),
            (flag.quality.value, STYLES[flag.quality]),
            f": {sanitize(flag.flag_type)}, {'the whole run' if whole else bounds}",
        )
        yield _indented(head)
        yield _indented(_whose(flag), *_effect(pair, flag), by=6)
    others = [f"{sanitize(flag.detector)} #{flag.flag_id}" for flag in pair.flags if not pair.counts(flag)]
    if others:
        yield _indented(Text(f"Without effect, on detectors that do not matter here: {', '.join(others)}", style="dim"))


def _bound(pair: Explanation, at: datetime | None, which: str) -> str:
    if at is None:
        return f"the {which} of the run"
    there = pair.window[0] if pair.window else at
    return moment(at) if at.date() != there.date() else _time(at)


def _whose(flag: ExplainedFlag) -> str:
    by = sanitize(flag.created_by) if flag.created_by else "somebody"
    when = f", {second(flag.created_at)}" if flag.created_at else ""
    verified = f"verified {flag.verifications}×" if flag.verifications else "not verified"
    comment = f", “{sanitize(flag.comment)}”" if flag.comment else ""
    return f"by {by}{when}, {verified}{comment}"


def _effect(pair: Explanation, flag: ExplainedFlag) -> Iterator[Text]:
    if pair.window is None:
        return
    if flag.span is None:
        yield Text("does not count: nothing of it is within the run", style="yellow")
        return
    span = flag.span[1] - flag.span[0]
    left = sum((end - start for start, end in flag.effective), timedelta())
    by = listed([f"#{each}" for each in flag.hidden_by], NAMED)
    if left == span:
        yield Text(f"counts for all of its {clock(span)}")
        return
    if not left:
        yield Text(f"does not count: hidden by {by}, which came later", style="yellow")
        return
    where = listed([f"{_time(start)}–{_time(end)}" for start, end in flag.effective], NAMED)  # noqa: RUF001
    yield Text(f"counts for {clock(left)} of its {clock(span)}, in {where}; else hidden by {by}, which came later")


# The numbers ---------------------------------------------------------------------------------------------------------


def _sum(pair: Explanation, total: Sum) -> Iterator[RenderableType]:
    names = {Quality.UNKNOWN: "undecided: a flag is missing"}
    for quality in Quality:
        time = total.time[quality]
        row = f"{names.get(quality, quality.value):<29}{clock(time):>16}{total.share(quality) * 100:>10.3f} %"
        yield _indented(Text(row, style=STYLES[quality] if time else "dim"))
    yield _indented(Text(f"{'together':<29}{clock(total.whole):>16}{100:>10.3f} %", style="bold"))
    bad, mc_reproducible = total.share(Quality.BAD) * 100, total.share(Quality.MC_REPRODUCIBLE) * 100
    good = total.share(Quality.GOOD) * 100
    yield _indented(
        f"With MC reproducible as not bad: {good + mc_reproducible:.3f} % not bad, {bad:.3f} % bad; "
        f"as bad: {good:.3f} % not bad, {bad + mc_reproducible:.3f} % bad."
    )
    flags = listed([f"#{flag.flag_id}" for flag in total.unverified], NAMED)
    yield _indented(f"Missing verifications: {len(total.unverified)}" + (f", of {flags}" if flags else ""))
    missing = [
        f"{_time(period.span[0])}–{_time(period.span[1])} {' '.join(map(sanitize, pair.uncovered(period)))}"  # noqa: RUF001
        for period in pair.periods
        if period.uncovered
    ]
    yield _indented(
        f"Undefined quality periods: {total.undefined}" + (f": {listed(missing, NAMED)}" if missing else "")
    )
    if pair.computed and not total.values.equals(pair.computed):
        yield _indented(
            Text(
                f"THIS IS NOT what the database computes: {_values(pair.computed)}. Please report it, with this page.",
                style="bold red",
            )
        )


def _nothing(pair: Explanation) -> Iterator[RenderableType]:
    yield _indented(f"Not computable: {'; '.join(not_computable_because(pair))}.")


# What is stored ------------------------------------------------------------------------------------------------------


def _stored(pair: Explanation) -> Iterator[RenderableType]:
    stored = pair.stored
    if stored is None:
        yield _indented("Nothing yet: it was never computed.")
    else:
        after = "" if stored.seconds_stale is None else f", {duration(stored.seconds_stale)} after it had become stale"
        why = f", for: {sanitize(stored.refreshed_for)}" if stored.refreshed_for else ""
        by = f", by {sanitize(stored.refreshed_by)}" if stored.refreshed_by else ""
        ago = duration((pair.at - stored.updated_at).total_seconds())
        yield _indented(_values(stored.values))
        yield _indented(f"Refreshed {second(stored.updated_at)} ({ago} ago){after}{why}{by}.")
    if pair.marks:
        yield from _stale(pair)
    elif pair.computed is None or (stored and stored.values.equals(pair.computed)):
        yield _indented(Text("Fresh: nothing has changed since.", style="green"))
    else:
        wrong = "It DIFFERS from what the numbers above say, although" if stored else "It is MISSING:"
        fix = f"gaq-listen recalculate {sanitize(pair.data_pass)} --runs {pair.run_number}"
        yield _indented(Text(f"{wrong} nothing has marked it. Fix: {fix}", style="bold red"))
    if pair.error:
        yield _indented(Text(f"It cannot be computed: {sanitize(pair.error)}", style="bold red"))
    if failure := pair.failure:
        again = f", tried again {second(failure.next_try_at)}" if failure.next_try_at else ""
        tries = count(failure.attempts, "time")
        yield _indented(Text(f"Refreshing it has failed {tries}{again}: {sanitize(failure.error)}", style="bold red"))


def _changes(pair: Explanation) -> Iterator[RenderableType]:
    for change in pair.changes:
        yield _indented(f"{second(change.changed_at)}  {change.description()}")
        yield _indented(reason(change), by=4)


def _stale(pair: Explanation) -> Iterator[RenderableType]:
    since = pair.marks[0][0]
    ago = duration((pair.at - since).total_seconds())
    yield _indented(Text(f"STALE since {second(since)} ({ago}), because of:", style="bold yellow"))
    by_cause: dict[str, list[datetime]] = {}
    for at, cause in pair.marks:
        by_cause.setdefault(cause, []).append(at)
    for cause, times in by_cause.items():
        last = f", the last {second(times[-1])}" if len(times) > 1 else ""
        yield _indented(f"{sanitize(cause)}: {count(len(times), 'change')}, the first {second(times[0])}{last}", by=4)


def _values(values: SummaryValues) -> str:
    if values.bad is None or values.good is None or values.mc_reproducible is None:
        return "not computable"
    return (
        f"good {values.good * 100:.3f} %, MC reproducible {values.mc_reproducible * 100:.3f} %, "
        f"bad {values.bad * 100:.3f} %, missing verifications {values.missing_verifications}, "
        f"undefined quality periods {values.undefined_quality_periods}"
    )


# Times ---------------------------------------------------------------------------------------------------------------


def second(at: datetime) -> str:
    """Return date and time to the second: ``2026-11-24 21:30:05``."""
    return f"{at:%Y-%m-%d %H:%M:%S}"


def moment(at: datetime) -> str:
    """Return date and exact time: ``2026-11-24 21:30:05.12``."""
    return f"{at:%Y-%m-%d} {_time(at)}"


def _time(at: datetime) -> str:
    fraction = f".{at.microsecond:06}".rstrip("0").rstrip(".")
    return f"{at:%H:%M:%S}{fraction}"


def clock(time: timedelta) -> str:
    """Return an exact length of time in hours, minutes and seconds: ``1:02:03.5``."""
    seconds, microseconds = divmod(time // timedelta(microseconds=1), 1_000_000)
    fraction = f".{microseconds:06}".rstrip("0").rstrip(".")
    return f"{seconds // 3600}:{seconds // 60 % 60:02}:{seconds % 60:02}{fraction}"
