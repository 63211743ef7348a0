"""The stage that judges a trained surrogate on held-out groups, beside the baselines and against the noise floor.

Errors and intervals are those of the held-out set "random"; other held-out sets, such as worst cases, are reported
beside it and their coverage is not judged. Baselines are fitted here, on the training cases that the network had.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from understudy.configuration import validated
from understudy.dataset import Field, open_ground_truth
from understudy.surrogate import streams
from understudy.surrogate.baselines import Baseline, fit_baselines
from understudy.surrogate.comparison import judge_coverage, paired_difference, resampled_weights
from understudy.surrogate.config import Evaluation
from understudy.surrogate.conformal import conformal_quantile
from understudy.surrogate.cross_validation import KINDS, read_cross_validation
from understudy.surrogate.definition import Cases, SurrogateDefinition, read_cases
from understudy.surrogate.device import choose_device, device_facts, repeatable
from understudy.surrogate.json_file import read_json, write_json
from understudy.surrogate.learning_curve import SUBSET, read_learning_curve
from understudy.surrogate.metrics import DEFINITIONS, coverage, nrmse, r2, target_metrics
from understudy.surrogate.model_file import SurrogateModel, read_model
from understudy.surrogate.predict import Prediction, predict_checked
from understudy.surrogate.result_file import create_result_file, fixed_text

SCHEMA = "understudy.predictions"


def evaluate(
    definition: SurrogateDefinition,
    dataset: Path,
    stage: Mapping[str, Any],
    *,
    models: Path,
    folds: Path,
    curve: Path,
    floor: Path | None,
    predictions: Path,
    metrics: Path,
    device: str = "auto",
) -> dict[str, Any]:
    """Judge ``models`` on the held-out cases of ``dataset``; write ``predictions`` (HDF5) and ``metrics`` (JSON).

    Parameters
    ----------
    stage : ``seed``, and ``evaluation`` below ``surrogate``.
    folds, curve : files of `cross_validation` and `learning_curve`.
    floor : JSON with ``targets: {target: {"r2", "nrmse"}}``, the ground truth's own noise; None where not measured.
    device : ``auto``, ``cpu`` or ``cuda``.

    Returns
    -------
    Facts about device and determinism for the provenance record.

    Raises
    ------
    InputError
        If a file is unusable, of another study, or does not belong to this ground truth.
    """
    evaluation = validated(Evaluation, stage["surrogate"]["evaluation"], "surrogate.evaluation")
    chosen = choose_device(device)
    model = read_model(Path(models), definition)
    out_of_fold = read_cross_validation(folds, definition.study)
    points = read_learning_curve(curve, definition.study)
    noise = read_json(floor, definition.study, ("targets",))["targets"] if floor is not None else {}
    with open_ground_truth(dataset, definition.study) as truth:
        read_cases(truth, "heldout", SUBSET)
        training, held = read_cases(truth, "training"), read_cases(truth, "heldout")
        held = replace(held, targets=_single(held.targets))
        calibration = read_cases(truth, "calibration")
        subset = truth.subset[truth.rows(split="heldout")]
        fields = tuple(truth.target_fields)
    names = [field.name for field in fields]
    threads = int(model.settings["training"]["threads"])
    with repeatable(threads):
        predicted = _rounded(predict_checked(definition, model, held.inputs, held.context, chosen))
        stream = streams.stream(definition, stage["seed"], streams.BASELINE, 0)
        fitted = fit_baselines(definition, training, names, evaluation, stream)
        judged = {name: _judged(baseline, calibration, held, model.coverage) for name, baseline in fitted.items()}
    baselines = {name: _single(mean) for name, (mean, _, _) in judged.items()}
    _write_predictions(Path(predictions), definition, fields, held, subset, predicted, baselines)

    headline = subset == SUBSET
    group = held.group[headline]
    weights = resampled_weights(
        group, evaluation.bootstrap, streams.stream(definition, stage["seed"], streams.BOOTSTRAP, 0)
    )
    inside = (held.targets >= predicted.lower) & (held.targets <= predicted.upper)
    truth_rows = held.targets[headline]
    by_subset = {name: _subset(name, fields, held, subset, predicted) for name in sorted(set(subset.tolist())) if name}
    entry = {
        "study": definition.study,
        "n_train": len(training),
        "n_train_groups": len(np.unique(training.group)),
        "n_heldout": int(headline.sum()),
        "targets": by_subset[SUBSET]["targets"],
        "cross_validation": {
            kind: {
                name: {"r2": r2(*pair), "nrmse": nrmse(*pair)}
                for name, pair in _columns(names, out_of_fold[kind]["truth"], out_of_fold[kind]["mean"]).items()
            }
            for kind in KINDS
        },
        "folds": {kind: _folds(names, out_of_fold[kind]) for kind in KINDS},
        "learning_curve": points["learning_curve"],
        "learning_curve_baselines": points["baselines"],
        "baselines": {
            baseline: {
                name: {"r2": r2(*pair), "nrmse": nrmse(*pair)}
                for name, pair in _columns(names, truth_rows, values[headline]).items()
            }
            for baseline, values in baselines.items()
        },
        "baseline_intervals": {
            baseline: {
                name: {
                    "coverage": coverage(truth_rows[:, t], lower[headline, t], upper[headline, t]),
                    "width": float(np.mean(upper[headline, t] - lower[headline, t])),
                }
                for t, name in enumerate(names)
            }
            for baseline, (_, lower, upper) in judged.items()
        },
        "paired": {
            baseline: {
                name: paired_difference(
                    truth_rows[:, t], predicted.mean[headline, t], values[headline, t], group, weights
                )
                for t, name in enumerate(names)
            }
            for baseline, values in baselines.items()
        },
        "coverage_judgement": {
            name: judge_coverage(inside[headline, t], group, weights, model.coverage) for t, name in enumerate(names)
        },
        "subsets": by_subset,
        "noise_floor": noise,
        "novelty": {"threshold": model.novelty_threshold},
        "target_groups": {title: list(targets) for title, targets in definition.target_groups.items()},
        "roles": _roles(model),
        "definitions": {
            **DEFINITIONS,
            "difference_nrmse": "NRMSE(network) - NRMSE(baseline), same cases; 95 % bootstrap interval over groups",
        },
    }
    write_json(Path(metrics), entry)
    return device_facts(chosen, threads)


def _single(values: np.ndarray) -> np.ndarray:
    """Values as they are stored: of single precision, so that the stored ones give the same measures bit for bit."""
    return values.astype(np.float32).astype(np.float64)


def _rounded(predicted: Prediction) -> Prediction:
    return replace(predicted, **{name: _single(getattr(predicted, name)) for name in ("mean", "lower", "upper")})


def _judged(
    baseline: Baseline, calibration: Cases, held: Cases, nominal: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean and ends of the intervals (N, T) of a baseline, calibrated on the same cases as the network's."""
    mean, scale = baseline.links(calibration.inputs, calibration.context)
    residual = np.abs(baseline.transform.forward(calibration.targets) - mean)
    quantile = conformal_quantile(residual / scale, nominal)
    mean, scale = baseline.links(held.inputs, held.context)
    half = quantile * scale
    return tuple(baseline.transform.inverse(values) for values in (mean, mean - half, mean + half))


def _columns(names: list[str], truth: np.ndarray, mean: np.ndarray) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    return {name: (truth[:, t], mean[:, t]) for t, name in enumerate(names)}


def _subset(
    name: str, fields: tuple[Field, ...], held: Cases, subset: np.ndarray, predicted: Prediction
) -> dict[str, Any]:
    rows = subset == name
    targets = {}
    for t, field in enumerate(fields):
        truth, lower, upper = held.targets[rows, t], predicted.lower[rows, t], predicted.upper[rows, t]
        targets[field.name] = {
            "unit": field.unit,
            **target_metrics(truth, predicted.mean[rows, t]),
            "coverage90": coverage(truth, lower, upper),
            "interval_width": float(np.mean(upper - lower)),
        }
    return {
        "n": int(rows.sum()),
        "groups": len(np.unique(held.group[rows])),
        "flagged": float(predicted.flagged[rows].mean()),
        "targets": targets,
    }


def _folds(names: list[str], columns: Mapping[str, np.ndarray]) -> list[dict[str, Any]]:
    result = []
    for number in np.unique(columns["fold"]):
        rows = columns["fold"] == number
        pairs = _columns(names, columns["truth"][rows], columns["mean"][rows])
        scores = {name: r2(*pair) for name, pair in pairs.items()}
        result.append({"fold": int(number), "n": int(rows.sum()), "r2": scores})
    return result


def _roles(model: SurrogateModel) -> dict[str, dict[str, int]]:
    roles = model.roles
    return {
        role: {
            "cases": len(getattr(roles, f"{role}_case")),
            "groups": len(np.unique(getattr(roles, f"{role}_group"))),
        }
        for role in ("fitted", "stopping", "calibration")
    }


def _write_predictions(
    path: Path,
    definition: SurrogateDefinition,
    fields: tuple[Field, ...],
    held: Cases,
    subset: np.ndarray,
    predicted: Prediction,
    baselines: Mapping[str, np.ndarray],
) -> None:
    columns = {
        "case": held.case,
        "group": held.group,
        "subset": fixed_text(subset.tolist()),
        # Rounded already: see `_single`.
        "truth": held.targets.astype(np.float32),
        "mean": predicted.mean.astype(np.float32),
        "lower": predicted.lower.astype(np.float32),
        "upper": predicted.upper.astype(np.float32),
        "novelty": predicted.novelty,
        "flagged": predicted.flagged,
    }
    with create_result_file(path, SCHEMA, definition.study, fields) as file:
        for name, values in columns.items():
            file.create_dataset(f"heldout/{name}", data=values)
        for name, values in baselines.items():
            file.create_dataset(f"heldout/baselines/{name}/mean", data=values.astype(np.float32))
