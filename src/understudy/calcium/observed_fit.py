"""A rate network from observations alone, beside smoothing in time and a table of open probability against the driver.

No kinetic scheme, state or clean trace is given, only the driver, the sign of the response to it and rough time
constants (those by which protocols were chosen). The network is rolled out from its own rest through each protocol and
through the observation (noise, gaps, store and dye), and fitted to what was seen. Protocols of their own, as noisy and
sparse, decide when to stop. The known truth is used for the errors only.
"""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch

from understudy.calcium.channel_family import ExactChannel, family_channel
from understudy.calcium.clamp_protocols import Clamps, drawn_clamps
from understudy.calcium.clamp_training import family_form, predicted_clamps
from understudy.calcium.observations import Observations, Observing, expected_observations, observe
from understudy.calcium.observed_baselines import smoothed, tabulated
from understudy.calcium.rate_network import RateNetwork

_ITERATIONS_PER_CHECK = 10
_ROBUST = 3.0
"""Residuals in deviations of the noise beyond which the loss grows linearly: a jump missed early must not rule."""
_REST_STEPS_S = (1e-4, 1e-3, 1e-2, 0.1, 1.0, 5.0, 20.0, 50.0)


@dataclass(frozen=True)
class ObservedFit:
    """Iterations of L-BFGS, weight of the squared weights, hidden widths."""

    iterations: int = 300
    decay: float = 1e-4
    hidden: tuple[int, int] = (16, 16)


def _rollout(network: RateNetwork, hold: torch.Tensor, drive: torch.Tensor, dt_s: torch.Tensor) -> torch.Tensor:
    """Open probability (N, T + 1) from the network's own rest, differentiable throughout."""
    states = torch.zeros((len(hold), network.form.n_states), dtype=torch.float64)
    states[:, 1] = 1.0
    for step in _REST_STEPS_S:
        states = network.advance(states, hold[:, None], step)
    seen = [network.open_probability(states)]
    for k in range(drive.shape[1]):
        states = network.advance(states, drive[:, k, None], dt_s[:, k])
        seen.append(network.open_probability(states))
    return torch.stack(seen, dim=1)


def fit_observations(
    channel: ExactChannel, training: Observations, stopping: Observations, *, seed: int, fit: ObservedFit | None = None
) -> RateNetwork:
    """A network of a channel of which its driver, rough time constants and the sign of its response are given.

    Parameters
    ----------
    training, stopping : disjoint protocols; the loss is the squared difference over the noise's variance, linear
        beyond three deviations.
    """
    fit = fit or ObservedFit()
    network = RateNetwork(family_form(channel, fit.hidden), seed)
    with torch.no_grad():
        # The first gate begins fast and opens with the driver, the second slow and closes with it (voltage or calcium).
        network.b3[:2] = -math.log(channel.fast_s) - 1.0
        network.b3[2:] = -math.log(channel.slow_s)
        network.linear[:, 0] = torch.tensor([2.0, -1.0, -1.0, 1.0])

    def tensors(observed: Observations):
        own = observed.clamps
        arrays = own.hold, own.drive, own.dt_s, np.nan_to_num(observed.values), observed.seen.astype(float)
        return [torch.from_numpy(np.ascontiguousarray(x)) for x in arrays]

    def loss(observed: Observations, hold, drive, dt_s, values, seen) -> torch.Tensor:
        found = expected_observations(observed.observing, _rollout(network, hold, drive, dt_s), dt_s)
        squares = ((found - values) / (_ROBUST * observed.observing.noise)) ** 2 * seen
        return 2 * _ROBUST**2 * (torch.sqrt(1 + squares) - 1).sum() / seen.sum()

    fitted, stop = tensors(training), tensors(stopping)
    best, best_loss = copy.deepcopy(network.state_dict()), math.inf

    def closure(optimiser: torch.optim.Optimizer) -> torch.Tensor:
        optimiser.zero_grad()
        total = loss(training, *fitted) + fit.decay * sum((own**2).sum() for own in network.parameters())
        total.backward()
        return total

    optimiser = torch.optim.LBFGS(
        network.parameters(), max_iter=_ITERATIONS_PER_CHECK, history_size=50, line_search_fn="strong_wolfe",
        tolerance_change=1e-12, tolerance_grad=1e-10,
    )  # fmt: skip
    for _ in range(max(1, fit.iterations // _ITERATIONS_PER_CHECK)):
        optimiser.step(partial(closure, optimiser))
        with torch.no_grad():
            now = float(loss(stopping, *stop))
        if now < best_loss:
            best_loss, best = now, copy.deepcopy(network.state_dict())
    network.load_state_dict(best)
    return network


@dataclass(frozen=True)
class ObservedErrors:
    """Root mean square errors of the open probability against the truth.

    Attributes
    ----------
    network, smoothing : on the fitted protocols, (at ends outside the missing spans, inside them).
    network_new, table_new : on protocols that were never observed.
    range_new : the truth's range there, over which an NRMSE is taken.
    r2_new, table_r2_new : coefficients of determination there.
    """

    network: tuple[float, float]
    smoothing: tuple[float, float]
    network_new: float
    table_new: float
    range_new: float
    r2_new: float
    table_r2_new: float


def observed_errors(channel: ExactChannel, network: RateNetwork, observed: Observations, new: Clamps) -> ObservedErrors:
    """Errors of a network and of both baselines; ``new`` are protocols that were never observed."""
    truth = observed.clamps.truth[:, 1:, 0]

    def parts(found: np.ndarray) -> tuple[float, float]:
        squares = (found - truth) ** 2
        return float(np.sqrt(squares[~observed.missing].mean())), float(np.sqrt(squares[observed.missing].mean()))

    own = predicted_clamps(network, new)[:, 1:]
    scaled = channel.driver.scaled
    table = tabulated(observed, scaled(observed.clamps.drive), scaled(new.drive))
    expected = new.truth[:, 1:, 0]
    total = ((expected - expected.mean()) ** 2).mean()
    network_mse, table_mse = (((found - expected) ** 2).mean() for found in (own, table))
    return ObservedErrors(
        parts(predicted_clamps(network, observed.clamps)[:, 1:]),
        parts(smoothed(observed)),
        float(np.sqrt(network_mse)),
        float(np.sqrt(table_mse)),
        float(np.ptp(expected)),
        float(1 - network_mse / total),
        float(1 - table_mse / total),
    )


@dataclass(frozen=True)
class ObservedStudy:
    """A network learned from observations, what was observed, what is new, and the errors on both."""

    network: RateNetwork
    observed: Observations
    new: Clamps
    errors: ObservedErrors


def study_observations(
    name: str, observing: Observing, *, protocols: int = 48, stopping: int = 16, new: int = 32, intervals: int = 80,
    seed: int = 0, fit: ObservedFit | None = None,
) -> ObservedStudy:  # fmt: skip
    """Draw protocols of a channel of the family, observe them, learn from that and judge against the truth.

    Parameters
    ----------
    protocols, stopping, new : numbers of protocols that are fitted, that decide when to stop, that are new.

    Raises
    ------
    InputError : no such channel.
    """
    channel = family_channel(name)
    rng = np.random.default_rng([seed, 10])
    fitted, kept = (
        observe(channel, drawn_clamps(channel, count, intervals, rng), observing, rng)
        for count in (protocols, stopping)
    )
    unseen = drawn_clamps(channel, new, intervals, rng)
    network = fit_observations(channel, fitted, kept, seed=seed, fit=fit)
    return ObservedStudy(network, fitted, unseen, observed_errors(channel, network, fitted, unseen))
