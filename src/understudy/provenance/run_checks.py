"""Audit of what no job of a run made: its configuration, and the crate that describes it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import unquote

import yaml

from understudy.provenance.file_checks import Tree
from understudy.provenance.findings import Finding, finding
from understudy.provenance.run_folder import CONFIGURATION_FILE, CRATE_FILE, WORKFLOW_FOLDER, file_sha256


def _differences(stage: Mapping[str, Any], section: Any, prefix: str) -> Iterator[tuple[str, Any, Any]]:
    """Dotted key, value in the section and value in the stage file, where they differ."""
    for key, value in stage.items():
        found = section.get(key) if isinstance(section, Mapping) else None
        if isinstance(value, Mapping):
            yield from _differences(value, found, f"{prefix}{key}.")
        elif found != value:
            yield f"{prefix}{key}", found, value


def check_configuration(tree: Tree) -> list[Finding]:
    """The run's configuration says what its jobs read: each stage file is a part of it.

    Stage files that are not the ones that jobs read are named elsewhere, and those of a study that the configuration
    leaves out are of an earlier one.
    """
    path = tree.folder / CONFIGURATION_FILE
    if not path.is_file():
        return []  # published or packed: stage files alone go along
    try:
        configuration = yaml.safe_load(path.read_text())
        studies = configuration["studies"]
    except (OSError, ValueError, yaml.YAMLError, TypeError, KeyError):
        message = "found no configuration of a run; `snakemake -n` with the run's own writes it again"
        return [finding("unreadable_file", CONFIGURATION_FILE, message)]
    digests = {
        entry["path"]: entry["sha256"]
        for record in tree.records.values()
        for entry in record["inputs"]
        if entry["kind"] == "configuration"
    }
    findings = []
    for name, digest in sorted(digests.items()):
        try:
            # What cannot be read, or is another file than the one that was used, is named elsewhere.
            stage = yaml.safe_load(tree.path(name).read_text()) if file_sha256(tree.path(name)) == digest else None
        except (OSError, ValueError, yaml.YAMLError):
            continue
        if not isinstance(stage, dict) or stage.get("study") not in studies:
            continue
        whole = {stage["study"]: {key: value for key, value in stage.items() if key not in ("seed", "study")}}
        whole |= {key: value for key, value in stage.items() if key == "seed"}
        findings += [
            finding(
                "changed_configuration",
                CONFIGURATION_FILE,
                f"{key}: found {found}, but {name}, which jobs read, has {value}; `snakemake -n` with the run's own "
                "configuration writes it again",
            )
            for key, found, value in _differences(whole, configuration, "")
        ]
    return findings


def check_crate(tree: Tree) -> list[Finding]:
    """The crate describes the files that are there."""
    path = tree.folder / CRATE_FILE
    if not path.is_file():
        return []
    try:
        described = {
            unquote(entity["@id"]): entity["sha256"]
            for entity in json.loads(path.read_text())["@graph"]
            if "sha256" in entity and not entity["@id"].startswith("#")
        }
    except (OSError, ValueError, TypeError, KeyError):
        return [finding("unreadable_file", CRATE_FILE, "found no crate; `understudy crate` writes it again")]
    findings, older = [], []
    for name, digest in sorted(described.items()):
        place = tree.path(name)
        if PurePosixPath(name).parts[0] == WORKFLOW_FOLDER:
            advice = "; `understudy crate` writes it again"
            if not place.is_file():
                findings.append(finding("missing_file", name, f"is part of the crate and gone{advice}"))
            elif file_sha256(place) != digest:
                findings.append(finding("changed_file", name, f"is not the one that the crate describes{advice}"))
        elif not place.is_file() or file_sha256(place) != digest:
            older.append(name)
    if older:
        message = f"describes {len(older)} file(s) that changed since, such as {older[0]}; `understudy crate` writes it"
        findings.append(finding("stale_crate", CRATE_FILE, f"{message} again"))
    return findings
