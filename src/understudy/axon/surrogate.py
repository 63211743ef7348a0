"""The axon study's surrogate: a 1D convolutional network on the history and the rate of fibre strain.

Inputs are histories of fibre strain, (N, 1, samples) at 1 ms. Strains go through asinh, which keeps small ones apart
without letting large ones dominate; failed fractions go through a logit whose offset keeps 0 and 1 finite.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import nn

from understudy.surrogate.definition import SurrogateDefinition
from understudy.surrogate.transforms import Link

STEP_S = 1e-3
# Strain below which a response counts as linear in it.
SMALL_STRAIN = 0.02
# Offset of a failed fraction in its logit: about 100 links less than 1 % of which are resolved.
FRACTION_OFFSET = 0.01

_STRAINS = ("microtubule_strain", "axolemma_strain")
_FRACTIONS = ("tau_failed", "neurofilament_failed")
_OUTPUTS = (*_STRAINS, *_FRACTIONS)


def strain_rate(strain: np.ndarray) -> np.ndarray:
    """Rate in 1/s of histories (N, samples) at 1 ms: central differences, one-sided at both ends."""
    rate = np.empty_like(strain)
    rate[:, 1:-1] = (strain[:, 2:] - strain[:, :-2]) * (0.5 / STEP_S)
    rate[:, 0] = (strain[:, 1] - strain[:, 0]) / STEP_S
    rate[:, -1] = (strain[:, -1] - strain[:, -2]) / STEP_S
    return rate


def _channels(inputs: np.ndarray) -> np.ndarray:
    """Strain over 0.1, compressed strain, and rate over 10 /s: (N, 3, samples), about unit size."""
    strain = np.asarray(inputs[:, 0], dtype=np.float32)
    channels = np.empty((len(strain), 3, strain.shape[1]), dtype=np.float32)
    channels[:, 0] = strain / np.float32(0.1)
    channels[:, 1] = np.arcsinh(strain / np.float32(SMALL_STRAIN))
    channels[:, 2] = strain_rate(strain) / np.float32(10.0)
    return channels


def fit_inputs(inputs: np.ndarray, context: np.ndarray) -> dict[str, np.ndarray]:
    """Mean and deviation of each channel over cases and time, and of each context scalar; no scaling per case."""
    channels = _channels(inputs).astype(np.float64)
    deviation = channels.std(axis=(0, 2))
    context_deviation = context.std(axis=0)
    return {
        "mean": channels.mean(axis=(0, 2)).astype(np.float32),
        "deviation": np.where(deviation > 0, deviation, 1.0).astype(np.float32),
        "context_mean": context.mean(axis=0),
        "context_deviation": np.where(context_deviation > 0, context_deviation, 1.0),
    }


def apply_inputs(
    state: Mapping[str, np.ndarray], inputs: np.ndarray, context: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Standardised channels (N, 3, samples) and context (N, C), float32."""
    channels = _channels(inputs)
    channels -= state["mean"][None, :, None]
    channels /= state["deviation"][None, :, None]
    return channels, ((context - state["context_mean"]) / state["context_deviation"]).astype(np.float32)


def summary_features(inputs: np.ndarray, context: np.ndarray) -> tuple[np.ndarray, list[str]]:
    """Scalars of each history, (N, F), with their names; context follows."""
    strain = np.asarray(inputs[:, 0], dtype=np.float64)
    rate = strain_rate(strain)
    tensile = np.maximum(strain, 0)
    peak = strain.max(axis=1)
    rows = np.arange(len(strain))
    features = {
        "peak_strain": peak,
        "peak_compression": strain.min(axis=1),
        "peak_rate_per_s": rate.max(axis=1),
        "peak_unloading_rate_per_s": rate.min(axis=1),
        "impulse_ms": tensile.sum(axis=1) * STEP_S * 1e3,
        "time_of_peak_ms": strain.argmax(axis=1) * STEP_S * 1e3,
        "time_above_half_peak_ms": (strain > 0.5 * np.maximum(peak, 1e-9)[:, None]).sum(axis=1) * STEP_S * 1e3,
        "end_strain": strain[:, -1],
        "rms_strain": np.sqrt((strain**2).mean(axis=1)),
        "strain_before_peak_rate": strain[rows, rate.argmax(axis=1)],
    }
    columns = [*features.values(), *context.T]
    return np.stack(columns, axis=1), [*features, *(f"context_{c}" for c in range(context.shape[1]))]


def peak_strain(inputs: np.ndarray) -> np.ndarray:
    """Largest fibre strain of each history, (N,)."""
    return np.asarray(inputs[:, 0], dtype=np.float64).max(axis=1)


class HistoryNetwork(nn.Module):
    """Strided convolutions over time, pooled by mean and maximum, then three dense layers.

    The dense layers also see each channel's own maximum, minimum, mean and end value, so that the convolutions need
    not learn to pass peaks through. ``forward(inputs (B, channels, samples), context (B, contexts))`` -> (B, targets).
    """

    def __init__(self, channels: int, contexts: int, targets: int, widths: tuple[int, ...], kernel: int, hidden: int):
        super().__init__()
        stages: list[nn.Module] = []
        width = channels
        for number, wider in enumerate(widths):
            # Histories of tissue strain hold little below 10 ms, and the first stage costs the most samples.
            stride = 4 if number == 0 else 2
            stages += [nn.Conv1d(width, wider, kernel, stride=stride, padding=kernel // 2), nn.ReLU()]
            width = wider
        self.stages = nn.Sequential(*stages)
        self.head = nn.Sequential(
            nn.Linear(2 * width + 4 * channels + contexts, hidden),
            nn.GELU(),
            nn.Linear(hidden, hidden),
            nn.GELU(),
            nn.Linear(hidden, targets),
        )

    def forward(self, inputs: torch.Tensor, context: torch.Tensor) -> torch.Tensor:
        found = self.stages(inputs)
        parts = (
            found.mean(dim=2),
            found.amax(dim=2),
            inputs.amax(dim=2),
            inputs.amin(dim=2),
            inputs.mean(dim=2),
            inputs[:, :, -1],
            context,
        )
        return self.head(torch.cat(parts, dim=1))


def build_network(
    channels: int, sample_shape: tuple[int, ...], contexts: int, targets: int, settings: Mapping[str, Any]
) -> HistoryNetwork:
    """The network of the configuration's section ``network``."""
    return HistoryNetwork(
        channels, contexts, targets, tuple(settings["widths"]), int(settings["kernel"]), int(settings["hidden"])
    )


def _links() -> dict[str, Link]:
    strain, fraction = Link("asinh", SMALL_STRAIN), Link("logit", FRACTION_OFFSET)
    links = {}
    for name in _STRAINS:
        links |= {name: strain, f"{name}_mean": strain, f"{name}_spread": Link("asinh", 0.25 * SMALL_STRAIN)}
    for name in _FRACTIONS:
        links |= {name: fraction, f"{name}_mean": fraction, f"{name}_spread": Link("asinh", FRACTION_OFFSET)}
    return links


def _clip() -> dict[str, tuple[float, float]]:
    clip = {f"{name}{ending}": (0.0, np.inf) for name in _OUTPUTS for ending in ("", "_mean", "_spread")}
    return clip | {f"{name}{ending}": (0.0, 1.0) for name in _FRACTIONS for ending in ("", "_mean", "_spread")}


SURROGATE = SurrogateDefinition(
    study="axon",
    study_number=0,
    build_network=build_network,
    fit_inputs=fit_inputs,
    apply_inputs=apply_inputs,
    links=_links(),
    clip=_clip(),
    summary_features=summary_features,
    scalar_feature=peak_strain,
    scalar_name="peak_strain",
    target_groups={
        "reference layout": _OUTPUTS,
        "mean over layouts": tuple(f"{name}_mean" for name in _OUTPUTS),
        "spread over layouts": tuple(f"{name}_spread" for name in _OUTPUTS),
    },
)
