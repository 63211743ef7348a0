"""A rate network as an exchangeable channel of cables: any driver, with further drives that are constant in time."""

from __future__ import annotations

import numpy as np
import torch

from understudy.calcium.clamp_training import resting_states
from understudy.calcium.rate_network import RateNetwork


class NetworkGates:
    """States and open probability by a rate network, as `understudy.calcium.cable_dynamics.Channel`.

    Parameters
    ----------
    conditions : further drives, each of a shape that broadcasts with the driver's (for calcium cables (blocks, 1,
        lanes), see `by_lane`); None for none.
    """

    def __init__(self, network: RateNetwork, conditions: tuple[np.ndarray, ...] = ()):
        self.network = network
        self.conditions = conditions
        self.n_states = network.form.n_states

    def _drives(self, u: np.ndarray) -> torch.Tensor:
        columns = [u, *(np.broadcast_to(own, u.shape) for own in self.conditions)]
        return torch.from_numpy(np.stack(columns, axis=-1))

    def rest(self, u: np.ndarray) -> np.ndarray:
        return np.moveaxis(resting_states(self.network, self._drives(u)).numpy(), -1, 0)

    def advance(self, states: np.ndarray, u: np.ndarray, dt_s: float) -> np.ndarray:
        with torch.no_grad():
            before = torch.from_numpy(np.moveaxis(states, 0, -1))
            after = self.network.advance(before, self._drives(u), dt_s)
            states[:] = np.moveaxis(after.numpy(), -1, 0)
            return np.clip(self.network.open_probability(after).numpy(), 0.0, 1.0)


def by_lane(values: np.ndarray, lanes: int) -> np.ndarray:
    """Values (K,) of K cables in the order of the solver's blocks, (blocks, 1, lanes); the last one fills up."""
    blocks = -(-len(values) // lanes)
    rows = np.minimum(np.arange(blocks * lanes), len(values) - 1)
    return np.asarray(values, dtype=float)[rows].reshape(blocks, 1, lanes)
