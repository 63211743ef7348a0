"""How well a cable with a closure or a network in it does what the same cable does with the receptors' equations.

Every function takes ``make``, which gives the `Channel` for a set of parameters, and runs the receptors' equations
beside it on the same grid with the same steps.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from understudy.calcium.cable_dynamics import CableRun, CableSimulation, Channel
from understudy.calcium.cable_geometry import uniform_cable
from understudy.calcium.parameters import Parameters
from understudy.calcium.receptor_protocols import RAISED_REST_UM, REST_UM, WaveCase, draw_wave_cases
from understudy.calcium.reference_cases import (
    FRONT_LENGTH_UM,
    front_cable,
    front_parameters,
    front_run,
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


def sampled_front(
    channel: Channel | None, *, dt_s: float = 2.5e-5, spacing_um: float = 0.25, duration_s: float = 0.3
) -> CableRun:
    """The reference front with a channel (None for the equations), sampled at every node each 0.1 ms."""
    nodes, every = np.arange(len(front_cable(spacing_um))), max(1, round(1e-4 / dt_s))
    return front_run(spacing_um, dt_s, duration_s, sites=nodes, every=every, channel=channel)


def front_errors(expected: CableRun, found: CableRun, spacing_um: float) -> FrontErrors:
    """Errors of a run of `sampled_front` against that with the equations."""
    cable = front_cable(spacing_um)
    sites = [cable.nearest(x) for x in SITES_UM]
    speeds = [wave_speed(cable.position_um, run.arrival_s, FRONT_LENGTH_UM)[0] for run in (expected, found)]
    (u, p), (v, q) = (
        (run.traces[0][:, sites, 0], run.traces[0][:, sites, 3]) for run in (expected, found)
    )  # fmt: skip
    site = sites[1]
    return FrontErrors(
        speed=float(speeds[1] / speeds[0] - 1),
        arrival_ms=float(found.arrival_s[0, site] - expected.arrival_s[0, site]) * 1e3,
        peak=float(found.peak_uM[0, site] / expected.peak_uM[0, site] - 1),
        nrmse_u=max(nrmse(v[:, k], u[:, k]) for k in range(len(sites))),
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


def heldout_errors(
    expected: np.ndarray, reference: np.ndarray, found: np.ndarray, traces: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Relative errors of speeds (K,) and NRMSE of cytosolic calcium (K, sites).

    The former is NaN where neither the equations nor the channel make a wave, inf where one of them does.

    Parameters
    ----------
    expected, found : (K,) speeds in um/s of the equations and of the channel, 0 where no wave passed.
    reference, traces : (K, T, sites) cytosolic calcium of both.
    """
    speed = np.full(len(expected), np.nan)
    both = (expected > 0) & (found > 0)
    speed[both] = found[both] / expected[both] - 1
    speed[(expected > 0) != (found > 0)] = np.inf
    errors = [
        [nrmse(v, u) for v, u in zip(own.T, true.T, strict=True)] for own, true in zip(traces, reference, strict=True)
    ]
    return speed, np.array(errors)


@dataclass(frozen=True)
class ThresholdErrors:
    """Wave or no wave near the threshold ER radius.

    Attributes
    ----------
    expected_um, found_um : threshold radius with the equations and with the channel.
    agreement : part of the runs in which both make a wave or both do not.
    radius_um : (R,) ER radii of the runs.
    expected, found : (R,) whether a wave passed with the equations and with the channel.
    """

    expected_um: float
    found_um: float
    agreement: float
    radius_um: np.ndarray
    expected: np.ndarray
    found: np.ndarray


def threshold_errors(
    makes: Mapping[str, Make], *, count: int = 100, seed: int = 0, radius_um: float = 0.5,
    receptors_per_um2: float = 3.0, cells: int = 200, dt_s: float = 5e-5, accuracy_um: float = 2e-4,
) -> dict[str, ThresholdErrors]:  # fmt: skip
    """By channel: runs at log-uniform 0.9 to 1.1 of the equations' threshold radius, and the threshold itself."""
    common = (radius_um, receptors_per_um2, cells, dt_s)
    own = replace(Parameters(), ryanodine_per_um2=receptors_per_um2)
    expected = cable_threshold_um(*common, 0.15, 0.3, accuracy_um)
    radii = expected * np.exp(np.random.default_rng(seed).uniform(np.log(0.9), np.log(1.1), count))

    def waves(channel: Channel | None) -> np.ndarray:
        return cables_make_wave(radius_um, radii, receptors_per_um2, cells, dt_s, channel=channel)

    true, errors = waves(None), {}
    for name, make in makes.items():
        threshold = cable_threshold_um(*common, 0.15, 0.3, accuracy_um, channel=make(own))
        found = waves(make(own))
        errors[name] = ThresholdErrors(expected, threshold, float((found == true).mean()), radii, true, found)
    return errors


def step_costs(makes: Mapping[str, Make], *, cables: int = 64, cells: int = 256, steps: int = 200, rounds: int = 5):
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
