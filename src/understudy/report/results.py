"""What the report reads: one study's files as they lie in its results folder."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from understudy.errors import InputError


@dataclass(frozen=True)
class HeldOut:
    """Predictions on held-out cases.

    Attributes
    ----------
    group : (N,) number of the group of each case.
    subset : (N,) name of the evaluation set of each case.
    truth, mean, lower, upper : (N, T) ground truth, prediction and the 90 % interval.
    flagged : (N,) bool, inputs unlike the training data.
    """

    group: np.ndarray
    subset: np.ndarray
    truth: np.ndarray
    mean: np.ndarray
    lower: np.ndarray
    upper: np.ndarray
    flagged: np.ndarray


@dataclass(frozen=True)
class Folds:
    """Out-of-fold predictions of one cross-validation: fold (N,), truth and mean (N, T)."""

    fold: np.ndarray
    truth: np.ndarray
    mean: np.ndarray


@dataclass(frozen=True)
class TargetGroup:
    """Targets that are shown together, under one title."""

    title: str
    targets: tuple[str, ...]
    headline: bool


@dataclass(frozen=True)
class StudyResults:
    """One study, as far as the report shows it.

    Attributes
    ----------
    evaluated : the metrics as they were written.
    metrics : the same without what is said of outputs that are constant, see `constant`.
    """

    name: str
    folder: Path
    targets: tuple[str, ...]
    evaluated: Mapping[str, Any]
    metrics: Mapping[str, Any]
    heldout: HeldOut
    folds: Mapping[str, Folds]
    curve: Sequence[Mapping[str, Any]]
    curve_baselines: Mapping[str, Sequence[Mapping[str, Any]]]
    verification: Sequence[Mapping[str, Any]]
    deployment: Mapping[str, Any]
    presentation: Mapping[str, Any]

    def column(self, target: str) -> int:
        """Column of a target in the arrays."""
        return self.targets.index(target)

    def constant(self, target: str) -> bool:
        """Whether the ground truth of the random held-out cases is one value, so that no measure can judge it."""
        return _constant(self.heldout, self.column(target))

    @property
    def in_use(self) -> Mapping[str, Any]:
        """The deployment with the cost of direct simulation that the study compares with: it may have timed that better
        than the program that used the surrogate could know."""
        direct = self.presentation.get("direct_cost")
        return {**self.deployment, "seconds_per_case_direct": direct["seconds_per_case"]} if direct else self.deployment

    def label(self, target: str) -> str:
        """The target's name for people."""
        return self.presentation.get("labels", {}).get(target) or words(target)

    def unit(self, target: str) -> str:
        """The target's unit; a dash where it has none."""
        unit = self.metrics["targets"][target].get("unit", "1")
        return "–" if unit in ("1", "", "-") else unit

    @property
    def baselines(self) -> tuple[str, ...]:
        """Names of the baselines."""
        return tuple(self.metrics["baselines"])

    def baseline_label(self, name: str) -> str:
        """A baseline's name for people."""
        return self.presentation.get("labels", {}).get(name) or name.replace("_", " ").replace("pca", "PCA").replace(
            "gaussian", "Gaussian"
        )

    def groups(self) -> tuple[TargetGroup, ...]:
        """How the targets are shown: as the presentation asks, else by the study's own headings."""
        asked = self.presentation.get("target_groups") or [
            {"title": words(title), "targets": targets, "headline": not title.startswith("spread")}
            for title, targets in (self.metrics.get("target_groups") or {"outputs": self.targets}).items()
        ]
        return tuple(
            TargetGroup(group["title"], tuple(group["targets"]), bool(group.get("headline", True))) for group in asked
        )


def words(name: str) -> str:
    """A machine name as words: ``tau_failed`` becomes ``Tau failed``."""
    text = name.replace("_", " ").strip()
    return text[:1].upper() + text[1:]


def read_json(path: Path) -> Any:
    """A JSON file.

    Raises
    ------
    InputError
        If it is missing or no JSON.
    """
    try:
        return json.loads(path.read_text())
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; the report needs it") from None
    except ValueError as error:
        raise InputError(f"{path}: found no JSON ({error})") from None


def _texts(values: Any) -> np.ndarray:
    return np.asarray([value.decode() if isinstance(value, bytes) else str(value) for value in values], dtype=str)


def _open(path: Path) -> h5py.File:
    try:
        return h5py.File(path, "r")
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; the report needs it") from None
    except OSError:
        raise InputError(f"{path}: found no readable HDF5 file") from None


def _read_heldout(path: Path) -> tuple[tuple[str, ...], HeldOut]:
    with _open(path) as file:
        try:
            targets = tuple(_texts(file.attrs["target_names"]))
            held = file["heldout"]
            arrays = {name: held[name][...] for name in ("group", "flagged")}
            arrays |= {name: held[name][...].astype(float) for name in ("truth", "mean", "lower", "upper")}
            return targets, HeldOut(subset=_texts(held["subset"][...]), **arrays)
        except KeyError as error:
            raise InputError(f"{path}: {error.args[0]}; accepted is a file of held-out predictions") from None


def _read_folds(path: Path) -> dict[str, Folds]:
    with _open(path) as file:
        try:
            return {
                kind: Folds(**{name: file[kind][name][...] for name in ("fold", "truth", "mean")})
                for kind in ("random", "grouped")
            }
        except KeyError as error:
            raise InputError(f"{path}: {error.args[0]}; accepted is a file of cross-validation predictions") from None


def _constant(held: HeldOut, column: int) -> bool:
    truth = held.truth[held.subset == "random", column]
    return truth.size > 0 and float(np.ptp(truth)) == 0.0


def _unjudged(metrics: dict[str, Any], constant: Sequence[str]) -> dict[str, Any]:
    """The metrics without verdicts on outputs that are constant.

    R2 has no denominator there (its rounding errors give a perfect or an absurd one), and an interval without width
    covers every case or none.
    """
    removed = {"r2": None, "nrmse": None}
    covered = {"coverage": None, "low": None, "high": None, "passed": None, "reason": "not judged: constant truth"}
    result = dict(metrics)
    for target in constant:
        result["coverage_judgement"] = _replaced(result["coverage_judgement"], target, covered)
        result["noise_floor"] = _replaced(result["noise_floor"], target, removed)
        for key in ("cross_validation", "baselines"):
            result[key] = {name: _replaced(entries, target, removed) for name, entries in result[key].items()}
        result["baseline_intervals"] = {
            name: _replaced(entries, target, {"coverage": None})
            for name, entries in (result.get("baseline_intervals") or {}).items()
        }
    return result


def _replaced(entries: Mapping[str, Any], target: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """Entries by target with some values of one target replaced; nothing changes where the target has none."""
    return {name: {**entry, **values} if name == target else entry for name, entry in entries.items()}


def read_study(run_folder: Path, study: str) -> StudyResults:
    """All files of one study that the report shows.

    Raises
    ------
    InputError
        If a file is missing or is not what its name says.
    """
    folder = run_folder / study
    surrogate = folder / "surrogate"
    targets, heldout = _read_heldout(surrogate / "predictions.h5")
    metrics = read_json(surrogate / "metrics.json")
    if set(targets) != set(metrics["targets"]):
        raise InputError(
            f"{surrogate / 'metrics.json'}: found targets {', '.join(metrics['targets'])}; accepted are those of "
            f"predictions.h5: {', '.join(targets)}"
        )
    constant = [target for column, target in enumerate(targets) if _constant(heldout, column)]
    curve = read_json(surrogate / "learning_curve.json")
    presentation = read_json(folder / "figures" / "presentation.json")
    return StudyResults(
        name=study,
        folder=folder,
        targets=targets,
        evaluated=metrics,
        metrics=_unjudged(metrics, constant),
        heldout=heldout,
        folds=_read_folds(surrogate / "cross_validation.h5"),
        curve=curve["learning_curve"],
        curve_baselines=curve["baselines"],
        verification=read_json(folder / "verification.json")["checks"],
        deployment=read_json(folder / "deployment.json"),
        presentation=presentation,
    )
