"""The hybrid as a study: which channels are tried in the cable, in which parts, and what the parts say together.

A part gives arrays by name; the equations run once for parts that all channels share.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from understudy.calcium.gated_channel import Domain, GatedChannel, network_channel, one_state_closure, two_state_closure
from understudy.calcium.hybrid_evaluation import (
    SITES_UM,
    Make,
    draw_heldout_cases,
    front_errors,
    heldout_errors,
    sampled_front,
    simulate_heldout,
    step_costs,
    step_errors,
    threshold_errors,
)
from understudy.calcium.parameters import Parameters
from understudy.calcium.rate_network import RateNetwork
from understudy.calcium.receptor_protocols import Courses, receptor_answer, stationary_start
from understudy.calcium.reference_cases import front_cable, front_parameters, recovery_curve, recovery_parameters
from understudy.calcium.waves import nrmse

EQUATIONS, WAVES_ONLY = "equations", "waves_only"
FRONT, STEPS, HELDOUT, RECOVERY, CLAMPS = "front", "steps", "heldout", "recovery", "clamps"
THRESHOLD, COST = "threshold", "cost"
CONDITIONED_ERROR = 0.05
"""Error of the one-state closure from which on a held-out parameter set counts as conditioned (model card)."""

KYMOGRAPH_S = 5e-4
CLAMP_LEVELS_UM = (0.3, 1.0, 3.0, 10.0)
CLAMP_BACK_S, CLAMP_END_S = 0.2, 1.0


def network_name(unknowns: int, seed: int) -> str:
    """Name of a trained network; in results the first one of each number of unknowns goes without its seed."""
    return f"net{unknowns}_{seed}"


@dataclass(frozen=True)
class Contender:
    """A channel that is tried in the cable.

    Attributes
    ----------
    name, label : in files, and for people.
    unknowns : numbers stored per node, u, e and b among them.
    make : gives it for parameters.
    parts : in which it is tried.
    """

    name: str
    label: str
    unknowns: int
    make: Make
    parts: tuple[str, ...]

    @property
    def is_first(self) -> bool:
        """Whether all parts are tried with it."""
        return HELDOUT in self.parts


def network_make(watched: tuple[RateNetwork, Domain]) -> Make:
    """A network in the place of the receptors, with the monitor of its training domain."""
    return lambda parameters: network_channel(watched[0], domain=watched[1])


def contenders(networks: Mapping[str, tuple[RateNetwork, Domain]]) -> list[Contender]:
    """Both closures, the first networks, further seeds of them and the negative control."""
    every = (FRONT, STEPS, HELDOUT, RECOVERY, CLAMPS)
    found = [
        Contender("one_state", "one-state closure", 4, one_state_closure, every),
        Contender("two_state", "two-state closure", 5, two_state_closure, every),
    ]
    for name, watched in networks.items():
        unknowns, make = 3 + watched[0].form.n_states, network_make(watched)
        if name == WAVES_ONLY:
            found.append(Contender(name, "4 unknowns, trained on waves alone", 4, make, (FRONT, STEPS)))
        elif name == network_name(unknowns, 0):
            found.append(Contender(f"net{unknowns}", f"network, {unknowns} unknowns", unknowns, make, every))
        else:
            label = f"network, {unknowns} unknowns, seed {name.rpartition('_')[2]}"
            found.append(Contender(name, label, unknowns, make, (FRONT,)))
    return found


def front_part(make: Make | None, dt_s: float, spacing_um: float) -> dict[str, np.ndarray]:
    """The reference front: kymographs (T, N), traces (M, S, 4) at `SITES_UM`, errors against the equations, excursions.

    The traces hold cytosolic calcium, ER calcium, calbindin and the open probability.
    """
    channel = None if make is None else make(front_parameters())
    run = sampled_front(channel, dt_s=dt_s, spacing_um=spacing_um)
    cable = front_cable(spacing_um)
    every = max(1, round(KYMOGRAPH_S / (run.time_s[1] - run.time_s[0])))
    grid = (0, slice(every - 1, None, every), slice(None, None, 2))
    found: dict[str, Any] = {
        "time_s": run.time_s[grid[1]],
        "trace_time_s": run.time_s,
        "traces": run.traces[0][:, [cable.nearest(x) for x in SITES_UM]].astype(np.float32),
    }
    found |= {name: run.traces[(*grid, k)].astype(np.float32) for name, k in (("u_uM", 0), ("e_uM", 1), ("open", 3))}
    if channel is not None:
        errors = front_errors(sampled_front(None, dt_s=dt_s, spacing_um=spacing_um), run, spacing_um)
        found |= {f"errors/{name}": value for name, value in vars(errors).items()}
    if isinstance(channel, GatedChannel) and channel.excursion.looked:
        seen = channel.excursion
        left = seen.first_step is not None
        found |= {
            "excursions/share": seen.share,
            "excursions/first_s": seen.first_step * dt_s if left else np.nan,
            "excursions/first_um": cable.position_um[seen.first_node] if left else np.nan,
        }
    return found


def heldout_part(make: Make | None, seed: int, plain: int, conditioned: int, dt_s: float, spacing_um: float):
    """Speeds (K,) and cytosolic calcium (K, T, 3) of the held-out parameter sets."""
    cases = draw_heldout_cases(seed, plain, conditioned)
    speeds, run = simulate_heldout(cases, make, dt_s=dt_s, spacing_um=spacing_um)
    return {"speed": speeds, "u": run.traces[:, :, :, 0].astype(np.float32)}


def clamp_part(make: Make | None) -> dict[str, np.ndarray]:
    """Open probability (C, T) under steps of calcium to `CLAMP_LEVELS_UM` and back, from rest."""
    own = Parameters()
    dt = np.concatenate([
        np.diff(np.concatenate([[0.0], np.geomspace(1e-4, lasting, 100)]))
        for lasting in (CLAMP_BACK_S, CLAMP_END_S - CLAMP_BACK_S)
    ])  # fmt: skip
    levels, rest = np.array(CLAMP_LEVELS_UM), own.rest_cytosol_uM
    u = np.repeat(np.stack([levels, np.full(len(levels), rest)], axis=1), 100, axis=1)
    if make is None:
        start = stationary_start(own, np.full(len(levels), rest))
        none = np.empty(len(levels), dtype=object)
        answer = receptor_answer(Courses(np.tile(dt, (len(levels), 1)), u, start, none, np.arange(len(levels))), own)
        p = answer[:, 1:, 0] + answer[:, 1:, 1]
    else:
        channel, p = make(own), np.empty(u.shape)
        states = channel.rest(np.full((1, len(levels), 1), rest))
        for k, step in enumerate(dt):
            p[:, k] = channel.advance(states, u[None, :, k, None], step)[0, :, 0]
    return {"time_s": np.tile(np.cumsum(dt), (len(levels), 1)), "u_uM": u, "open": p}


def recovery_part(make: Make | None, gaps_s: tuple[float, ...], dt_s: float, spacing_um: float) -> dict[str, Any]:
    """Response to a second stimulus over that to the first, (G,)."""
    channel = None if make is None else make(recovery_parameters())
    found = recovery_curve(gaps_s, channel=channel, dt_s=dt_s, spacing_um=spacing_um)
    return {"gap_s": found.gap_s, "ratio": found.ratio}


@dataclass(frozen=True)
class HybridSettings:
    """The configuration's section ``hybrid`` in the solver's units, and the seed of the held-out parameter sets."""

    dt_s: float
    spacing_um: float
    steps_s: tuple[float, ...]
    plain: int
    conditioned: int
    threshold_runs: int
    threshold_cells: int
    recovery_gaps_s: tuple[float, ...]
    cost_rounds: int
    seed: int

    def part(self, name: str, own: Contender | None) -> dict[str, Any]:
        """One part with one channel (None for the equations)."""
        make = None if own is None else own.make
        slow = 2 * self.dt_s if self.dt_s <= 5e-5 else self.dt_s
        if name == FRONT:
            return front_part(make, self.dt_s, self.spacing_um)
        if name == STEPS:
            return step_errors(make, self.steps_s, self.spacing_um)
        if name == HELDOUT:
            return heldout_part(make, self.seed, self.plain, self.conditioned, self.dt_s, self.spacing_um)
        if name == RECOVERY:
            return recovery_part(make, self.recovery_gaps_s, slow, self.spacing_um)
        return clamp_part(make)

    def together(self, name: str, own: list[Contender]) -> dict[str, Any]:
        """A part of all channels at once."""
        makes = {each.name: each.make for each in own}
        if name == COST:
            return step_costs(makes, rounds=self.cost_rounds)
        found = threshold_errors(
            makes, count=self.threshold_runs, seed=self.seed, cells=self.threshold_cells, dt_s=max(5e-5, self.dt_s)
        )
        return {f"{each}/{key}": value for each, errors in found.items() for key, value in vars(errors).items()}


def heldout_summary(
    reference: Mapping[str, np.ndarray], found: Mapping[str, np.ndarray], one_state: Mapping[str, np.ndarray]
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Numbers of a channel on the held-out parameter sets, and its speeds and errors case by case."""

    def errors(part: Mapping[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        return heldout_errors(reference["speed"], reference["u"], part["speed"], part["u"])

    speed, traces = errors(found)
    conditioned = ~np.isnan(speed) & (np.abs(errors(one_state)[0]) >= CONDITIONED_ERROR)
    both = np.isfinite(speed)

    def over(rows: np.ndarray, values: np.ndarray, reduce) -> float:
        return float(reduce(np.abs(values[rows]))) if rows.any() else float("nan")

    numbers = {
        "n": len(speed),
        "n_waves": int((reference["speed"] > 0).sum()),
        "n_conditioned": int(conditioned.sum()),
        "missed": int(np.isinf(speed).sum()),
        "speed_median": over(both, speed, np.median),
        "speed_max": over(both, speed, np.max),
        "conditioned_speed_median": over(both & conditioned, speed, np.median),
        "conditioned_speed_max": over(both & conditioned, speed, np.max),
        "nrmse_u_median": over(both, traces.max(axis=1), np.median),
        "nrmse_u_max": over(both, traces.max(axis=1), np.max),
    }
    return numbers, {"found": found["speed"], "speed": speed, "nrmse_u": traces.max(axis=1), "conditioned": conditioned}


def recovery_summary(reference: Mapping[str, np.ndarray], found: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """Recovery of a channel beside that of the equations; the NRMSE is over the range of the latter."""
    return {
        "gap_s": reference["gap_s"].tolist(),
        "expected": reference["ratio"].tolist(),
        "found": found["ratio"].tolist(),
        "nrmse": nrmse(found["ratio"], reference["ratio"]),
    }
