"""The TMS study's surrogate: one network for all cells and pulses, guided by the linear polarisation of axon terminals.

In a strong field an action potential starts at an axon terminal: the one whose polarisation, which grows in proportion
to the field, first reaches what the terminal can bear. Of the terminals that a field depolarises most (see
`understudy.tms.terminal_features`) the network sees the linear polarisation per V/m, the one at which a lone node would
fire under this pulse, and what surrounds the terminal. It learns by how much the surroundings move the critical
polarisation; the threshold is the soft minimum over terminals of critical over linear polarisation. Nothing names the
cell, the place or the pulse, so that all three can be new. A small correction sees all terminals together, because
neighbours help each other.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import nn

from understudy.surrogate.definition import SurrogateDefinition
from understudy.surrogate.transforms import Link
from understudy.tms.terminal_features import CHANNELS
from understudy.tms.thresholds import TARGET

# Far above it, asinh of y/a is the logarithm of 2 y/a; thresholds are tens to thousands of V/m.
LOG_SCALE_V_PER_M = 1.0
# A drive this many deviations below the typical largest one starts nothing; absent terminals get it too.
LEAST_DRIVE = -8.0
_TINY = 1e-9
_STRONGEST = 3


def _log_drive(inputs: np.ndarray) -> np.ndarray:
    """Logarithm (N, K) of the polarisation over the local critical one; -inf where there is no such terminal."""
    polarisation, critical = (np.asarray(inputs[:, c], dtype=np.float64) for c in range(2))
    there = (polarisation > _TINY) & (critical > 0)
    return np.where(there, np.log(np.maximum(polarisation, _TINY) / np.where(there, critical, 1)), -np.inf)


def fit_inputs(inputs: np.ndarray, context: np.ndarray) -> dict[str, np.ndarray]:
    """Mean and deviation of the largest log drive, of each other channel over terminals that are there, and of
    each context scalar."""
    log_drive = _log_drive(inputs)
    largest = log_drive.max(axis=1)
    there = np.isfinite(log_drive)
    others = np.moveaxis(np.asarray(inputs[:, 1:], dtype=np.float64), 1, -1)[there]
    return {
        "drive_mean": np.array([largest.mean()]),
        "drive_deviation": np.array([_not_zero(largest.std())]),
        "channel_mean": others.mean(axis=0),
        "channel_deviation": _not_zero(others.std(axis=0)),
        "context_mean": context.mean(axis=0),
        "context_deviation": _not_zero(context.std(axis=0)),
    }


def _not_zero(deviation: np.ndarray) -> np.ndarray:
    """Deviations, 1 in place of those that rounding alone has made."""
    return np.where(deviation > 1e-6, deviation, 1.0)


def apply_inputs(
    state: Mapping[str, np.ndarray], inputs: np.ndarray, context: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Standardised channels (N, F, K) and context (N, C), float32; the first channel is the log drive.

    Others are held to 5 deviations: a terminal unlike all that were seen must not decide by extrapolation.
    """
    log_drive = _log_drive(inputs)
    there = np.isfinite(log_drive)
    scaled = np.empty(inputs.shape, dtype=np.float32)
    standard = (np.where(there, log_drive, -1e3) - state["drive_mean"]) / state["drive_deviation"]
    scaled[:, 0] = np.maximum(standard, LEAST_DRIVE)
    others = (inputs[:, 1:] - state["channel_mean"][:, None]) / state["channel_deviation"][:, None]
    scaled[:, 1:] = np.where(there[:, None], np.clip(others, -5, 5), 0)
    conditions = (context - state["context_mean"]) / state["context_deviation"]
    return scaled, np.clip(conditions, -5, 5).astype(np.float32)


def summary_features(inputs: np.ndarray, context: np.ndarray) -> tuple[np.ndarray, list[str]]:
    """Channels of the three most depolarised terminals, the polarisation's logarithm, then context; (N, F), names."""
    inputs = np.asarray(inputs, dtype=np.float64)
    order = np.argsort(-inputs[:, 0], axis=1, kind="stable")[:, :_STRONGEST]
    strongest = np.take_along_axis(inputs, order[:, None], axis=2)
    columns = [np.log(np.maximum(strongest[:, 0, 0], _TINY))]
    names = ["log_polarisation"]
    for rank in range(strongest.shape[2]):
        columns += list(strongest[:, :, rank].T)
        names += [f"{name}_{rank + 1}" for name, _ in CHANNELS]
    return np.stack([*columns, *context.T], axis=1), [*names, *(f"context_{c}" for c in range(context.shape[1]))]


def largest_polarisation(inputs: np.ndarray) -> np.ndarray:
    """Logarithm of the largest linear polarisation of a terminal, (N,): threshold is proportional to its inverse where
    all terminals bear the same."""
    return np.log(np.maximum(np.asarray(inputs[:, 0], dtype=np.float64).max(axis=1), _TINY))


class TerminalNetwork(nn.Module):
    """Critical polarisation of each terminal, soft minimum, and a correction from all terminals.

    ``forward(inputs (B, F, K), context (B, C))`` -> (B, targets). The last axis inside is that of the cases, along
    which every step works on contiguous memory. Terminals are treated alike, so their order does not matter.
    """

    def __init__(self, channels: int, contexts: int, targets: int, width: int, hidden: int, sharpness: float):
        super().__init__()
        self.first = nn.Linear(channels, width)
        self.conditions = nn.Linear(contexts, width, bias=False)
        self.second = nn.Linear(width, width)
        self.critical = nn.Linear(width, targets)
        self.pooled = nn.Linear(2 * width + contexts, hidden)
        self.correction = nn.Linear(hidden, targets)
        self.log_sharpness = nn.Parameter(torch.full((targets,), float(np.log(sharpness))))
        self.slope = nn.Parameter(torch.ones(targets))
        self.offset = nn.Parameter(torch.zeros(targets))
        with torch.no_grad():
            # The start is the physics alone: equal critical polarisation everywhere.
            self.critical.weight.mul_(0.1)
            self.critical.bias.zero_()
            self.correction.weight.mul_(0.1)
            self.correction.bias.zero_()

    def forward(self, inputs: torch.Tensor, context: torch.Tensor) -> torch.Tensor:
        cases, channels, terminals = inputs.shape
        x = inputs.permute(1, 2, 0).reshape(channels, -1)
        c = context.t()
        given = self.conditions.weight @ c
        h = torch.addmm(self.first.bias[:, None], self.first.weight, x).view(-1, terminals, cases)
        h = torch.nn.functional.silu(h + given[:, None, :]).view(-1, terminals * cases)
        h = torch.nn.functional.silu(torch.addmm(self.second.bias[:, None], self.second.weight, h))
        critical = torch.addmm(self.critical.bias[:, None], self.critical.weight, h).view(-1, terminals, cases)
        h = h.view(-1, terminals, cases)
        # Log of linear over critical polarisation, in deviations of the log drive.
        drive = x[0].view(1, terminals, cases) - critical
        sharpness = torch.exp(self.log_sharpness)[:, None, None]
        strongest = torch.logsumexp(sharpness * drive, dim=1) / sharpness[:, 0]
        weight = torch.softmax(sharpness[:1] * drive[:1], dim=1)
        near = torch.softmax(4.0 * drive[:1], dim=1)
        seen = torch.cat([(h * weight).sum(dim=1), (h * near).sum(dim=1), c])
        seen = torch.nn.functional.silu(torch.addmm(self.pooled.bias[:, None], self.pooled.weight, seen))
        correction = torch.addmm(self.correction.bias[:, None], self.correction.weight, seen)
        return (correction - self.slope[:, None] * strongest + self.offset[:, None]).t()


def build_network(
    channels: int, sample_shape: tuple[int, ...], contexts: int, targets: int, settings: Mapping[str, Any]
) -> TerminalNetwork:
    """The network of the configuration's section ``network``: ``width``, ``hidden``, ``sharpness``."""
    return TerminalNetwork(
        channels, contexts, targets, int(settings["width"]), int(settings["hidden"]), float(settings["sharpness"])
    )


SURROGATE = SurrogateDefinition(
    study="tms",
    study_number=1,
    build_network=build_network,
    fit_inputs=fit_inputs,
    apply_inputs=apply_inputs,
    links={TARGET: Link("asinh", LOG_SCALE_V_PER_M)},
    clip={TARGET: (0.0, np.inf)},
    summary_features=summary_features,
    scalar_feature=largest_polarisation,
    scalar_name="linear_polarisation",
    target_groups={"threshold": (TARGET,)},
)
