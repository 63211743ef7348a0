"""The calcium study's surrogate for the shared machine: rates of ryanodine receptors from calcium and its course.

A case is one moment of a course: calcium, filtered calcium. Its targets are the logarithms of the four rates by which
open and refractory share move. What the machine trains is the network of `understudy.calcium.rate_network` itself;
`rate_network_of` gives it back in the units of the solver, to be trained on over whole courses.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import nn

from understudy.calcium.parameters import Parameters
from understudy.calcium.rate_network import CALCIUM, LOG_RATE_RANGE, RateForm, RateNetwork
from understudy.calcium.rate_training import lessons_of, receptor_form
from understudy.calcium.receptor_protocols import Courses
from understudy.errors import InputError
from understudy.surrogate.definition import SurrogateDefinition
from understudy.surrogate.transforms import TargetTransform

CHANNELS = ("cytosolic calcium", "filtered cytosolic calcium")
TARGETS = ("log_opening_rate", "log_closing_rate", "log_inactivation_rate", "log_recovery_rate")
UNKNOWNS = (5, 6)


def rate_cases(courses: Courses, parameters: Parameters, moments: np.ndarray) -> dict[str, np.ndarray]:
    """Moments of courses as cases: inputs (N, 2, 1) in uM, targets (N, 4) in ln(1/s), group (N,) that of the course.

    Parameters
    ----------
    moments : (K, M) M moments of each course, from 0 at its first step to 1 behind its last; N = K M, by course.
    """
    lessons = lessons_of(courses, receptor_form(6), parameters)
    lengths = (lessons.dt_s > 0).sum(1).numpy()
    rows = np.repeat(np.arange(len(courses)), moments.shape[1])
    steps = (moments.ravel() * lengths[rows]).astype(int)
    filtered = lessons.states[rows, steps, -1].numpy()
    return {
        "inputs": np.stack([courses.u_uM[rows, steps], filtered], axis=1)[:, :, None],
        "targets": np.log(np.maximum(lessons.rates[rows, steps].numpy(), np.exp(LOG_RATE_RANGE[0]))),
        "group": courses.group[rows],
    }


def fit_inputs(inputs: np.ndarray, context: np.ndarray) -> dict[str, np.ndarray]:
    """Middle and half width of the logarithm of calcium: the network's own, whatever the cases are."""
    low, high = CALCIUM.ends
    return {"centre": np.array([0.5 * (low + high)]), "half": np.array([0.5 * (high - low)])}


def apply_inputs(
    state: Mapping[str, np.ndarray], inputs: np.ndarray, context: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Scaled logarithms (N, 2, 1) and context as it is, float32."""
    log = np.log(np.maximum(np.asarray(inputs, dtype=np.float64), 1e-12))
    return ((log - state["centre"]) / state["half"]).astype(np.float32), np.asarray(context, dtype=np.float32)


class StandardRates(nn.Module):
    """`RateNetwork` in float32, whose last layer answers with standardised logarithms of rates."""

    def __init__(self, form: RateForm, seed: int) -> None:
        super().__init__()
        self.network = RateNetwork(form, seed).float()
        with torch.no_grad():
            self.network.b3.zero_()

    def forward(self, inputs: torch.Tensor, context: torch.Tensor) -> torch.Tensor:
        return self.network.log_rates(inputs[:, : self.network.form.n_inputs, 0])


def build_network(
    channels: int, sample_shape: tuple[int, ...], contexts: int, targets: int, settings: Mapping[str, Any]
) -> StandardRates:
    """The network of the configuration's section ``network``: ``unknowns`` (5 or 6), ``hidden`` (two widths)."""
    unknowns = int(settings["unknowns"])
    if unknowns not in UNKNOWNS or targets != len(TARGETS) or channels != len(CHANNELS):
        raise InputError(
            f"network: found {unknowns} unknowns, {channels} channels and {targets} targets; accepted are "
            f"{' and '.join(map(str, UNKNOWNS))} unknowns, {len(CHANNELS)} channels, {len(TARGETS)} targets"
        )
    seed = int(torch.randint(2**31, (1,)))
    return StandardRates(receptor_form(unknowns, tuple(settings["hidden"])), seed)


def rate_network_of(
    weights: Mapping[str, np.ndarray], transform: TargetTransform, settings: Mapping[str, Any]
) -> RateNetwork:
    """The rate network of a trained member: what standardised its targets goes into the last layer."""
    network = RateNetwork(receptor_form(int(settings["unknowns"]), tuple(settings["hidden"])))
    mean, deviation = torch.from_numpy(transform.mean), torch.from_numpy(transform.deviation)
    with torch.no_grad():
        for name, own in network.named_parameters():
            own.copy_(torch.from_numpy(np.asarray(weights[f"network.{name}"], dtype=np.float64)))
        network.w3 *= deviation[:, None]
        network.linear *= deviation[:, None]
        network.b3.copy_(network.b3 * deviation + mean)
    return network


def summary_features(inputs: np.ndarray, context: np.ndarray) -> tuple[np.ndarray, list[str]]:
    """Logarithms of calcium and filtered calcium, and their difference; (N, 3), names."""
    log = np.log(np.asarray(inputs, dtype=np.float64)[:, :, 0])
    return np.column_stack([log, log[:, 0] - log[:, 1]]), ["log_calcium", "log_filtered", "log_ratio"]


def log_calcium(inputs: np.ndarray) -> np.ndarray:
    """Logarithm of cytosolic calcium, (N,)."""
    return np.log(np.asarray(inputs[:, 0, 0], dtype=np.float64))


SURROGATE = SurrogateDefinition(
    study="calcium",
    study_number=2,
    build_network=build_network,
    fit_inputs=fit_inputs,
    apply_inputs=apply_inputs,
    links={},
    clip=dict.fromkeys(TARGETS, LOG_RATE_RANGE),
    summary_features=summary_features,
    scalar_feature=log_calcium,
    scalar_name="log_calcium",
    target_groups={"rates": TARGETS},
)
