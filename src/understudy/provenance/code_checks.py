"""Audit of code: a result's fingerprint is today's, or that of the commit which its record names."""

from __future__ import annotations

import io
import subprocess
import tarfile
import tempfile
from pathlib import Path
from typing import Any

from understudy.errors import InputError
from understudy.provenance.findings import Finding, finding
from understudy.provenance.fingerprint import REPOSITORY, combined, fingerprint_files

_SHORT = 12


def _differences(recorded: dict[str, str], present: dict[str, str]) -> list[str]:
    return sorted(name for name in recorded.keys() | present.keys() if recorded.get(name) != present.get(name))


class Commits:
    """Code of recorded commits, unpacked once each for as long as the audit runs."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._folder = tempfile.TemporaryDirectory(prefix="understudy-audit-")
        self._known: dict[str, Path | None] = {}

    def close(self) -> None:
        """Remove what was unpacked."""
        self._folder.cleanup()

    def tree(self, commit: str) -> Path | None:
        """A folder with ``src`` and ``scripts`` as of ``commit``, or None where the repository has no such commit."""
        if commit not in self._known:
            self._known[commit] = self._unpack(commit)
        return self._known[commit]

    def _unpack(self, commit: str) -> Path | None:
        command = [
            "git",
            "-C",
            str(self._root),
            "archive",
            "--format=tar",
            "--end-of-options",
            commit,
            "src",
            "scripts",
        ]
        try:
            archive = subprocess.run(command, capture_output=True, check=False)
        except OSError:
            return None
        if archive.returncode != 0:
            return None
        folder = Path(self._folder.name) / f"commit{len(self._known)}"
        with tarfile.open(fileobj=io.BytesIO(archive.stdout)) as tar:
            tar.extractall(folder, filter="data")
        return folder


def _at_commit(record: dict[str, Any], commits: Commits) -> str | None:
    """``match`` or ``mismatch`` of a record with the code of its commit; None where that cannot be told."""
    commit = record["code"]["commit"]
    folder = commits.tree(commit) if commit else None
    if folder is None:
        return None
    try:
        files = fingerprint_files(record["program"], record["study"], folder)["files"]
    except InputError:
        return "mismatch"
    return "match" if files == record["code"]["files"] else "mismatch"


def check_code(records: dict[str, dict[str, Any]], root: Path | None = None) -> list[Finding]:
    """Findings on the code that the records name.

    Parameters
    ----------
    records : location -> record.
    root : repository of the present code; the running code's own by default.
    """
    root = REPOSITORY if root is None else Path(root)
    findings = []
    uncommitted = []
    unknown: dict[str, set[str]] = {}
    commits = Commits(root)
    try:
        for location, record in sorted(records.items()):
            code = record["code"]
            if combined(code["files"], code["versions"]) != code["fingerprint"]:
                message = "its fingerprint is not that of the files and versions which it lists"
                findings.append(finding("forged_record", location, message))
                continue
            if code["dirty"]:
                uncommitted.append(record["program"])
            found = _check_record(location, record, root, commits)
            findings.extend(found)
            # Stale code tells by itself what is known of its commit.
            if not found and code["commit"] and commits.tree(code["commit"]) is None:
                unknown.setdefault(code["commit"], set()).add(record["program"])
    finally:
        commits.close()
    if uncommitted:
        programs = ", ".join(sorted(set(uncommitted)))
        message = f"computed with changes that are in no commit: {programs}"
        findings.append(finding("uncommitted_code", "code", message))
    for commit, names in sorted(unknown.items()):
        message = f"commit {commit[:_SHORT]} is not here to compare with the code of: {', '.join(sorted(names))}"
        findings.append(finding("unknown_commit", "code", message))
    return findings


def _check_record(location: str, record: dict[str, Any], root: Path, commits: Commits) -> list[Finding]:
    code, result = record["code"], record["outputs"][0]["path"]
    try:
        present = fingerprint_files(record["program"], record["study"], root)
    except InputError as error:
        present = {"digest": None, "files": {}, "versions": code["versions"]}
        reason = f"the present code has no such program ({error})"
    else:
        names = _differences(code["files"], present["files"])
        reason = f"changed since it was computed: {', '.join(names)}" if names else "it is the present code"
    # Whoever names a commit is held to it, whatever the present code is.
    at_commit = _at_commit(record, commits)
    commit = str(code["commit"])[:_SHORT]
    if at_commit == "mismatch" and code["dirty"] is False:
        message = f"{location} names commit {commit} without changes, but the code of that commit is another"
        return [finding("code_mismatch", result, f"{message}; {reason}")]
    if present["digest"] == code["fingerprint"]:
        return []
    if present["files"] == code["files"]:
        names = [
            f"{name} {code['versions'].get(name, 'absent')} -> {present['versions'].get(name, 'absent')}"
            for name in _differences(code["versions"], present["versions"])
        ]
        return [finding("stale_environment", result, f"computed with other versions: {', '.join(names)}")]
    origin = {
        "match": f"its code is that of commit {commit}",
        "mismatch": f"its code was commit {commit} with uncommitted changes, which cannot be had again",
        None: "its commit is not here to compare",
    }[at_commit]
    return [finding("stale_code", result, f"{reason}; {origin}")]
