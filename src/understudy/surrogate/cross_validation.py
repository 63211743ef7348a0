"""The stage that cross-validates the network on the training cases, with random and with grouped folds.

Random folds are what was published; they let neighbours of a test case, of the same group, into training. Grouped
folds do not. Every transform is fitted inside its fold; the groups that stop a fold's training come from its own
training cases.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from understudy.configuration import validated
from understudy.dataset import open_ground_truth
from understudy.surrogate import streams
from understudy.surrogate.config import CrossValidation, Training
from understudy.surrogate.definition import Cases, SurrogateDefinition, read_cases
from understudy.surrogate.device import choose_device, device_facts, repeatable
from understudy.surrogate.ensemble import fit_ensemble, predict_links
from understudy.surrogate.folds import early_stopping_cases, grouped_folds, random_folds
from understudy.surrogate.progress import Progress
from understudy.surrogate.result_file import create_result_file, open_result_file

SCHEMA = "understudy.cross_validation"
KINDS = ("random", "grouped")
_MOST_MEMBERS = 1000


def cross_validate(
    definition: SurrogateDefinition,
    dataset: Path,
    stage: Mapping[str, Any],
    *,
    output: Path,
    work: Path,
    key: str,
    device: str = "auto",
) -> dict[str, Any]:
    """Cross-validate on the training cases of ``dataset``; ``output`` holds for each kind of fold case, group, fold,
    truth and mean (N, T).

    Parameters and errors as for `understudy.surrogate.training.train`; ``stage`` has ``training`` and
    ``cross_validation`` below ``surrogate``.

    Returns
    -------
    Facts about device and determinism for the provenance record.
    """
    training = validated(Training, stage["surrogate"]["training"], "surrogate.training")
    settings = validated(CrossValidation, stage["surrogate"]["cross_validation"], "surrogate.cross_validation")
    seed, chosen = stage["seed"], choose_device(device)
    with open_ground_truth(dataset, definition.study) as truth:
        cases = read_cases(truth, "training", least=settings.folds)
        fields = tuple(truth.target_fields)
    random = random_folds(len(cases), settings.folds, streams.stream(definition, seed, streams.FOLDS, 0))
    grouped = grouped_folds(cases.group, settings.folds, streams.stream(definition, seed, streams.FOLDS, 1))
    progress = Progress(
        f"cross_validate_surrogate {definition.study}", 2 * settings.folds * settings.members, training.epochs
    )
    means = {}
    with repeatable(training.threads):
        for kind, fold in zip(KINDS, (random, grouped), strict=True):
            means[kind] = np.empty(cases.targets.shape)
            for number in range(settings.folds):
                index = KINDS.index(kind) * settings.folds + number
                means[kind][fold == number] = _predict_fold(
                    definition,
                    cases,
                    fold == number,
                    [field.name for field in fields],
                    stage["network"],
                    training,
                    settings.members,
                    seed,
                    index,
                    chosen,
                    progress,
                    f"{kind} fold {number} member",
                    Path(work) / key,
                )
    with create_result_file(output, SCHEMA, definition.study, fields) as file:
        file.attrs["folds"] = settings.folds
        for kind, fold in zip(KINDS, (random, grouped), strict=True):
            columns = {"case": cases.case, "group": cases.group, "fold": fold}
            for name, values in {**columns, "truth": cases.targets, "mean": means[kind]}.items():
                # Published with a run, for which there is a limit.
                file.create_dataset(f"{kind}/{name}", data=values, compression="gzip", shuffle=True)
    return device_facts(chosen, training.threads)


def _predict_fold(
    definition, cases: Cases, tested, names, network, training, members, seed, index, device, progress, label, folder
) -> np.ndarray:
    """Targets (n, T) predicted for the ``tested`` cases by an ensemble that has seen only the others."""
    rest, test = cases.take(~tested), cases.take(tested)
    stopping = early_stopping_cases(
        rest.group,
        training.early_stopping_fraction,
        streams.stream(definition, seed, streams.EARLY_STOPPING, 1 + index),
    )
    member_streams = [
        streams.stream(definition, seed, streams.FOLD_MEMBER, index * _MOST_MEMBERS + member)
        for member in range(members)
    ]
    ensemble = fit_ensemble(
        definition,
        rest,
        names,
        stopping,
        network,
        training,
        member_streams,
        device,
        progress,
        label=label,
        checkpoints=folder,
    )
    mean = predict_links(definition, ensemble, test.inputs, test.context, device)[0]
    return ensemble.target_transform.inverse(mean)


def read_cross_validation(path: Path, study: str) -> dict[str, dict[str, np.ndarray]]:
    """``{"random": {"case", "group", "fold", "truth", "mean"}, "grouped": ...}``.

    Raises
    ------
    InputError
        If the file is missing, truncated, of another kind or of another study.
    """
    with open_result_file(path, SCHEMA, study) as file:
        return {kind: _columns(file[kind]) for kind in KINDS}


def _columns(group: h5py.Group) -> dict[str, np.ndarray]:
    return {name: group[name][...] for name in ("case", "group", "fold", "truth", "mean")}
