"""Audit of numbers: predictions of the cases they say, metrics recomputed from them, folds and groups disjoint."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from understudy.dataset import SPLITS, open_ground_truth
from understudy.errors import InputError
from understudy.provenance.file_checks import Tree, claim_of
from understudy.provenance.findings import Finding, finding, passed
from understudy.provenance.record import parse_time
from understudy.provenance.run_folder import REPORT_FILES
from understudy.surrogate.comparison import BAND, judge_coverage
from understudy.surrogate.metrics import coverage, nrmse, r2, target_metrics

# Metrics are sums over float64 columns: another order of summation moves the last digits only.
RELATIVE_TOLERANCE = 1e-6
ABSOLUTE_TOLERANCE = 1e-9
_HEADLINE_SUBSET = "random"
_NOMINAL = "coverage_judgement.*.nominal"
# Characters of a value in a message.
_LONGEST = 120
# All that damaged JSON or HDF5 was seen to raise: one flipped bit makes h5py raise any of these.
DAMAGE = (
    ArithmeticError,
    AttributeError,
    InputError,
    LookupError,
    MemoryError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
)
# What report.json takes from a study's presentation, and what it says where that says nothing.
_PRESENTED: Mapping[str, Any] = {
    "direct_cost": None,
    "published": {},
    "published_point": None,
    "notes": [],
    "limits": [],
    "goals": [],
    "in_short": [],
}


@dataclass(frozen=True)
class Split:
    """One split of the ground truth.

    Attributes
    ----------
    dataset, name : the file, and what the split is called.
    groups, cases : all of the split, failed cases included.
    target_names : of the columns of ``truth``.
    case, group, subset, truth : (N,) and (N, T) of the successful cases, ascending.
    """

    dataset: str
    name: str
    groups: set[int]
    cases: set[int]
    target_names: list[str]
    case: np.ndarray
    group: np.ndarray
    subset: np.ndarray
    truth: np.ndarray


def _same(stored: Any, computed: float) -> bool:
    """Equal within the tolerance; null stands for a value that is not finite."""
    if stored is None or (isinstance(stored, float) and not math.isfinite(stored)):
        return not math.isfinite(computed)
    if not isinstance(stored, int | float):
        return False
    return math.isclose(stored, computed, rel_tol=RELATIVE_TOLERANCE, abs_tol=ABSOLUTE_TOLERANCE)


def _texts(values: Any) -> np.ndarray:
    return np.array([value.decode() if isinstance(value, bytes) else str(value) for value in values], dtype=str)


def _compare(file: str, where: str, stored: Mapping[str, Any], computed: Mapping[str, Any]) -> Iterator[Finding]:
    for name, value in computed.items():
        equal = _same(stored.get(name), value) if isinstance(value, float) else stored.get(name) == value
        if name not in stored or not equal:
            message = (
                f"{where}{'.' if where else ''}{name}: says {stored.get(name)!r}, the stored predictions give {value!r}"
            )
            yield finding("metric_mismatch", file, message)


def _compare_names(file: str, where: str, stored: Iterable[str], accepted: Iterable[str]) -> Iterator[Finding]:
    if set(stored) != set(accepted):
        found, expected = (", ".join(sorted(names)) or "none" for names in (stored, accepted))
        message = f"{where}: found {found}; the stored predictions have {expected}"
        yield finding("metric_mismatch", file, message)


def _judged(inside: np.ndarray, group: np.ndarray, entry: Mapping[str, Any]) -> dict[str, Any]:
    """A judgement of coverage as it follows from the columns, and from the ends of its interval as they are stored.

    The interval is drawn with the study's own random stream, which the audit does not know.
    """
    weights = np.ones((1, len(np.unique(group))), dtype=int)
    judged = judge_coverage(inside, group, weights, entry["nominal"])
    if judged["passed"] is not None:
        # As in `judge_coverage`.
        judged["passed"] = bool(
            entry["low"] <= entry["nominal"] + BAND + 1e-12 and entry["high"] >= entry["nominal"] - BAND - 1e-12
        )
    return {name: judged[name] for name in ("coverage", "passed", "n", "groups")}


def _check_metrics(tree: Tree, file: str, predictions: str, metrics: Mapping[str, Any]) -> Iterator[Finding]:
    with h5py.File(tree.path(predictions), "r") as stored:
        targets = _texts(stored.attrs["target_names"])
        held = stored["heldout"]
        subset = _texts(held["subset"][...])
        truth, mean, lower, upper = (held[name][...].astype(float) for name in ("truth", "mean", "lower", "upper"))
        group, flagged = held["group"][...], held["flagged"][...]
        units = _texts(stored.attrs["target_units"])
        baselines = {name: held["baselines"][name]["mean"][...].astype(float) for name in held.get("baselines", {})}
    headline = subset == _HEADLINE_SUBSET
    yield from _compare(file, "", metrics, {"n_heldout": int(headline.sum())})
    names = set(subset.tolist()) - {""}
    yield from _compare_names(file, "subsets", metrics["subsets"], names)
    yield from _compare_names(file, "targets", metrics["targets"], targets)
    for key in ("baselines", "baseline_intervals", "paired"):
        yield from _compare_names(file, key, metrics[key], baselines)
    for name in sorted(names & metrics["subsets"].keys()):
        entry, rows = metrics["subsets"][name], subset == name
        counts = {
            "n": int(rows.sum()),
            "groups": len(np.unique(group[rows])),
            "flagged": float(flagged[rows].mean()),
        }
        yield from _compare(file, f"subsets.{name}", entry, counts)
        for c, target in enumerate(targets):
            computed = {
                "unit": str(units[c]),
                **target_metrics(truth[rows, c], mean[rows, c]),
                "coverage90": coverage(truth[rows, c], lower[rows, c], upper[rows, c]),
                "interval_width": float(np.mean(upper[rows, c] - lower[rows, c])),
            }
            yield from _compare(file, f"subsets.{name}.targets.{target}", entry["targets"][target], computed)
            if name == _HEADLINE_SUBSET:
                yield from _compare(file, f"targets.{target}", metrics["targets"][target], computed)
                inside = (truth[rows, c] >= lower[rows, c]) & (truth[rows, c] <= upper[rows, c])
                judgement = metrics["coverage_judgement"][target]
                judged = _judged(inside, group[rows], judgement)
                yield from _compare(file, f"coverage_judgement.{target}", judgement, judged)
    for name, predicted in baselines.items():
        for c, target in enumerate(targets):
            pair = truth[headline, c], predicted[headline, c]
            computed = {"r2": r2(*pair), "nrmse": nrmse(*pair)}
            yield from _compare(file, f"baselines.{name}.{target}", metrics["baselines"][name][target], computed)
            difference: dict[str, Any] = {
                "difference_nrmse": nrmse(truth[headline, c], mean[headline, c]) - computed["nrmse"]
            }
            entry = metrics["paired"][name][target]
            if entry["low"] is not None:
                # As in `paired_difference`, from the ends that are stored.
                better = "network better" if entry["high"] < 0 else "baseline better" if entry["low"] > 0 else None
                difference["verdict"] = better or "no difference"
            yield from _compare(file, f"paired.{name}.{target}", entry, difference)


def _check_fold_scores(tree: Tree, file: str, folds: str, metrics: Mapping[str, Any]) -> Iterator[Finding]:
    with h5py.File(tree.path(folds), "r") as stored:
        targets = _texts(stored.attrs["target_names"])
        training = {
            "n_train": len(stored["grouped/case"]),
            "n_train_groups": len(np.unique(stored["grouped/group"][...])),
        }
        yield from _compare(file, "", metrics, training)
        for scheme in ("random", "grouped"):
            fold, truth, mean = (stored[scheme][name][...] for name in ("fold", "truth", "mean"))
            for c, target in enumerate(targets):
                pair = truth[:, c], mean[:, c]
                computed = {"r2": r2(*pair), "nrmse": nrmse(*pair)}
                stored_scores = metrics["cross_validation"][scheme][target]
                yield from _compare(file, f"cross_validation.{scheme}.{target}", stored_scores, computed)
            numbers = np.unique(fold).tolist()
            found = [entry["fold"] for entry in metrics["folds"][scheme]]
            yield from _compare(file, "folds", {scheme: found}, {scheme: numbers})
            for entry in metrics["folds"][scheme]:
                rows = fold == entry["fold"]
                if not rows.any():
                    continue
                where = f"folds.{scheme}.{entry['fold']}"
                yield from _compare(file, where, entry, {"n": int(rows.sum())})
                computed = {target: r2(truth[rows, c], mean[rows, c]) for c, target in enumerate(targets)}
                yield from _compare(file, f"{where}.r2", entry["r2"], computed)


def _of_curve(path: Path) -> dict[str, Any]:
    content = json.loads(path.read_text())
    return {"learning_curve": content["learning_curve"], "learning_curve_baselines": content["baselines"]}


def _of_floor(path: Path) -> dict[str, Any]:
    return {"noise_floor": json.loads(path.read_text())["targets"]}


def _of_models(path: Path) -> dict[str, Any]:
    with h5py.File(path, "r") as stored:
        roles = {
            role: {
                "cases": len(stored[f"roles/{role}_case"]),
                "groups": len(np.unique(stored[f"roles/{role}_group"][...])),
            }
            for role in ("fitted", "stopping", "calibration")
        }
        novelty = {"threshold": float(stored.attrs["novelty_threshold"])}
        return {"novelty": novelty, "roles": roles, _NOMINAL: [float(stored.attrs["coverage"])]}


def _check_copies(tree: Tree, study: str, metrics: str, findings: list[Finding]) -> None:
    """What the metrics took over from other files stands there too; predictions behind it are not stored."""
    copied: list[tuple[str, dict[str, Any]]] = []
    for source, read in (
        (f"{study}/surrogate/learning_curve.json", _of_curve),
        (f"{study}/noise_floor.json", _of_floor),
        (f"{study}/surrogate/models.h5", _of_models),
    ):
        if _present(tree, source):
            with _guarded(source, findings):
                copied.append((source, _plain(read(tree.path(source)))))
    with _guarded(metrics, findings):
        stored = _plain(_json(tree, metrics))
        stored[_NOMINAL] = sorted({entry["nominal"] for entry in stored["coverage_judgement"].values()})
        for source, values in copied:
            for key, value in values.items():
                found = stored.get(key)
                if found != value:
                    message = f"{key}: says {_shortened(found)}, {source} says {_shortened(value)}"
                    findings.append(finding("metric_mismatch", metrics, message))


def _shortened(value: Any) -> str:
    text = repr(value)
    return text if len(text) < _LONGEST else f"{text[:_LONGEST]}..."


def _check_folds(tree: Tree, folds: str, training: Split | None) -> Iterator[Finding]:
    with h5py.File(tree.path(folds), "r") as stored:
        for scheme in ("random", "grouped"):
            case, group, fold = (stored[scheme][name][...] for name in ("case", "group", "fold"))
            names, counts = np.unique(case, return_counts=True)
            if (counts > 1).any():
                twice = ", ".join(map(str, names[counts > 1][:5]))
                message = f"{scheme}: cases {twice} are in more than one fold; accepted is one fold per case"
                yield finding("leaked_fold", folds, message)
            if scheme == "grouped":
                shared = [int(name) for name in np.unique(group) if len(np.unique(fold[group == name])) > 1]
                if shared:
                    groups = ", ".join(map(str, shared[:5]))
                    message = f"grouped: groups {groups} are in more than one fold; accepted is one fold per group"
                    yield finding("leaked_fold", folds, message)
            if training is None:
                continue
            foreign = set(map(int, group)) - training.groups
            if foreign:
                groups = ", ".join(map(str, sorted(foreign)[:5]))
                yield finding("leaked_heldout", folds, f"{scheme}: groups {groups} are no training groups")
            names = _texts(stored.attrs["target_names"])
            yield from _check_cases(folds, scheme, stored[scheme], names, training)


def _splits(tree: Tree, dataset: str) -> dict[str, Split]:
    with open_ground_truth(tree.path(dataset)) as truth:
        names = [field.name for field in truth.target_fields]
        splits = {}
        for name in SPLITS:
            everyone, rows = truth.split == name, truth.rows(split=name)
            splits[name] = Split(
                dataset,
                name,
                set(map(int, truth.group[everyone])),
                set(map(int, truth.case[everyone])),
                names,
                *(column[rows] for column in (truth.case, truth.group, truth.subset)),
                truth.targets(rows),
            )
    return splits


def _named(numbers: Any) -> str:
    """How many numbers, and the first of them."""
    some = ", ".join(map(str, sorted(set(map(int, numbers)))[:5]))
    return f"{len(numbers)} ({some}{', ...' if len(numbers) > 5 else ''})"


def _check_cases(file: str, where: str, stored: Mapping[str, Any], names: Any, split: Split) -> Iterator[Finding]:
    """Each successful case of a split is there, as the ground truth has it.

    Parameters
    ----------
    where : place of the columns in the file, for messages.
    stored : columns ``case``, ``truth`` and others of the split, by name; a file's group will do.
    names : of the targets in the columns of ``truth``.
    """

    def wrong(text: str) -> Finding:
        return finding("truth_mismatch", file, f"{where}: {text}")

    columns = {name: stored[name][...] for name in ("case", "group", "truth")}
    if "subset" in stored:
        columns["subset"] = _texts(stored["subset"][...])
    case = columns["case"]
    if list(names) != split.target_names or columns["truth"].shape != (len(case), len(split.target_names)):
        yield wrong(f"targets are not those of {split.dataset}, in their order: {', '.join(split.target_names)}")
        return
    known = np.isin(case, split.case)
    if not known.all():
        yield wrong(f"cases that are no successful {split.name} cases of {split.dataset}: {_named(case[~known])}")
    left_out = np.setdiff1d(split.case, case)
    if len(left_out):
        yield wrong(f"{split.name} cases of {split.dataset} that are left out: {_named(left_out)}")
    repeated = np.unique(case, return_counts=True)
    if (repeated[1] > 1).any():
        yield wrong(f"cases that are there more than once: {_named(repeated[0][repeated[1] > 1])}")
    row = np.searchsorted(split.case, case[known])
    for name, values in columns.items():
        found, expected = values[known], getattr(split, name)[row]
        if name == "truth":
            # Stored in single precision in the predictions.
            same = np.isclose(found, expected, rtol=RELATIVE_TOLERANCE, atol=np.finfo(np.float32).tiny).all(axis=1)
        else:
            same = found == expected
        if not same.all():
            yield wrong(f"{name} is not that of {split.dataset} for cases: {_named(case[known][~same])}")


def _check_heldout(tree: Tree, predictions: str, held: Split) -> Iterator[Finding]:
    with h5py.File(tree.path(predictions), "r") as stored:
        groups, cases = (set(map(int, stored["heldout"][name][...])) for name in ("group", "case"))
        if groups - held.groups or cases - held.cases:
            found = ", ".join(map(str, sorted(groups - held.groups)[:5])) or "none"
            message = f"holds {len(cases - held.cases)} cases that {held.dataset} does not hold out (groups {found})"
            yield finding("leaked_heldout", predictions, message)
        yield from _check_cases(predictions, "heldout", stored["heldout"], _texts(stored.attrs["target_names"]), held)


def _check_models(tree: Tree, models: str, splits: Mapping[str, Split]) -> Iterator[Finding]:
    """Who the models say they were fitted, stopped and calibrated with, against the splits of the ground truth."""
    with h5py.File(tree.path(models), "r") as stored:
        used = {
            role: [set(map(int, stored[f"roles/{role}_{name}"][...])) for name in ("group", "case")]
            for role in ("fitted", "stopping", "calibration")
        }
    for one, other in (("fitted", "stopping"), ("fitted", "calibration"), ("stopping", "calibration")):
        shared = used[one][0] & used[other][0]
        if shared:
            some = ", ".join(map(str, sorted(shared)[:5]))
            yield finding("leaked_fold", models, f"groups {some} were used as {one} and as {other} groups")
    for role, (groups, cases) in used.items():
        split = splits["calibration" if role == "calibration" else "training"]
        if groups - split.groups or cases - split.cases:
            some = ", ".join(map(str, sorted(groups - split.groups)[:5])) or "none"
            message = (
                f"{role}: used {len(cases - split.cases)} cases that {split.dataset} does not give to {split.name}"
            )
            yield finding("leaked_heldout", models, f"{message} (groups {some})")


@contextmanager
def _guarded(file: str, findings: list[Finding]) -> Iterator[None]:
    """Make a file without the expected content a finding."""
    try:
        yield
    except DAMAGE as error:
        text = str(error).strip("'\"") or type(error).__name__
        findings.append(finding("unreadable_file", file, f"has not the expected content: {text}"))


def _present(tree: Tree, *paths: str) -> bool:
    return all(tree.path(path).is_file() and path not in tree.absent for path in paths)


def _json(tree: Tree, path: str) -> Any:
    return json.loads(tree.path(path).read_text())


def check_study(tree: Tree, study: str) -> list[Finding]:
    """Findings on one study's surrogate; files that are not there were found missing elsewhere."""
    dataset = f"{study}/ground_truth.h5"
    models, folds, predictions, metrics = (
        f"{study}/surrogate/{name}" for name in ("models.h5", "cross_validation.h5", "predictions.h5", "metrics.json")
    )
    findings: list[Finding] = []
    if _present(tree, metrics, predictions):
        with _guarded(metrics, findings):
            findings.extend(_check_metrics(tree, metrics, predictions, _json(tree, metrics)))
    if _present(tree, metrics, folds):
        with _guarded(metrics, findings):
            findings.extend(_check_fold_scores(tree, metrics, folds, _json(tree, metrics)))
    if _present(tree, metrics):
        _check_copies(tree, study, metrics, findings)
    splits = None
    if _present(tree, dataset):
        with _guarded(dataset, findings):
            splits = _splits(tree, dataset)
    if _present(tree, folds):
        with _guarded(folds, findings):
            findings.extend(_check_folds(tree, folds, splits["training"] if splits else None))
    if splits is not None and _present(tree, predictions):
        with _guarded(predictions, findings):
            findings.extend(_check_heldout(tree, predictions, splits["heldout"]))
    if splits is not None and _present(tree, models):
        with _guarded(models, findings):
            findings.extend(_check_models(tree, models, splits))
    return findings


def _plain(value: Any) -> Any:
    """The same structure with null for values that are not finite, as report.json holds them."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _copied(study: str) -> dict[str, Callable[[Any], Mapping[str, Any]]]:
    """Files whose content stands in a study's part of report.json as it is: path -> the part, from the content."""
    return {
        f"{study}/surrogate/metrics.json": dict,
        f"{study}/surrogate/learning_curve.json": lambda content: {"learning_curve": content["learning_curve"]},
        f"{study}/deployment.json": lambda content: {"deployment": content},
        f"{study}/verification.json": lambda content: {"verification": content["checks"]},
        f"{study}/figures/presentation.json": lambda content: {
            name: content.get(name, absent) for name, absent in _PRESENTED.items()
        },
    }


def _reported(record: Mapping[str, Any]) -> set[str]:
    """Studies that a report tells of, by the word of its record."""
    metrics = "/surrogate/metrics.json"
    read = {entry["path"].removesuffix(metrics) for entry in record["inputs"] if entry["path"].endswith(metrics)}
    return read | set(record["parameters"].get("studies", []))


def _check_verdict(tree: Tree, studies: list[str], stored: Mapping[str, Any]) -> Iterator[Finding]:
    """The stored verdict is one about this run; its numbers, where the run is still as it was when it was judged."""

    def wrong(name: str, expected: Any) -> Finding:
        return finding("report_mismatch", "audit.json", f"{name}: says {stored[name]!r}, accepted is {expected!r}")

    clean = passed(stored["findings"])
    if stored["passed"] is not clean:
        yield wrong("passed", clean)
    if tree.elsewhere:
        # Published of one study, out of a run that may have had more.
        if set(studies) - set(stored["studies"]):
            yield wrong("studies", studies)
        return
    if set(stored["studies"]) - set(studies):
        yield wrong("studies", studies)
    claim = claim_of(tree, "audit.json")
    if claim is None:
        return
    judged = [record for record in tree.records.values() if record["outputs"][0]["path"] not in REPORT_FILES]
    files = {output["path"] for record in judged for output in record["outputs"]}
    inputs = [entry for record in judged for entry in record["inputs"]]
    end = parse_time(claim.record["time"]["end"])
    if (
        files != set(tree.files) - set(REPORT_FILES)
        or any(entry["kind"] == "result" and entry["path"] not in files for entry in inputs)
        or any(parse_time(record["time"]["end"]) > end for record in judged)
        or {"missing_file", "missing_record", "invalid_record", "unclaimed_file"}
        & {entry["kind"] for entry in stored["findings"]}
    ):
        return
    expected = {"files": len(files), "records": len(judged), "inputs": len(inputs), "studies": studies}
    for name, value in expected.items():
        if stored[name] != value:
            yield wrong(name, value)


def check_report(tree: Tree, studies: list[str]) -> list[Finding]:
    """report.json says of each study what its files say, and the stored verdict is one about these files."""
    findings: list[Finding] = []
    verdict = None
    if _present(tree, "audit.json"):
        with _guarded("audit.json", findings):
            verdict = _json(tree, "audit.json")
            findings.extend(_check_verdict(tree, studies, verdict))
    if not _present(tree, "report.json"):
        return findings

    def differs(message: str) -> None:
        findings.append(finding("report_mismatch", "report.json", message))

    entries = None
    with _guarded("report.json", findings):
        report = _plain(_json(tree, "report.json"))
        entries = {study: dict(entry.items()) for study, entry in report["studies"].items()}
        if verdict is not None and report.get("audit") != _plain(verdict):
            differs("audit is not what audit.json says")
    if entries is None:
        return findings
    claim = claim_of(tree, "report.json")
    for study in sorted(_reported(claim.record) - entries.keys() if claim else ()):
        differs(f"studies.{study} is missing; its record says that it tells of {study}")
    if not tree.elsewhere:
        for study in sorted(entries.keys() - set(studies)):
            differs(f"studies.{study}: the run has no such study; accepted are {', '.join(studies)}")
    for study in entries.keys() & set(studies):
        for path, part in _copied(study).items():
            if not _present(tree, path):
                continue
            with _guarded(path, findings):
                for key, value in part(_plain(_json(tree, path))).items():
                    if entries[study].get(key) != value:
                        differs(f"studies.{study}.{key} is not what {path} says")
    return findings
