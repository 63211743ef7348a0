"""Forces and energies of a recorded axon history, recomputed from its displacements (for verification)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from understudy.axon.axon_geometry import AxonGeometry
from understudy.axon.axon_mechanics import AxonHistory, solid_step
from understudy.axon.config import Injury


class Solids(NamedTuple):
    """Constants of the standard linear solids along one axis: long-time stiffness, Maxwell ratio, relaxation, E, H."""

    k: np.ndarray
    beta: np.ndarray
    relaxation_s: np.ndarray
    decay: np.ndarray
    gain: np.ndarray

    def memory(self, before: np.ndarray, change: np.ndarray) -> np.ndarray:
        """Memory variable after a step in which the stretch changed linearly."""
        return self.decay * before + self.gain * change

    def force(self, stretch: np.ndarray, memory: np.ndarray) -> np.ndarray:
        return self.k * (stretch + self.beta * memory)

    def stored(self, stretch: np.ndarray, memory: np.ndarray) -> np.ndarray:
        return 0.5 * self.k * (stretch**2 + self.beta * memory**2)

    def dissipated(self, before: np.ndarray, change: np.ndarray, dt_s: float) -> np.ndarray:
        """Integral of ``k beta q^2 / T`` over a step with linear stretch (closed form)."""
        steady = change / dt_s * self.relaxation_s
        start = before - steady
        square = (
            0.5 * start**2 * self.relaxation_s * (1 - self.decay**2)
            + 2 * steady * start * self.relaxation_s * (1 - self.decay)
            + steady**2 * dt_s
        )
        return self.k * self.beta * square / self.relaxation_s


class EnergyBalance(NamedTuple):
    """Relative to the largest work done so far: unexplained and released energy, and the least release of a step."""

    residual: float
    released: float
    least_release: float


def _solids(k, beta, relaxation_s, dt_s) -> Solids:
    k, beta, relaxation_s = np.broadcast_arrays(*(np.asarray(x, dtype=float) for x in (k, beta, relaxation_s)))
    steps = [solid_step(t, dt_s) for t in relaxation_s.ravel()]
    decay, gain = (np.array(part).reshape(k.shape) for part in zip(*steps, strict=True))
    return Solids(k, beta, relaxation_s, decay, gain)


def link_solids(geometry: AxonGeometry, injury: Injury, dt_s: float) -> Solids:
    """Solids of the links, one per pair of lines."""
    tau = np.arange(len(geometry.pairs)) < geometry.n_tau_pairs
    return _solids(
        np.where(tau, injury.tau_stiffness_pN_per_nm, injury.neurofilament_stiffness_pN_per_nm),
        np.where(tau, injury.tau_maxwell_ratio, injury.neurofilament_maxwell_ratio),
        np.where(
            tau, injury.tau_relaxation_s / max(injury.tau_maxwell_ratio, 1e-12), injury.neurofilament_relaxation_s
        ),
        dt_s,
    )


def axolemma_solids(geometry: AxonGeometry, injury: Injury, dt_s: float) -> Solids:
    """Solids of the axolemma, one per element."""
    return _solids(geometry.axial_pN_per_nm[:, -1], injury.axolemma_maxwell_ratio, injury.axolemma_relaxation_s, dt_s)


def reactions(
    displacement_nm: np.ndarray, geometry: AxonGeometry, injury: Injury, dt_s: float
) -> tuple[np.ndarray, np.ndarray]:
    """Forces (pN) at the left and the right grip at each step of a recorded history (n, S, M)."""
    solids = axolemma_solids(geometry, injury, dt_s)
    memory = np.zeros(geometry.n_stations - 1)
    before = np.zeros(geometry.n_stations - 1)
    ends = np.empty((2, len(displacement_nm)))
    for n, u in enumerate(displacement_nm):
        stretch = np.diff(u, axis=0)
        memory = solids.memory(memory, stretch[:, -1] - before)
        before = stretch[:, -1]
        force = geometry.axial_pN_per_nm * stretch
        force[:, -1] = solids.force(stretch[:, -1], memory)
        ends[:, n] = force[0].sum(), force[-1].sum()
    return ends[0], ends[1]


def microtubule_energy(displacement_nm: np.ndarray, geometry: AxonGeometry) -> float:
    """Elastic energy (pN nm) of the microtubules in one displacement (S, M)."""
    stretch = np.diff(displacement_nm[:, :-1], axis=0)
    return float(0.5 * (geometry.axial_pN_per_nm[:, :-1] * stretch**2).sum())


def energy_balance(history: AxonHistory, geometry: AxonGeometry, injury: Injury, dt_s: float) -> EnergyBalance:
    """Work at the grips against energy stored, dissipated and released.

    Each step is taken apart: loading with all links that held at its start, with work by the trapezoid of the grip's
    reaction, then release of the failing links at fixed ends, where no work is done and stored energy only drops.
    """
    links, sheath = link_solids(geometry, injury, dt_s), axolemma_solids(geometry, injury, dt_s)
    a, b = geometry.pairs.T
    stations, pairs = geometry.n_stations, len(geometry.pairs)
    slip, q = np.zeros((stations, pairs)), np.zeros((stations, pairs))
    stretch, qa = np.zeros(stations - 1), np.zeros(stations - 1)
    u_old = np.zeros((stations, geometry.n_lines))
    survivors = geometry.links_per_pair.astype(float)
    survivors[[0, -1]] = 0.0
    energy_old = force_old = work = unexplained = released = largest = 0.0
    least, worst = np.inf, 0.0

    def evaluate(u, holding):
        s, e = u[:, a] - u[:, b], np.diff(u[:, -1])
        q_new, qa_new = links.memory(q, s - slip), sheath.memory(qa, e - stretch)
        total = (
            microtubule_energy(u, geometry)
            + float((holding * links.stored(s, q_new)).sum())
            + float(0.5 * (geometry.coupling_pN_per_nm * s**2).sum())
            + float(sheath.stored(e, qa_new).sum())
        )
        microtubules = geometry.axial_pN_per_nm[-1, :-1] * (u[-1, :-1] - u[-2, :-1])
        return total, microtubules.sum() + sheath.force(e, qa_new)[-1], s, e, q_new, qa_new

    for before, after, holding in zip(
        history.before_failure_nm, history.displacement_nm, history.survivors, strict=True
    ):
        total, force, s, e, _, _ = evaluate(before, survivors)
        dissipated = float((survivors * links.dissipated(q, s - slip, dt_s)).sum()) + float(
            sheath.dissipated(qa, e - stretch, dt_s).sum()
        )
        step_work = 0.5 * (force_old + force) * (before[-1, 0] - u_old[-1, 0])
        work += step_work
        unexplained += step_work - (total - energy_old) - dissipated
        survivors = holding.copy()
        survivors[[0, -1]] = 0.0
        energy_old, force_old, slip_new, stretch_new, q_new, qa_new = evaluate(after, survivors)
        released += total - energy_old
        least = min(least, total - energy_old)
        slip, stretch, q, qa, u_old = slip_new, stretch_new, q_new, qa_new, after
        largest = max(largest, abs(work))
        worst = max(worst, abs(unexplained))
    return EnergyBalance(worst / largest, released / largest, least / largest)
