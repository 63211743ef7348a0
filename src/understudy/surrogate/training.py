"""The stage that trains a study's surrogate: ensemble, intervals and out-of-domain flag into one file.

Training and calibration cases of the ground truth are read and no others, so nothing held out can reach the model.
Whole training groups decide when to stop; calibration groups set the intervals and the novelty threshold.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from understudy.configuration import validated
from understudy.dataset import open_ground_truth
from understudy.surrogate import streams
from understudy.surrogate.config import Calibration, Training
from understudy.surrogate.conformal import conformal_quantile, fit_scale, scale
from understudy.surrogate.definition import SurrogateDefinition, read_cases
from understudy.surrogate.device import choose_device, device_facts, repeatable
from understudy.surrogate.ensemble import fit_ensemble, predict_links
from understudy.surrogate.folds import early_stopping_cases
from understudy.surrogate.model_file import Roles, SurrogateModel, write_model
from understudy.surrogate.novelty import fit_novelty, novelty_score
from understudy.surrogate.progress import Progress


def train(
    definition: SurrogateDefinition,
    dataset: Path,
    stage: Mapping[str, Any],
    *,
    output: Path,
    work: Path,
    key: str,
    device: str = "auto",
) -> dict[str, Any]:
    """Train on the ground truth ``dataset`` and write the model file ``output``.

    Parameters
    ----------
    stage : ``seed``, ``network``, and ``training`` and ``calibration`` below ``surrogate``.
    work, key : checkpoints live in ``work/key``; the key hashes parameters, code and inputs.
    device : ``auto``, ``cpu`` or ``cuda``.

    Returns
    -------
    Facts about device and determinism for the provenance record.

    Raises
    ------
    InputError
        If the ground truth is unusable, has fewer than two training groups or no calibration cases.
    """
    training = validated(Training, stage["surrogate"]["training"], "surrogate.training")
    calibration = validated(Calibration, stage["surrogate"]["calibration"], "surrogate.calibration")
    seed, network = stage["seed"], stage["network"]
    chosen = choose_device(device)
    with open_ground_truth(dataset, definition.study) as truth:
        train_cases = read_cases(truth, "training", least=2)
        calibration_cases = read_cases(truth, "calibration")
        head = {
            "study": definition.study,
            "channels": tuple(truth.channels),
            "target_fields": tuple(truth.target_fields),
            "context_fields": tuple(truth.context_fields),
            "input_shape": tuple(truth.input_shape),
            "input_step": truth.input_step,
            "input_step_unit": truth.input_step_unit,
        }
    names = [field.name for field in head["target_fields"]]
    with repeatable(training.threads):
        stopping = early_stopping_cases(
            train_cases.group,
            training.early_stopping_fraction,
            streams.stream(definition, seed, streams.EARLY_STOPPING, 0),
        )
        ensemble = fit_ensemble(
            definition,
            train_cases,
            names,
            stopping,
            network,
            training,
            [streams.stream(definition, seed, streams.MEMBER, member) for member in range(training.members)],
            chosen,
            Progress(f"train_surrogate {definition.study}", training.members, training.epochs),
            checkpoints=Path(work) / key,
        )
        fitted, stopped = train_cases.take(~stopping), train_cases.take(stopping)
        novelty = fit_novelty(*definition.apply_inputs(ensemble.input_state, fitted.inputs, fitted.context))

        def judged(cases):
            mean, spread, x, c = predict_links(definition, ensemble, cases.inputs, cases.context, chosen)
            return ensemble.target_transform.forward(cases.targets) - mean, mean, spread, novelty_score(novelty, x, c)

        scale_model = fit_scale(*judged(stopped))
        residual, *described = judged(calibration_cases)
        model = SurrogateModel(
            **head,
            ensemble=ensemble,
            scale=scale_model,
            quantile=conformal_quantile(np.abs(residual) / scale(scale_model, *described), calibration.coverage),
            coverage=calibration.coverage,
            novelty=novelty,
            novelty_threshold=float(np.quantile(described[-1], calibration.novelty_quantile)),
            roles=Roles(
                fitted.case, fitted.group, stopped.case, stopped.group, calibration_cases.case, calibration_cases.group
            ),
            settings={"training": training.model_dump(mode="json"), "calibration": calibration.model_dump(mode="json")},
        )
    write_model(Path(output), model)
    return device_facts(chosen, training.threads)
