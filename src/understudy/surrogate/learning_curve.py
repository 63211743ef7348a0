"""The stage that measures error against the number of training cases, for the network and the baselines alike.

Subsets are nested, drawn from the training cases by one random order. Each is judged on the held-out set "random".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from understudy.configuration import validated
from understudy.dataset import open_ground_truth
from understudy.errors import InputError
from understudy.surrogate import streams
from understudy.surrogate.baselines import fit_baselines
from understudy.surrogate.config import Evaluation, LearningCurve, Training
from understudy.surrogate.definition import Cases, SurrogateDefinition, read_cases
from understudy.surrogate.device import choose_device, device_facts, repeatable
from understudy.surrogate.ensemble import fit_ensemble, predict_links
from understudy.surrogate.folds import early_stopping_cases, nested_subsets
from understudy.surrogate.json_file import read_json, write_json
from understudy.surrogate.metrics import nrmse, r2
from understudy.surrogate.progress import Progress

SUBSET = "random"
_MOST_MEMBERS = 1000


def measure_learning_curve(
    definition: SurrogateDefinition,
    dataset: Path,
    stage: Mapping[str, Any],
    *,
    output: Path,
    work: Path,
    key: str,
    device: str = "auto",
) -> dict[str, Any]:
    """Write ``{"study", "subset", "available", "skipped", "learning_curve": [point], "baselines": {name: [point]}}``,
    a point being ``{"n", "groups", "r2": {target: value}, "nrmse": {target: value}}``.

    Parameters and errors as for `understudy.surrogate.training.train`; ``stage`` has ``training``,
    ``learning_curve`` and ``evaluation`` below ``surrogate``. Sizes above the available training cases are skipped.

    Returns
    -------
    Facts about device and determinism for the provenance record.
    """
    sections = stage["surrogate"]
    training = validated(Training, sections["training"], "surrogate.training")
    settings = validated(LearningCurve, sections["learning_curve"], "surrogate.learning_curve")
    evaluation = validated(Evaluation, sections["evaluation"], "surrogate.evaluation")
    seed, chosen = stage["seed"], choose_device(device)
    with open_ground_truth(dataset, definition.study) as truth:
        cases = read_cases(truth, "training", least=2)
        held = read_cases(truth, "heldout", SUBSET)
        names = [field.name for field in truth.target_fields]
    subsets = nested_subsets(len(cases), settings.sizes, streams.stream(definition, seed, streams.SUBSETS, 0))
    progress = Progress(f"measure_learning_curve {definition.study}", len(subsets) * settings.members, training.epochs)
    # One choice for all sizes, that of the full training: sizes shall differ in their number of cases alone.
    stopping_groups = np.unique(
        cases.group[
            early_stopping_cases(
                cases.group,
                training.early_stopping_fraction,
                streams.stream(definition, seed, streams.EARLY_STOPPING, 0),
            )
        ]
    )
    points: list[dict[str, Any]] = []
    baseline_points: dict[str, list[dict[str, Any]]] = {}
    with repeatable(training.threads):
        for size, rows in subsets.items():
            subset = cases.take(rows)
            stopping = np.isin(subset.group, stopping_groups)
            if stopping.all() or not stopping.any():
                raise InputError(
                    f"surrogate.learning_curve.sizes: found {size}, which leaves no case to fit or to stop with; "
                    "accepted are larger sizes"
                )
            # Streams are numbered by size, so that adding a size to the configuration changes no other point.
            ensemble = fit_ensemble(
                definition,
                subset,
                names,
                stopping,
                stage["network"],
                training,
                [
                    streams.stream(definition, seed, streams.CURVE_MEMBER, size * _MOST_MEMBERS + member)
                    for member in range(settings.members)
                ],
                chosen,
                progress,
                label=f"size {size} member",
                checkpoints=Path(work) / key,
            )
            mean = predict_links(definition, ensemble, held.inputs, held.context, chosen)[0]
            predicted = ensemble.target_transform.inverse(mean)
            baselines = fit_baselines(
                definition, subset, names, evaluation, streams.stream(definition, seed, streams.BASELINE, size)
            )
            points.append(_point(size, subset, names, held.targets, predicted))
            for name, baseline in baselines.items():
                errors = _point(size, subset, names, held.targets, baseline(held.inputs, held.context))
                baseline_points.setdefault(name, []).append(errors)
    write_json(
        Path(output),
        {
            "study": definition.study,
            "subset": SUBSET,
            "available": len(cases),
            "skipped": [size for size in settings.sizes if size > len(cases)],
            "learning_curve": points,
            "baselines": baseline_points,
        },
    )
    return device_facts(chosen, training.threads)


def _point(size: int, subset: Cases, names: Sequence[str], truth: np.ndarray, predicted: np.ndarray) -> dict[str, Any]:
    columns = {name: (truth[:, t], predicted[:, t]) for t, name in enumerate(names)}
    return {
        "n": size,
        "groups": len(np.unique(subset.group)),
        "r2": {name: r2(*pair) for name, pair in columns.items()},
        "nrmse": {name: nrmse(*pair) for name, pair in columns.items()},
    }


def read_learning_curve(path: Path, study: str) -> dict[str, Any]:
    """The content of a learning-curve file.

    Raises
    ------
    InputError
        If the file is missing, no JSON, or of another kind or study.
    """
    return read_json(path, study, ("study", "subset", "learning_curve", "baselines"))
