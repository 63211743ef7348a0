"""What the rules that all studies share do: the audit's verdict and the page."""

from __future__ import annotations

from understudy.planning.work import Work

# Where their costs stand, beside those of the studies.
SHARED = "report"


def report_works(results_MB: float, jobs: int) -> list[Work]:
    """Work of the audit and of the page over results of this size that so many jobs made."""
    return [
        Work("judge_results", serial={"results_MB": results_MB, "jobs": jobs}, memory={"jobs": jobs}),
        Work(
            "write_report", after=("judge_results",), serial={"jobs": jobs}, memory={"jobs": jobs}, disk={"jobs": jobs}
        ),
    ]
