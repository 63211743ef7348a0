"""The published behaviour of axons under stretch, evaluated with the model (axon.md, end of section 5, corrected).

Every claim becomes one or more lines with the measured value, what is published and whether it holds. Claims about
directions are judged on the mean over a few layouts, because a single layout moves outputs by 16-75 %.
"""

from __future__ import annotations

import numpy as np

from understudy.axon.axon_energy import link_solids, microtubule_energy, reactions
from understudy.axon.axon_geometry import AxonGeometry, build_geometry, layout_set
from understudy.axon.axon_mechanics import AxonHistory, simulate_axon_history, simulate_axons
from understudy.axon.config import Injury
from understudy.axon.injury_verification import half_sine
from understudy.verification import check

SEED = 0
"""Root seed of the layouts on which the claims are judged; not the study's own."""

LAYOUTS = 4
RATES_PER_S = (1.0, 2.0, 5.0, 10.0, 20.0, 40.0, 60.0)
CRITERIA = ("elongation", "bell")

_STEPS = 100


def behaviour_table(injury: Injury) -> list[dict]:
    """All claims under the configured tau criterion."""
    return [
        gap_amplification(injury),
        *order_of_events(injury),
        *low_stress(injury),
        *rate_of_loading(injury),
        *microtubule_length(injury),
        *sex_difference(injury),
        node_strain(injury),
        *critical_stretch(injury),
        tau_force(injury),
    ]


def _layouts(injury: Injury, count: int = LAYOUTS) -> list[AxonGeometry]:
    return layout_set(injury.model_copy(update={"layouts": count}), SEED)


def _ramp(peak: float, rate_per_s: float, injury: Injury, steps: int = _STEPS) -> tuple[np.ndarray, float, Injury]:
    """Constant-rate history with its own step: strain, sampling in ms, parameters with that step."""
    step_ms = 1000 * peak / rate_per_s / steps
    return np.linspace(0, peak, steps + 1), step_ms, injury.model_copy(update={"dt_ms": step_ms})


def ramp_outputs(injury: Injury, peak: float, rate_per_s: float, geometries=None, steps: int = _STEPS) -> np.ndarray:
    """(layouts, 4) outputs of a constant-rate stretch to ``peak``."""
    strain, step_ms, law = _ramp(peak, rate_per_s, injury, steps)
    return simulate_axons(strain[None], geometries or _layouts(injury), law, step_ms)[0]


def ramp_history(
    injury: Injury, peak: float, rate_per_s: float, geometry: AxonGeometry, steps: int = _STEPS
) -> tuple[np.ndarray, AxonHistory, float]:
    """Strain, history and step (s) of a constant-rate stretch to ``peak``."""
    strain, step_ms, law = _ramp(peak, rate_per_s, injury, steps)
    return strain, simulate_axon_history(strain, geometry, law, step_ms), 1e-3 * step_ms


def tau_failed_in_time(history: AxonHistory, geometry: AxonGeometry) -> np.ndarray:
    """(n,) failed fraction of tau after each step."""
    tau = slice(0, geometry.n_tau_pairs)
    total = geometry.links_per_pair[:, tau].sum()
    return 1 - history.survivors[:, :, tau].sum(axis=(1, 2)) / total


def microtubule_strain_in_time(history: AxonHistory, geometry: AxonGeometry) -> np.ndarray:
    """(n,) largest microtubule strain at each step."""
    strain = np.diff(history.displacement_nm[:, :, :-1], axis=1) / geometry.dx_nm
    return np.where(geometry.axial_pN_per_nm[:, :-1] > 0, strain, -np.inf).max(axis=(1, 2))


def first_reached(x: np.ndarray, values: np.ndarray, level: float) -> float:
    """x where values first reach a level; infinite where they never do."""
    reached = np.flatnonzero(values >= level)
    return float(x[reached[0]]) if len(reached) else np.inf


def _words(strain: float) -> str:
    return f"{strain:.3f}" if np.isfinite(strain) else "not reached"


def gap_amplification(injury: Injury) -> dict:
    """Discontinuous over continuous microtubules: peak microtubule strain at strain 0.05, half-sine of 40 ms."""
    strain = half_sine(0.05, 40)[None]
    broken = simulate_axons(strain, _layouts(injury), injury)[0, :, 0].mean()
    whole = simulate_axons(strain, [build_geometry(injury, continuous=True)], injury)[0, 0, 0]
    ratio = broken / whole
    return check("Gaps raise the peak microtubule strain by", ratio, "2.33 (1.5 to 3)", "in range",
                 passed=1.5 <= ratio <= 3, source="found: Montanino and Kleiven 2018")  # fmt: skip


def order_of_events(injury: Injury) -> list[dict]:
    """Axon strain at which tau first reaches 40 % elongation and microtubules 50 % strain, 10 and 50 /s."""
    law = injury.model_copy(
        update={"tau_failure_elongation": 0.4, "tau_elongation_spread": 0.0, "tau_criterion": "elongation"}
    )
    geometry = build_geometry(law)
    lines = []
    for rate in (10.0, 50.0):
        strain, history, _ = ramp_history(law, 0.99, rate, geometry, steps=400)
        tau = first_reached(strain, tau_failed_in_time(history, geometry), 1e-12)
        tau_40 = first_reached(strain, tau_failed_in_time(history, geometry), 0.4)
        tubule = first_reached(strain, microtubule_strain_in_time(history, geometry), 0.5)
        lines.append(
            check(
                f"Tau reaches 40 % elongation before microtubules reach 50 % strain, {rate:g} /s: axon strain",
                tau,
                f"below the axon strain of microtubule strain 0.5, which is {_words(tubule)}",
                "order",
                passed=tau < tubule,
                source=f"found: Hasan 2022; 40 % of all tau failed at {_words(tau_40)}",
            )
        )
    return lines


def low_stress(injury: Injury) -> list[dict]:
    """Quasi-static stretch: energy share of microtubules up to 1 MPa of bundle stress; what fails."""
    geometry = build_geometry(injury)
    _, history, dt_s = ramp_history(injury, 0.3, 0.01, geometry)
    lines = geometry.n_lines - 1
    # Pitch = wall gap + 25 nm outer diameter; a hexagonal cell per microtubule.
    area_nm2 = lines * np.sqrt(3) / 2 * (injury.wall_gap_nm + 25.0) ** 2
    u = history.displacement_nm
    force = (geometry.axial_pN_per_nm[-1, :-1] * (u[:, -1, :-1] - u[:, -2, :-1])).sum(axis=1)
    stress_MPa = force / area_nm2
    within = np.flatnonzero(stress_MPa <= 1.0)
    last = int(within[stress_MPa[within].argmax()])
    solids = link_solids(geometry, injury, dt_s)
    a, b = geometry.pairs.T
    slip = u[:, :, a] - u[:, :, b]
    memory = np.zeros(slip.shape[1:])
    tau = slice(0, geometry.n_tau_pairs)
    for n in range(last + 1):
        memory = solids.memory(memory, slip[n] - (slip[n - 1] if n else 0.0))
    tubules = microtubule_energy(u[last], geometry)
    links = float((history.survivors[last] * solids.stored(slip[last], memory))[:, tau].sum())
    share = tubules / (tubules + links)
    peak = float(microtubule_strain_in_time(history, geometry).max())
    return [
        check("Microtubules' share of the bundle's elastic energy at 1 MPa or the largest stress below", share,
              "below 0.25", "sign", passed=share < 0.25,
              source=f"found: Peter and Mofrad 2012; quasi-static, stress {stress_MPa[last]:.2f} MPa"),
        check("Slow pull-out: peak microtubule strain while the axon is stretched to 0.3", peak,
              "below 0.05, links fail instead", "sign",
              passed=peak < 0.05 and tau_failed_in_time(history, geometry)[-1] > 0.1,
              source="found: Peter and Mofrad 2012; Ahmadzadeh 2015 (axons tolerate large slow stretch)"),
    ]  # fmt: skip


def rate_of_loading(injury: Injury) -> list[dict]:
    """Peak microtubule strain at axon strain 0.05: 44 /s against 0.01 /s and 1 against 44 /s."""
    fast, medium, slow = (ramp_outputs(injury, 0.05, rate)[:, 0].mean() for rate in (44.0, 1.0, 0.01))
    source = "found: Ahmadzadeh 2015 (5 % can rupture microtubules when fast)"
    return [
        check("Peak microtubule strain at strain 0.05, 44 /s over 0.01 /s", fast / slow, "above 2", "ratio",
              passed=fast / slow > 2, source=source),
        check("Peak microtubule strain at strain 0.05, 44 /s over 1 /s", fast / medium, "above 1", "sign",
              passed=fast / medium > 1, source=source),
    ]  # fmt: skip


def microtubule_length(injury: Injury) -> list[dict]:
    """Longer axon segments with one gap per line, that is longer microtubules: half a segment on average.

    At strain 0.05 the shorter axons have lost all links that can break; 0.03 keeps all lengths in the graded range.
    """
    strain = half_sine(0.03, 40)[None]
    outputs = []
    for length in (4.0, 8.0, 16.0, 32.0):
        law = injury.model_copy(update={"length_um": length})
        outputs.append(simulate_axons(strain, _layouts(law), law)[0].mean(axis=0))
    outputs = np.array(outputs)
    source = "found: Ahmadzadeh 2015; strain 0.03, half-sine of 40 ms, microtubules of 2, 4, 8, 16 um"
    return [
        check("Longer microtubules are strained more: strain at 16 um over 2 um", outputs[-1, 0] / outputs[0, 0],
              "monotone rise", "order", passed=bool((np.diff(outputs[:, 0]) > 0).all()),
              source=f"{source}: {np.round(outputs[:, 0], 3).tolist()}"),
        check("Shorter microtubules detach more: failed tau at 2 um less that at 16 um", outputs[0, 2] - outputs[-1, 2],
              "monotone fall with length", "order", passed=bool((np.diff(outputs[:, 2]) < 0).all()),
              source=f"{source}: {np.round(outputs[:, 2], 3).tolist()}"),
    ]  # fmt: skip


def sex_difference(injury: Injury) -> list[dict]:
    """Female against male axons at equal strain and at equal peak force (half-sine of 40 ms)."""
    peaks = np.linspace(0.005, 0.1, 20)
    outputs, forces = {}, {}
    for sex in ("male", "female"):
        law = injury.model_copy(update={"sex": sex})
        geometries = _layouts(law, 2)
        strain = half_sine(1.0, 40, total_ms=50)[None] * peaks[:, None]
        outputs[sex] = simulate_axons(strain, geometries, law).mean(axis=1)
        forces[sex] = np.array([
            np.mean([
                reactions(simulate_axon_history(row, g, law).displacement_nm, g, law, 1e-3 * law.dt_ms)[1].max()
                for g in geometries
            ])
            for row in strain
        ])  # fmt: skip
    lines = []
    source = "found: Dolle 2018 (fewer microtubules, greater risk under the same load); direction"
    middle = 10
    for column, name in ((2, "failed tau"), (3, "failed side-arms"), (1, "node strain")):
        excess = outputs["female"][middle, column] - outputs["male"][middle, column]
        lines.append(
            check(f"Female less male at equal strain {peaks[middle]:.3f}: {name}", excess, "above 0", "sign",
                  passed=excess > 0, source=source)
        )  # fmt: skip
    # Equal force: the female response where its peak force is first that of a male axon at strain 0.02.
    target = float(np.interp(0.02, peaks, forces["male"]))
    rising = np.maximum.accumulate(forces["female"])
    reached = rising[-1] >= target
    strain_female = float(np.interp(target, rising, peaks)) if reached else float(peaks[-1])
    for column, name in ((0, "microtubule strain"), (2, "failed tau"), (3, "failed side-arms"), (1, "node strain")):
        male = np.interp(0.02, peaks, outputs["male"][:, column])
        female = np.interp(strain_female, peaks, outputs["female"][:, column])
        words = "" if reached else "; the force is never reached, taken at the largest strain"
        lines.append(
            check(f"Female less male at equal force ({target:.0f} pN): {name}", female - male, "above 0", "sign",
                  passed=female > male, source=f"{source}; female strain {strain_female:.3f}{words}")
        )  # fmt: skip
    return lines


def node_strain(injury: Injury) -> dict:
    """Local strain of the node of Ranvier where the axon strain is at the published threshold."""
    peaks = np.array([0.088, 0.10, 0.11, 0.132])
    strain = half_sine(1.0, 40)[None] * peaks[:, None]
    local = simulate_axons(strain, _layouts(injury), injury)[:, :, 1].mean(axis=1)
    return check(
        "Peak node strain at the flag, axon strain 0.10",
        local[1],
        "0.2 to 0.4 (estimate)",
        "in range",
        passed=0.2 <= local[1] <= 0.4,
        source="found: pores at axon strain 0.10-0.12, Montanino 2020 (no local value known to us); local strain at "
        f"axon strain 0.088 / 0.11 / 0.132: {local[0]:.2f} / {local[2]:.2f} / {local[3]:.2f}",
    )


def critical_stretch(injury: Injury) -> list[dict]:
    """Stretch at which tau fails, 0.1 to 10 /s: half of all, and half of those that pull-out can break at all."""
    geometry = build_geometry(injury)
    lines = []
    for rate in (0.1, 10.0):
        strain, history, _ = ramp_history(injury, 0.9, rate, geometry, steps=450)
        failed = tau_failed_in_time(history, geometry)
        half = first_reached(1 + strain, failed, 0.5)
        half_reachable = first_reached(1 + strain, failed, 0.5 * failed[-1])
        lines.append(
            check(f"Stretch at 50 % failed tau, {rate:g} /s", half if np.isfinite(half) else -1.0, "1.01 to 1.30",
                  "in range", passed=1.01 <= half <= 1.30,
                  source=f"recalled: de Rooij and Kuhl 2018; {_words(half)} (-1 where never): with one gap per line "
                  f"only links between opposite halves can break, {failed[-1]:.2f} of all at strain 0.9")
        )  # fmt: skip
        lines.append(
            check(f"Stretch at half of the reachable tau failures, {rate:g} /s", half_reachable, "1.01 to 1.30",
                  "in range", passed=1.01 <= half_reachable <= 1.30, source="recalled: de Rooij and Kuhl 2018")
        )  # fmt: skip
    return lines


def tau_force(injury: Injury) -> dict:
    """Largest force of one tau link that holds, strain 0.05 in a half-sine of 40 ms."""
    geometry = build_geometry(injury)
    history = simulate_axon_history(half_sine(0.05, 40, total_ms=50), geometry, injury)
    solids = link_solids(geometry, injury, 1e-3 * injury.dt_ms)
    a, b = geometry.pairs[: geometry.n_tau_pairs].T
    slip = history.displacement_nm[:, :, a] - history.displacement_nm[:, :, b]
    tau = slice(0, geometry.n_tau_pairs)
    decay, gain = solids.decay[tau], solids.gain[tau]
    memory, before, largest = np.zeros(slip.shape[1:]), np.zeros(slip.shape[1:]), 0.0
    for now, survivors in zip(slip, history.survivors[:, :, tau], strict=True):
        memory = decay * memory + gain * (now - before)
        before = now
        force = injury.tau_stiffness_pN_per_nm * np.abs(now + injury.tau_maxwell_ratio * memory)
        largest = max(largest, float(force[survivors > 0].max()))
    return check(
        "Largest force of a tau link that holds (pN)",
        largest,
        "1 to 100",
        "in range",
        passed=1 <= largest <= 100,
        source="found: bond strength 1-100 pN, de Rooij and Kuhl 2018",
    )


def rate_dependence(injury: Injury, peaks: tuple[float, ...] = (0.03, 0.05)) -> list[dict]:
    """Outputs against strain rate at fixed peak for both tau criteria (half-sines; the rate is the mean of the rise).

    Returns
    -------
    lines with the mean slope d(output)/d(rate) over 1-60 /s, with sign; the published direction (microtubules are
    loaded more and tau detaches less when stretched fast, Ahmadzadeh 2014 and 2015) judges the first and third output.
    """
    lines = []
    for criterion in CRITERIA:
        for peak in peaks:
            outputs = outputs_by_rate(injury.model_copy(update={"tau_criterion": criterion}), peak)
            slopes = (outputs[-1] - outputs[0]) / (RATES_PER_S[-1] - RATES_PER_S[0])
            names = ("microtubule strain", "node strain", "failed tau", "failed side-arms")
            for name, slope, values, sign in zip(names, slopes, outputs.T, (1, 0, -1, 0), strict=True):
                lines.append(
                    check(
                        f"d({name})/d(rate) in s, 1-60 /s, peak {peak:g}, {criterion} criterion",
                        slope,
                        {1: "above 0", -1: "below 0", 0: "no published sign"}[sign],
                        "sign",
                        passed=sign == 0 or slope * sign > 0,
                        source=f"at {RATES_PER_S} /s: {[float(f'{v:.3g}') for v in values]}; "
                        "recalled: Ahmadzadeh 2014; found: Ahmadzadeh 2015",
                    )
                )
    return lines


def outputs_by_rate(injury: Injury, peak: float) -> np.ndarray:
    """(rates, 4) outputs, mean over the layouts, for half-sines that rise at `RATES_PER_S`."""
    outputs = []
    for rate in RATES_PER_S:
        step_ms = 2000 * peak / rate / _STEPS
        strain = peak * np.sin(np.pi * np.arange(_STEPS + 1) / _STEPS)
        law = injury.model_copy(update={"dt_ms": step_ms})
        outputs.append(simulate_axons(strain[None], _layouts(law), law, step_ms)[0].mean(axis=0))
    return np.array(outputs)
