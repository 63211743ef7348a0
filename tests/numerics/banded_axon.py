"""A peer of the axon solver: one case, scipy's banded Cholesky factorisation, total displacements, link by link."""

from __future__ import annotations

import numpy as np
from scipy.linalg import cho_solve_banded, cholesky_banded

BOLTZMANN_310_K_PN_NM = 1.380649e-2 * 310.15


def simulate(strain, geometry, injury, sample_ms=1.0, max_iterations=200):
    """The four outputs of one history (t,) in one layout, at one step per sample, and the number of factorisations."""
    dt = 1e-3 * sample_ms
    lines, stations, pairs = geometry.n_lines, geometry.n_stations, geometry.pairs
    a, b = pairs[:, 0], pairs[:, 1]
    tau = np.arange(len(pairs)) < geometry.n_tau_pairs
    k = np.where(tau, injury.tau_stiffness_pN_per_nm, injury.neurofilament_stiffness_pN_per_nm)
    beta = np.where(tau, injury.tau_maxwell_ratio, injury.neurofilament_maxwell_ratio)
    relax = np.where(tau, injury.tau_relaxation_s / injury.tau_maxwell_ratio, injury.neurofilament_relaxation_s)
    decay = np.exp(-dt / relax)
    gain = (1 - decay) * relax / dt
    decay_a = np.exp(-dt / injury.axolemma_relaxation_s)
    gain_a = (1 - decay_a) * injury.axolemma_relaxation_s / dt
    beta_a = injury.axolemma_maxwell_ratio
    axial_long = geometry.axial_pN_per_nm[:, -1]
    axial = geometry.axial_pN_per_nm.copy()
    axial[:, -1] *= 1 + beta_a * gain_a

    link_place = np.repeat(np.arange(stations * len(pairs)), np.diff(geometry.link_start))
    link_tau = tau[link_place % len(pairs)]
    alive = np.ones(len(link_place), dtype=bool)
    hazard = np.zeros(len(link_place))
    rate = np.full(len(link_place), injury.tau_bell_rate_per_s)
    bell = injury.tau_criterion == "bell"
    slip, q = np.zeros((stations, len(pairs))), np.zeros((stations, len(pairs)))
    stretch_a, q_a = np.zeros(stations - 1), np.zeros(stations - 1)
    out = np.zeros(4)
    factor, factorisations = None, 0
    for eps in strain:
        for _ in range(max_iterations):
            holding = np.bincount(link_place[alive], minlength=stations * len(pairs)).reshape(stations, -1)
            memory = k * beta * (decay * q - gain * slip)
            if factor is None:
                stiff = holding * k * (1 + beta * gain) + geometry.coupling_pN_per_nm
                band = np.zeros((lines + 1, stations, lines))
                np.add.at(band[0], (slice(None), a), stiff)
                np.add.at(band[0], (slice(None), b), stiff)
                for p in range(len(pairs)):
                    band[b[p] - a[p], :, a[p]] -= stiff[:, p]
                band[0, :-1] += axial
                band[0, 1:] += axial
                band[lines, :-1] -= axial
                band[0][band[0] == 0] = 1.0
                inner = band[:, 1:-1].reshape(lines + 1, -1).copy()
                inner[lines, -lines:] = 0.0
                factor = cholesky_banded(inner, lower=True, check_finite=False)
                factorisations += 1
            load = np.zeros((stations, lines))
            np.add.at(load, (slice(None), a), -holding * memory)
            np.add.at(load, (slice(None), b), holding * memory)
            memory_a = axial_long * beta_a * (decay_a * q_a - gain_a * stretch_a)
            load[:-1, -1] += memory_a
            load[1:, -1] -= memory_a
            end = eps * geometry.length_nm
            load[-2] += axial[-1] * end
            u = np.zeros((stations, lines))
            u[-1] = end
            u[1:-1] = cho_solve_banded((factor, True), load[1:-1].ravel(), check_finite=False).reshape(-1, lines)
            new_slip = u[:, a] - u[:, b]
            at_link = new_slip.ravel()[link_place]
            force = (k * (1 + beta * gain) * new_slip + memory).ravel()[link_place]
            new_rate = injury.tau_bell_rate_per_s * np.exp(
                np.minimum(np.abs(force) * injury.tau_bell_distance_nm / BOLTZMANN_310_K_PN_NM, 60)
            )
            new_hazard = hazard + 0.5 * dt * (rate + new_rate)
            fails = (at_link > geometry.link_upper_nm) | (at_link < geometry.link_lower_nm)
            if bell:
                fails = np.where(link_tau, new_hazard > geometry.link_threshold, fails)
            station = link_place // len(pairs)
            fails &= alive & (station > 0) & (station < stations - 1)
            if not fails.any():
                break
            alive &= ~fails
            factor = None
        strain_now = np.diff(u, axis=0) / geometry.dx_nm
        out[0] = max(out[0], strain_now[:, :-1][geometry.axial_pN_per_nm[:, :-1] > 0].max())
        out[1] = max(out[1], strain_now[:, -1].max())
        q = decay * q + gain * (new_slip - slip)
        slip = new_slip
        new_stretch = np.diff(u[:, -1])
        q_a = decay_a * q_a + gain_a * (new_stretch - stretch_a)
        stretch_a = new_stretch
        rate, hazard = new_rate, new_hazard
    out[2] = 1 - alive[link_tau].mean()
    out[3] = 1 - alive[~link_tau].mean()
    return out, factorisations
