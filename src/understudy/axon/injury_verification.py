"""Verification of the axonal injury model against closed forms and conservation laws (axon.md, V1 to V9)."""

from __future__ import annotations

import dataclasses

import numpy as np

from understudy.axon.axon_energy import energy_balance, reactions
from understudy.axon.axon_geometry import AxonGeometry, build_geometry, layout_set, reference_geometry
from understudy.axon.axon_mechanics import simulate_axon_history, simulate_axons, step_law
from understudy.axon.config import Injury
from understudy.verification import check

_STIFF_PN = 1e11  # surroundings that stay affine: 2e5 times a microtubule


def verify_injury(injury: Injury) -> list[dict]:
    """The whole verification table; every line as `understudy.verification.check` makes it."""
    return [
        *static_shear_lag(injury),
        *ramped_shear_lag(injury),
        *single_link(injury),
        *energy(injury),
        two_zone_axolemma(injury),
        *linearity(injury),
        *cut_links(injury),
        *rigid_bundle(injury),
        *refinement(injury),
    ]


def unbreakable(geometry: AxonGeometry) -> AxonGeometry:
    """The same axon with links that never fail."""
    return dataclasses.replace(
        geometry,
        link_upper_nm=np.full(len(geometry.link_upper_nm), np.inf),
        link_lower_nm=np.full(len(geometry.link_upper_nm), -np.inf),
        link_threshold=np.full(len(geometry.link_upper_nm), np.inf),
    )


def without_links(geometry: AxonGeometry) -> AxonGeometry:
    """The same axon with lines that nothing couples."""
    none = np.empty(0)
    return dataclasses.replace(
        geometry,
        coupling_pN_per_nm=np.zeros_like(geometry.coupling_pN_per_nm),
        link_start=np.zeros_like(geometry.link_start),
        link_upper_nm=none,
        link_lower_nm=none,
        link_threshold=none,
    )


def microtubule_in_affine_surroundings(injury: Injury, dx_nm: float) -> AxonGeometry:
    """One microtubule with free ends, tied by two tau links per station to a line so stiff that it deforms affinely.

    The microtubule fills the axon but for the first and last element; its end stations have half a cell, one link.
    """
    length = 1000 * injury.length_um + 2 * dx_nm
    stations = round(length / dx_nm) + 1
    axial = np.empty((stations - 1, 2))
    axial[:, 0] = _microtubule_stiffness_pN(injury) / dx_nm
    axial[[0, -1], 0] = 0.0
    axial[:, 1] = _STIFF_PN / dx_nm
    links = np.full(stations, 2)
    links[[0, 1, -2, -1]] = 0, 1, 1, 0
    n = int(links.sum())
    return unbreakable(
        AxonGeometry(
            dx_nm=dx_nm,
            length_nm=length,
            pairs=np.array([[0, 1]]),
            n_tau_pairs=1,
            axial_pN_per_nm=axial,
            coupling_pN_per_nm=np.zeros((stations, 1)),
            link_start=np.concatenate([[0], np.cumsum(links)]),
            link_upper_nm=np.empty(n),
            link_lower_nm=np.empty(n),
            link_threshold=np.empty(n),
            gap_start_nm=np.empty(0),
        )
    )


def _microtubule_stiffness_pN(injury: Injury) -> float:
    return 1000 * injury.microtubule_modulus_GPa * injury.microtubule_area_nm2


def _with_kappa(injury: Injury, kappa: float, dx_nm: float, **changes) -> Injury:
    """Tau links of such stiffness that two per station make ``kappa`` (pN/nm2)."""
    return injury.model_copy(
        update={"tau_stiffness_pN_per_nm": kappa * dx_nm / 2, "tau_criterion": "elongation"} | changes
    )


def _shear_lag_error(injury: Injury, dx_nm: float) -> tuple[float, float]:
    """Relative errors of centre strain and end slip of the static shear lag at strain 0.1."""
    kappa, eps = 0.06, 0.1
    law = _with_kappa(injury, kappa, dx_nm, tau_maxwell_ratio=0.0)
    geometry = microtubule_in_affine_surroundings(injury, dx_nm)
    u = simulate_axon_history(np.full(2, eps), geometry, law).displacement_nm[-1]
    length = 1000 * injury.length_um
    lag = np.sqrt(_microtubule_stiffness_pN(injury) / kappa)
    centre = eps * (1 - 1 / np.cosh(length / (2 * lag)))
    slip = eps * lag * np.tanh(length / (2 * lag))
    middle = len(u) // 2
    # Central difference over two elements: its own error is of the same order as the scheme's.
    found_centre = (u[middle + 1, 0] - u[middle - 1, 0]) / (2 * dx_nm)
    found_slip = u[-2, 1] - u[-2, 0]
    return abs(found_centre / centre - 1), abs(found_slip / slip - 1)


def static_shear_lag(injury: Injury) -> list[dict]:
    """V1: one microtubule in affine surroundings (cosh solution)."""
    centre, slip = _shear_lag_error(injury, 50.0)
    source = "shear lag, u' = eps (1 - cosh(x/l)/cosh(L/2l)); dx 50 nm"
    return [
        check("V1 shear lag: centre strain, relative error", centre, 0.0, 1e-4, source=source),
        check("V1 shear lag: end slip, relative error", slip, 0.0, 1e-4, source=source),
    ]


def modal_end_slip(injury: Injury, kappa: float, rate_per_s: float, time_s: np.ndarray, modes: int = 400) -> np.ndarray:
    """End slip (nm, positive where the surroundings run ahead) of the ramped microtubule by sine modes.

    Each mode of the slip w obeys ``(A + k + k beta) w' + (A + k)/T w = -A b r (1 + t/T)`` with ``A = EA q_n^2``.
    """
    length = 1000 * injury.length_um
    beta = injury.tau_maxwell_ratio
    relax = injury.tau_relaxation_s / beta
    n = np.arange(modes)[:, None]
    q = (2 * n + 1) * np.pi / length
    b = 4 * (-1.0) ** n / (length * q**2)
    a = _microtubule_stiffness_pN(injury) * q**2
    drive = a * b * rate_per_s
    slope = -drive / (a + kappa)
    offset = relax * drive * kappa * beta / (a + kappa) ** 2
    decay = (a + kappa) / (relax * (a + kappa + kappa * beta))
    w = slope * time_s + offset * (-np.expm1(-decay * time_s))
    eps = rate_per_s * time_s
    return eps * length / 2 - ((-1.0) ** n * (w + eps * b)).sum(axis=0)


def _ramped_end_slip(injury: Injury, dx_nm: float, dt_ms: float) -> tuple[np.ndarray, np.ndarray]:
    """Found and expected end slip (nm) at every step, strain 0 to 0.1 in 20 ms."""
    kappa, duration = 0.06, 20
    law = _with_kappa(injury, kappa, dx_nm, dt_ms=dt_ms)
    geometry = microtubule_in_affine_surroundings(injury, dx_nm)
    strain = 0.1 * np.arange(duration + 1) / duration
    u = simulate_axon_history(strain, geometry, law).displacement_nm
    time_s = 1e-3 * dt_ms * np.arange(len(u))
    # The surroundings span two elements more than the microtubule, their strain is the same.
    expected = modal_end_slip(injury, kappa, 0.1 / (1e-3 * duration), time_s)
    found = 0.5 * ((u[:, -2, 1] - u[:, -2, 0]) - (u[:, 1, 1] - u[:, 1, 0]))
    return found, expected


def ramped_shear_lag(injury: Injury) -> list[dict]:
    """V2: the ramped microtubule with standard linear solid links against its modal solution."""
    found, expected = _ramped_end_slip(injury, 50.0, 0.25)
    return [
        check(
            "V2 viscoelastic ramp: end slip, relative error",
            np.abs(found - expected).max() / expected[-1],
            0.0,
            1e-3,
            source="sine modes of the standard linear solid; dx 50 nm, dt 0.25 ms",
        )
    ]


def link_force(injury: Injury, slip_nm: np.ndarray, dt_s: float) -> np.ndarray:
    """Force (pN) of one tau link for slips at equal steps, linear in between, as the kernel steps it."""
    law = step_law(injury, dt_s)
    history, force = 0.0, np.zeros(len(slip_nm))
    for n, slip in enumerate(slip_nm):
        force[n] = law.stiffness[0] * slip + history
        history = law.decay[0] * history + law.drop[0] * slip
    return force


def single_link(injury: Injury) -> list[dict]:
    """V3: one link under a piecewise linear slip, and its storage and loss modulus."""
    k, beta = injury.tau_stiffness_pN_per_nm, injury.tau_maxwell_ratio
    relax = injury.tau_relaxation_s / beta
    dt = relax / 3
    t = dt * np.arange(40)
    knots = {0: 2.0, 5: -3.0, 11: 0.5, 20: 1.0}  # changes of slip rate, nm/s
    slip, expected = np.zeros(len(t)), np.zeros(len(t))
    for at, change in knots.items():
        since = np.maximum(t - t[at], 0.0)
        slip += change * since
        expected += k * change * (since + beta * relax * -np.expm1(-since / relax))
    error = np.abs(link_force(injury, slip, dt) - expected).max() / np.abs(expected).max()
    omega = 1 / relax
    per_period = 2000
    dt = 2 * np.pi * relax / per_period
    t = dt * np.arange(20 * per_period)
    force = link_force(injury, np.sin(omega * t), dt)[-per_period:]
    phase = omega * t[-per_period:]
    storage = 2 * (force * np.sin(phase)).mean()
    loss = 2 * (force * np.cos(phase)).mean()
    source = "standard linear solid at omega T = 1; 2,000 steps per period"
    return [
        check("V3 one link, piecewise linear slip: relative error", error, 0.0, 1e-10, source="closed form"),
        check("V3 storage modulus over k (1 + beta/2)", storage / (k * (1 + beta / 2)), 1.0, 1e-5, source=source),
        check("V3 loss modulus over k beta/2", loss / (k * beta / 2), 1.0, 1e-5, source=source),
    ]


def half_sine(peak: float, duration_ms: float, total_ms: int = 100, step_ms: float = 1.0) -> np.ndarray:
    """Half-sine history of fibre strain, zero after its end."""
    t = np.arange(0, total_ms + step_ms / 2, step_ms)
    return np.where(t <= duration_ms, peak * np.sin(np.pi * np.minimum(t, duration_ms) / duration_ms), 0.0)


def energy(injury: Injury) -> list[dict]:
    """V4: work at the grips against energy stored, dissipated and released."""
    lines = []
    law = injury.model_copy(update={"dt_ms": 0.1, "tau_criterion": "elongation"})
    strain = half_sine(0.05, 40, total_ms=60)
    for words, geometry, tolerance in (
        ("no failures", unbreakable(reference_geometry(law)), 1e-3),
        ("with failures", reference_geometry(law), 1e-2),
    ):
        balance = energy_balance(simulate_axon_history(strain, geometry, law), geometry, law, dt_s=1e-4)
        lines.append(
            check(
                f"V4 energy, {words}: residual over work",
                balance.residual,
                0.0,
                tolerance,
                source="work by the reaction before failure; release at fixed ends; dt 0.1 ms",
            )
        )
    lines.append(
        check(
            "V4 energy released by failing links over work",
            balance.released,
            "not negative at any step",
            "sign",
            passed=balance.least_release >= -1e-9 and balance.released > 0,
        )
    )
    return lines


def two_zone_axolemma(injury: Injury) -> dict:
    """V5: the axolemma alone, a bar of two stiffnesses in series."""
    geometry = without_links(reference_geometry(injury))
    eps = 0.05
    found = simulate_axons(np.full((1, 2), eps), [geometry], injury)[0, 0, 1] / eps
    length, node, ratio = injury.length_um, injury.node_length_um, injury.internode_factor
    expected = length / (node + (length - node) / ratio)
    return check("V5 node strain over axon strain, axolemma alone", found, expected, 1e-10 * expected,
                 source="two bars in series")  # fmt: skip


def linearity(injury: Injury) -> list[dict]:
    """V6: nothing from nothing, superposition without failures, equal reactions at both ends."""
    geometry = unbreakable(reference_geometry(injury))
    first, second = half_sine(0.04, 20), half_sine(0.06, 55)
    runs = [simulate_axon_history(s, geometry, injury) for s in (first, second, first + second, 0 * first)]
    u1, u2, both, none = (run.displacement_nm for run in runs)
    left, right = reactions(both, geometry, injury, dt_s=1e-3 * injury.dt_ms)
    return [
        check("V6 displacement without strain (nm)", np.abs(none).max(), 0.0, 0.0, source="identity"),
        check("V6 superposition: relative error", np.abs(u1 + u2 - both).max() / np.abs(both).max(), 0.0, 1e-9,
              source="linearity without failures"),
        check("V6 reactions of both ends differ by (relative)", np.abs(left - right).max() / np.abs(right).max(), 0.0,
              1e-9, source="equilibrium; a rigid translation does no work"),
    ]  # fmt: skip


def cut_links(injury: Injury) -> list[dict]:
    """V7: without links only lines gripped at both ends are strained."""
    geometry = without_links(reference_geometry(injury))
    axial = geometry.axial_pN_per_nm.copy()
    axial[:, 0] = axial[:, 0].max()
    geometry = dataclasses.replace(geometry, axial_pN_per_nm=axial)
    eps = 0.05
    u = simulate_axon_history(np.full(2, eps), geometry, injury).displacement_nm[-1]
    strain = np.where(axial[:, :-1] > 0, np.diff(u, axis=0)[:, :-1] / geometry.dx_nm, 0.0)
    return [
        check("V7 no links: strain of a line without gap over axon strain", strain[:, 0].max() / eps, 1.0, 1e-10,
              source="a bar"),
        check("V7 no links: largest strain of lines with a gap", np.abs(strain[:, 1:]).max(), 0.0, 1e-12,
              source="free ends carry nothing"),
    ]  # fmt: skip


def rigid_bundle(injury: Injury) -> list[dict]:
    """V8 (corrected): with rigid links the others carry M/(M - 1) of the strain at the gap of one line."""
    lines = []
    eps = 0.01
    for n in (7, 19):
        law = injury.model_copy(
            update={"sex": "male", "microtubules_male": n, "tau_stiffness_pN_per_nm": 1e5, "tau_maxwell_ratio": 0.0}
        )
        whole = build_geometry(law, continuous=True)
        whole = unbreakable(whole)
        for place, line in (("centre", 0), ("edge", n - 1)):
            axial = whole.axial_pN_per_nm.copy()
            middle = round(0.35 * len(axial))
            axial[middle, line] = 0.0
            axial[:, -1] = 1e-9
            geometry = dataclasses.replace(
                whole, axial_pN_per_nm=axial, coupling_pN_per_nm=np.zeros_like(whole.coupling_pN_per_nm)
            )
            soft = law.model_copy(update={"neurofilament_stiffness_pN_per_nm": 1e-12})
            peak = simulate_axons(np.full((1, 2), eps), [geometry], soft)[0, 0, 0]
            lines.append(
                check(f"V8 rigid links, {n} microtubules, gap at the {place}: overload", peak / eps, n / (n - 1),
                      0.01 * n / (n - 1), source="force balance across the gap")
            )  # fmt: skip
    return lines


def refinement(injury: Injury) -> list[dict]:
    """V9: orders without failures; the spread over dx and dt with failures."""
    coarse, fine = _shear_lag_error(injury, 100.0)[1], _shear_lag_error(injury, 50.0)[1]
    ends = [_ramped_end_slip(injury, 100.0, dt)[0][-1] for dt in (1.0, 0.5, 0.25)]
    order = np.log2(abs(ends[0] - ends[1]) / abs(ends[1] - ends[2]))
    strain = half_sine(0.05, 40)[None]
    found = []
    for dx, dt in ((100.0, 1.0), (50.0, 1.0), (25.0, 1.0), (100.0, 0.5), (100.0, 0.25)):
        law = injury.model_copy(update={"dx_nm": dx, "dt_ms": dt, "layouts": 8})
        found.append(simulate_axons(strain, layout_set(law, 0), law)[0].mean(axis=0))
    spread = np.ptp(found, axis=0)
    lines = [
        check("V9 order in dx, static shear lag", np.log2(coarse / fine), 2.0, 0.1, source="central differences"),
        check("V9 order in dt, viscoelastic ramp", order, "1 to 2", "at least 0.9",
              passed=order >= 0.9, source="links linear in time within a step; three step sizes"),
    ]  # fmt: skip
    names = ("microtubule strain", "axolemma strain", "failed tau", "failed side-arms")
    for name, value, reference in zip(names, spread, found[0], strict=True):
        lines.append(
            check(
                f"V9 with failures: spread of mean {name} over dx 100-25 nm and dt 1-0.25 ms, relative",
                value / reference,
                "discrete events: no order",
                "below 0.05",
                passed=value / reference < 0.05,
                source="strain 0.05, half-sine of 40 ms, mean of 8 layouts",
            )
        )
    return lines
