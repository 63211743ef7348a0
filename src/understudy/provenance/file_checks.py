"""Audit of files: each result has its record, each byte is as recorded, each input leads back to its producer."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from understudy.provenance.attempts import read_attempts
from understudy.provenance.findings import Finding, finding
from understudy.provenance.record import forgery_of, parse_time, problem_of, strict_json
from understudy.provenance.run_folder import (
    OUTSIDE,
    RECORD_SUFFIX,
    WORK_FOLDER,
    file_sha256,
    files_of,
    is_partial,
    located,
    rerun_command,
)

# Clocks of two hosts may differ by this much before the order of two jobs is called impossible.
CLOCK_SKEW_S = 300.0


@dataclass(frozen=True)
class Claim:
    """A record's word about one of its outputs."""

    location: str
    record: dict[str, Any]
    output: dict[str, Any]


@dataclass
class Tree:
    """A run as the audit sees it; paths are relative to the run folder.

    Attributes
    ----------
    folder : where the files lie.
    files : results that are there.
    unfinished : files of jobs that were killed.
    records : location of a record -> record, those of the right form.
    claims : result -> who claims it.
    absent : result -> sha256 of what is absent by design (published results).
    elsewhere : result -> its place, where that is not ``folder / result`` (published results).
    left_out : results that are not looked at.
    """

    folder: Path
    files: list[str] = field(default_factory=list)
    unfinished: list[str] = field(default_factory=list)
    records: dict[str, dict[str, Any]] = field(default_factory=dict)
    claims: dict[str, list[Claim]] = field(default_factory=dict)
    absent: dict[str, str] = field(default_factory=dict)
    elsewhere: dict[str, Path] = field(default_factory=dict)
    left_out: tuple[str, ...] = ()

    def path(self, recorded: str) -> Path:
        """Where a recorded path is now."""
        return self.elsewhere.get(recorded) or located(recorded, self.folder)

    def rerun(self, program: str) -> str:
        """The advice how to make the outputs of a program anew."""
        if self.elsewhere:
            return f"made by {program}; get it again from where it was published or packed"
        return f"make it anew with: {rerun_command(self.folder, program)}"


def run_tree(run_folder: Path, leave_out: tuple[str, ...] = ()) -> tuple[Tree, list[Finding]]:
    """Files and records of a run folder, and what is wrong with single records.

    Parameters
    ----------
    run_folder : absolute path.
    leave_out : results, relative to the run folder, that are not looked at; nor are their records.
    """
    tree = Tree(run_folder, left_out=leave_out)
    locations = []
    for path in files_of(run_folder):
        if path.removesuffix(RECORD_SUFFIX) in leave_out:
            continue
        if is_partial(path):
            tree.unfinished.append(path)
        elif path.endswith(RECORD_SUFFIX):
            locations.append(path)
        else:
            tree.files.append(path)
    return tree, add_records(tree, locations)


def add_records(tree: Tree, locations: list[str]) -> list[Finding]:
    """Read the records at ``locations`` into the tree; findings about each record by itself."""
    findings = []
    for location in locations:
        try:
            record = strict_json(tree.path(location).read_text(encoding="utf-8"))
            problem = problem_of(record)
        except (OSError, ValueError) as error:
            problem = str(error)
        if problem is not None:
            findings.append(finding("invalid_record", location, f"is no provenance record ({problem})"))
            continue
        forgery = forgery_of(record)
        if forgery is not None:
            findings.append(finding("forged_record", location, f"{forgery}; {tree.rerun(record['program'])}"))
        own = record["outputs"][0]["path"] + RECORD_SUFFIX
        if own != location:
            findings.append(
                finding(
                    "swapped_record", location, f"is the record of {record['outputs'][0]['path']} and belongs to {own}"
                )
            )
        tree.records[location] = record
        for output in record["outputs"]:
            tree.claims.setdefault(output["path"], []).append(Claim(location, record, output))
    return findings


def claim_of(tree: Tree, path: str) -> Claim | None:
    """The record's word about ``path``: of several, that of the record in its right place."""
    claims = tree.claims.get(path, [])
    right = [claim for claim in claims if claim.location == claim.record["outputs"][0]["path"] + RECORD_SUFFIX]
    return (right or claims or [None])[0]


def check_files(tree: Tree) -> list[Finding]:
    """Each result is there, unchanged, and claimed by exactly one record."""
    findings = [
        finding("unfinished_file", path, "a killed job left this; the program's next run removes it")
        for path in tree.unfinished
    ]
    for path, claims in sorted(tree.claims.items()):
        claim = claim_of(tree, path)
        if len({entry.record["job"] for entry in claims}) > 1:
            locations = ", ".join(sorted(entry.location for entry in claims))
            findings.append(finding("duplicate_record", path, f"is claimed by {locations}"))
        if path in tree.absent:
            continue
        try:
            digest = file_sha256(tree.path(path))
        except FileNotFoundError:
            findings.append(finding("missing_file", path, f"is gone; {tree.rerun(claim.record['program'])}"))
            continue
        except OSError as error:
            findings.append(_unreadable(path, error))
            continue
        if digest != claim.output["sha256"]:
            findings.append(
                finding(
                    "changed_file",
                    path,
                    f"expected sha256 {claim.output['sha256']}, found {digest}; {tree.rerun(claim.record['program'])}",
                )
            )
    made = _known_makers(tree)
    for path in tree.files:
        if path in tree.claims:
            continue
        if path in made:
            message = f"{made[path]} made it and its record is gone, which Snakemake may not notice"
            findings.append(finding("missing_record", path, f"{message}; {tree.rerun(made[path])}"))
        else:
            findings.append(finding("unclaimed_file", path, "no job is known to have made it"))
    # Where a result is missing that others were computed from, the chain says so.
    consumed = {entry["path"] for record in tree.records.values() for entry in record["inputs"]}
    known = {*tree.claims, *tree.files, *tree.left_out, *consumed}
    findings += [
        finding("lost_result", path, f"{program} made it, it is gone, and so is its record; {tree.rerun(program)}")
        for path, program in sorted(made.items())
        if path not in known and not located(path, tree.folder).exists()
    ]
    return findings


def _known_makers(tree: Tree) -> dict[str, str]:
    """Results that jobs made, by the word of their consumers and of the log of attempts: path -> program."""
    made = {}
    for line in read_attempts(tree.folder / WORK_FOLDER):
        if line["event"] == "end":
            made.update({output["path"]: line["program"] for output in line.get("outputs", [])})
    for record in tree.records.values():
        for entry in record["inputs"]:
            if entry["kind"] == "result":
                made[entry["path"]] = entry["producer"]["program"]
    return made


def _is_foreign(entry: dict[str, Any]) -> bool:
    """Whether an input lies outside the run."""
    return entry["path"].startswith(OUTSIDE)


def _unreadable(path: str, error: OSError) -> Finding:
    return finding("unreadable_file", path, f"cannot be read ({error.strerror})")


def _check_outside(tree: Tree, location: str, entry: dict[str, Any]) -> list[Finding]:
    try:
        digest = file_sha256(tree.path(entry["path"]))
    except FileNotFoundError:
        return [finding("external_absent", entry["path"], f"used by {location}; is not here, so it cannot be compared")]
    except OSError as error:
        return [_unreadable(entry["path"], error)]
    if digest == entry["sha256"]:
        return []
    message = f"used by {location} with sha256 {entry['sha256']}, found {digest}"
    return [finding("changed_input", entry["path"], message)]


def _check_configuration(tree: Tree, record: dict[str, Any], entry: dict[str, Any]) -> list[Finding]:
    try:
        digest = file_sha256(tree.path(entry["path"]))
    except FileNotFoundError:
        message = f"is gone, {record['program']} read it; `snakemake -n` writes it again"
        return [finding("missing_file", entry["path"], message)]
    except OSError as error:
        return [_unreadable(entry["path"], error)]
    if digest == entry["sha256"]:
        return []
    message = f"is not the one that {record['program']} read; {tree.rerun(record['program'])}"
    return [finding("changed_configuration", entry["path"], message)]


def _check_result(
    tree: Tree, location: str, record: dict[str, Any], entry: dict[str, Any], logged: set[str]
) -> list[Finding]:
    claim = claim_of(tree, entry["path"])
    if claim is None:
        if tree.path(entry["path"]).exists() or entry["path"] in tree.absent:
            if entry["path"] in tree.files:
                return []  # named as missing_record
            message = f"{location} was computed from it and the record of {entry['producer']['program']} is gone"
            return [finding("missing_record", entry["path"], f"{message}; {tree.rerun(entry['producer']['program'])}")]
        return [finding("missing_file", entry["path"], f"is gone; {tree.rerun(entry['producer']['program'])}")]
    if claim.output["sha256"] != entry["sha256"]:
        message = (
            f"was computed from {entry['path']} with sha256 {entry['sha256']}, but {claim.location} says "
            f"{claim.output['sha256']}; {tree.rerun(record['program'])}"
        )
        return [finding("broken_chain", record["outputs"][0]["path"], message)]
    return _check_producer(location, record, entry, claim, logged)


def _check_producer(
    location: str, record: dict[str, Any], entry: dict[str, Any], claim: Claim, logged: set[str]
) -> list[Finding]:
    """What a record says of the job that made its input; ``logged`` are the jobs in the log of attempts."""
    producer, maker = entry["producer"], claim.record
    ended, started = parse_time(maker["time"]["end"]), parse_time(record["time"]["start"])
    skew = timedelta(seconds=CLOCK_SKEW_S)
    if maker["job"] != producer["job"]:
        # The same bytes may have been made again later; what was there before would have been named.
        lost = {maker["job"], record["job"]} <= logged and producer["job"] not in logged
        if not lost and ended + skew >= started:
            return []
        message = f"says that job {producer['job']} made {entry['path']}, but "
        message += "no such job is in the log of attempts" if lost else f"job {maker['job']} had made it before"
        return [finding("forged_record", location, message)]
    own = maker["outputs"][0]["path"] + RECORD_SUFFIX
    findings = [
        finding("forged_record", location, f"{entry['path']}: producer.{key} says {producer[key]}, not {right}")
        for key, right in (("program", maker["program"]), ("record", own))
        if producer[key] != right
    ]
    if ended > started + skew:
        message = f"{location} starts at {started.isoformat()}, before its input {entry['path']} ended at "
        message += f"{ended.isoformat()}; the clock skew allowed is {CLOCK_SKEW_S:.0f} s"
        findings.append(finding("time_order", record["outputs"][0]["path"], message))
    return findings


def check_chain(tree: Tree) -> list[Finding]:
    """Each input is its producer's output, back to raw data and configuration, and times are in order."""
    findings = []
    latest = datetime.now(UTC) + timedelta(seconds=CLOCK_SKEW_S)
    logged = {line["job"] for line in read_attempts(tree.folder / WORK_FOLDER)}
    for location, record in sorted(tree.records.items()):
        start, end = parse_time(record["time"]["start"]), parse_time(record["time"]["end"])
        if end < start or end > latest:
            message = f"starts at {start.isoformat()} and ends at {end.isoformat()}"
            findings.append(finding("time_order", record["outputs"][0]["path"], message))
        for entry in record["inputs"]:
            if _is_foreign(entry):
                findings.extend(_check_outside(tree, location, entry))
            elif entry["kind"] == "configuration":
                findings.extend(_check_configuration(tree, record, entry))
            elif entry["kind"] == "result":
                findings.extend(_check_result(tree, location, record, entry, logged))
            else:
                findings.extend(_check_outside(tree, location, entry))
    return findings
