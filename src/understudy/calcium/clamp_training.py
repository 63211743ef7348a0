"""Rate networks fitted to clamps, where the inactivated fraction is known beside the open probability.

One form serves all channels: two gates with ``P = g1**3 g2``, rates that see the driver and both gates, the same
widths and so the same number of weights. The power only sets on which scale the network sees the open probability (a
gate of a real channel need not be its gate). Fitting goes from many short pieces, each begun at the true state, to
longer ones, so that errors that add up are felt, each time by L-BFGS (for some hundred weights it reaches a tenth of
Adam's error); protocols that only decide when to stop are never fitted.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch

from understudy.calcium.channel_family import ExactChannel
from understudy.calcium.clamp_protocols import RECORDED, Clamps
from understudy.calcium.rate_network import Drive, RateForm, RateNetwork
from understudy.surrogate.metrics import nrmse, r2

POWER = 3
"""Power of the first gate in every network of the family (choice)."""


def family_form(channel: ExactChannel, hidden: tuple[int, int] = (16, 16)) -> RateForm:
    """Form of a channel's network: the same for all but for the name and range of what drives it."""
    own = channel.driver
    name, unit = own.name.rsplit("_", 1)
    drive = Drive(name, unit, "log" if own.logarithmic else "linear", own.low, own.high)
    return RateForm(channel.name, (drive,), "pair", sees_gates=True, powers=(POWER, 1), hidden=hidden)


def gates_of(truth: np.ndarray, powers: tuple[int, ...]) -> np.ndarray:
    """Gates (..., 2) of open probability and inactivated fraction (..., 2): g2 = 1 - q, g1 = (P / g2)**(1 / power)."""
    second = np.clip(1 - truth[..., 1], 0.0, 1.0)
    first = np.clip(truth[..., 0] / np.maximum(second, 1e-12), 0.0, 1.0) ** (1 / powers[0])
    return np.stack([first, second], axis=-1)


@dataclass(frozen=True)
class FitStage:
    """A part of the fit: length of the pieces in intervals, their number, and iterations of L-BFGS on them."""

    intervals: int
    pieces: int
    iterations: int


FULL_FIT = (FitStage(1, 8192, 800), FitStage(4, 4096, 1000), FitStage(16, 512, 120))
QUICK_FIT = (FitStage(1, 1024, 120), FitStage(4, 256, 60))
"""Fits of a study (about a minute) and of a test (seconds)."""

_ROUNDS = 4
_LOSS_SCALE = 1e4
_LOW_SHARE, _LOW_GAIN = 0.005, 10.0
"""Share of the largest open probability below which it counts as nearly closed, and the gain of errors there."""


@dataclass(frozen=True)
class FittedChannel:
    """A network, the loss on the protocols that decide when to stop after each check, and the best of these."""

    network: RateNetwork
    losses: np.ndarray
    best: float


def _rollout(network: RateNetwork, gates: torch.Tensor, drives: torch.Tensor, dt_s: torch.Tensor) -> torch.Tensor:
    """Gates (B, T, 2) after each of T intervals."""
    seen = []
    for k in range(drives.shape[1]):
        gates = network.advance(gates, drives[:, k], dt_s[:, k])
        seen.append(gates)
    return torch.stack(seen, dim=1)


def _loss(
    found: torch.Tensor, expected: torch.Tensor, power: int, scale: torch.Tensor, nearly_closed: float
) -> torch.Tensor:
    """Squared errors of both gates and, times ``scale`` (B, 1), of the open probability P.

    ``nearly_closed`` weighs the squared error over P too, so that the first channels to open count, up to
    ``_LOW_GAIN`` times as much as others.
    """
    aim = expected[..., 0] ** power * expected[..., 1] * scale
    p = found[..., 0] ** power * found[..., 1] * scale - aim
    total = ((found - expected) ** 2).mean() + p.square().mean()
    if nearly_closed > 0:
        total = total + nearly_closed * (_LOW_GAIN * _LOW_SHARE * p / (aim + _LOW_SHARE)).square().mean()
    return total


def fit_clamps(
    form: RateForm, training: Clamps, stopping: Clamps, *, seed: int, stages: Sequence[FitStage] = FULL_FIT,
    conditions: tuple[np.ndarray, np.ndarray] | None = None,
    ranges: tuple[np.ndarray, np.ndarray] | None = None, nearly_closed: float = 0.0,
) -> FittedChannel:  # fmt: skip
    """Fit a network of two gates to clamps.

    Parameters
    ----------
    training, stopping : disjoint sets of protocols; the second decides whose weights are kept.
    conditions : further drives (N, C) of both sets, constant within a protocol.
    ranges : of the open probability (N,) over which errors of each protocol count; None for the training's for all.
    nearly_closed : weight of relative errors where few channels are open; 0 for none.
    """
    network = RateNetwork(form, seed)
    rng = np.random.default_rng(seed)
    power = form.powers[0]

    def tensors(clamps: Clamps, number: int):
        drive = clamps.drive[..., None]
        if conditions is not None:
            own = np.repeat(conditions[number][:, None], drive.shape[1], axis=1)
            drive = np.concatenate([drive, own], axis=-1)
        return [
            torch.from_numpy(np.ascontiguousarray(x)) for x in (gates_of(clamps.truth, form.powers), drive, clamps.dt_s)
        ]

    gates, drives, dt = tensors(training, 0)
    stop_gates, stop_drives, stop_dt = tensors(stopping, 1)
    if ranges is None:
        whole = float(np.ptp(training.truth[..., 0]))
        ranges = np.full(len(training), whole), np.full(len(stopping), whole)
    scale, stop_scale = (torch.from_numpy(1 / own)[:, None] for own in ranges)
    best, best_loss, losses = copy.deepcopy(network.state_dict()), math.inf, []

    def check() -> None:
        nonlocal best, best_loss
        with torch.no_grad():
            found = _rollout(network, stop_gates[:, 0], stop_drives, stop_dt)
            loss = float(_loss(found, stop_gates[:, 1:], power, stop_scale, nearly_closed))
        losses.append(loss)
        if loss < best_loss:
            best_loss, best = loss, copy.deepcopy(network.state_dict())

    def closure(optimiser: torch.optim.Optimizer, pieces: tuple[torch.Tensor, ...]) -> torch.Tensor:
        begin, driven, lasting, end, weight = pieces
        optimiser.zero_grad()
        loss = _LOSS_SCALE * _loss(_rollout(network, begin, driven, lasting), end, power, weight, nearly_closed)
        loss.backward()
        return loss

    for stage in stages:
        row = torch.from_numpy(rng.integers(len(training), size=stage.pieces))[:, None]
        start = torch.from_numpy(rng.integers(drives.shape[1] - stage.intervals + 1, size=stage.pieces))
        columns = start[:, None] + torch.arange(stage.intervals)
        pieces = (
            gates[row[:, 0], start],
            drives[row, columns],
            dt[row, columns],
            gates[row, columns + 1],
            scale[row[:, 0]],
        )
        optimiser = torch.optim.LBFGS(
            network.parameters(), max_iter=max(1, stage.iterations // _ROUNDS), history_size=50,
            line_search_fn="strong_wolfe", tolerance_change=1e-14, tolerance_grad=1e-12,
        )  # fmt: skip
        for _ in range(_ROUNDS):
            optimiser.step(partial(closure, optimiser, pieces))
            check()
    network.load_state_dict(best)
    return FittedChannel(network, np.array(losses), best_loss)


def resting_states(network: RateNetwork, drives: torch.Tensor) -> torch.Tensor:
    """States (..., S) to which a network relaxes under held drives (..., D) from closed and not inactivated.

    A channel that never inactivates has shown its network nothing else than a second gate of 1, so that the way from
    there is the one that training covers.
    """
    states = torch.zeros((*drives.shape[:-1], network.form.n_states), dtype=torch.float64)
    if network.form.gating == "pair":
        states[..., 1] = 1.0
    if network.form.filter_s is not None:
        states[..., -1] = drives[..., 0]
    with torch.no_grad():
        for step in np.geomspace(1e-5, 1e2, 300):
            states = network.advance(states, drives, float(step))
    return states


def predicted_clamps(network: RateNetwork, clamps: Clamps, conditions: np.ndarray | None = None) -> np.ndarray:
    """Open probability (N, T + 1) of a network from its own rest at the holding driver.

    The first value is that of the beginning; nothing of the truth is used.
    """
    with torch.no_grad():
        drive, hold = clamps.drive[..., None], clamps.hold[:, None]
        if conditions is not None:
            drive = np.concatenate([drive, np.repeat(conditions[:, None], drive.shape[1], axis=1)], axis=-1)
            hold = np.concatenate([hold, conditions], axis=-1)
        states = resting_states(network, torch.from_numpy(hold))
        drives, dt = torch.from_numpy(np.ascontiguousarray(drive)), torch.from_numpy(clamps.dt_s)
        seen = [network.open_probability(states)]
        for k in range(drives.shape[1]):
            states = network.advance(states, drives[:, k], dt[:, k])
            seen.append(network.open_probability(states))
        return torch.stack(seen, dim=1).numpy()


@dataclass(frozen=True)
class ClampErrors:
    """R2 and NRMSE of the open probability over all interval ends of some protocols."""

    protocols: int
    r2: float
    nrmse: float


def clamp_errors(network: RateNetwork, clamps: Clamps) -> dict[str, ClampErrors]:
    """Errors by kind of protocol, and of all drawn kinds together under ``drawn``."""
    found = predicted_clamps(network, clamps)
    sets = {kind: clamps.kind == kind for kind in np.unique(clamps.kind)}
    sets["drawn"] = clamps.kind != RECORDED
    errors = {}
    for name, rows in sets.items():
        if rows.any():
            truth, own = clamps.truth[rows, 1:, 0].ravel(), found[rows, 1:].ravel()
            errors[str(name)] = ClampErrors(int(rows.sum()), r2(truth, own), nrmse(truth, own))
    return errors
