"""The ancestry of a result: every job, key, piece of code, environment and raw file that it came from, as a tree.

It is read from the records, in a run as in published results, whose inputs are absent by design. What is there is
hashed, so the tree says of each file whether it still is what was used; `understudy audit` judges, this tells.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from understudy.errors import InputError
from understudy.provenance.file_checks import Claim, Tree, add_records, claim_of, run_tree
from understudy.provenance.fingerprint import NUMERICAL_DISTRIBUTIONS, fingerprint_files
from understudy.provenance.record import parse_time
from understudy.provenance.reference import LIST_FILE, reference_tree
from understudy.provenance.run_folder import RECORD_SUFFIX, file_sha256, is_configuration, run_folder_of

_WIDTH = 116
_SHORT = 12


@dataclass(frozen=True)
class Ancestor:
    """A file of the tree.

    Attributes
    ----------
    name : what its consumer calls it; empty for the traced file itself.
    path : as recorded.
    kind : ``result``, ``configuration`` or ``external``.
    state : in words, whether the file is there and is the one that was used.
    sha256, size : of the file that was used.
    job : identifier of the job that made it; empty for what no job made.
    record : the job's record; None where there is none, or where the tree holds it already (``told``).
    ancestors : what the job read.
    doubt : what is wrong with the record by itself, such as that it was edited; empty for a sound one.
    """

    name: str
    path: str
    kind: str
    state: str
    sha256: str
    size: int
    job: str = ""
    record: Mapping[str, Any] | None = None
    ancestors: tuple[Ancestor, ...] = ()
    told: bool = False
    doubt: str = ""


def _state(path: Path, sha256: str) -> str:
    try:
        return "as recorded" if file_sha256(path) == sha256 else "CHANGED since"
    except FileNotFoundError:
        return "not here"
    except OSError as error:
        return f"unreadable ({error.strerror})"


def _reference_folder(path: Path) -> Path | None:
    """The published study that a path lies in, or None."""
    return next((folder for folder in path.parents if (folder / LIST_FILE).is_file()), None)


@dataclass
class _Tracer:
    """Trees that were read, what is wrong with single records, and jobs that the tree of ancestors holds already."""

    trees: dict[Path, Tree] = field(default_factory=dict)
    doubts: dict[tuple[Path, str], list[str]] = field(default_factory=dict)
    told: set[str] = field(default_factory=set)

    def place(self, path: Path) -> tuple[Tree, str]:
        """The tree that a file belongs to, and its recorded path."""
        published = _reference_folder(path)
        run = run_folder_of(path)
        folder = published or run or path.parent
        if folder not in self.trees:
            if published is not None:
                tree, _, findings = reference_tree(folder)
            elif run is not None:
                tree, findings = run_tree(folder)
            else:
                tree = Tree(folder)
                findings = add_records(tree, sorted(entry.name for entry in folder.glob(f"*{RECORD_SUFFIX}")))
            self.trees[folder] = tree
            for found in findings:
                words = f"{found['kind']}: {found['message']}"
                self.doubts.setdefault((tree.folder, found["file"]), []).append(words)
        tree = self.trees[folder]
        recorded = next((name for name, place in tree.elsewhere.items() if place == path), None)
        return tree, recorded if recorded is not None else path.relative_to(folder).as_posix()

    def doubt(self, tree: Tree, location: str) -> str:
        """What is wrong with the record at a location; empty for a sound one and for none."""
        return "; ".join(self.doubts.get((tree.folder, location), []))

    def result(self, name: str, tree: Tree, path: str, used: Mapping[str, Any] | None) -> Ancestor:
        """A result with its ancestors; ``used`` is its consumer's word about it."""
        claim = claim_of(tree, path)
        if claim is None:
            # Only a consumer leads here: the traced file itself was found to have a record.
            state = "absent by design" if path in tree.absent else _state(tree.path(path), used["sha256"])
            producer = used["producer"]
            doubt = self.doubt(tree, producer["record"])
            state += f"; {doubt}" if doubt else f"; the record of {producer['program']} is not here"
            return Ancestor(name, path, "result", state, used["sha256"], used["size"], producer["job"], doubt=doubt)
        entry = used or claim.output
        if path in tree.absent:
            state = "absent by design" if tree.absent[path] == entry["sha256"] else "absent; ANOTHER VERSION was used"
        else:
            state = _state(tree.path(path), entry["sha256"])
        if used is not None and used["producer"]["job"] != claim.record["job"]:
            same = "with equal bytes" if claim.output["sha256"] == used["sha256"] else "with OTHER BYTES"
            state += f"; made again since, {same}"
        return self._with_ancestors(Ancestor(name, path, "result", state, entry["sha256"], entry["size"]), tree, claim)

    def _with_ancestors(self, made: Ancestor, tree: Tree, claim: Claim) -> Ancestor:
        job = claim.record["job"]
        facts = (made.name, made.path, made.kind, made.state, made.sha256, made.size, job)
        doubt = self.doubt(tree, claim.location)
        if job in self.told:
            return Ancestor(*facts, told=True, doubt=doubt)
        self.told.add(job)
        ancestors = tuple(self._input(tree, entry) for entry in claim.record["inputs"])
        return Ancestor(*facts, record=claim.record, ancestors=ancestors, doubt=doubt)

    def _input(self, tree: Tree, entry: Mapping[str, Any]) -> Ancestor:
        path = tree.path(entry["path"])
        if entry["kind"] == "result":
            if claim_of(tree, entry["path"]) is None and path.exists():
                tree, recorded = self.place(path.resolve())
                return self.result(entry["name"], tree, recorded, entry)
            return self.result(entry["name"], tree, entry["path"], entry)
        state = _state(path, entry["sha256"])
        return Ancestor(entry["name"], entry["path"], entry["kind"], state, entry["sha256"], entry["size"])


def trace(path: Path) -> Ancestor:
    """The ancestry of a file.

    Parameters
    ----------
    path : a result of a run or of published results, there or absent by design; or its record.

    Raises
    ------
    InputError
        If there is no such file, or no record tells who made it.
    """
    path = Path(path).resolve()
    if path.name.endswith(RECORD_SUFFIX):
        path = path.with_name(path.name.removesuffix(RECORD_SUFFIX))
    tracer = _Tracer()
    if not path.parent.is_dir():
        raise InputError(f"{path}: no such file; accepted is a result, such as results/<run>/<study>/ground_truth.h5")
    tree, recorded = tracer.place(path)
    if claim_of(tree, recorded) is not None:
        return tracer.result("", tree, recorded, None)
    if not path.exists():
        raise InputError(f"{path}: no such file, and no record names it; accepted is a result of a job")
    if is_configuration(recorded):
        raise InputError(f"{path}: was written from the configuration, by no job; accepted is a result of a job")
    if path.is_dir():
        raise InputError(f"{path}: is a folder; accepted is one file of it")
    doubt = tracer.doubt(tree, recorded + RECORD_SUFFIX)
    if doubt:
        raise InputError(f"{path}{RECORD_SUFFIX}: {doubt}; accepted is the record that the job wrote")
    raise InputError(
        f"{path}: found no record that claims it, so its ancestry is not known; accepted is a result of a job: such a "
        f"file has a record <first output of its job>{RECORD_SUFFIX}"
    )


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    """Parameters as ``dotted.key = value``."""
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key} = {value}"


def _wrapped(text: str, first: str, rest: str) -> list[str]:
    """Lines of ``text``; the parts of a key with its value stay together."""
    kept = text.replace(" = ", "\0=\0")
    width = max(_WIDTH, len(first) + 40)
    lines = textwrap.wrap(
        kept, width, initial_indent=first, subsequent_indent=rest, break_long_words=False, break_on_hyphens=False
    )
    return [line.replace("\0", " ") for line in lines]


def _code_text(record: Mapping[str, Any], root: Path | None) -> str:
    code = record["code"]
    commit = f"commit {code['commit'][:_SHORT]}" if code.get("commit") else "no commit"
    if code.get("dirty"):
        commit += " with uncommitted changes"
    try:
        present = fingerprint_files(record["program"], record["study"], root)
    except InputError:
        now = "the present code has no such program"
    else:
        files = code["files"]
        names = sorted(
            name for name in files.keys() | present["files"].keys() if files.get(name) != present["files"].get(name)
        )
        if names:
            now = f"changed since: {', '.join(names)}"
        elif present["digest"] != code["fingerprint"]:
            now = "the present code with other versions of libraries"
        else:
            now = "the present code"
    fingerprint = code["fingerprint"].removeprefix("sha256:")[:_SHORT]
    return f"{commit}, fingerprint {fingerprint} over {len(code['files'])} files; {now}"


def _environment_text(environment: Mapping[str, Any]) -> str:
    distributions = environment["distributions"]
    numerical = ", ".join(
        f"{name} {distributions[name]}" for name in sorted(set(NUMERICAL_DISTRIBUTIONS.values()) & distributions.keys())
    )
    locks = ", ".join(f"{name} {digest[:_SHORT]}" for name, digest in environment["locks"].items()) or "none"
    parts = [
        f"Python {environment['python']}, {len(distributions)} distributions ({numerical})",
        f"locks {locks}",
        f"{environment['processor']}, {environment['platform']}",
    ]
    if environment.get("mpi"):
        parts.append(f"{' '.join(environment['mpi']['library'].split())}, {environment['mpi']['size']} ranks")
    if environment.get("torch"):
        parts.append(f"torch devices {', '.join(environment['torch']['devices']) or 'CPU'}")
    if environment.get("slurm"):
        parts.append(", ".join(f"{name}={value}" for name, value in environment["slurm"].items()))
    return "; ".join(parts)


def _fields(record: Mapping[str, Any], environment: str, root: Path | None, files: bool) -> Iterator[tuple[str, str]]:
    start, end = parse_time(record["time"]["start"]), parse_time(record["time"]["end"])
    seconds = (end - start).total_seconds()
    study = f" for {record['study']}" if record["study"] else ""
    yield "made by", f"{record['program']}{study}, {start:%Y-%m-%d %H:%M:%S} UTC, {seconds:.1f} s, job {record['job']}"
    yield "code", _code_text(record, root)
    if files:
        for name, digest in record["code"]["files"].items():
            yield "", f"{digest.removeprefix('sha256:')[:_SHORT]} {name}"
    yield "environment", environment
    if record["seed"]:
        yield "seed", f"{record['seed']['root']}; {record['seed']['derivation']}"
    yield "keys", ", ".join(_flat(record["parameters"])) or "none"


def trace_text(ancestor: Ancestor, root: Path | None = None, files: bool = False) -> str:
    """The tree as lines for a person.

    Parameters
    ----------
    ancestor : as from `trace`.
    root : repository of the present code; the running code's own by default.
    files : name each file of a job's code with its digest.
    """
    environments: dict[str, str] = {}
    lines: list[str] = []

    def named(record: Mapping[str, Any]) -> str:
        return environments.setdefault(_environment_text(record["environment"]), f"E{len(environments) + 1}")

    def write(node: Ancestor, head: str, body: str) -> None:
        name = f"{node.name}: " if node.name else ""
        kind = "" if node.kind == "result" else f"{node.kind}, "
        again = f", job {node.job} as above" if node.told else ""
        facts = f"{kind}sha256 {node.sha256[:_SHORT]}, {node.size:,} bytes{again}"
        lines.append(f"{head}{name}{node.path}  [{node.state}]  {facts}")
        if node.record is None:
            return
        bar = f"{body}{'│' if node.ancestors else ' '}  "
        fields = [("record", node.doubt)] if node.doubt else []
        for label, text in (*fields, *_fields(node.record, named(node.record), root, files)):
            first, rest = f"{bar}{label:<12}", f"{bar}{'':<12}"
            lines.extend(_wrapped(text, first, rest))
        for position, parent in enumerate(node.ancestors):
            last = position == len(node.ancestors) - 1
            write(parent, f"{body}{'└─ ' if last else '├─ '}", f"{body}{'   ' if last else '│  '}")

    write(ancestor, "", "")
    lines.append("")
    lines.append("environments")
    for text, name in environments.items():
        lines.extend(_wrapped(text, f"  {name}  ", "      "))
    return "\n".join(lines)
