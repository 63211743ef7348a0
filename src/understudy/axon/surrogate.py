"""The axon study's surrogate: a network of fading memories and running maxima on the history of fibre strain.

Inputs are histories of fibre strain, (N, 1, samples) at 1 ms. Links that creep and break remember in two ways, and the
network is given both: fading memories of the strain (the Maxwell branch of a standard linear solid, at time constants
that span those of the links and of the slip that they retard; of the slow ones, what has crept), and running maxima of
learned mixtures of them, because a link that broke stays broken. Responses go through asinh, which keeps small strains
apart without letting large ones dominate; failed fractions go through a logit whose offset keeps 0 and 1 finite.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import nn

from understudy.surrogate.definition import SurrogateDefinition
from understudy.surrogate.transforms import Link

STEP_S = 1e-3
MEMORY_MS = (9.0, 20.0, 50.0, 200.0)
"""Time constants of the memories: from a tau link's own relaxation (theta over beta, 9 ms) to the slowest slip mode of
a microtubule in the shear-lag limit (about 200 ms), by factors of two to four."""
SLOW_MS = 50.0
"""From this time constant on a channel is the creep, strain less its memory. A slow memory is nearly the strain itself;
what their difference says would have to come out of large weights that cancel."""
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


@cache
def _memory_matrix(samples: int) -> np.ndarray:
    """(samples, memories * samples) float32: histories times this are their memories or creeps, one after the other.

    A memory obeys q' = strain' - q/T, stepped exactly for strain linear in time: q <- E q + H (strain step), with
    E = exp(-dt/T) and H = (1 - E) T/dt; it is at rest before the first sample.
    """
    lag = np.arange(samples)[:, None] - np.arange(samples)[None, :]
    parts = []
    for memory_ms in MEMORY_MS:
        ratio = 1e3 * STEP_S / memory_ms
        to_steps = np.where(lag >= 0, np.exp(-ratio * np.maximum(lag, 0)) * -np.expm1(-ratio) / ratio, 0.0)
        # From strain steps to strains: each strain ends one step and begins the next.
        to_strain = to_steps.copy()
        to_strain[:, :-1] -= to_steps[:, 1:]
        parts.append((to_strain if memory_ms < SLOW_MS else np.eye(samples) - to_strain).T)
    return np.ascontiguousarray(np.concatenate(parts, axis=1), dtype=np.float32)


def _channels(inputs: np.ndarray) -> np.ndarray:
    """Strain, its memories or creeps and compressed strain: (N, 2 + memories, samples)."""
    strain = np.asarray(inputs[:, 0], dtype=np.float32)
    n, samples = strain.shape
    channels = np.empty((n, 2 + len(MEMORY_MS), samples), dtype=np.float32)
    channels[:, 0] = strain
    channels[:, 1:-1] = (strain @ _memory_matrix(samples)).reshape(n, len(MEMORY_MS), samples)
    channels[:, -1] = np.arcsinh(strain / np.float32(SMALL_STRAIN))
    return channels


def fit_inputs(inputs: np.ndarray, context: np.ndarray) -> dict[str, np.ndarray]:
    """Root mean square of each channel over cases and time; mean and deviation of each context scalar.

    Channels are not centred: zero means rest, whatever the training histories were. No scaling per case.
    """
    size = np.sqrt((_channels(inputs).astype(np.float64) ** 2).mean(axis=(0, 2)))
    context_deviation = context.std(axis=0)
    return {
        "size": np.where(size > 0, size, 1.0).astype(np.float32),
        "context_mean": context.mean(axis=0),
        "context_deviation": np.where(context_deviation > 0, context_deviation, 1.0),
    }


def apply_inputs(
    state: Mapping[str, np.ndarray], inputs: np.ndarray, context: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Scaled channels (N, 2 + memories, samples) and standardised context (N, C), float32."""
    channels = _channels(inputs)
    channels /= state["size"][None, :, None]
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


def _compressed(values: torch.Tensor) -> torch.Tensor:
    """Linear for small values, a square root for large ones; odd and monotone."""
    return values * torch.rsqrt(1 + values.abs())


def _logarithmic(values: torch.Tensor) -> torch.Tensor:
    """Nearly linear for small values, logarithmic for large ones, as the links of the strains; odd and monotone."""
    return torch.asinh(1.5 * values)


class HistoryNetwork(nn.Module):
    """Mixtures of the channels, their running maxima, dense layers per block of time, pooling, dense layers.

    ``forward(inputs (B, channels, samples), context (B, contexts))`` -> (B, targets). Inside, the last axis is that of
    the cases: every step then works along contiguous memory, which makes it several times as fast on a CPU.
    """

    def __init__(
        self,
        channels: int,
        contexts: int,
        targets: int,
        mixtures: int,
        widths: tuple[int, ...],
        hidden: int,
        block: int,
    ):
        super().__init__()
        self.block = block
        self.mixing = nn.Linear(channels, mixtures, bias=False)
        with torch.no_grad():
            # Start near the strain itself: half the mixtures follow tension, half compression.
            self.mixing.weight.mul_(0.5)
            self.mixing.weight[: mixtures // 2, 0] += 1
            self.mixing.weight[mixtures // 2 :, 0] -= 1
        sizes = (channels + 2 * mixtures, *widths)
        self.blocks = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(sizes))
        pooled = 2 * sizes[-1] + 4 * channels + 2 * mixtures + contexts
        self.head = nn.ModuleList([nn.Linear(pooled, hidden), nn.Linear(hidden, hidden), nn.Linear(hidden, targets)])

    def prepare(self, inputs: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """What depends on no weight: channels with the cases last, in whole blocks; their ends; their summary."""
        cases, channels, samples = inputs.shape
        count = samples // self.block
        # What does not fill a block is cut off at the start, where nothing has happened yet.
        x = inputs[:, :, samples - count * self.block :].permute(1, 2, 0).contiguous()
        ends = _compressed(x.view(channels, count, self.block, cases)[:, :, -1])
        summary = torch.cat([_logarithmic(torch.cat([x.amax(dim=1), x.amin(dim=1)])), ends[:, -1], ends.mean(dim=1)])
        return x, ends, summary

    def respond(self, prepared: tuple[torch.Tensor, torch.Tensor, torch.Tensor], context: torch.Tensor) -> torch.Tensor:
        """(B, targets) of what `prepare` made."""
        x, ends, summary = prepared
        channels, samples, cases = x.shape
        mixtures, count = self.mixing.out_features, samples // self.block
        y = (self.mixing.weight @ x.view(channels, -1)).view(mixtures, count, self.block, cases)
        top = y.amax(dim=2)
        running = [torch.relu(top[:, 0])]
        for number in range(1, count):
            running.append(torch.maximum(running[-1], top[:, number]))
        mixed = _compressed(torch.cat([y[:, :, -1], torch.stack(running, dim=1)]))
        found = torch.cat([ends, mixed]).view(channels + 2 * mixtures, -1)
        for layer in self.blocks:
            found = torch.relu(torch.addmm(layer.bias[:, None], layer.weight, found))
        found = found.view(len(found), count, cases)
        values = torch.cat(
            [
                found.amax(dim=1),
                found.mean(dim=1),
                summary,
                mixed[mixtures:, -1],
                _logarithmic(top.amax(dim=1)),
                context.t(),
            ]
        )
        first, second, last = self.head
        values = torch.relu(torch.addmm(first.bias[:, None], first.weight, values))
        values = torch.relu(torch.addmm(second.bias[:, None], second.weight, values))
        return torch.addmm(last.bias[:, None], last.weight, values).t()

    def forward(self, inputs: torch.Tensor, context: torch.Tensor) -> torch.Tensor:
        return self.respond(self.prepare(inputs), context)


def build_network(
    channels: int, sample_shape: tuple[int, ...], contexts: int, targets: int, settings: Mapping[str, Any]
) -> HistoryNetwork:
    """The network of the configuration's section ``network``."""
    return HistoryNetwork(
        channels,
        contexts,
        targets,
        int(settings["mixtures"]),
        tuple(settings["widths"]),
        int(settings["hidden"]),
        min(round(settings["block_ms"] / (1e3 * STEP_S)), sample_shape[0]),
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
