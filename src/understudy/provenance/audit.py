"""The audit of a run: files, records, code, numbers and folds, judged from what exists; nothing is made or made again.

Hashes prove consistency, not honesty. `findings.KINDS` lists all that can be found.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from understudy.provenance.code_checks import check_code
from understudy.provenance.file_checks import Tree, check_chain, check_files, run_tree
from understudy.provenance.findings import Finding, in_order, passed
from understudy.provenance.record import SCHEMA
from understudy.provenance.record_checks import check_locks, check_records
from understudy.provenance.run_checks import check_configuration, check_crate
from understudy.provenance.run_folder import REPORT_FILES, require_run_folder
from understudy.provenance.surrogate_checks import check_report, check_study


def studies_of(tree: Tree) -> list[str]:
    """Studies with results in a run."""
    return sorted({record["study"] for record in tree.records.values() if record["study"]})


def checks_of(tree: Tree, root: Path | None, report: bool) -> list[Finding]:
    """All findings about files and records that were read into ``tree``."""
    findings = check_files(tree) + check_chain(tree) + check_records(tree)
    findings += check_code(tree.records, root) + check_locks(tree, root) + check_configuration(tree) + check_crate(tree)
    studies = studies_of(tree)
    for study in studies:
        findings += check_study(tree, study)
    if report:
        findings += check_report(tree, studies)
    return findings


def verdict_of(tree: Tree, findings: list[Finding]) -> dict[str, Any]:
    """The verdict as `audit` returns it."""
    ordered = in_order(findings)
    return {
        "schema": SCHEMA,
        "passed": passed(ordered),
        "findings": ordered,
        "files": len(tree.files),
        "records": len(tree.records),
        "inputs": sum(len(record["inputs"]) for record in tree.records.values()),
        "studies": studies_of(tree),
    }


def audit(run_folder: Path, report: bool = False, root: Path | None = None) -> dict[str, Any]:
    """Judge a run folder.

    Parameters
    ----------
    run_folder : ``results/<run>``.
    report : judge the report and the stored verdict too; without it all that is upstream of them, as the report
        embeds it.
    root : repository of the present code; the running code's own by default.

    Returns
    -------
    dict
        ``passed`` (no failures), ``findings`` (see `findings`), and the numbers of ``files``, ``records`` and
        ``inputs`` that were compared. It holds no times, so equal runs have equal verdicts.

    Raises
    ------
    InputError
        If there is no such run.
    """
    folder = require_run_folder(run_folder)
    tree, findings = run_tree(folder, () if report else REPORT_FILES)
    return verdict_of(tree, findings + checks_of(tree, root, report))
