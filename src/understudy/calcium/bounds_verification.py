"""Random networks, inputs and steps: probabilities stay probabilities, concentrations stay at least 0.

What the update guarantees for any weights (`understudy.calcium.rate_network`) is tried here, alone and in the cable.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from understudy.calcium.cable_dynamics import CableSimulation
from understudy.calcium.cable_geometry import uniform_cable
from understudy.calcium.gated_channel import network_channel
from understudy.calcium.parameters import Parameters
from understudy.calcium.rate_network import RateNetwork
from understudy.calcium.rate_training import receptor_form
from understudy.calcium.stimulus import Stimulus
from understudy.errors import InputError

LONGEST_STEP_S = 1.0
_NODES = 2000


def random_network(unknowns: int, seed: int, spread: float) -> RateNetwork:
    """A network whose weights are multiplied by ``spread``: nothing was ever trained."""
    network = RateNetwork(receptor_form(unknowns), seed)
    with torch.no_grad():
        for weights in network.parameters():
            weights *= spread
    return network


def gates_that_leave(network: RateNetwork, rng: np.random.Generator) -> int:
    """How many of `_NODES` random states leave the simplex (or become NaN) in a step of up to `LONGEST_STEP_S`."""
    form = network.form
    u = torch.from_numpy(10 ** rng.uniform(-4, 3, (_NODES, 1)))
    columns = [torch.from_numpy(rng.dirichlet([0.3] * (form.n_gates + 1), _NODES)[:, : form.n_gates])]
    if form.filter_s is not None:
        columns.append(torch.from_numpy(10 ** rng.uniform(-4, 3, (_NODES, 1))))
    dt = torch.from_numpy(10 ** rng.uniform(-7, np.log10(LONGEST_STEP_S), _NODES))
    with torch.no_grad():
        gates = network.advance(torch.cat(columns, dim=-1), u, dt)[:, : form.n_gates].numpy()
    return int((~((gates >= 0).all(axis=1) & (gates.sum(axis=1) <= 1 + 1e-12))).sum())


def cables_that_leave(network: RateNetwork, rng: np.random.Generator) -> int:
    """1 if a cable with this network in it loses a concentration or a probability, else 0; with the long steps of the
    fallback, up to `LONGEST_STEP_S`, and with the standard scheme."""
    own = replace(Parameters(), ryanodine_per_um2=float(rng.uniform(0.5, 6.0)))
    cable = uniform_cable(4.0, 0.5, 0.25, 16)
    stimulus = Stimulus(density_uM_um_per_s=float(10 ** rng.uniform(2, 4)))
    for scheme, dt_s in (("crank-nicolson", 5e-5), ("euler", float(10 ** rng.uniform(-4, 0)))):
        for update in ("exponential", "sdirk", "euler"):
            channel = network_channel(network, update=update)
            simulation = CableSimulation([cable], own, dt_s, scheme=scheme, channel=channel, check_grid=False)
            try:
                run = simulation.run(40 * dt_s, stimulus, sites=range(16))
            except InputError:
                return 1
            if not (
                (run.concentrations_uM >= 0).all() and 0 <= run.traces[..., 3].min() <= run.traces[..., 3].max() <= 1
            ):
                return 1
    return 0


def random_bounds(networks: int = 24, seed: int = 0) -> dict[str, int]:
    """``cases`` tried and ``violations`` among them; half of the networks have weights ten times too large."""
    rng = np.random.default_rng(seed)
    cases = violations = 0
    for number in range(networks):
        network = random_network(4 + number % 3, number, 10.0 if number % 2 else 1.0)
        violations += gates_that_leave(network, rng) + cables_that_leave(network, rng)
        cases += _NODES + 1
    return {"cases": cases, "violations": violations}
