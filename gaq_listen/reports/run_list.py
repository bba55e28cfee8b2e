"""Make run lists for analyses: the runs of a data pass that meet conditions, and why the others do not."""

import json
from dataclasses import dataclass

from gaq_listen import __version__
from gaq_listen.errors import GaqListenError
from gaq_listen.reports.show import DataPassSummaries, Selection
from gaq_listen.wording import listed

NAMED = 8
"""Most stale runs that an error names. It counts the others."""


@dataclass(frozen=True, slots=True)
class RunList:
    """Hold the ``runs`` that meet the conditions, by number, and why each other run is ``left_out``."""

    source: DataPassSummaries
    selection: Selection
    runs: tuple[int, ...]
    left_out: dict[int, list[str]]

    def as_text(self, one_a_line: bool) -> str:
        """Return the run numbers, separated by commas or one a line; empty when no run is in the list."""
        return ("\n" if one_a_line else ",").join(map(str, self.runs))

    def as_json(self, sql_version: int) -> str:
        """Return a JSON object: the runs, the conditions, and which data they come from."""
        return json.dumps(
            {
                "data_pass_id": self.source.data_pass_id,
                "data_pass": self.source.name,
                "criteria": self.selection.conditions
                | {"mc_as_not_bad": self.selection.mc_as_not_bad, "runs": list(self.selection.runs) or None},
                "database_time": self.source.at.isoformat(),
                "live": self.source.live,
                "version": __version__,
                "sql_version": sql_version,
                "runs_considered": len(self.source.summaries),
                "runs_in": len(self.runs),
                "runs_out": len(self.left_out),
                "runs": list(self.runs),
                "left_out": [{"run_number": run, "reasons": reasons} for run, reasons in self.left_out.items()],
            },
            indent=2,
        )


def make(source: DataPassSummaries, selection: Selection) -> RunList:
    """Choose the runs that meet the conditions. A run without values is never in a list.

    Raises:
        GaqListenError: some of the runs are stale, so the list could be wrong; the message says what to do.
    """
    considered = [summary for summary in source.summaries if selection.includes(summary)]
    if stale := [summary for summary in considered if summary.invalidated_at is not None]:
        runs = listed([str(summary.run_number) for summary in stale], NAMED)
        which = f"{len(stale)} of {len(considered)} runs {'is' if len(stale) == 1 else 'are'} stale ({runs})"
        if source.live:
            raise GaqListenError(
                f"{which} and cannot be computed now: {stale[0].error}; "
                "see gaq-listen failures, or name the other runs only"
            )
        raise GaqListenError(
            f"{which}, so a list could be wrong; --live computes them now, --wait waits until a worker has"
        )
    reasons = {
        summary.run_number: selection.reasons_against(summary)
        or (
            []
            if summary.not_computable is False
            else ["not computable" if summary.not_computable else "never computed"]
        )
        for summary in considered
    }
    return RunList(
        source,
        selection,
        tuple(sorted(run for run, against in reasons.items() if not against)),
        {run: against for run, against in sorted(reasons.items()) if against},
    )
