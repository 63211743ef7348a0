"""What the doctor says: one finding for each thing examined, with advice where something is to be done."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

State = Literal["good", "note", "warning", "problem"]
_MARKS = {"good": "ok", "note": "--", "warning": "warning", "problem": "PROBLEM"}


@dataclass(frozen=True)
class Finding:
    """One thing that was examined.

    Attributes
    ----------
    check : what was looked at.
    state : ``problem`` stops a run or falsifies what Snakemake decides; ``warning`` may; ``note`` is only said.
    found : what was found, in words.
    advice : what to do about it; empty where nothing is to be done.
    """

    check: str
    state: State
    found: str
    advice: str = ""


def findings_text(findings: list[Finding]) -> str:
    """One line for each finding, and its advice below it."""
    width = max(len(finding.check) for finding in findings)
    lines = []
    for finding in findings:
        lines.append(f"{_MARKS[finding.state]:>7}  {finding.check:<{width}}  {finding.found}")
        if finding.advice:
            lines.append(f"{'':>7}  {'':<{width}}  -> {finding.advice}")
    counts = {state: sum(finding.state == state for finding in findings) for state in ("problem", "warning")}
    lines.append(f"{counts['problem']} problem(s), {counts['warning']} warning(s)")
    return "\n".join(lines)
