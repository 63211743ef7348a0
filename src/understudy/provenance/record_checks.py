"""Audit of each record by itself: a forger who seals a record anew must still make its parts agree with each other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from understudy.provenance.file_checks import Tree
from understudy.provenance.findings import Finding, finding
from understudy.provenance.fingerprint import REPOSITORY
from understudy.provenance.record import plain
from understudy.provenance.run_folder import file_sha256

_RESULT = "results:"


def _stage_values(tree: Tree, entry: Mapping[str, Any]) -> dict[str, Any]:
    """What a stage file says, where it is the one that was used; another one is told elsewhere."""
    path = tree.path(entry["path"])
    try:
        if entry["kind"] != "configuration" or file_sha256(path) != entry["sha256"]:
            return {}
        values = yaml.safe_load(path.read_text())
    except (OSError, yaml.YAMLError, UnicodeDecodeError):
        return {}
    return plain(values) if isinstance(values, dict) else {}


def _contradictions(tree: Tree, record: Mapping[str, Any]) -> Iterator[str]:
    program, parameters = record["program"], record["parameters"]
    if f"scripts/{program}.py" not in record["code"]["files"]:
        yield f"names program {program}, but no scripts/{program}.py among the files of its code"
    study = record["study"]
    outputs = [entry["path"] for entry in record["outputs"]]
    if study is not None and not all(path.startswith(f"{study}/") for path in outputs):
        yield f"names study {study}, but its results are {', '.join(outputs)}"
    for entry in record["inputs"]:
        for key, value in _stage_values(tree, entry).items():
            if parameters.get(key) != value:
                yield f"parameters.{key}: says {parameters.get(key)!r}, its stage file {entry['path']} says {value!r}"
    if record["seed"] is not None and "seed" in parameters and record["seed"].get("root") != parameters["seed"]:
        yield f"seed.root: says {record['seed'].get('root')!r}, its parameters say {parameters['seed']!r}"
    known = {*outputs, *(entry["path"] for entry in record["inputs"])}
    for word in record["command"]:
        path = word.rpartition(_RESULT)[2] if _RESULT in word else None
        if path in tree.claims and path not in known:
            yield f"its command names {path}, which is not among its inputs and outputs"
    for entry in record["outputs"]:
        path = tree.path(entry["path"])
        if entry["path"] in tree.absent or not path.is_file() or path.stat().st_size == entry["size"]:
            continue
        # Other bytes are told of the file; the same bytes of another size are a lie of the record.
        if file_sha256(path) == entry["sha256"]:
            yield f"{entry['path']}: says {entry['size']} bytes, found {path.stat().st_size}"


def check_records(tree: Tree) -> list[Finding]:
    """Records whose parts contradict each other, the stage file that they name, or their command."""
    return [
        finding("forged_record", location, message)
        for location, record in sorted(tree.records.items())
        for message in _contradictions(tree, record)
    ]


def check_locks(tree: Tree, root: Path | None = None) -> list[Finding]:
    """Lock files that are not those under which results were computed, each told once.

    Parameters
    ----------
    tree : files and records.
    root : repository of the present code; the running code's own by default.
    """
    root = REPOSITORY if root is None else Path(root)
    others: dict[str, set[str]] = {}
    for record in tree.records.values():
        for name, digest in record["environment"].get("locks", {}).items():
            if not (root / name).is_file() or file_sha256(root / name) != digest:
                others.setdefault(name, set()).add(record["program"])
    return [
        finding("changed_lock", name, f"is not the one under which these ran: {', '.join(sorted(programs))}")
        for name, programs in sorted(others.items())
    ]
