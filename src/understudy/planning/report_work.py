"""What the rules that all studies share do: the audit's verdict and the page."""

from __future__ import annotations

from collections.abc import Mapping

from understudy.planning.work import Work

# Where their costs stand, beside those of the studies.
SHARED = "report"


def report_works(results_MB: float, studies: Mapping[str, int]) -> list[Work]:
    """Work of the audit and of the page.

    Parameters
    ----------
    results_MB : size of all results, which the audit reads whole.
    studies : enabled studies and how many jobs each has.
    """
    jobs = sum(studies.values())
    # Each study's page has figures of its own.
    pages = {f"page_{study}": 1.0 for study in studies}
    return [
        Work("judge_results", serial={"results_MB": results_MB, "jobs": jobs}, memory={"jobs": jobs}),
        Work("write_report", after=("judge_results",), serial=pages, memory=pages, disk=pages),
    ]
