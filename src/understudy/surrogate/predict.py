"""A trained surrogate at work: means, intervals and the flag for inputs unlike the training data."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from understudy.errors import InputError
from understudy.surrogate.conformal import scale
from understudy.surrogate.definition import SurrogateDefinition
from understudy.surrogate.device import choose_device, repeatable
from understudy.surrogate.ensemble import predict_links, ready_networks
from understudy.surrogate.model_file import SurrogateModel, read_model
from understudy.surrogate.novelty import novelty_score

_PIECE = 4096


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
    with repeatable(1):
        return predict_checked(definition, model, inputs, context, choose_device(device), count)


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
    threads: int = 1,
) -> Prediction:
    """`predict` for arrays that are known to fit, inside the caller's `repeatable`; works through pieces of cases.

    On a CPU ``threads`` pieces are worked on at a time, each by one thread: networks this small lose more to threads
    that share an operation than they gain, and the result does not depend on their number.
    """

    networks = ready_networks(definition, model.ensemble, inputs, context, device)

    def piece(start: int) -> tuple[np.ndarray, ...]:
        part = slice(start, start + _PIECE)
        centre, spread, x, c = predict_links(definition, model.ensemble, inputs[part], context[part], device, networks)
        novelty = novelty_score(model.novelty, x, c)
        half = scale(model.scale, centre, spread, novelty) * model.quantile
        transform = model.ensemble.target_transform
        return *(transform.inverse(values) for values in (centre, centre - half, centre + half)), novelty

    # At least one piece, so that no case gives arrays of the right shape too.
    starts = range(0, max(len(inputs), 1), _PIECE)
    if device.type == "cpu" and threads > 1:
        # The number of threads that share an operation is each thread's own.
        with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            found = list(pool.map(piece, starts))
    else:
        found = [piece(start) for start in starts]
    mean, lower, upper, novelty = (np.concatenate(column) for column in zip(*found, strict=True))
    return Prediction(mean, lower, upper, novelty, novelty > model.novelty_threshold)
