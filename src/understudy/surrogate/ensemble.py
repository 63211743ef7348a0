"""A deep ensemble: networks that differ in initial weights and order of cases (Lakshminarayanan et al. 2017)."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from understudy.surrogate.config import Training
from understudy.surrogate.definition import Cases, State, SurrogateDefinition
from understudy.surrogate.network_fit import FitData, FittedNetwork, fit_network
from understudy.surrogate.progress import Progress
from understudy.surrogate.transforms import TargetTransform, fit_targets

# Cases per pass: small enough that the activations of a stage stay in a core's own cache.
BATCH = {"cpu": 256, "cuda": 16384}


@dataclass(frozen=True)
class Ensemble:
    """Fitted members with the transforms that belong to them."""

    input_state: State
    target_transform: TargetTransform
    members: tuple[FittedNetwork, ...]
    network: Mapping[str, Any]


def fit_ensemble(
    definition: SurrogateDefinition,
    cases: Cases,
    target_names: Sequence[str],
    stopping: np.ndarray,
    network: Mapping[str, Any],
    training: Training,
    streams: Sequence[np.random.Generator],
    device: torch.device,
    progress: Progress,
    label: str = "member",
    checkpoints: Path | None = None,
) -> Ensemble:
    """Fit one network per stream on the cases outside ``stopping``.

    Transforms are fitted on the same cases as the weights, never on the early-stopping ones. Checkpoints go to
    ``checkpoints/<label>_<member>.pt``.
    """
    fitted = cases.take(~stopping)
    input_state = definition.fit_inputs(fitted.inputs, fitted.context)
    transform = fit_targets(definition.target_links(target_names), fitted.targets)
    inputs, context = definition.apply_inputs(input_state, cases.inputs, cases.context)
    data = FitData(inputs, context, transform.forward(cases.targets).astype(np.float32), stopping)
    members = []
    for number, stream in enumerate(streams):
        name = f"{label} {number}"
        member = fit_network(
            lambda: _build(definition, inputs, context, len(target_names), network),
            data,
            training,
            stream,
            device,
            checkpoint=None if checkpoints is None else checkpoints / f"{name.replace(' ', '_')}.pt",
            settings={"network": json.dumps(dict(network), sort_keys=True), "study": definition.study},
            report=lambda epoch, fit, stop, name=name: progress.epoch(name, epoch, fit, stop),
        )
        progress.finished(name, member.best_epoch, len(member.losses), float(member.losses[:, 1].min()))
        members.append(member)
    return Ensemble(input_state, transform, tuple(members), dict(network))


def _build(definition, inputs: np.ndarray, context: np.ndarray, targets: int, network: Mapping[str, Any]):
    return definition.build_network(inputs.shape[1], inputs.shape[2:], context.shape[1], targets, network)


def ready_networks(
    definition: SurrogateDefinition, ensemble: Ensemble, inputs: np.ndarray, context: np.ndarray, device: torch.device
) -> list[torch.nn.Module]:
    """The members as modules with their weights, for raw inputs (N, C, ...) and context (N, Cx) of these shapes."""
    inputs, context = definition.apply_inputs(ensemble.input_state, inputs[:1], context[:1])
    networks = []
    for member in ensemble.members:
        module = _build(definition, inputs, context, len(ensemble.target_transform.links), ensemble.network)
        module.load_state_dict({name: torch.from_numpy(np.array(value)) for name, value in member.weights.items()})
        networks.append(module.to(device).eval())
    return networks


def predict_links(
    definition: SurrogateDefinition,
    ensemble: Ensemble,
    inputs: np.ndarray,
    context: np.ndarray,
    device: torch.device,
    networks: Sequence[torch.nn.Module] | None = None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Standardised link values of raw inputs (N, C, ...) and context (N, Cx).

    Parameters
    ----------
    networks : from `ready_networks`, for those who predict piece by piece; None makes them here.

    Returns
    -------
    mean (N, T) float64 over the members, spread (N, T) float64 (population standard deviation over the members), and
    the transformed inputs and context, for those who need them too.
    """
    networks = networks or ready_networks(definition, ensemble, inputs, context, device)
    inputs, context = definition.apply_inputs(ensemble.input_state, inputs, context)
    result = torch.empty((len(networks), len(inputs), len(ensemble.target_transform.links)))
    x, c = torch.from_numpy(inputs), torch.from_numpy(context)
    size = BATCH[device.type]
    with torch.inference_mode():
        for start in range(0, len(inputs), size):
            part = slice(start, start + size)
            batch, batch_context = x[part].to(device), c[part].to(device)
            if hasattr(networks[0], "prepare"):
                prepared = networks[0].prepare(batch)
                found = (module.respond(prepared, batch_context) for module in networks)
            else:
                found = (module(batch, batch_context) for module in networks)
            for number, values in enumerate(found):
                result[number, part] = values.cpu()
    values = ensemble.target_transform.bounded(result.numpy().astype(np.float64))
    return values.mean(axis=0), values.std(axis=0), inputs, context
