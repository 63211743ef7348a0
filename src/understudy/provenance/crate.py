"""A run as a Workflow Run RO-Crate: its records in the vocabulary of schema.org, for whoever does not know ours.

The crate follows the Provenance Run Crate profile 0.5 (https://w3id.org/ro/wfrun/provenance/0.5) on RO-Crate 1.1: the
Snakefile is the workflow, each program a tool and a step, each record a CreateAction with a ControlAction, and
Snakemake's run an OrganizeAction. Nothing in it is new: all is read from the records, so equal records give equal
bytes. The workflow's own files are copied in, because a crate must hold its workflow.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from understudy.errors import InputError
from understudy.provenance.file_checks import Tree
from understudy.provenance.fingerprint import logic_digest
from understudy.provenance.record import parse_time
from understudy.provenance.run_folder import CRATE_FILE, WORKFLOW_FOLDER, file_sha256, size_bytes
from understudy.provenance.workflow_files import LOCK, copy_workflow

_PROFILES = {
    "https://w3id.org/ro/wfrun/process/0.5": "Process Run Crate",
    "https://w3id.org/ro/wfrun/workflow/0.5": "Workflow Run Crate",
    "https://w3id.org/ro/wfrun/provenance/0.5": "Provenance Run Crate",
    "https://w3id.org/workflowhub/workflow-ro-crate/1.0": "Workflow RO-Crate",
}
_TERMS = "https://w3id.org/ro/terms/workflow-run#"
# The terms of the workflow-run vocabulary stand in the crate itself, so that one remote context is enough to read it.
_CONTEXT = [
    "https://w3id.org/ro/crate/1.1/context",
    {name: f"{_TERMS}{name}" for name in ("sha256", "resourceUsage", "environment")},
]
_LICENCE = "https://spdx.org/licenses/BSD-3-Clause"
_FORMATS = {
    ".csv": "text/csv",
    ".gii": "application/xml",
    ".gz": "application/gzip",
    ".h5": "application/x-hdf5",
    ".html": "text/html",
    ".json": "application/json",
    ".png": "image/png",
    ".py": "text/x-python",
    ".so": "application/x-sharedlib",
    ".svg": "image/svg+xml",
    ".yaml": "application/yaml",
}
_ENGINE = "#snakemake"
_LANGUAGE = "#snakemake-language"
_DEVELOPERS = "#developers"


def _reference(*identifiers: str) -> list[dict[str, str]]:
    return [{"@id": identifier} for identifier in identifiers]


def _file_id(path: str) -> str:
    return quote(path)


def _base(name: str) -> str:
    """The name of an input without the number of a list's member."""
    head, _, tail = name.rpartition(".")
    return head if head and tail.isdigit() else name


def _keys(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted key and value of all parameters; lists as JSON."""
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _keys(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", json.dumps(value) if isinstance(value, list) or value is None else value


class _Graph:
    """Entities by identifier, in the order of their first mention."""

    def __init__(self, tree: Tree, origins: Mapping[str, str]) -> None:
        self.tree, self.origins = tree, origins
        self.entities: dict[str, dict[str, Any]] = {}
        self.examples: dict[str, list[str]] = {}

    def add(self, identifier: str, kind: str | list[str], **properties: Any) -> str:
        """Add an entity, or leave the one that is there; its identifier."""
        if identifier not in self.entities:
            filled = {name: value for name, value in properties.items() if value not in (None, [], "")}
            self.entities[identifier] = {"@id": identifier, "@type": kind, **filled}
        return identifier

    def link(self, identifier: str, name: str, *others: str) -> None:
        """Refer from one entity to others under ``name``, each once."""
        links = self.entities[identifier].setdefault(name, [])
        links.extend(link for link in _reference(*others) if link not in links)

    def parameter(self, program: str, name: str, kind: str, example: str) -> str:
        """The formal parameter of a program that ``example`` is a value of."""
        made = self.add(
            f"#{program}/{name}",
            "FormalParameter",
            name=name,
            additionalType=kind,
            conformsTo={"@id": "https://bioschemas.org/profiles/FormalParameter/1.0-RELEASE"},
        )
        self.link(made, "workExample", example)
        self.link(example, "exampleOfWork", made)
        return made

    def value(self, identifier: str, name: str, value: Any, **properties: Any) -> str:
        """A named value."""
        return self.add(identifier, "PropertyValue", name=name, value=value, **properties)

    def file(self, entry: Mapping[str, Any]) -> str:
        """A file that a record names: a part of the crate, or described only where it is not in it."""
        path = entry["path"]
        name = Path(path.rpartition(":")[2]).name
        facts = {"sha256": entry["sha256"], "contentSize": str(entry["size"])}
        facts["encodingFormat"] = _FORMATS.get(Path(name).suffix, "application/octet-stream")
        outside = entry.get("kind") == "external" or path.startswith(("repository:", "/", "~/"))
        if not outside and path not in self.tree.absent and self.tree.path(path).is_file():
            return self.add(_file_id(path), "File", name=path, **facts)
        word = "from outside the run" if outside else "of the run, not in this crate"
        shown = name if outside else path
        identifier = f"#{'external' if outside else 'absent'}/{entry['sha256'][:12]}/{quote(shown)}"
        return self.add(identifier, "File", name=shown, description=f"A file {word}, known by its hash.", **facts)

    def workflow_file(self, path: str, kind: str | list[str] = "File", **properties: Any) -> str:
        """A file of the workflow that was copied into the crate."""
        place = self.tree.folder / path
        return self.add(
            _file_id(path),
            kind,
            sha256=file_sha256(place),
            contentSize=str(size_bytes(place)),
            encodingFormat=_FORMATS.get(place.suffix, "text/plain"),
            **{"name": path, **properties},
        )


def _add_tool(graph: _Graph, record: Mapping[str, Any], position: int) -> str:
    """A program as a tool of the workflow with its step; the step."""
    program = record["program"]
    path = f"{WORKFLOW_FOLDER}/scripts/{program}.py"
    recorded = record["code"]["files"].get(f"scripts/{program}.py")
    text = f"Program of the rule {program}, {graph.origins.get(path, 'which is not here')}."
    facts = {"name": program, "version": record["code"]["fingerprint"]}
    if path in graph.origins:
        if logic_digest(graph.tree.folder / path) != recorded:
            text += " Its logic is not the one that was recorded."
        lock = f"{WORKFLOW_FOLDER}/{LOCK}"
        needs = _reference(_file_id(lock)) if lock in graph.origins else None
        tool = graph.workflow_file(
            path,
            ["File", "SoftwareSourceCode"],
            **facts,
            description=text,
            softwareRequirements=needs,
            programmingLanguage={"@id": "#python"},
        )
    else:
        tool = graph.add(f"#program/{program}", "SoftwareApplication", **facts, description=text)
    step = graph.add(f"#step/{program}", "HowToStep", name=program, position=str(position))
    graph.link(step, "workExample", tool)
    workflow = f"{WORKFLOW_FOLDER}/Snakefile"
    graph.link(workflow, "hasPart", tool)
    graph.link(workflow, "step", step)
    return step


def _facts(record: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Code, machine and seed of a job, as names and values."""
    code, environment = record["code"], record["environment"]
    yield "code fingerprint", code["fingerprint"]
    yield "code commit", code.get("commit")
    if code.get("dirty") is not None:
        yield "uncommitted changes", bool(code["dirty"])
    for name, digest in environment.get("locks", {}).items():
        yield f"sha256 of {name}", digest
    for name in ("python", "platform", "processor"):
        yield name, environment.get(name)
    if code["versions"]:
        yield "numerical libraries", ", ".join(f"{name} {version}" for name, version in code["versions"].items())
    if environment.get("mpi"):
        yield "MPI library", environment["mpi"]["library"]
        yield "MPI ranks", environment["mpi"]["size"]
    if environment.get("torch"):
        yield "torch devices", ", ".join(environment["torch"]["devices"]) or "CPU"
    for name, value in environment.get("slurm", {}).items():
        yield name, value
    if record["seed"]:
        yield "root seed", record["seed"]["root"]
        yield "derivation of seeds", record["seed"]["derivation"]


def _add_job(graph: _Graph, location: str, record: Mapping[str, Any], step: str) -> str:
    """A record as the action of its tool and the control action of its step; the action."""
    program, job = record["program"], record["job"]
    tool = graph.entities[step]["workExample"][0]["@id"]
    action = graph.add(
        f"#job/{job}",
        "CreateAction",
        name=f"{program}{' for ' + record['study'] if record['study'] else ''}",
        description=" ".join(record["command"]),
        startTime=record["time"]["start"],
        endTime=record["time"]["end"],
        actionStatus={"@id": "http://schema.org/CompletedActionStatus"},
    )
    graph.link(action, "instrument", tool)
    for entry in record["inputs"]:
        file = graph.file(entry)
        graph.link(tool, "input", graph.parameter(program, _base(entry["name"]), "File", file))
        graph.link(action, "object", file)
    for key, value in _keys(record["parameters"]):
        made = graph.value(f"#job/{job}/{quote(key)}", key, value)
        kind = {bool: "Boolean", int: "Integer", float: "Float"}.get(type(value), "Text")
        graph.link(tool, "input", graph.parameter(program, key, kind, made))
        graph.link(action, "object", made)
    for entry in record["outputs"]:
        file = graph.file(entry)
        graph.link(tool, "output", graph.parameter(program, entry["name"], "File", file))
        graph.link(action, "result", file)
    for name, value in _facts(record):
        if value is not None:
            graph.link(action, "additionalProperty", graph.value(f"#job/{job}/fact/{quote(name)}", name, value))
    for name, value in record["environment"].get("threads", {}).items():
        graph.link(action, "environment", graph.value(f"#job/{job}/environment/{name}", name, value))
    for name, unit in (("cpu_s", "SEC"), ("peak_memory_bytes", "AD")):
        value = record["time"].get(name)
        if value is not None:
            used = graph.value(f"#job/{job}/usage/{name}", name, value, propertyID=name, unitCode=unit)
            graph.link(action, "resourceUsage", used)
    note = graph.add(
        _file_id(location),
        "File",
        name=location,
        description="Provenance record of the job.",
        encodingFormat="application/json",
        sha256=file_sha256(graph.tree.path(location)),
        contentSize=str(size_bytes(graph.tree.path(location))),
    )
    graph.link(action, "subjectOf", note)
    control = graph.add(f"#control/{job}", "ControlAction", name=f"Snakemake's job {program}")
    graph.link(control, "instrument", step)
    graph.link(control, "object", action)
    return action


def _add_agents(graph: _Graph, agent: str | None) -> str | None:
    graph.add(_DEVELOPERS, "Organization", name="The Understudy developers")
    graph.add(_LICENCE, "CreativeWork", name="BSD 3-Clause licence")
    graph.add("#python", "ComputerLanguage", name="Python", url={"@id": "https://www.python.org"})
    graph.add(_LANGUAGE, "ComputerLanguage", name="Snakemake", url={"@id": "https://snakemake.github.io"})
    for identifier, name in _PROFILES.items():
        graph.add(identifier, "CreativeWork", name=name, version=identifier.rpartition("/")[2])
    return graph.add("#agent", "Person", name=agent) if agent else None


def crate_of(tree: Tree, origins: Mapping[str, str], agent: str | None = None) -> dict[str, Any]:
    """The metadata of a crate.

    Parameters
    ----------
    tree : files and records; what is absent by design is described, and is no part of the crate.
    origins : the workflow's files that lie in the folder, as from `copy_workflow`.
    agent : who ran the study, which no record tells.
    """
    graph = _Graph(tree, origins)
    person = _add_agents(graph, agent)
    records = sorted(tree.records.items(), key=lambda item: (item[1]["time"]["start"], item[0]))
    start = min((record["time"]["start"] for _, record in records), key=parse_time)
    end = max((record["time"]["end"] for _, record in records), key=parse_time)
    engine_version = records[-1][1]["environment"]["distributions"].get("snakemake")
    graph.add(_ENGINE, "SoftwareApplication", name="Snakemake", version=engine_version)
    workflow = graph.workflow_file(
        f"{WORKFLOW_FOLDER}/Snakefile",
        ["File", "SoftwareSourceCode", "ComputationalWorkflow", "HowTo"],
        name="Understudy",
        description=f"The workflow of the run, {origins[f'{WORKFLOW_FOLDER}/Snakefile']}.",
        programmingLanguage={"@id": _LANGUAGE},
        license={"@id": _LICENCE},
        creator={"@id": _DEVELOPERS},
    )
    for path in origins:
        if not path.startswith(f"{WORKFLOW_FOLDER}/scripts/"):
            graph.workflow_file(path)
    steps = {}
    actions = []
    for location, record in records:
        if record["program"] not in steps:
            steps[record["program"]] = _add_tool(graph, record, len(steps) + 1)
        actions.append(_add_job(graph, location, record, steps[record["program"]]))
    status = {"@id": "http://schema.org/CompletedActionStatus"}
    times = {"startTime": start, "endTime": end, "actionStatus": status}
    run = graph.add("#run", "CreateAction", name=f"Run {tree.folder.name} of the workflow", **times)
    graph.link(run, "instrument", workflow)
    organised = graph.add("#organisation", "OrganizeAction", name="Snakemake's run", **times)
    graph.link(organised, "instrument", _ENGINE)
    graph.link(organised, "result", run)
    made = {entry["path"] for _, record in records for entry in record["outputs"]}
    for action, (_, record) in zip(actions, records, strict=True):
        graph.link(organised, "object", f"#control/{record['job']}")
        for entry in (entry for entry in record["inputs"] if entry["path"] not in made):
            file = graph.file(entry)
            graph.link(
                workflow, "input", graph.parameter("workflow", f"{record['program']}.{entry['name']}", "File", file)
            )
            graph.link(run, "object", file)
        for entry in record["outputs"]:
            file = graph.file(entry)
            name = f"{record['program']}.{entry['name']}"
            graph.link(workflow, "output", graph.parameter("workflow", name, "File", file))
            graph.link(run, "result", file)
        if person:
            graph.link(action, "agent", person)
    if person:
        graph.link(run, "agent", person)
        graph.link(organised, "agent", person)
    parts = [name for name, entity in graph.entities.items() if "File" in entity["@type"]]
    studies = ", ".join(sorted({record["study"] for _, record in records if record["study"]}))
    head = [
        {
            "@id": CRATE_FILE,
            "@type": "CreativeWork",
            "conformsTo": _reference(
                "https://w3id.org/ro/crate/1.1", "https://w3id.org/workflowhub/workflow-ro-crate/1.0"
            ),
            "about": {"@id": "./"},
        },
        {
            "@id": "./",
            "@type": "Dataset",
            "name": f"Understudy, run {tree.folder.name}",
            "description": f"Ground truth, surrogates and reports of the studies {studies}, with a record of each job.",
            "datePublished": end,
            "license": {"@id": _LICENCE},
            "creator": {"@id": _DEVELOPERS},
            "conformsTo": _reference(*_PROFILES),
            "mainEntity": {"@id": workflow},
            "hasPart": _reference(*parts),
            "mentions": _reference(run, organised, *actions),
        },
    ]
    return {"@context": _CONTEXT, "@graph": [*head, *graph.entities.values()]}


def write_crate(tree: Tree, root: Path | None = None, agent: str | None = None) -> Path:
    """Write ``ro-crate-metadata.json`` and the workflow's files into a tree's folder.

    Raises
    ------
    InputError
        If there are no records, or the repository has no Snakefile.
    """
    if not tree.records:
        raise InputError(f"{tree.folder}: found no records; accepted is a run whose jobs ended")
    origins = copy_workflow(tree, tree.folder, root)
    path = tree.folder / CRATE_FILE
    path.write_text(json.dumps(crate_of(tree, origins, agent), indent=1, ensure_ascii=False) + "\n")
    return path
