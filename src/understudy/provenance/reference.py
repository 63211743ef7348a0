"""Published results, ``results/reference/<study>/``: what is kept of a finished run, and the audit of what was kept.

Kept are reports, figures, numbers, maps, trained models and predictions, with all records and stage files. The rest is
absent by design: ``absent.json`` lists it with hashes, so that whoever has the files can compare them. Paths in
records stay those of the run; files of the study lie without its name in front. All that is kept of a study stays
below a limit, because everybody who clones the repository gets it; models beside the study's own are kept where there
is room.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from understudy.errors import InputError
from understudy.provenance.audit import audit, checks_of, verdict_of
from understudy.provenance.file_checks import Tree, add_records, run_tree
from understudy.provenance.findings import Finding, finding, verdict_text
from understudy.provenance.record import sealed
from understudy.provenance.run_folder import (
    CONFIGURATION_FILE,
    CRATE_FILE,
    EXTERNAL,
    RECORD_SUFFIX,
    REPORT_FILES,
    WORKFLOW_FOLDER,
    file_sha256,
    require_run_folder,
)

LIST_FILE = "absent.json"
SCHEMA = "understudy-reference/1"
LARGEST_TOTAL_BYTES = 12_000_000
_KEPT_SUFFIXES = (".json", ".html", ".png", ".svg", ".nii.gz", ".gii")
# Cells that a model speaks of are needed to predict with it; a study shares those that are its own.
_KEPT_NAMES = ("surrogate/models.h5", "surrogate/predictions.h5", "surrogate/cross_validation.h5", "surrogate/cells.h5")
# Such as the networks of a comparison: useful, but nothing that the report shows needs them.
_KEPT_WHERE_ROOM = "/models.h5"
# Files that an error lists.
_LISTED = 8


def is_kept(path: str, room: bool = True) -> bool:
    """Whether a result is kept of a published run; with ``room`` models beside the study's own are too."""
    if path.endswith(_KEPT_SUFFIXES) or path.endswith(_KEPT_NAMES):
        return True
    return room and path.endswith(_KEPT_WHERE_ROOM)


def _sizes(folder: Path) -> dict[str, int]:
    """Bytes of every file, the largest first."""
    found = {path.relative_to(folder).as_posix(): path.stat().st_size for path in folder.rglob("*") if path.is_file()}
    return dict(sorted(found.items(), key=lambda item: (-item[1], item[0])))


def _place(path: str, study: str | None) -> str:
    """Where a file of the run lies below the study's reference folder; a pack, of no one study, keeps all paths."""
    return path if study is None else path.removeprefix(f"{study}/")


def _is_of(path: str, study: str | None) -> bool:
    """Whether a result of a run belongs to what is published of a study; to a pack, of no one study, all do."""
    return study is None or path.startswith((f"{study}/", *REPORT_FILES))


def sound_tree(run_folder: Path, root: Path | None = None) -> tuple[Tree, dict[str, Any]]:
    """Files and records of a run that passes its audit, and the verdict.

    Raises
    ------
    InputError
        If there is no such run or its audit fails.
    """
    run_folder = require_run_folder(run_folder)
    verdict = audit(run_folder, report=True, root=root)
    if not verdict["passed"]:
        text = verdict_text(verdict, run_folder.name)
        raise InputError(f"{run_folder}: the audit failed; accepted is a run that passes it\n{text}")
    return run_tree(run_folder)[0], verdict


def publish(run_folder: Path, study: str, reference: Path, root: Path | None = None) -> Path:
    """Write ``<reference>/<study>/`` from a finished run, replacing what was there.

    Parameters
    ----------
    run_folder : ``results/<run>`` with a report.
    study : which of its studies.
    reference : ``results/reference``.
    root : repository of the present code; the running code's own by default.

    Returns
    -------
    The written folder.

    Raises
    ------
    InputError
        If the audit of the run fails, the run has no such study or no report, or what would be kept is too large.
    """
    tree, verdict = sound_tree(run_folder, root)
    run_folder = tree.folder
    missing = [name for name in REPORT_FILES if name not in tree.claims]
    if missing:
        raise InputError(f"{run_folder}: found no {', '.join(missing)}; accepted is a finished run: snakemake report")
    if not any(path.startswith(f"{study}/") for path in tree.claims):
        accepted = ", ".join(verdict["studies"])
        raise InputError(f"study: found {study!r}, accepted are those of {run_folder}: {accepted}")
    reference.mkdir(parents=True, exist_ok=True)
    target = reference / study
    with tempfile.TemporaryDirectory(dir=reference, prefix=f".{study}.") as temporary:
        folder = _write(tree, study, Path(temporary))
        if target.exists():
            os.rename(target, Path(temporary) / "replaced")
        os.rename(folder, target)
    return target


def _write(tree: Tree, study: str, temporary: Path) -> Path:
    """Write all that is kept below ``temporary``; with the models that need room where there is some.

    Raises
    ------
    InputError
        If it is too large even without them.
    """
    for room in (True, False):
        folder = temporary / ("with_all_models" if room else "without") / study
        folder.mkdir(parents=True)
        write_kept(tree, study, folder, partial(is_kept, room=room))
        sizes = _sizes(folder)
        if sum(sizes.values()) <= LARGEST_TOTAL_BYTES:
            return folder
    largest = "\n".join(f"  {size / 1e6:6.2f} MB  {path}" for path, size in list(sizes.items())[:_LISTED])
    raise InputError(
        f"{tree.folder}: found {sum(sizes.values()) / 1e6:.2f} MB to keep of study {study!r}; accepted are at most "
        f"{LARGEST_TOTAL_BYTES / 1e6:g} MB in all. The largest files:\n{largest}"
    )


def write_list(folder: Path, listing: dict[str, Any]) -> None:
    """Write the list file of a folder."""
    (folder / LIST_FILE).write_text(json.dumps(listing, indent=1, sort_keys=True) + "\n")


def write_kept(tree: Tree, study: str | None, folder: Path, kept: Callable[[str], bool]) -> dict[str, Any]:
    """Copy what is kept of a run into a folder, with records, stage files and the list of what is absent by design.

    Parameters
    ----------
    tree : files and records of the run.
    study : the study that is kept, without its name in front of its paths; None keeps all studies and all paths.
    folder : exists and is empty.
    kept : whether a result is copied, by its path in the run.

    Returns
    -------
    What the list file says.
    """
    listing = {"schema": SCHEMA, "study": study, "run": tree.folder.name, **_copy(tree, study, folder, kept)}
    write_list(folder, listing)
    return listing


def _copy(tree: Tree, study: str | None, folder: Path, kept: Callable[[str], bool]) -> dict[str, Any]:
    """Copy what is kept; ``present``, ``absent``, ``records`` and ``configuration`` of the list file."""
    listing: dict[str, Any] = {"present": {}, "absent": {}, "records": [], "configuration": []}

    def copy(path: str) -> None:
        place = folder / _place(path, study)
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(tree.path(path), place)

    for path, claims in sorted(tree.claims.items()):
        if not _is_of(path, study):
            continue
        output = claims[0].output
        if kept(path):
            copy(path)
            listing["present"][path] = output["sha256"]
        else:
            listing["absent"][path] = {"sha256": output["sha256"], "size": output["size"]}
    for location, record in sorted(tree.records.items()):
        if study is not None and record["study"] != study and record["outputs"][0]["path"] not in REPORT_FILES:
            continue
        place = folder / _place(location, study)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(json.dumps(_without_places(record), indent=1, sort_keys=True) + "\n")
        listing["records"].append(location)
        for entry in record["inputs"]:
            if entry["kind"] == "configuration" and entry["path"] not in listing["configuration"]:
                copy(entry["path"])
                listing["configuration"].append(entry["path"])
    return listing


def _without_places(record: dict[str, Any]) -> dict[str, Any]:
    """A record that names files from outside the repository by their names alone, sealed anew where that changes it.

    Where somebody keeps an atlas is nobody else's business, and says nothing on another machine; its digest stays.
    """
    names = {
        entry["path"]: f"{EXTERNAL}{Path(entry['path']).name}"
        for entry in record["inputs"]
        if entry["path"].startswith(("/", "~/"))
    }

    def named(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: named(item) for key, item in value.items()}
        if isinstance(value, list):
            return [named(item) for item in value]
        return names.get(value, value) if isinstance(value, str) else value

    return sealed(named(record)) if names else record


def _read_list(folder: Path) -> dict[str, Any]:
    path = folder / LIST_FILE
    try:
        listing = json.loads(path.read_text())
    except OSError as error:
        raise InputError(
            f"{path}: cannot be read ({error.strerror}); accepted is what understudy publish wrote"
        ) from None
    except ValueError as error:
        raise InputError(f"{path}: found no JSON ({error}); accepted is what understudy publish wrote") from None
    if not isinstance(listing, dict) or listing.get("schema") != SCHEMA:
        raise InputError(f"{path}: found no list of schema {SCHEMA!r}; accepted is what understudy publish wrote")
    listing.setdefault("crate", {})  # packs alone have one
    wrong = [key for key, right in _FORMS.items() if not right(listing.get(key))]
    if wrong:
        raise InputError(f"{path}: {wrong[0]}: not of the form that understudy publish and pack write")
    return listing


def _are_names(value: Any) -> bool:
    """Whether these are paths that stay below the folder."""
    return all(
        isinstance(name, str) and not Path(name).is_absolute() and ".." not in Path(name).parts and "\0" not in name
        for name in value
    )


def _is_list(value: Any) -> bool:
    return isinstance(value, list) and _are_names(value)


def _is_table(value: Any, entry: Callable[[Any], bool]) -> bool:
    return isinstance(value, dict) and _are_names(value) and all(map(entry, value.values()))


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_absent_entry(value: Any) -> bool:
    return isinstance(value, dict) and _is_text(value.get("sha256")) and isinstance(value.get("size"), int)


_FORMS: dict[str, Callable[[Any], bool]] = {
    "study": lambda value: value is None or _is_text(value),
    "run": _is_text,
    "present": partial(_is_table, entry=_is_text),
    "absent": partial(_is_table, entry=_is_absent_entry),
    "records": _is_list,
    "configuration": _is_list,
    "crate": partial(_is_table, entry=_is_text),
}


def reference_folders(folder: Path) -> list[Path]:
    """The published studies in or below a folder; none in a run, whatever lies in it."""
    if (folder / CONFIGURATION_FILE).is_file():
        return []
    if (folder / LIST_FILE).is_file():
        return [folder]
    return sorted(path.parent for path in folder.glob(f"*/{LIST_FILE}"))


def reference_tree(folder: Path) -> tuple[Tree, dict[str, Any], list[Finding]]:
    """Files and records of one study's published results, their list, and what is wrong with single records.

    Raises
    ------
    InputError
        If the folder holds no published results.
    """
    folder = Path(folder).resolve()
    listing = _read_list(folder)
    study = listing["study"]
    known = [*listing["present"], *listing["absent"], *listing["records"], *listing["configuration"]]
    # Other studies of the same run were published elsewhere, if at all: the report names them as its inputs.
    tree = Tree(folder, elsewhere={path: folder / _place(path, study) for path in known})
    # Whoever has a file that was left out may put it in its place: then it is compared as all others.
    here = [path for path in listing["absent"] if tree.path(path).is_file()]
    tree.absent = {path: entry["sha256"] for path, entry in listing["absent"].items() if path not in here}
    placed = {_place(path, study) for path in known if path not in tree.absent} | {LIST_FILE}
    there = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    tree.files = sorted([*listing["present"], *here]) + sorted(there - placed - listing["crate"].keys())
    findings = add_records(tree, [location for location in listing["records"] if tree.path(location).exists()])
    _drop_other_studies(tree, study)
    return tree, listing, findings


def audit_reference(folder: Path, root: Path | None = None) -> dict[str, Any]:
    """Judge the published results of one study.

    Returns
    -------
    dict
        As from `audit.audit`, and ``states``: result -> ``verified``, ``absent by design`` or ``failed``.

    Raises
    ------
    InputError
        If the folder holds no published results.
    """
    tree, listing, findings = reference_tree(folder)
    for location in listing["records"]:
        if not tree.path(location).exists():
            findings.append(finding("missing_record", location, "was published and is gone; get it from git again"))
    findings += _check_list(listing) + _check_crate(tree.folder, listing["crate"])
    listed = {path: entry["sha256"] for path, entry in listing["absent"].items()} | listing["present"]
    for path, expected in listed.items():
        claims = tree.claims.get(path)
        if claims and claims[0].output["sha256"] != expected:
            findings.append(finding("forged_record", path, f"{LIST_FILE} and its record name different hashes"))
        elif not claims:
            findings.append(finding("missing_record", path, f"{LIST_FILE} names it and no record does"))
    for path in tree.claims:
        if path not in listed:
            findings.append(finding("missing_file", path, f"is in a record and not in {LIST_FILE}"))
            tree.absent[path] = tree.claims[path][0].output["sha256"]
    findings += checks_of(tree, root, report=True)
    verdict = verdict_of(tree, findings)
    failed = {entry["file"] for entry in verdict["findings"] if entry["severity"] == "failure"}
    verdict["states"] = {
        path: "failed"
        if path in failed or f"{path}{RECORD_SUFFIX}" in failed
        else ("absent by design" if path in tree.absent else "verified")
        for path in sorted({**listing["present"], **listing["absent"]})
    }
    return verdict


def _check_list(listing: dict[str, Any]) -> list[Finding]:
    """Findings on what the list leaves out: only kinds that are left out by design, and no pack is without a crate."""
    findings = [
        finding("missing_file", path, f"{LIST_FILE} calls it absent by design, but files of its kind are always kept")
        for path in listing["absent"]
        if is_kept(path, room=False)
    ]
    if listing["study"] is None:
        findings += [
            finding("missing_file", path, f"{LIST_FILE} does not name it, but every pack has it; unpack it again")
            for path in (CRATE_FILE, f"{WORKFLOW_FOLDER}/Snakefile")
            if path not in listing["crate"]
        ]
    return findings


def _check_crate(folder: Path, crate: dict[str, str]) -> list[Finding]:
    """Findings on a pack's RO-Crate and the workflow in it, which no job made: path -> sha256."""
    findings = []
    for path, expected in sorted(crate.items()):
        if not (folder / path).is_file():
            findings.append(finding("missing_file", path, "was packed and is gone; unpack it again"))
        elif file_sha256(folder / path) != expected:
            findings.append(finding("changed_file", path, f"expected sha256 {expected}; unpack it again"))
    return findings


def _drop_other_studies(tree: Tree, study: str | None) -> None:
    """Leave other studies' results out of the inputs of report and audit: they are no part of this folder."""
    for record in tree.records.values():
        record["inputs"] = [
            entry for entry in record["inputs"] if entry["kind"] != "result" or _is_of(entry["path"], study)
        ]
