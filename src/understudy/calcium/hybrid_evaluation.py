"""How well a cable with a closure or a network in it does what the same cable does with the receptors' equations.

Every function takes ``make``, which gives the `Channel` for a set of parameters, and runs the receptors' equations
beside it on the same grid with the same steps.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from understudy.calcium.cable_dynamics import CableRun, CableSimulation, Channel
from understudy.calcium.cable_geometry import uniform_cable
from understudy.calcium.parameters import Parameters
from understudy.calcium.receptor_protocols import RAISED_REST_UM, REST_UM, WaveCase, draw_wave_cases
from understudy.calcium.reference_cases import (
    FRONT_LENGTH_UM,
    RECOVERY_GAPS_S,
    front_cable,
    front_parameters,
    front_run,
    recovery_curve,
    recovery_parameters,
)
from understudy.calcium.stimulus import NO_STIMULUS, Stimulus
from understudy.calcium.threshold_radii import cable_threshold_um, cables_make_wave
from understudy.calcium.waves import nrmse, wave_speed

Make = Callable[[Parameters], Channel | None]

SITES_UM = (20.0, 40.0, 54.0)
FASTEST_UM_PER_S = 5000.0
STEPS_S = (1e-4, 5e-5, 2.5e-5, 1.25e-5)


@dataclass(frozen=True)
class FrontErrors:
    """Errors on the reference front, as fractions where no unit is named.

    Attributes
    ----------
    speed, peak : relative, signed; arrival_ms at 40 um.
    nrmse_u : largest over the three sites, not aligned.
    r2_open, nrmse_open : of the open probability at the three sites together.
    """

    speed: float
    arrival_ms: float
    peak: float
    nrmse_u: float
    r2_open: float
    nrmse_open: float


def front_errors(make: Make, *, dt_s: float = 2.5e-5, spacing_um: float = 0.25, duration_s: float = 0.3) -> FrontErrors:
    """The reference front with and without the channel."""
    cable, parameters = front_cable(spacing_um), front_parameters()
    sites = [cable.nearest(x) for x in SITES_UM]
    expected, found = (
        front_run(spacing_um, dt_s, duration_s, sites=sites, every=4, channel=channel)
        for channel in (None, make(parameters))
    )
    speeds = [wave_speed(cable.position_um, run.arrival_s, FRONT_LENGTH_UM)[0] for run in (expected, found)]
    p, q = expected.traces[0, :, :, 3], found.traces[0, :, :, 3]
    site = sites[1]
    return FrontErrors(
        speed=float(speeds[1] / speeds[0] - 1),
        arrival_ms=float(found.arrival_s[0, site] - expected.arrival_s[0, site]) * 1e3,
        peak=float(found.peak_uM[0, site] / expected.peak_uM[0, site] - 1),
        nrmse_u=max(nrmse(found.traces[0, :, k, 0], expected.traces[0, :, k, 0]) for k in range(len(sites))),
        r2_open=float(1 - ((q - p) ** 2).sum() / ((p - p.mean()) ** 2).sum()),
        nrmse_open=nrmse(q, p),
    )


def step_errors(make: Make, steps_s: Sequence[float] = STEPS_S, spacing_um: float = 0.25) -> dict[str, np.ndarray]:
    """Speeds (steps,) in um/s of the reference front at several steps with the equations and with the channel.

    'error' is that between the two at each step, 'change' (2,) the whole change from the shortest to the longest step.
    """
    cable = front_cable(spacing_um)
    speeds = np.array(
        [
            [
                wave_speed(
                    cable.position_um, front_run(spacing_um, dt, channel=channel).arrival_s, FRONT_LENGTH_UM
                )[0]
                for dt in steps_s
            ]
            for channel in (None, make(front_parameters()))
        ]
    )  # fmt: skip
    first, last = int(np.argmin(steps_s)), int(np.argmax(steps_s))
    return {
        "step_s": np.array(steps_s),
        "equations": speeds[0],
        "channel": speeds[1],
        "error": speeds[1] / speeds[0] - 1,
        "change": speeds[:, last] / speeds[:, first] - 1,
    }


def draw_heldout_cases(seed: int, plain: int = 20, conditioned: int = 16) -> list[WaveCase]:
    """Parameter sets that no training has seen: at ease, then with raised resting calcium (`RAISED_REST_UM`).

    Half as many again are drawn, and those are left out in which the equations make no wave (on a coarse step).
    """
    rng, cases = np.random.default_rng(seed), []
    for count, rest in ((plain, REST_UM), (conditioned, RAISED_REST_UM)):
        drawn = draw_wave_cases(3 * count // 2 + 2, rng, rest_uM=rest)
        speeds, _ = simulate_heldout(drawn, None, dt_s=1e-4, duration_s=0.12)
        cases += [case for case, speed in zip(drawn, speeds, strict=True) if speed > 0][:count]
    return cases


def simulate_heldout(
    cases: Sequence[WaveCase], make: Make | None, *, dt_s: float = 2.5e-5, spacing_um: float = 0.25,
    length_um: float = 48.0, duration_s: float = 0.2, sites_um: Sequence[float] = (12.0, 24.0, 36.0),
) -> tuple[np.ndarray, CableRun]:  # fmt: skip
    """Speeds (K,) in um/s, 0 where no wave passed, and the run, sampled every 0.1 ms.

    One channel serves all cases, made for the default parameters: a network knows one receptor, and so do the closures.
    """
    n = round(length_um / spacing_um)
    cables = [uniform_cable(length_um, case.radius_um, case.er_radius_um, n) for case in cases]
    stimuli = [Stimulus(onsets_s=case.onsets_s, density_uM_um_per_s=case.density_uM_um_per_s) for case in cases]
    run = CableSimulation(
        cables, [case.parameters for case in cases], dt_s, channel=None if make is None else make(Parameters()),
        lanes=True, check_grid=False,
    ).run(
        duration_s, stimuli, sites=[cables[0].nearest(x) for x in sites_um], every=max(1, round(1e-4 / dt_s))
    )  # fmt: skip
    speeds = wave_speed(cables[0].position_um, run.arrival_s, length_um)
    # Cells that all release at once make no wave: their arrivals are no line.
    return np.where((speeds > 0) & (speeds < FASTEST_UM_PER_S), speeds, 0.0), run


def heldout_errors(cases: Sequence[WaveCase], make: Make, **options) -> dict[str, np.ndarray]:
    """Relative errors of speed (K,) and NRMSE of cytosolic calcium (K, sites).

    The former is NaN where neither the equations nor the channel make a wave, inf where one of them does.
    """
    expected, reference = simulate_heldout(cases, None, **options)
    found, run = simulate_heldout(cases, make, **options)
    speed = np.full(len(cases), np.nan)
    both = (expected > 0) & (found > 0)
    speed[both] = found[both] / expected[both] - 1
    speed[(expected > 0) != (found > 0)] = np.inf
    shape = run.traces.shape
    traces = [
        [nrmse(run.traces[k, :, s, 0], reference.traces[k, :, s, 0]) for s in range(shape[2])] for k in range(shape[0])
    ]
    return {"expected": expected, "found": found, "speed": speed, "nrmse_u": np.array(traces)}


@dataclass(frozen=True)
class ThresholdErrors:
    """Wave or no wave near the threshold ER radius.

    Attributes
    ----------
    expected_um, found_um : threshold radius with the equations and with the channel.
    agreement : part of the runs in which both make a wave or both do not.
    """

    expected_um: float
    found_um: float
    agreement: float


def threshold_errors(
    make: Make, *, count: int = 100, seed: int = 0, radius_um: float = 0.5, receptors_per_um2: float = 3.0,
    cells: int = 200, dt_s: float = 5e-5, accuracy_um: float = 2e-4,
) -> ThresholdErrors:  # fmt: skip
    """Runs at log-uniform 0.9 to 1.1 of the threshold radius, and the threshold with the channel."""
    common = (radius_um, receptors_per_um2, cells, dt_s)
    own = replace(Parameters(), ryanodine_per_um2=receptors_per_um2)
    expected = cable_threshold_um(*common, 0.15, 0.3, accuracy_um)
    found = cable_threshold_um(*common, 0.15, 0.3, accuracy_um, channel=make(own))
    radii = expected * np.exp(np.random.default_rng(seed).uniform(np.log(0.9), np.log(1.1), count))
    waves = [
        cables_make_wave(radius_um, radii, receptors_per_um2, cells, dt_s, channel=channel)
        for channel in (None, make(own))
    ]
    return ThresholdErrors(expected, found, float((waves[0] == waves[1]).mean()))


def recovery_errors(make: Make, gaps_s: Sequence[float] = RECOVERY_GAPS_S, **options) -> dict[str, np.ndarray | float]:
    """Recovery of the response to a second stimulus with the equations and with the channel, and the NRMSE between."""
    expected = recovery_curve(gaps_s, **options)
    found = recovery_curve(gaps_s, channel=make(recovery_parameters()), **options)
    return {
        "gap_s": expected.gap_s,
        "expected": expected.ratio,
        "found": found.ratio,
        "nrmse": nrmse(found.ratio, expected.ratio),
    }


def step_costs(makes: dict[str, Make], *, cables: int = 64, cells: int = 256, steps: int = 200, rounds: int = 5):
    """Cost per step of cables with several channels over that with the equations: name -> ratios (rounds,).

    All in turn in each round, so that what else the machine does meets them alike.
    """
    own, dt_s = front_parameters(), 2.5e-5
    batch = [uniform_cable(FRONT_LENGTH_UM, 0.5, 0.25, cells)] * cables
    named: dict[str, Make] = {"equations": lambda parameters: None, **makes}
    runs = {
        name: CableSimulation(batch, own, dt_s, channel=make(own), check_grid=False) for name, make in named.items()
    }
    for run in runs.values():
        run.run(2 * dt_s, Stimulus())
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            begin = time.perf_counter()
            run.run(steps * dt_s, NO_STIMULUS)
            seconds[name].append(time.perf_counter() - begin)
    return {name: np.array(values) / np.array(seconds["equations"]) for name, values in seconds.items()}
