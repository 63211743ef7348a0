"""The channel family as a study: protocols of each channel, its network, errors on new protocols, spikes in an axon.

Three sets of protocols per channel are drawn from streams of their own: fitted, deciding when to stop, held out.
Clamps to recorded waveforms (action potentials of axons, calcium of waves) are never fitted: they are a kind of its
own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from understudy.calcium.cable_dynamics import simulate_cables
from understudy.calcium.cable_geometry import uniform_cable
from understudy.calcium.channel_family import FAMILY, VOLTAGE, ExactChannel, family_channel
from understudy.calcium.clamp_protocols import RECORDED, Clamps, drawn_clamps, joined, recorded_clamps
from understudy.calcium.clamp_training import (
    FULL_FIT,
    QUICK_FIT,
    ClampErrors,
    FitStage,
    FittedChannel,
    clamp_errors,
    family_form,
    fit_clamps,
)
from understudy.calcium.hodgkin_huxley_cable import Axon, AxonRun, SpikeErrors, run_axon, spike_errors
from understudy.calcium.network_gates import NetworkGates
from understudy.calcium.parameters import Parameters
from understudy.calcium.rate_network import RateNetwork
from understudy.calcium.reference_cases import FRONT_ER_RADIUS_UM, FRONT_RADIUS_UM
from understudy.calcium.stimulus import Stimulus

_SETS = {"training": 0, "stopping": 1, "heldout": 2}


@dataclass(frozen=True)
class FamilySettings:
    """Protocols of each set, intervals per protocol, stages of the fit, starts of which the best is kept, seed."""

    training: int = 240
    stopping: int = 24
    heldout: int = 48
    intervals: int = 160
    stages: Sequence[FitStage] = FULL_FIT
    starts: int = 1
    seed: int = 0


QUICK_SETTINGS = FamilySettings(48, 12, 16, 80, QUICK_FIT)
"""For demonstrations and tests: seconds per channel."""


def protocol_set(channel: ExactChannel, name: str, count: int, settings: FamilySettings) -> Clamps:
    """Protocols of one of the sets training, stopping, heldout; each set has a stream of its own."""
    number = list(FAMILY).index(channel.name)
    return drawn_clamps(channel, count, settings.intervals, np.random.default_rng([settings.seed, number, _SETS[name]]))


def recorded_voltages_mV(intervals: int, dt_ms: float = 0.05) -> np.ndarray:
    """Voltages (6, intervals) of Hodgkin-Huxley axons of three diameters in two places, from rest through a spike."""
    fine = 0.01
    steps = round(intervals * dt_ms / fine)
    time_ms = (np.arange(steps) + 0.5) * fine
    waves = []
    for diameter_um, injected_nA in ((1.0, 0.5), (2.0, 0.8), (4.0, 3.0)):
        injected = np.where((time_ms >= 0.5) & (time_ms < 1.5), injected_nA, 0.0)
        run = run_axon(Axon(length_um=1000.0, diameter_um=diameter_um, cells=50), injected[None], steps * fine, fine)
        every = round(dt_ms / fine)
        waves += [run.voltage_mV[0, : intervals * every : every, cell] for cell in (5, 35)]
    return np.array(waves)


def recorded_calcium_uM(intervals: int, dt_s: float = 1e-3) -> np.ndarray:
    """Cytosolic calcium (8, intervals) while waves pass, of four receptor densities in two places of a dendrite."""
    step = 1e-4
    cable = uniform_cable(24.0, FRONT_RADIUS_UM, FRONT_ER_RADIUS_UM, 48)
    own = [Parameters(ryanodine_per_um2=density) for density in (2.5, 3.0, 4.0, 6.0)]
    every = round(dt_s / step)
    run = simulate_cables(
        [cable] * len(own), own, Stimulus(), (intervals + 1) * dt_s, step, sites=[8, 32], every=every, check_grid=False
    )
    return run.traces[:, :intervals, :, 0].transpose(0, 2, 1).reshape(-1, intervals)


def recorded_set(channel: ExactChannel, intervals: int) -> Clamps:
    """Clamps of a channel to the recorded waveforms of its driver."""
    if channel.driver is VOLTAGE:
        return recorded_clamps(channel, recorded_voltages_mV(intervals), 5e-5)
    return recorded_clamps(channel, recorded_calcium_uM(intervals), 1e-3)


@dataclass(frozen=True)
class FamilyMember:
    """A channel's network with its errors on held-out protocols by kind (``drawn`` for all but recorded waveforms)."""

    name: str
    fitted: FittedChannel
    weights: int
    errors: dict[str, ClampErrors]


def fit_member(name: str, settings: FamilySettings | None = None) -> FamilyMember:
    """Fit a channel's network and judge it; of several starts the one with the least loss on the stopping set is kept.

    Raises
    ------
    InputError : no such channel.
    """
    settings = settings or FamilySettings()
    channel = family_channel(name)
    sets = {each: protocol_set(channel, each, getattr(settings, each), settings) for each in _SETS}
    fits = [
        fit_clamps(
            family_form(channel), sets["training"], sets["stopping"], seed=settings.seed + start, stages=settings.stages
        )
        for start in range(settings.starts)
    ]
    fitted = min(fits, key=lambda fit: fit.best)
    judged = joined([sets["heldout"], recorded_set(channel, settings.intervals)])
    return FamilyMember(name, fitted, fitted.network.form.n_weights, clamp_errors(fitted.network, judged))


def family_table(members: Sequence[FamilyMember]) -> list[dict[str, float | str]]:
    """Rows of the table of errors: channel, weights, R2 and NRMSE on drawn protocols and on recorded waveforms."""
    rows = []
    for member in members:
        row: dict[str, float | str] = {"channel": member.name, "weights": member.weights}
        for kind in ("drawn", RECORDED):
            own = member.errors[kind]
            row |= {f"{kind}, protocols": own.protocols, f"{kind}, R2": own.r2, f"{kind}, NRMSE": own.nrmse}
        rows.append(row)
    return rows


SPIKE_CELLS = (10, 50, 90)


def stimulated_axons(duration_ms: float = 25.0, dt_ms: float = 0.01, **channels) -> AxonRun:
    """The axon under a short pulse, a long weak current that makes it fire twice, and a pair of pulses.

    ``channels`` are those of `run_axon`.
    """
    time_ms = (np.arange(round(duration_ms / dt_ms)) + 0.5) * dt_ms

    def pulse(amplitude_nA: float, first_ms: float, last_ms: float) -> np.ndarray:
        return np.where((time_ms >= first_ms) & (time_ms < last_ms), amplitude_nA, 0.0)

    injected = [pulse(1.0, 1, 2), pulse(0.4, 1, 24), pulse(1.2, 1, 2) + pulse(1.2, 13, 14)]
    return run_axon(Axon(), np.stack(injected), duration_ms, dt_ms, **channels)


EXACT = "exact"


def axon_runs(sodium: RateNetwork, potassium: RateNetwork, **options) -> dict[str, AxonRun]:
    """The axon with the exact gates, and in the same scheme with networks for sodium, for potassium and for both.

    ``options`` are those of `stimulated_axons`.
    """
    gates = {"sodium": NetworkGates(sodium), "potassium": NetworkGates(potassium)}
    choices = {EXACT: {}, **{name: {name: gate} for name, gate in gates.items()}, "both": gates}
    return {name: stimulated_axons(**options, **channels) for name, channels in choices.items()}


def errors_of_spikes(runs: Mapping[str, AxonRun]) -> dict[str, SpikeErrors]:
    """Spikes of `axon_runs` with networks against those with the exact gates."""
    return {name: spike_errors(run, runs[EXACT], SPIKE_CELLS) for name, run in runs.items() if name != EXACT}
