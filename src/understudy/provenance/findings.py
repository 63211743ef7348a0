"""The kinds of finding that an audit can report.

A failure says that files, records or numbers contradict each other; a warning that something cannot be vouched for or
is older than the present code; a note is for information. Hashes prove consistency, not honesty: who rewrites all
records with all files, and has the code to compute them, passes.
"""

from __future__ import annotations

from typing import Any

# kind -> (severity, what it means). This table is the documented list; nothing else is ever reported.
KINDS: dict[str, tuple[str, str]] = {
    "missing_file": ("failure", "a record or a consumer names a result that is gone"),
    "changed_file": ("failure", "a result's bytes are not those that its job wrote"),
    "missing_record": ("failure", "a job made this result and its record is gone"),
    "invalid_record": ("failure", "a record cannot be read or has not the form of a record"),
    "forged_record": (
        "failure",
        "a record contradicts its own hashes, its stage file, its command, its inputs or its results",
    ),
    "swapped_record": ("failure", "a record lies where the record of another result belongs"),
    "duplicate_record": ("failure", "more than one record claims the same result"),
    "broken_chain": ("failure", "a result was computed from another version of an input than the present one"),
    "changed_input": ("failure", "a file from outside the run is not the one that was used"),
    "changed_configuration": (
        "failure",
        "a stage file, or the run's whole configuration, is not the one that was used",
    ),
    "time_order": ("failure", "times of jobs contradict the order of the data"),
    "code_mismatch": ("failure", "the record names a clean commit whose code has another fingerprint"),
    "metric_mismatch": (
        "failure",
        "a metric differs from the one recomputed from the stored predictions, or from the file that it was copied "
        "from; ends of bootstrap intervals and the intervals of baselines are not recomputed",
    ),
    "report_mismatch": ("failure", "report.json or the stored verdict differs from the files that it sums up"),
    "leaked_fold": ("failure", "a case or a group lies in more than one fold, or serves in two roles"),
    "leaked_heldout": ("failure", "held-out groups were used for training or calibration"),
    "truth_mismatch": (
        "failure",
        "predictions are not of the ground truth's cases, each once with its own group, subset and targets",
    ),
    "unreadable_file": ("failure", "a file cannot be read in the form that its name promises"),
    "replay_mismatch": (
        "failure",
        "a case computed again with the recorded code on the same kind of processor has other bits",
    ),
    "lost_result": ("warning", "by the log of attempts a job made this result; it and its record are gone"),
    "unclaimed_file": ("warning", "no job is known to have made this file"),
    "stale_crate": ("warning", "the crate describes files that changed since"),
    "stale_code": ("warning", "the code changed since the result was computed: stale, not tampered"),
    "stale_environment": ("warning", "a numerical library has another version than when the result was computed"),
    "unknown_commit": (
        "warning",
        "the commit that a record names is not here, so the record's code cannot be compared",
    ),
    "changed_lock": ("warning", "a lock file is not the one under which results were computed"),
    "external_absent": ("warning", "a file from outside the run is not here, so it cannot be compared"),
    "replay_differs": (
        "warning",
        "a case computed again with other code, libraries or processor than the record's has another value",
    ),
    "not_replayed": ("warning", "cases of this study cannot be computed again here"),
    "replayed": ("note", "cases that were computed again, and how many came out equal"),
    "uncommitted_code": ("note", "results were computed with uncommitted changes of code"),
    "unfinished_file": ("note", "a job that was killed left an unfinished file"),
}

Finding = dict[str, str]


def finding(kind: str, file: str, message: str) -> Finding:
    """One finding with the severity of its kind."""
    return {"severity": KINDS[kind][0], "kind": kind, "file": file, "message": message}


def passed(findings: list[Finding]) -> bool:
    """Whether there is no failure among the findings."""
    return not any(entry["severity"] == "failure" for entry in findings)


def in_order(findings: list[Finding]) -> list[Finding]:
    """Failures first, then warnings and notes, each by file and kind, without repetition."""
    rank = {"failure": 0, "warning": 1, "note": 2}
    unique = {tuple(sorted(entry.items())): entry for entry in findings}.values()
    return sorted(unique, key=lambda entry: (rank[entry["severity"]], entry["file"], entry["kind"], entry["message"]))


def verdict_text(verdict: dict[str, Any], title: str) -> str:
    """The verdict as lines for a person."""
    marks = {"failure": "FAIL", "warning": "warn", "note": "note"}
    lines = [f"{title}: {verdict['files']} files, {verdict['records']} records, {verdict['inputs']} inputs"]
    for entry in verdict["findings"]:
        lines.append(f"  {marks[entry['severity']]}  {entry['kind']}  {entry['file']}")
        lines.append(f"        {entry['message']}")
    counts = [sum(entry["severity"] == severity for entry in verdict["findings"]) for severity in marks]
    lines.append(
        f"{'PASSED' if verdict['passed'] else 'FAILED'}: {counts[0]} failure(s), {counts[1]} warning(s), "
        f"{counts[2]} note(s). Hashes prove consistency, not honesty."
    )
    return "\n".join(lines)
