"""The Crank-Nicolson step of unbranched cables in torch, for all nodes of all cables at once.

The scheme, its linearisation and its passes are those of `understudy.calcium.cable_kernel.advance_concentrations`,
which goes through the nodes in order; here the nodes are solved together by block cyclic reduction. Arrays hold
components first, then the N nodes, then the K cables.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from understudy.calcium import cable_kernel as kernel
from understudy.calcium.block_tridiagonal import solve_block_tridiagonal
from understudy.calcium.cable_dynamics import kinetics_of, nodes_of
from understudy.calcium.cable_geometry import Cable
from understudy.calcium.parameters import Parameters


class ConcentrationStep:
    """Step of u, e and b for K unbranched cables of N nodes each, which a stimulus enters at node 0.

    IP3 receptors and voltage-gated channels have no part in it.

    Parameters
    ----------
    cables, parameters : one of each per cable.
    dt_s : step.
    passes : linearisations per step, 1 or 2.
    device : where it is computed, in float64.
    """

    def __init__(
        self,
        cables: Sequence[Cable],
        parameters: Sequence[Parameters],
        dt_s: float,
        passes: int,
        device: torch.device,
    ) -> None:
        def rows(values: list[np.ndarray]) -> torch.Tensor:
            """(fields, ..., K) from K arrays with fields last."""
            return torch.from_numpy(np.ascontiguousarray(np.stack(values, axis=-1))).to(device)

        nodes = rows([nodes_of(cable, own).T for cable, own in zip(cables, parameters, strict=True)])
        self._kinetics = rows([kinetics_of(own) for own in parameters])
        self._passes = passes
        self._cytosol, self._er_area = nodes[kernel.CYTOSOL_VOLUME], nodes[kernel.ER_AREA]
        self._plasma_area = nodes[kernel.PLASMA_AREA]
        self._coupling = nodes[kernel.CYTOSOL_COUPLING : kernel.CALBINDIN_COUPLING + 1, 1:]
        self._ends = self._coupling.new_zeros((3, 1, len(cables)))
        self._lower = torch.cat([self._ends, -self._coupling], dim=1)
        self._upper = torch.cat([-self._coupling, self._ends], dim=1)
        volumes = torch.stack([self._cytosol, nodes[kernel.ER_VOLUME], self._cytosol])
        # What stays on the diagonal whatever the concentrations are: V/h and the couplings to both neighbours.
        self._diagonal = volumes * (2 / dt_s) - self._lower - self._upper

    def advance(self, state: torch.Tensor, p: torch.Tensor, influx: torch.Tensor) -> torch.Tensor:
        """Concentrations after the step.

        Parameters
        ----------
        state : (3, N, K) u, e, b in uM.
        p : (N, K) open probability in the middle of the step.
        influx : (K,) into node 0, mean over the step, in uM um3/s.
        """
        entering = self._coupling * (state[:, :-1] - state[:, 1:])
        diffused = torch.cat([self._ends, entering], dim=1) - torch.cat([entering, self._ends], dim=1)
        diffused[0, 0] += influx
        increment = torch.zeros_like(state)
        for _ in range(self._passes):
            increment = self._middle(state, increment, p, diffused)
        return state + 2 * increment

    def _middle(
        self, state: torch.Tensor, before: torch.Tensor, p: torch.Tensor, diffused: torch.Tensor
    ) -> torch.Tensor:
        """Increment to the middle of the step, linearised at the increment ``before``; all (3, N, K) but p."""
        constants = self._kinetics
        (u, e, _), (du, de, db) = state, before
        us, es, bs = state + before
        # Calbindin.
        bind = self._cytosol * constants[kernel.BINDING] * bs
        release = self._cytosol * (constants[kernel.UNBINDING] + constants[kernel.BINDING] * us)
        bound = self._cytosol * constants[kernel.UNBINDING] * (constants[kernel.CALBINDIN] - bs)
        bound = bound - bind * u + release * db
        # ER membrane.
        leak = constants[kernel.RYANODINE] * p + constants[kernel.ER_LEAK]
        inverse = 1 / ((constants[kernel.SERCA_AFFINITY] + us) * es)
        pumped = constants[kernel.SERCA] * us * inverse
        pumped_u = constants[kernel.SERCA] * constants[kernel.SERCA_AFFINITY] * es * inverse * inverse
        pumped_e = -pumped / es
        released = self._er_area * (leak * (e - u) - pumped + pumped_u * du + pumped_e * de)
        to_u, to_e = self._er_area * (leak + pumped_u), self._er_area * (leak - pumped_e)
        # Plasma membrane.
        square = us * us
        q = 1 / (constants[kernel.PMCA_AFFINITY_SQUARED] + square)
        pumped, slope = constants[kernel.PMCA] * q, 2 * constants[kernel.PMCA_AFFINITY_SQUARED] * us * q
        flux, slope = pumped * square, pumped * slope
        q = 1 / (constants[kernel.NCX_AFFINITY] + us)
        exchanged = constants[kernel.NCX] * q
        flux, slope = flux + exchanged * us, slope + exchanged * constants[kernel.NCX_AFFINITY] * q
        leaked = constants[kernel.PLASMA_LEAK] * (constants[kernel.OUTSIDE] - u)
        entered = self._plasma_area * (leaked - flux + slope * du)
        lost = self._plasma_area * (constants[kernel.PLASMA_LEAK] + slope)

        zero = torch.zeros_like(u)
        diagonal = torch.stack([
            self._diagonal[0] + bind + to_u + lost, -to_e, release,
            -to_u, self._diagonal[1] + to_e, zero,
            bind, zero, self._diagonal[2] + release,
        ]).unflatten(0, (3, 3))  # fmt: skip
        right = diffused + torch.stack([bound + released + entered, -released, bound])
        return solve_block_tridiagonal(self._lower, diagonal, self._upper, right)
