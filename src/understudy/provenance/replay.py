"""Ground truth computed again: random cases of a study as evidence for the rest, or one case that failed.

Bits are compared. On the kind of processor and with the code and libraries that the record names, cases of ground
truth are the same bit for bit, so one other bit is a failure. Elsewhere a value may differ by what another order of
rounding does, up to `TOLERANCE` of the spread of its target over all cases; a larger difference is told as a warning,
because nobody can say whether the record or the other circumstances made it. `Replay` is handed in by the caller:
provenance knows no study.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import yaml

from understudy.errors import InputError
from understudy.farm.replay import Paths, Replay, ReplayedCase
from understudy.provenance.environment import processor_name
from understudy.provenance.file_checks import Tree, claim_of
from understudy.provenance.findings import Finding, finding
from understudy.provenance.fingerprint import fingerprint_files
from understudy.provenance.record import read_record, record_path
from understudy.provenance.run_folder import CONFIGURATION_FILE, file_sha256, located, require_run_folder
from understudy.provenance.surrogate_checks import DAMAGE

TOLERANCE = 1e-6
"""Largest difference on another kind of processor, over the range of the target's values in the ground truth."""

_MEMBER = re.compile(r"^(.*)\.\d+$")
_NAMED = 5


@dataclass(frozen=True)
class Stored:
    """A ground-truth file's word about a case."""

    inputs: np.ndarray
    targets: np.ndarray
    failed: str


class GroundTruthRows:
    """Rows of a ground-truth file by case number, failed ones included."""

    def __init__(self, path: Path) -> None:
        with h5py.File(path, "r") as file:
            self.case = file["case"][...]
            self._failed = [value.decode() for value in file["failed"][...]]
            self.names = [value.decode() for value in file.attrs["target_names"]]
            self._targets = file["targets"][...]
        self._path = path
        self._row = {int(case): row for row, case in enumerate(self.case)}
        good = self._targets[[not reason for reason in self._failed]]
        self.spread = np.ptp(good, axis=0) if len(good) else np.zeros(self._targets.shape[1])

    def stored(self, case: int) -> Stored | None:
        """What the file says of a case, or None where it does not hold it."""
        row = self._row.get(case)
        if row is None:
            return None
        with h5py.File(self._path, "r") as file:
            return Stored(file["inputs"][row], self._targets[row], self._failed[row])


def grouped(inputs: Sequence[Mapping[str, Any]], locate: Any) -> Paths:
    """A record's inputs by name, members of a list together; ``locate`` says where a recorded path is now."""
    paths: dict[str, Any] = {}
    for entry in inputs:
        member = _MEMBER.match(entry["name"])
        if member:
            paths.setdefault(member[1], []).append(locate(entry["path"]))
        else:
            paths[entry["name"]] = locate(entry["path"])
    return paths


def same_bits(one: np.ndarray, other: np.ndarray) -> bool:
    """Whether two arrays hold the same values bit for bit; NaN equals NaN."""
    return one.shape == other.shape and bool(np.array_equal(one, other, equal_nan=True))


def difference(stored: Stored | None, again: ReplayedCase, rows: GroundTruthRows) -> tuple[float, str] | None:
    """The largest difference over the target's range, with what differs in words; None where all bits are equal."""
    if stored is None:
        return np.inf, "the file does not hold the case"
    if bool(stored.failed) != bool(again.failed):
        return np.inf, f"says {stored.failed or 'no failure'!r}, computed again {again.failed or 'no failure'!r}"
    if stored.failed:
        return None
    parts = []
    if again.inputs is not None and not same_bits(stored.inputs, np.asarray(again.inputs, dtype=stored.inputs.dtype)):
        scale = max(float(np.ptp(stored.inputs)), np.finfo(np.float32).tiny)
        size = float(np.max(np.abs(stored.inputs.astype(float) - again.inputs))) / scale
        parts.append((size if np.isfinite(size) else np.inf, "its inputs differ"))
    for name, old, new, spread in zip(rows.names, stored.targets, again.targets, rows.spread, strict=True):
        if old != new:
            size = abs(old - new) / max(spread, np.finfo(float).tiny) if np.isfinite(new) else np.inf
            parts.append((float(size), f"{name}: says {float(old)!r}, computed again {float(new)!r}"))
    if not parts:
        return None
    return max(size for size, _ in parts), "; ".join(text for _, text in parts[:_NAMED])


def _circumstances(record: Mapping[str, Any], root: Path | None) -> str:
    """What is not as it was when the job ran: empty where the same bits are due."""
    try:
        present = fingerprint_files(record["program"], record["study"], root)
    except InputError:
        return "the present code has no such program"
    if present["files"] != record["code"]["files"]:
        return "the code changed since"
    if present["versions"] != record["code"]["versions"]:
        return "libraries have other versions"
    recorded, here = record["environment"]["processor"], processor_name()
    return f"the record's processor is {recorded}, this is {here}" if recorded != here else ""


def _unusable(tree: Tree, record: Mapping[str, Any]) -> str:
    """The first input that is not there or is another one, in words; empty where all are."""
    for entry in record["inputs"]:
        path = tree.path(entry["path"])
        if entry["path"] in tree.absent or not path.exists():
            return f"its input {entry['path']} is not here"
        if file_sha256(path) != entry["sha256"]:
            return f"its input {entry['path']} is not the one that was used"
    return ""


def replay_study(
    tree: Tree, study: str, replay: Replay | None, count: int, seed: int, root: Path | None = None
) -> list[Finding]:
    """Compute random cases of a study's ground truth again and compare.

    Parameters
    ----------
    tree : files and records of the run.
    replay : how the study computes a case; None for a study that does not say it.
    count : cases that are drawn; those whose arithmetic is coupled to theirs are computed and compared too.
    seed : of the draw.
    root : repository of the present code; the running code's own by default.
    """
    if replay is None:
        return [finding("not_replayed", study, "the study does not say how a case is computed alone")]
    dataset = f"{study}/{replay.dataset}"
    claim = claim_of(tree, dataset)
    if claim is None or dataset in tree.absent or not tree.path(dataset).is_file():
        return [finding("not_replayed", dataset, "is not here, so none of its cases can be compared")]
    record = claim.record
    unusable = _unusable(tree, record)
    if unusable:
        return [finding("not_replayed", dataset, f"cannot be computed again: {unusable}")]
    try:
        rows = GroundTruthRows(tree.path(dataset))
    except DAMAGE as error:
        return [finding("not_replayed", dataset, f"cannot be read, so none of its cases can be compared ({error})")]
    drawn = np.random.default_rng(seed).choice(rows.case, size=min(count, len(rows.case)), replace=False)
    other = _circumstances(record, root)
    findings, equal, close, computed = [], 0, 0, 0
    with replay.opened(record["parameters"], grouped(record["inputs"], tree.path)) as cases:
        strange = sorted(int(case) for case in drawn if not 0 <= case < len(cases))
        if strange:
            message = f"holds cases {', '.join(map(str, strange[:_NAMED]))}; accepted are 0 to {len(cases) - 1}"
            findings.append(finding("replay_mismatch", dataset, message))
        units = dict.fromkeys(cases.unit(int(case)) for case in sorted(drawn) if 0 <= case < len(cases))
        for unit in units:
            for case, again in cases.compute(unit).items():
                computed += 1
                try:
                    found = difference(rows.stored(case), again, rows)
                except DAMAGE as error:
                    findings.append(finding("not_replayed", dataset, f"case {case}: cannot be compared ({error})"))
                    continue
                if found is None:
                    equal += 1
                    continue
                size, text = found
                if other and size <= TOLERANCE:
                    close += 1
                    continue
                kind = "replay_differs" if other else "replay_mismatch"
                why = f" ({other})" if other else ""
                message = f"case {case}: {text}; {size:.2g} of the target's range, accepted are equal bits{why}"
                findings.append(finding(kind, dataset, message))
    text = f"{computed} cases computed again ({len(drawn)} drawn with seed {seed}): {equal} equal bit for bit"
    if close:
        text += f", {close} within {TOLERANCE:g} of the target's range"
    if other:
        text += f"; {other}"
    return [*findings, finding("replayed", dataset, text)]


@dataclass(frozen=True)
class Rerun:
    """One case, computed alone.

    Attributes
    ----------
    inputs : by name.
    again : what came out.
    together : cases that were computed with it; unit : those that were in the run.
    stored : what the ground truth says of it, or None where there is none yet.
    difference : largest difference over the target's range, and in words; None where bits are equal or nothing is
        stored.
    names : of the targets, where they are known.
    """

    inputs: Mapping[str, Any]
    again: ReplayedCase
    together: tuple[int, ...]
    unit: tuple[int, ...]
    stored: Stored | None
    difference: tuple[float, str] | None
    names: tuple[str, ...]

    @property
    def sound(self) -> bool:
        """Whether it succeeded with finite values."""
        return not self.again.failed and bool(np.isfinite(self.again.targets).all())


def _stage(folder: Path, study: str, replay: Replay) -> tuple[Mapping[str, Any], Paths]:
    """Stage values and inputs: those of the record, or where the stage did not end, those its rule would have."""
    dataset = folder / study / replay.dataset
    if record_path(dataset).is_file():
        record = read_record(record_path(dataset))
        return record["parameters"], grouped(record["inputs"], lambda path: located(path, folder))
    path = folder / study / "config" / f"{replay.program}.yaml"
    try:
        values = yaml.safe_load(path.read_text())
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); `snakemake -n` writes it") from None
    data = yaml.safe_load((folder / CONFIGURATION_FILE).read_text())["data_dir"]
    return values, replay.paths(folder / study, values, Path(data))


def rerun_case(run_folder: Path, study: str, replay: Replay, case: int, together: bool = False) -> Iterator[Any]:
    """Compute one case alone: first its inputs by name, then, when it is computed, the `Rerun`.

    Parameters
    ----------
    run_folder : ``results/<run>``; its ground truth need not exist.
    together : compute the cases with which its arithmetic is coupled too, as the run did.

    Raises
    ------
    InputError
        If the run, an input or the case does not exist.
    """
    folder = require_run_folder(run_folder)
    values, paths = _stage(folder, study, replay)
    for name, path in paths.items():
        for one in path if isinstance(path, list) else [path]:
            if not one.exists():
                raise InputError(f"{one}: no such file, needed as input {name!r} of {replay.program}")
    with replay.opened(values, paths) as cases:
        if not 0 <= case < len(cases):
            raise InputError(f"case: found {case}; accepted are 0 to {len(cases) - 1}, the cases of {study}")
        inputs = cases.describe(case)
        yield inputs
        unit = cases.unit(case)
        computed = unit if together else (case,)
        again = cases.compute(computed)[case]
    dataset = folder / study / replay.dataset
    if not dataset.is_file():
        yield Rerun(inputs, again, computed, unit, None, None, ())
        return
    rows = GroundTruthRows(dataset)
    stored = rows.stored(case)
    found = difference(stored, again, rows) if stored is not None else None
    yield Rerun(inputs, again, computed, unit, stored, found, tuple(rows.names))


def rerun_text(rerun: Rerun) -> str:
    """What came out of a case, for a person."""
    lines = []
    if rerun.again.failed:
        lines.append(f"failed: {rerun.again.failed}")
    if rerun.again.traceback:
        lines.append(rerun.again.traceback.rstrip())
    names = rerun.names or tuple(f"target {number}" for number in range(len(rerun.again.targets)))
    for number, (name, value) in enumerate(zip(names, rerun.again.targets, strict=True)):
        stored = "" if rerun.stored is None else f"  (stored {float(rerun.stored.targets[number])!r})"
        mark = "" if np.isfinite(value) else "  NOT FINITE"
        lines.append(f"  {name} = {float(value)!r}{stored}{mark}")
    if rerun.stored is None:
        lines.append("the ground truth does not hold the case yet")
    elif rerun.difference is None:
        lines.append("equal to the stored case bit for bit")
    else:
        size, text = rerun.difference
        lines.append(f"differs from the stored case by {size:.2g} of the target's range: {text}")
        if rerun.unit != rerun.together:
            lines.append(f"the run computed it with {len(rerun.unit) - 1} others, which changes last digits: --block")
    return "\n".join(lines)


def inputs_text(inputs: Mapping[str, Any]) -> str:
    """Inputs of a case, for a person."""
    with np.printoptions(threshold=400, linewidth=110, precision=7):
        return "\n".join(f"  {name}: {value}" for name, value in inputs.items())
