"""A trained surrogate at work: means, intervals and the flag for inputs unlike the training data."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from understudy.errors import InputError
from understudy.surrogate.conformal import scale
from understudy.surrogate.definition import SurrogateDefinition
from understudy.surrogate.device import choose_device, repeatable
from understudy.surrogate.ensemble import predict_links
from understudy.surrogate.model_file import SurrogateModel, read_model
from understudy.surrogate.novelty import novelty_score

_PIECE = 8192


@dataclass(frozen=True)
class Prediction:
    """Mean, lower and upper (N, T) in the targets' units, novelty (N,) and flagged (N,) bool."""

    mean: np.ndarray
    lower: np.ndarray
    upper: np.ndarray
    novelty: np.ndarray
    flagged: np.ndarray


def predict(
    model: Path | SurrogateModel,
    inputs: np.ndarray,
    context: np.ndarray | None = None,
    *,
    definition: SurrogateDefinition,
    device: str = "cpu",
    threads: int | None = None,
) -> Prediction:
    """Predictions of a model for raw inputs (N, C, ...) and context (N, Cx).

    Parameters
    ----------
    model : a model file or a model that was read.
    definition : the study's definition; a model of another study is refused.
    device : ``auto``, ``cpu`` or ``cuda``.
    threads : CPU threads; None takes the number the model was trained with.

    Raises
    ------
    InputError
        If the model, the shapes or the values cannot be used; a row with NaN is named.
    """
    if not isinstance(model, SurrogateModel):
        model = read_model(Path(model), definition)
    if model.study != definition.study:
        raise InputError(f"model: found study {model.study!r}; accepted is study {definition.study!r}")
    inputs, context = _checked(model, inputs, context)
    count = threads if threads is not None else int(model.settings["training"]["threads"])
    with repeatable(count):
        return predict_checked(definition, model, inputs, context, choose_device(device))


def _checked(model: SurrogateModel, inputs: np.ndarray, context: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    inputs = np.asarray(inputs, dtype=np.float32)
    if inputs.shape[1:] != model.input_shape:
        axes = " x ".join(str(size) for size in model.input_shape)
        raise InputError(
            f"inputs: found shape {inputs.shape}; accepted is (cases, {', '.join(map(str, model.input_shape))}): "
            f"{axes} of {', '.join(field.name for field in model.channels)} at steps of {model.input_step:g} "
            f"{model.input_step_unit}"
        )
    names = [field.name for field in model.context_fields]
    if context is None:
        if names:
            raise InputError(f"context: found none; accepted are {', '.join(names)} for each case")
        context = np.empty((len(inputs), 0))
    context = np.asarray(context, dtype=np.float64)
    if context.shape != (len(inputs), len(names)):
        raise InputError(f"context: found shape {context.shape}; accepted is ({len(inputs)}, {len(names)})")
    for name, values in (("inputs", inputs), ("context", context)):
        finite = np.isfinite(values).reshape(len(values), -1).all(axis=1)
        if not finite.all():
            row = int(np.flatnonzero(~finite)[0])
            raise InputError(f"{name}: found NaN or infinity in case {row} (counted from 0); accepted are numbers")
    return inputs, context


def predict_checked(
    definition: SurrogateDefinition,
    model: SurrogateModel,
    inputs: np.ndarray,
    context: np.ndarray,
    device: torch.device,
) -> Prediction:
    """`predict` for arrays that are known to fit, inside the caller's `repeatable`; works through pieces of cases."""
    n, targets = len(inputs), len(model.target_fields)
    mean, lower, upper = np.empty((3, n, targets))
    novelty = np.empty(n)
    transform = model.ensemble.target_transform
    for start in range(0, n, _PIECE):
        part = slice(start, start + _PIECE)
        centre, spread, x, c = predict_links(definition, model.ensemble, inputs[part], context[part], device)
        novelty[part] = novelty_score(model.novelty, x, c)
        half = scale(model.scale, centre, spread, novelty[part]) * model.quantile
        mean[part] = transform.inverse(centre)
        lower[part] = transform.inverse(centre - half)
        upper[part] = transform.inverse(centre + half)
    return Prediction(mean, lower, upper, novelty, novelty > model.novelty_threshold)
