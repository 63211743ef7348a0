"""The files of the workflow that made a run, as of the commits that its records name, for a crate to hold."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

from understudy.errors import InputError
from understudy.provenance.file_checks import Tree
from understudy.provenance.fingerprint import REPOSITORY
from understudy.provenance.run_folder import WORKFLOW_FOLDER

LOCK = "envs/requirements.lock"
# What is copied beside the programs that ran.
_WORKFLOW = ("Snakefile", "LICENSE", LOCK)


def _at_commit(root: Path, commit: str | None, name: str) -> bytes | None:
    """A file of the repository as of a commit, or None where that cannot be had."""
    if commit is None:
        return None
    try:
        shown = subprocess.run(["git", "-C", str(root), "show", f"{commit}:{name}"], capture_output=True, check=False)
    except OSError:
        return None
    return shown.stdout if shown.returncode == 0 else None


def _present(root: Path, folder: str, suffix: str) -> Iterator[str]:
    for path in sorted((root / folder).glob(f"*{suffix}")):
        yield path.relative_to(root).as_posix()


def copy_workflow(tree: Tree, folder: Path, root: Path | None = None) -> dict[str, str]:
    """Put the workflow that made a run below ``folder``, each file as of the commit that its records name.

    Returns
    -------
    File relative to ``folder`` -> where it is from, in words.

    Raises
    ------
    InputError
        If the repository has no Snakefile.
    """
    root = REPOSITORY if root is None else Path(root)
    latest = sorted(tree.records.values(), key=lambda record: record["time"]["end"])
    commits = {f"scripts/{record['program']}.py": record["code"].get("commit") for record in latest}
    names = [*_WORKFLOW, *_present(root, "rules", ".smk")]
    commits = {**{name: latest[-1]["code"].get("commit") for name in names}, **commits}
    origins = {}
    for name, commit in sorted(commits.items()):
        content, origin = _at_commit(root, commit, name), f"as of commit {commit}"
        if content is None:
            if not (root / name).is_file():
                continue
            content, origin = (root / name).read_bytes(), "as it is now: the commit of the record is not here"
        target = folder / WORKFLOW_FOLDER / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
        origins[target.relative_to(folder).as_posix()] = origin
    if f"{WORKFLOW_FOLDER}/Snakefile" not in origins:
        raise InputError(f"{root}: found no Snakefile; accepted is the repository whose workflow made the run")
    return origins
