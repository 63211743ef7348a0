"""Audit of each record by itself: a forger who seals a record anew must still make its parts agree with each other."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from understudy.provenance.file_checks import Tree
from understudy.provenance.findings import Finding, finding
from understudy.provenance.fingerprint import REPOSITORY
from understudy.provenance.record import plain
from understudy.provenance.run_folder import OUTSIDE, file_sha256, is_configuration, size_bytes

_RESULT = "results:"
_SCRIPT = re.compile(r"\bscripts/(?P<program>\w+)\.py\Z")


def _stage_values(tree: Tree, entry: Mapping[str, Any]) -> dict[str, Any]:
    """What a stage file says, where it is the one that was used; another one is told elsewhere."""
    path = tree.path(entry["path"])
    try:
        if entry["kind"] != "configuration" or file_sha256(path) != entry["sha256"]:
            return {}
        values = yaml.safe_load(path.read_text())
    except (OSError, yaml.YAMLError, UnicodeDecodeError, RecursionError):
        return {}
    if not isinstance(values, dict):
        return {}
    try:
        return plain(values)
    except TypeError:  # a date, say, which no record holds: it differs from whatever the record says
        return values


def _command_contradictions(tree: Tree, record: Mapping[str, Any]) -> Iterator[str]:
    """What the command says that inputs, outputs and program do not."""
    outputs = {entry["path"] for entry in record["outputs"]}
    known = outputs | {entry["path"] for entry in record["inputs"]}
    named = {word.rpartition(_RESULT)[2] for word in record["command"] if _RESULT in word}
    for path in sorted(named - known):
        # Published results hold one study of a run and know the others' files from the report's command alone.
        elsewhere = tree.elsewhere and path not in tree.claims and path not in tree.elsewhere
        if not elsewhere and not os.path.isdir(tree.folder / path):
            yield f"its command names {path}, which is not among its inputs and outputs"
    script = _SCRIPT.search(record["command"][1]) if len(record["command"]) > 1 else None
    if script is None:
        return  # the program's functions were called by another one
    if script["program"] != record["program"]:
        yield f"names program {record['program']}, its command runs {script['program']}"
    for path in sorted(outputs - named):
        yield f"its command does not name its output {path}"


def _input_contradictions(tree: Tree, record: Mapping[str, Any]) -> Iterator[str]:
    """Inputs inside the run that are not of the kind which they are called, and what stage files say otherwise."""
    parameters = record["parameters"]
    for entry in record["inputs"]:
        path, kind = entry["path"], entry["kind"]
        inside = not path.startswith(OUTSIDE)
        if inside and (kind == "external" or (kind == "configuration" and not is_configuration(path))):
            yield f"calls its input {path} {kind}, but it is a result of the run"
        for key, value in _stage_values(tree, entry).items():
            if parameters.get(key) != value:
                yield f"parameters.{key}: says {parameters.get(key)!r}, its stage file {path} says {value!r}"


def _size_contradictions(tree: Tree, record: Mapping[str, Any]) -> Iterator[str]:
    """Sizes that are not those of the same bytes."""
    for entry in (*record["outputs"], *record["inputs"]):
        path, size = entry["path"], entry["size"]
        for claim in tree.claims.get(path, []):
            if claim.output["sha256"] == entry["sha256"] and claim.output["size"] != size:
                yield f"{path}: says {size} bytes, {claim.location} says {claim.output['size']}"
        place = tree.path(path)
        try:
            # Other bytes are told of the file; the same bytes of another size are a lie of the record.
            if path not in tree.absent and size_bytes(place) != size and file_sha256(place) == entry["sha256"]:
                yield f"{path}: says {size} bytes, found {size_bytes(place)}"
        except OSError:
            continue  # told of the file


def _contradictions(tree: Tree, record: Mapping[str, Any]) -> Iterator[str]:
    program, parameters = record["program"], record["parameters"]
    if f"scripts/{program}.py" not in record["code"]["files"]:
        yield f"names program {program}, but no scripts/{program}.py among the files of its code"
    study = record["study"]
    outputs = [entry["path"] for entry in record["outputs"]]
    if study is not None and not all(path.startswith(f"{study}/") for path in outputs):
        yield f"names study {study}, but its results are {', '.join(outputs)}"
    root = record["seed"]["root"] if record["seed"] is not None else None
    if "seed" in parameters and root != parameters["seed"]:
        yield f"seed.root: says {root!r}, its parameters say {parameters['seed']!r}"
    yield from _input_contradictions(tree, record)
    yield from _command_contradictions(tree, record)
    yield from _size_contradictions(tree, record)


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
