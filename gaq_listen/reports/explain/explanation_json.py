"""Write an explanation as JSON."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any

from gaq_listen.reports.explain.explanation import ExplainedFlag, ExplainedPeriod, Explanation, Span
from gaq_listen.reports.explain.sums import Sum, add_up, not_computable_because
from gaq_listen.reports.json_values import plain
from gaq_listen.reports.quality import QUALITY_NAMES


def as_json(pair: Explanation) -> str:
    """Return a JSON object: the pair, its periods and flags, what they add up to, and why the summary is stale."""
    total = add_up(pair)
    return json.dumps(
        {
            "at": _time(pair.at),
            "data_pass_id": pair.data_pass_id,
            "data_pass": pair.data_pass,
            "run_number": pair.run_number,
            "in_data_pass": pair.in_data_pass,
            "qc_time_start": _time(pair.qc_time_start),
            "qc_time_end": _time(pair.qc_time_end),
            "detectors": [{"id": number, "name": name} for number, name in pair.detectors],
            "periods": [_period(pair, period) for period in pair.periods],
            "flags": [_flag(pair, flag) for flag in pair.flags],
            "totals": _totals(total) if total else None,
            "not_computable_because": not_computable_because(pair),
            "computed": asdict(pair.computed) if pair.computed else None,
            "error": pair.error,
            "stored": plain(asdict(pair.stored)) if pair.stored else None,
            "stale_since": _time(pair.marks[0][0]) if pair.marks else None,
            "marks": [{"at": _time(at), "cause": cause} for at, cause in pair.marks],
            "failure": pair.failure.as_json() if pair.failure else None,
            "changes": [change.as_json() for change in pair.changes],
        },
        indent=2,
    )


def _period(pair: Explanation, period: ExplainedPeriod) -> dict[str, Any]:
    return _span(period.span) | {
        "quality": QUALITY_NAMES[period.quality],
        "flag_ids": period.flags,
        "unverified_flag_ids": period.unverified,
        "detectors_without_flag": pair.uncovered(period),
    }


def _flag(pair: Explanation, flag: ExplainedFlag) -> dict[str, Any]:
    return {
        "id": flag.flag_id,
        "detector_id": flag.detector_id,
        "detector": flag.detector,
        "detector_matters": pair.counts(flag),
        "flag_type": flag.flag_type,
        "quality": QUALITY_NAMES[flag.quality],
        "from": _time(flag.starts),
        "to": _time(flag.ends),
        "created_at": _time(flag.created_at),
        "created_by": flag.created_by,
        "comment": flag.comment,
        "verifications": flag.verifications,
        "verified": flag.verifications > 0,
        "within_run": _span(flag.span) if flag.span else None,
        "effective": _spans(flag.effective),
        "hidden_by": flag.hidden_by,
    }


def _totals(total: Sum) -> dict[str, Any]:
    return {
        "seconds": _seconds(total.whole),
        "qualities": {
            name: {"seconds": _seconds(total.time[quality]), "fraction": total.share(quality)}
            for quality, name in QUALITY_NAMES.items()
        },
        "missing_verifications": len(total.unverified),
        "undefined_quality_periods": total.undefined,
    }


def _spans(spans: Sequence[Span]) -> list[dict[str, Any]]:
    return [_span(span) for span in spans]


def _span(span: Span) -> dict[str, Any]:
    return {"from": _time(span[0]), "to": _time(span[1])}


def _time(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat()


def _seconds(time: timedelta) -> float:
    return time.total_seconds()
