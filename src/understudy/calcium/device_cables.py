"""Unbranched cables with a rate network for the receptors on a torch device, all nodes of all cables in one call.

The engine for many cables on a GPU; on a CPU the compiled one (`understudy.calcium.cable_dynamics` with
`understudy.calcium.gated_channel`) is some twenty times faster, and it takes branches, IP3, voltages and backward Euler
too. Scheme, staggering and what is observed are the same, so that the two agree to rounding.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence

import numpy as np
import torch

from understudy.calcium.cable_checks import (
    bad_concentration,
    check_crank_nicolson_step,
    check_positive_step,
    checked_sites,
    initial_concentrations,
    node_words,
    one_for_each,
    whole_steps,
)
from understudy.calcium.cable_dynamics import FRONT_PROBABILITY, CableRun
from understudy.calcium.cable_geometry import Cable, warn_of_coarse_grid
from understudy.calcium.concentration_step import ConcentrationStep
from understudy.calcium.gate_updates import UPDATES
from understudy.calcium.gated_channel import RYANODINE, Domain, check_domain
from understudy.calcium.parameters import Parameters
from understudy.calcium.rate_kernel import DOMAIN_EDGE
from understudy.calcium.rate_network import RateNetwork
from understudy.calcium.stimulus import Stimulus
from understudy.errors import InputError

CHECK_EVERY = 64
"""Steps between two looks at the concentrations from the host, each of which waits for the device."""


def _accepted(cables: Sequence[Cable], parameters: Sequence[Parameters], network: RateNetwork) -> None:
    """Refuse what only the compiled engine takes."""
    elsewhere = "on a device; the compiled engine (CableSimulation) takes others"
    for k, (cable, own) in enumerate(zip(cables, parameters, strict=True)):
        if not np.array_equal(cable.parent, np.arange(-1, len(cables[0]) - 1)):
            raise InputError(
                f"cables: found a branched cable or another number of nodes in cable {k}, accepted are unbranched "
                f"cables of one number of nodes {elsewhere}"
            )
        for name in ("ip3_receptor_per_um2", "calcium_channel_per_um2"):
            if getattr(own, name) > 0:
                raise InputError(f"{name}: found {getattr(own, name):g} for cable {k}, accepted is 0 {elsewhere}")
    form = network.form
    if form.channel != RYANODINE or len(form.drives) != 1:
        raise InputError(
            f"rate network: found one of the channel {form.channel!r} with {len(form.drives)} drives, accepted is "
            f"{RYANODINE!r} that cytosolic calcium alone drives"
        )


class DeviceCables:
    """K unbranched cables of N nodes with a network for the receptors, stepped on a torch device in float64.

    Parameters
    ----------
    cables : unbranched, of one number of nodes.
    parameters : one for all, or one for each; without IP3 receptors and voltage-gated channels.
    dt_s : Crank-Nicolson step.
    network : moves the receptors, single gates, chains or pairs.
    device : where all is computed.
    update : how gates move with held rates, one of `understudy.calcium.gate_updates.UPDATES`.
    domain, watch_every : where training was, None for no monitor, and the steps between two looks of the monitor.
    passes : linearisations per step, 1 or 2.
    initial_uM : (K, N, 3) or (N, 3) concentrations at the beginning; None for rest. Receptors begin in equilibrium.
    check_grid : whether to warn of a grid that does not resolve the front.

    Raises
    ------
    InputError : what only the compiled engine takes; a step too long for the scheme; another update; a domain of other
        inputs; concentrations of wrong shape, negative or not finite.
    """

    def __init__(
        self,
        cables: Sequence[Cable],
        parameters: Parameters | Sequence[Parameters],
        dt_s: float,
        network: RateNetwork,
        device: torch.device,
        *,
        update: str = "sdirk",
        domain: Domain | None = None,
        watch_every: int = 8,
        passes: int = 1,
        initial_uM: np.ndarray | None = None,
        check_grid: bool = True,
    ) -> None:
        self.cables, self.dt_s = list(cables), float(dt_s)
        self.count = len(self.cables)
        if not self.cables:
            raise InputError("cables: found none, accepted is at least one")
        self.parameters = one_for_each(parameters, self.count, "parameters")
        if update not in UPDATES:
            raise InputError(f"update: found {update!r}, accepted on a device are {', '.join(UPDATES)}")
        if passes not in (1, 2):
            raise InputError(f"passes: found {passes}, accepted are 1 and 2")
        check_positive_step(dt_s)
        _accepted(self.cables, self.parameters, network)
        check_domain(domain, network.form)
        for k, (cable, own) in enumerate(zip(self.cables, self.parameters, strict=True)):
            check_crank_nicolson_step(dt_s, own, k)
            if check_grid and own.ryanodine_per_um2 > 0:
                warn_of_coarse_grid(cable, own)
        self.device, self._update = device, UPDATES[update]
        self._network = copy.deepcopy(network).to(device).requires_grad_(False)
        self._step = ConcentrationStep(self.cables, self.parameters, dt_s, passes, device)
        initial = initial_concentrations(self.parameters, len(self.cables[0]), initial_uM)
        self._state = self._sent(initial.transpose(2, 1, 0))
        # Cables mostly begin alike, and equilibrium may take long to find.
        levels, which = np.unique(initial[:, :, 0].T, return_inverse=True)
        with torch.no_grad():
            rest = network.rest(torch.from_numpy(levels)[:, None]).numpy()
        self._gates = self._sent(rest[which.reshape(len(self.cables[0]), -1)])
        self._p = self._before = self._network.open_probability(self._gates)
        self._arrival = torch.full_like(self._p, math.inf)
        self._peak, self._lowest = torch.zeros_like(self._p), self._state
        self._outside = torch.zeros(self.count, dtype=torch.int64, device=device)
        self._domain, self._watch_every, self._looks = domain, watch_every, 0
        self._visited = None if domain is None else self._sent(domain.visited.astype(bool))
        self.steps_done = 0

    def _sent(self, values: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(np.ascontiguousarray(values)).to(self.device)

    @property
    def outside_share(self) -> np.ndarray:
        """Part (K,) of the node-steps that the monitor looked at in each cable and found outside of the domain."""
        return self._outside.cpu().numpy() / max(1, self._looks * len(self.cables[0]))

    def run(
        self, duration_s: float, stimuli: Stimulus | Sequence[Stimulus], *, sites: Sequence[int] = (), every: int = 1
    ) -> CableRun:
        """Advance all cables from where they are.

        Parameters
        ----------
        duration_s : rounded to whole steps.
        stimuli : one for all or one for each cable; their times count from the simulation's beginning.
        sites : nodes whose traces are kept, after every so many steps (``every``).

        Raises
        ------
        InputError : a stimulus with voltage or IP3; a concentration became negative or was no longer a number, with
            time, place and likely cause.
        """
        stimuli = one_for_each(stimuli, self.count, "stimuli")
        for name in ("voltage_mV", "ip3_uM"):
            if any(getattr(own, name) is not None for own in stimuli):
                raise InputError(f"{name}: found a course in a stimulus, accepted on a device are stimuli without one")
        end = self.steps_done + whole_steps(duration_s, self.dt_s)
        sites = checked_sites(sites, len(self.cables[0]))
        seen, samples = self._sent(sites), []
        sampled = np.arange(self.steps_done // every + 1, end // every + 1) * every if len(sites) else np.arange(0)
        with torch.no_grad():
            while self.steps_done < end:
                count = min(CHECK_EVERY, end - self.steps_done)
                influx = self._influx(stimuli, count)
                start = self._state, self._gates, self._p
                for k in range(count):
                    self._advance(influx[k])
                    self.steps_done += 1
                    if len(sites) and self.steps_done % every == 0:
                        # Receptors stand half a step beside the concentrations.
                        p = 0.5 * (self._p + self._before)
                        samples.append(torch.cat([self._state, p[None]]).index_select(1, seen))
                    self._observe(self.steps_done + 0.5)
                if not bool(((self._lowest >= 0) & self._state.isfinite()).all()):
                    self._refuse(start, influx)
        traces = torch.stack(samples) if samples else self._state.new_zeros((0, 4, len(sites), self.count))
        return CableRun(
            arrival_s=self._arrival.T.cpu().numpy(),
            peak_uM=self._peak.T.cpu().numpy(),
            time_s=sampled * self.dt_s,
            traces=traces.permute(3, 0, 2, 1).contiguous().cpu().numpy(),
            concentrations_uM=self._state.permute(2, 1, 0).contiguous().cpu().numpy(),
            states=self._gates.transpose(0, 1).contiguous().cpu().numpy(),
        )

    def _influx(self, stimuli: list[Stimulus], count: int) -> torch.Tensor:
        """Mean influx (count, K) into node 0 in the next steps, in uM um3/s."""
        means = {own: own.mean_influx(self.steps_done, count, self.dt_s) for own in set(stimuli)}
        return self._sent(np.array([c.inlet_um2 * means[own] for c, own in zip(self.cables, stimuli, strict=True)]).T)

    def _advance(self, influx: torch.Tensor) -> None:
        """One step of everything; the first one brings the receptors half a step ahead before."""
        if self.steps_done == 0:
            self._advance_gates(0.5 * self.dt_s, 0)
            self._before = self._p
            self._observe(0.5)
        self._state = self._step.advance(self._state, self._p, influx)
        self._lowest = torch.minimum(self._lowest, self._state)
        self._advance_gates(self.dt_s, self.steps_done + 1)

    def _advance_gates(self, dt_s: float, number: int) -> None:
        drives = self._state[0][..., None]
        if self._visited is not None and number % self._watch_every == 0:
            self._watch(drives, dt_s)
        self._gates = self._network.advance(self._gates, drives, dt_s, self._update)
        self._p = self._network.open_probability(self._gates)

    def _watch(self, drives: torch.Tensor, dt_s: float) -> None:
        """Count nodes whose scaled inputs lie in no cell of the grid that training visited."""
        own, cells = self._network, self._domain.cells
        filtered = own.filtered(self._gates, drives, 0.5 * dt_s)
        features = own.features(drives, filtered, self._gates[..., : own.form.n_gates])
        place = (features + DOMAIN_EDGE) * (0.5 / DOMAIN_EDGE * cells)
        index = torch.zeros_like(place[..., 0], dtype=torch.int64)
        for cell in place.long().clamp(0, cells - 1).unbind(-1):
            index = index * cells + cell
        inside = ((place >= 0) & (place <= cells)).all(-1) & self._visited[index]
        self._outside += (~inside).sum(0)
        self._looks += 1

    def _observe(self, steps: float) -> None:
        """Note first crossings of the front's open probability, linear in time, and the largest cytosolic calcium."""
        new, old = self._p, self._before
        since = torch.where(new > old, self.dt_s * (new - FRONT_PROBABILITY) / (new - old), 0.0)
        crossed = (new > FRONT_PROBABILITY) & self._arrival.isinf()
        self._arrival = torch.where(crossed, steps * self.dt_s - since, self._arrival)
        self._peak = torch.maximum(self._peak, self._state[0])
        self._before = new

    def _refuse(self, start: tuple[torch.Tensor, torch.Tensor, torch.Tensor], influx: torch.Tensor) -> None:
        """Say where a concentration was lost, by the same steps again and a look after each of them."""
        self._state, self._gates, self._p = start
        self.steps_done -= len(influx)
        for mean in influx:
            self._advance(mean)
            self.steps_done += 1
            wrong = ~((self._state >= 0) & self._state.isfinite())
            if bool(wrong.any()):
                cable, node, quantity = wrong.permute(2, 1, 0).nonzero()[0].tolist()
                value, place = float(self._state[quantity, node, cable]), node_words(self.cables[cable], node)
                time_s = self.steps_done * self.dt_s
                raise bad_concentration(quantity, value, cable, place, time_s, self.dt_s, euler=False)
